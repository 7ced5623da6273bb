"""Layers: invertible maps with a known log-determinant. forward goes from data to latent."""

from nvpkit.bijections.base import Bijection, Chain
from nvpkit.bijections.coupling import AdditiveCoupling, MaskedAdditiveCoupling
from nvpkit.bijections.masks import alternating_mask, half_mask
from nvpkit.bijections.preprocessing import Dequantize
from nvpkit.bijections.scaling import Scaling

__all__ = [
    "AdditiveCoupling",
    "Bijection",
    "Chain",
    "Dequantize",
    "MaskedAdditiveCoupling",
    "Scaling",
    "alternating_mask",
    "half_mask",
]
