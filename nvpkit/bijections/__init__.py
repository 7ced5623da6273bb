"""Layers: invertible maps with a known log-determinant. forward goes from data to latent."""

from nvpkit.bijections.base import Bijection, Chain
from nvpkit.bijections.coupling import AdditiveCoupling, AffineCoupling, MaskedAdditiveCoupling
from nvpkit.bijections.masks import alternating_mask, channel_mask, checkerboard_mask, half_mask, nested_masks
from nvpkit.bijections.normalization import ActNorm, BatchNorm
from nvpkit.bijections.preprocessing import Dequantize
from nvpkit.bijections.scaling import Scaling

__all__ = [
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "BatchNorm",
    "Bijection",
    "Chain",
    "Dequantize",
    "MaskedAdditiveCoupling",
    "Scaling",
    "alternating_mask",
    "channel_mask",
    "checkerboard_mask",
    "half_mask",
    "nested_masks",
]
