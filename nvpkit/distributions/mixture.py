"""Mixtures of Gaussians: the targets whose density, entropy and component of each point are known."""

import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from nvpkit.distributions.base import Base, check_count
from nvpkit.errors import ShapeError


class GaussianMixture(Base):
    """A mixture of K Gaussians in D dimensions with its exact log-density.

    ``weights`` (K,) sum to one, ``means`` (K, D), ``covariances`` (K, D, D) symmetric and positive definite. Raises
    ShapeError when the shapes do not fit and ValueError when the values cannot be a mixture.

    >>> mixture = GaussianMixture([0.5, 0.5], [[-2.0], [2.0]], [[[1.0]], [[1.0]]])
    >>> mixture.log_prob(torch.zeros(1, 1))
    tensor([-2.9189])
    >>> mixture.posterior(torch.tensor([[0.0], [9.0]]))
    tensor([[5.0000e-01, 5.0000e-01],
            [2.3195e-16, 1.0000e+00]])
    """

    has_density = True

    def __init__(self, weights, means, covariances):
        super().__init__()
        weights, means, covariances = (_as_floats(values) for values in (weights, means, covariances))
        dtype = torch.promote_types(torch.promote_types(weights.dtype, means.dtype), covariances.dtype)
        weights, means, covariances = (values.to(dtype) for values in (weights, means, covariances))
        if means.ndim != 2 or 0 in means.shape:
            raise ShapeError(f"a mixture expects means (K, D), got {tuple(means.shape)}")
        weights, factors = check_mixture(weights, means, covariances)
        self.register_buffer("weights", weights)
        self.register_buffer("means", means)
        self.register_buffer("factors", factors)

    def distribution(self):
        return mixture_distribution(self.weights, self.means, self.factors)

    @property
    def event_shape(self):
        return tuple(self.means.shape[1:])

    @property
    def covariances(self):
        """The covariances (K, D, D)."""
        return self.factors @ self.factors.mT

    def sample(self, n, generator=None):
        check_count(n, "samples")
        which = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(
            n, *self.event_shape, 1, generator=generator, dtype=self.means.dtype, device=self.means.device
        )
        return self.means[which] + (self.factors[which] @ noise).squeeze(-1)

    def posterior(self, x):
        """Return the probability (B, K) of each component given x (B, D), also called its responsibility."""
        self._check_shape(x)
        mixture = self.distribution()
        log_joint = mixture.mixture_distribution.logits + mixture.component_distribution.log_prob(x.unsqueeze(1))
        return torch.softmax(log_joint, 1)

    def entropy(self, **settings):
        """Return the entropy in nats, a float; ``nvpkit.distributions.entropy(mixture)`` says how it was found."""
        from nvpkit.distributions.entropy import entropy  # stands on this module

        return entropy(self, **settings).value

    def extra_repr(self):
        return f"components={len(self.weights)}, event_shape={self.event_shape}"


def random_gaussian_mixture(dim, n_components=4, generator=None):
    """Draw a mixture: means 3 randn, covariances .7 A A^T / D + .3 I with A = randn, weights softmax(.5 randn).

    >>> random_gaussian_mixture(3, 5, torch.Generator().manual_seed(0)).event_shape
    (3,)
    """
    weights, means, covariances = random_mixture_parameters(1, dim, n_components, generator)
    return GaussianMixture(weights[0], means[0], covariances[0])


def random_mixture_parameters(n, dim, n_components, generator=None):
    """Draw the parameters of n mixtures by the recipe of ``random_gaussian_mixture``.

    Returns weights (n, K), means (n, K, D), covariances (n, K, D, D) in the default dtype.
    """
    check_count(n, "mixtures")
    check_count(dim, "dimensions")
    check_count(n_components, "components")

    def randn(*shape):
        return torch.randn(n, *shape, generator=generator)

    means, a = 3 * randn(n_components, dim), randn(n_components, dim, dim)
    covariances = 0.7 * a @ a.mT / dim + 0.3 * torch.eye(dim)
    return torch.softmax(0.5 * randn(n_components), -1), means, covariances


def mixture_distribution(weights, means, factors):
    """Return the torch.distributions object of mixtures (..., K) with Cholesky factors (..., K, D, D)."""
    # By logits: probabilities would be clamped away from 0, and a component of weight 0 would count.
    which = Categorical(logits=weights.log(), validate_args=False)
    return MixtureSameFamily(
        which, MultivariateNormal(means, scale_tril=factors, validate_args=False), validate_args=False
    )


def check_mixture(weights, means, covariances):
    """Return (weights that sum to one exactly, Cholesky factors) of mixtures (..., K); raise where they are none."""
    if weights.shape != means.shape[:-1] or covariances.shape != (*means.shape, means.shape[-1]):
        raise ShapeError(
            "a mixture expects weights (K,), means (K, D), covariances (K, D, D), got "
            f"{tuple(weights.shape)}, {tuple(means.shape)}, {tuple(covariances.shape)}"
        )
    for name, values in (("weights", weights), ("means", means), ("covariances", covariances)):
        if not bool(torch.isfinite(values).all()):
            bad = values[~torch.isfinite(values)][0].item()
            raise ValueError(f"the {name} of a mixture must be finite, got {bad}")
    total = weights.sum(-1, keepdim=True)
    if bool((weights < 0).any()) or bool(((total - 1).abs() > 1e-4).any()):
        worst = total.flatten()[(total - 1).abs().argmax()].item()
        raise ValueError(
            "the weights of a mixture are not negative and sum to 1, got a least weight of "
            f"{weights.min().item():g} and a sum of {worst:g}"
        )
    scale = covariances.abs().amax((-2, -1), keepdim=True)
    lopsided = ((covariances - covariances.mT).abs() > 1e-4 * scale).any(-1).any(-1)
    if bool(lopsided.any()):
        raise ValueError(_about_component("is not symmetric", lopsided))
    factors, failed = torch.linalg.cholesky_ex((covariances + covariances.mT) / 2)
    variances = covariances.diagonal(dim1=-2, dim2=-1)
    # Rounding leaves a pivot of this size where the exact one is 0: the matrix is singular as far as can be told.
    rounding = 4 * means.shape[-1] * torch.finfo(means.dtype).eps * variances
    singular = (failed != 0) | (factors.diagonal(dim1=-2, dim2=-1).square() <= rounding).any(-1)
    if bool(singular.any()):
        raise ValueError(_about_component("is not positive definite (singular, or of negative variance)", singular))
    return weights / total, factors


def _about_component(fault, where):
    return f"covariance {', '.join(map(str, where.nonzero()[0].tolist()))} of the mixture {fault}"


def _as_floats(values):
    values = torch.as_tensor(values).detach().clone()
    return values if values.is_floating_point() else values.to(torch.get_default_dtype())
