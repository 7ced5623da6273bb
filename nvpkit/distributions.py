"""Base densities and Gaussian mixtures: torch.distributions inside modules that follow ``.double()`` and ``.to()``."""

import math

import torch
from torch import nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    constraints,
)
from torch.nn.functional import softplus

from nvpkit.errors import ShapeError


class Logistic(Distribution):
    """The logistic distribution with location and scale, element by element.

    log p(z) = -softplus(h) - softplus(-h) - log(scale) with h = (z - loc) / scale (NICE, section 3.4): stable for any
    h, where log(exp(h) / (1 + exp(h))^2) would overflow.

    >>> Logistic(torch.tensor(0.0), torch.tensor(1.0)).log_prob(torch.tensor([0.0, 1000.0]))
    tensor([   -1.3863, -1000.0000])
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # noqa: RUF012
    support = constraints.real
    has_rsample = True

    def __init__(self, loc, scale, validate_args=None):
        self.loc, self.scale = torch.distributions.utils.broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        return Logistic(self.loc.expand(batch_shape), self.scale.expand(batch_shape), validate_args=False)

    def rsample(self, sample_shape=(), generator=None):
        shape = self._extended_shape(torch.Size(sample_shape))
        # The log of a ratio of two exponential variables is logistic; unlike logit(uniform) it is never infinite.
        above, below = (torch.empty_like(self.loc.expand(shape)).exponential_(generator=generator) for _ in range(2))
        return self.loc + self.scale * (above.log() - below.log())

    def log_prob(self, value):
        h = (value - self.loc) / self.scale
        return -softplus(h) - softplus(-h) - self.scale.log()

    def entropy(self):
        return 2 + self.scale.log()

    @property
    def mean(self):
        return self.loc

    @property
    def variance(self):
        return (self.scale * math.pi) ** 2 / 3


class Base(nn.Module):
    """A density that a flow can stand on: ``event_shape``, ``log_prob(z) -> (B,)``, ``sample(n, generator)``."""

    def distribution(self):
        """Return the torch.distributions object, in the module's present dtype and on its device."""
        raise TypeError(f"{type(self).__name__} must define distribution()")

    @property
    def event_shape(self):
        return tuple(self.distribution().event_shape)

    def log_prob(self, z):
        """Return the log-density of z (B, *event_shape) in nats, shape (B,)."""
        if tuple(z.shape[1:]) != self.event_shape:
            raise ShapeError(f"expected shape (B, {', '.join(map(str, self.event_shape))}), got {tuple(z.shape)}")
        return self.distribution().log_prob(z)

    def sample(self, n, generator=None):
        """Return n samples (n, *event_shape), drawn with ``generator`` where one is given."""
        raise TypeError(f"{type(self).__name__} must define sample(n, generator=None)")


class _Standard(Base):
    """Independent entries of one kind, location 0 and scale 1."""

    def __init__(self, shape):
        super().__init__()
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.register_buffer("loc", torch.zeros(shape), persistent=False)

    def distribution(self):
        entries = self.kind(self.loc, torch.ones_like(self.loc), validate_args=False)
        return Independent(entries, self.loc.ndim, validate_args=False)

    @property
    def event_shape(self):
        return tuple(self.loc.shape)

    def extra_repr(self):
        return f"event_shape={self.event_shape}"


class StandardNormal(_Standard):
    """Independent standard normal entries; made by ``standard_normal(shape)``."""

    kind = Normal

    def sample(self, n, generator=None):
        return torch.randn(n, *self.loc.shape, generator=generator, dtype=self.loc.dtype, device=self.loc.device)


class StandardLogistic(_Standard):
    """Independent standard logistic entries; made by ``standard_logistic(shape)``."""

    kind = Logistic

    def sample(self, n, generator=None):
        return self.distribution().base_dist.rsample((n,), generator=generator)


def standard_normal(shape):
    """Return the standard normal density on events of ``shape`` (an int or a tuple).

    >>> standard_normal(2).log_prob(torch.zeros(1, 2))
    tensor([-1.8379])
    """
    return StandardNormal(shape)


def standard_logistic(shape):
    """Return the standard logistic density on events of ``shape`` (an int or a tuple): NICE's prior.

    >>> standard_logistic(2).log_prob(torch.zeros(1, 2))
    tensor([-2.7726])
    """
    return StandardLogistic(shape)


class GaussianMixture(Base):
    """A mixture of K Gaussians in D dimensions with its exact log-density.

    ``weights`` (K,) sum to one, ``means`` (K, D), ``covariances`` (K, D, D) positive definite. Raises ShapeError when
    the shapes do not fit and ValueError when the values cannot be a mixture.

    >>> mixture = GaussianMixture([0.5, 0.5], [[-2.0], [2.0]], [[[1.0]], [[1.0]]])
    >>> mixture.log_prob(torch.zeros(1, 1))
    tensor([-2.9189])
    """

    has_density = True

    def __init__(self, weights, means, covariances):
        super().__init__()
        weights, means, covariances = (torch.as_tensor(v).detach().clone() for v in (weights, means, covariances))
        if means.ndim != 2 or weights.shape != means.shape[:1] or covariances.shape != (*means.shape, means.shape[-1]):
            raise ShapeError(
                "a mixture expects weights (K,), means (K, D), covariances (K, D, D), got "
                f"{tuple(weights.shape)}, {tuple(means.shape)}, {tuple(covariances.shape)}"
            )
        if bool((weights < 0).any()) or abs(weights.sum().item() - 1) > 1e-4:
            raise ValueError(f"the weights of a mixture are not negative and sum to 1, got {weights.tolist()}")
        factors, failed = torch.linalg.cholesky_ex(covariances)
        if bool(failed.any()):
            raise ValueError(f"covariance {int(failed.nonzero()[0])} of the mixture is not positive definite")
        self.register_buffer("weights", weights)
        self.register_buffer("means", means)
        self.register_buffer("factors", factors)

    def distribution(self):
        components = MultivariateNormal(self.means, scale_tril=self.factors, validate_args=False)
        return MixtureSameFamily(Categorical(probs=self.weights, validate_args=False), components, validate_args=False)

    @property
    def event_shape(self):
        return tuple(self.means.shape[1:])

    def sample(self, n, generator=None):
        which = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(
            n, *self.event_shape, 1, generator=generator, dtype=self.means.dtype, device=self.means.device
        )
        return self.means[which] + (self.factors[which] @ noise).squeeze(-1)

    def extra_repr(self):
        return f"components={len(self.weights)}, event_shape={self.event_shape}"


def random_gaussian_mixture(dim, n_components=4, generator=None):
    """Draw a mixture: means 3 randn, covariances .7 A A^T / D + .3 I with A = randn, weights softmax(.5 randn).

    >>> random_gaussian_mixture(3, 5, torch.Generator().manual_seed(0)).event_shape
    (3,)
    """
    def randn(*shape):
        return torch.randn(*shape, generator=generator)

    means, a = 3 * randn(n_components, dim), randn(n_components, dim, dim)
    covariances = 0.7 * a @ a.mT / dim + 0.3 * torch.eye(dim)
    return GaussianMixture(torch.softmax(0.5 * randn(n_components), 0), means, covariances)
