"""Thousands of random Gaussian mixtures at once, with their parameters as labels."""

import torch
from torch import nn

from nvpkit.distributions import GaussianMixture
from nvpkit.distributions.base import check_count
from nvpkit.distributions.mixture import check_mixture, mixture_distribution, random_mixture_parameters
from nvpkit.errors import ShapeError


class Mixtures(nn.Module):
    """N mixtures of K Gaussians in D dimensions, drawn from and evaluated together.

    ``weights`` (N, K), ``means`` (N, K, D), ``covariances`` (N, K, D, D), held as Cholesky ``factors``. ``mixtures[i]``
    is one ``GaussianMixture``, a slice is Mixtures again. ``.double()`` and ``.to()`` work as for any module.

    ``labels`` (N, P) describes each mixture by P = K (1 + D + D (D + 1) / 2) numbers, all of them free: any vector is
    a mixture, so a network may regress them. ``label_layout`` says where each part lies; ``from_labels`` is the way
    back. The order of the components is arbitrary in a mixture but not in its label: ``ordered`` fixes it.

    >>> mixtures = random_mixtures(1000, dim=2, n_components=4)
    >>> x = mixtures.sample(50)
    >>> x.shape, mixtures.log_prob(x).shape, mixtures.labels.shape, mixtures[3]
    (torch.Size([1000, 50, 2]), torch.Size([1000, 50]), torch.Size([1000, 24]),
     GaussianMixture(components=4, event_shape=(2,)))
    """

    def __init__(self, weights, means, covariances):
        super().__init__()
        if means.ndim != 3 or 0 in means.shape:
            raise ShapeError(f"mixtures expect means (N, K, D), got {tuple(means.shape)}")
        weights, factors = check_mixture(weights, means, covariances)
        self._hold(weights, means, factors)

    def _hold(self, weights, means, factors):
        self.register_buffer("weights", weights)
        self.register_buffer("means", means)
        self.register_buffer("factors", factors)

    @classmethod
    def _of_factors(cls, weights, means, factors):
        mixtures = cls.__new__(cls)
        nn.Module.__init__(mixtures)
        mixtures._hold(weights, means, factors)
        return mixtures

    def __len__(self):
        return len(self.weights)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self._of_factors(self.weights[index], self.means[index], self.factors[index])
        return GaussianMixture(self.weights[index], self.means[index], self.factors[index] @ self.factors[index].mT)

    @property
    def labels(self):
        """The parameters as vectors (N, P), in the order that ``label_layout`` describes."""
        lower = torch.tril_indices(*self.factors.shape[-2:], offset=-1)
        diagonal = self.factors.diagonal(dim1=-2, dim2=-1)
        parts = [self.weights.log(), self.means, diagonal.log(), self.factors[..., lower[0], lower[1]]]
        return torch.cat([part.flatten(1) for part in parts], 1)

    @classmethod
    def from_labels(cls, labels, dim, n_components):
        """Return the mixtures that ``labels`` (N, P) describe; log-weights that are off by a constant are normalised.

        Raises ShapeError for another P than ``label_layout(dim, n_components)`` has, ValueError for NaN.
        """
        layout = label_layout(dim, n_components)
        size = layout["off_diagonals"].stop
        if labels.ndim != 2 or labels.shape[1] != size or len(labels) == 0:
            raise ShapeError(
                f"labels of {n_components} components in {dim} dimensions have shape (N, {size}), got "
                f"{tuple(labels.shape)}"
            )
        if not bool(torch.isfinite(labels).all()):
            raise ValueError("the labels of mixtures must be finite, got NaN or infinite values")
        parts = {name: labels[:, where] for name, where in layout.items()}
        shape = (len(labels), n_components, dim)
        factors = torch.diag_embed(parts["log_diagonals"].reshape(shape).exp())
        row, column = torch.tril_indices(dim, dim, offset=-1)
        factors[..., row, column] = parts["off_diagonals"].reshape(*shape[:2], -1)
        return cls._of_factors(torch.softmax(parts["log_weights"], 1), parts["means"].reshape(shape), factors)

    def ordered(self):
        """Return the same mixtures with their components in the order of the first coordinate of the means."""
        order = self.means[..., 0].argsort(1)
        rows = torch.arange(len(self), device=order.device)[:, None]
        return self._of_factors(self.weights[rows, order], self.means[rows, order], self.factors[rows, order])

    def sample(self, n, generator=None):
        """Return n points of every mixture, shape (N, n, D)."""
        check_count(n, "samples")
        which = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        return self._points(torch.arange(len(self), device=which.device)[:, None], which, generator)

    def labelled_sample(self, n, generator=None):
        """Return (x (n, D), labels (n, P)): each point from a mixture drawn at random, and that mixture's label.

        Such pairs train a flow with the label as its context.
        """
        check_count(n, "samples")
        row = torch.randint(len(self), (n,), generator=generator, device=self.weights.device)
        which = torch.multinomial(self.weights[row], 1, generator=generator)[:, 0]
        return self._points(row, which, generator), self.labels[row]

    def _points(self, row, which, generator):
        means = self.means[row, which]
        noise = torch.randn(
            *means.shape, 1, generator=generator, dtype=means.dtype, device=means.device
        )
        return means + (self.factors[row, which] @ noise).squeeze(-1)

    def log_prob(self, x):
        """Return the log-density (N, n) of x (N, n, D): row i under mixture i."""
        n_mixtures, k, dim = self.means.shape
        if x.ndim != 3 or (x.shape[0], x.shape[2]) != (n_mixtures, dim):
            raise ShapeError(f"expected points of shape ({n_mixtures}, n, {dim}), got {tuple(x.shape)}")
        mixtures = mixture_distribution(self.weights, self.means, self.factors)
        # Points first, as torch.distributions wants its batch last; in chunks that keep the work below 128 MB.
        chunk = max(1, 2**24 // (n_mixtures * k * dim))
        return torch.cat([mixtures.log_prob(part) for part in x.movedim(1, 0).split(chunk)]).T.contiguous()

    def extra_repr(self):
        n_mixtures, k, dim = self.means.shape
        return f"{n_mixtures} mixtures, components={k}, event_shape=({dim},)"


def random_mixtures(n, dim, n_components=4, generator=None):
    """Draw n mixtures at once, each by the recipe of ``random_gaussian_mixture``: 10,000 take well under a second.

    >>> random_mixtures(10_000, 2, 8, torch.Generator().manual_seed(0))
    Mixtures(10000 mixtures, components=8, event_shape=(2,))
    """
    return Mixtures(*random_mixture_parameters(n, dim, n_components, generator))


def label_layout(dim, n_components):
    """Return where each part of a label lies: {name: slice}, for mixtures of K components in D dimensions.

    ``log_weights`` (K); ``means`` (K x D); ``log_diagonals`` (K x D), the logarithms of the diagonals of the Cholesky
    factors; ``off_diagonals`` (K x D (D - 1) / 2), their entries below the diagonal, row by row. Component after
    component within each part.

    >>> label_layout(2, 4)["means"]
    slice(4, 12, None)
    """
    check_count(dim, "dimensions")
    check_count(n_components, "components")
    sizes = {"log_weights": 1, "means": dim, "log_diagonals": dim, "off_diagonals": dim * (dim - 1) // 2}
    layout, start = {}, 0
    for name, size in sizes.items():
        layout[name] = slice(start, start + n_components * size)
        start += n_components * size
    return layout
