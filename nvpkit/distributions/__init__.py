"""Base densities and Gaussian mixtures: torch.distributions inside modules that follow ``.double()`` and ``.to()``."""

from nvpkit.distributions.base import (
    Base,
    StandardLogistic,
    StandardNormal,
    draw,
    standard_logistic,
    standard_normal,
)
from nvpkit.distributions.entropy import Entropy, entropy
from nvpkit.distributions.logistic import Logistic
from nvpkit.distributions.mixture import GaussianMixture, random_gaussian_mixture

__all__ = [
    "Base",
    "Entropy",
    "GaussianMixture",
    "Logistic",
    "StandardLogistic",
    "StandardNormal",
    "draw",
    "entropy",
    "random_gaussian_mixture",
    "standard_logistic",
    "standard_normal",
]
