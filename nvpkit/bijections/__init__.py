"""Layers: invertible maps with a known log-determinant. forward goes from data to latent."""

from nvpkit.bijections.base import Bijection, Chain
from nvpkit.bijections.coupling import AdditiveCoupling, AffineCoupling
from nvpkit.bijections.coupling_chain import CouplingChain
from nvpkit.bijections.dequantization import VariationalNoise
from nvpkit.bijections.equalization import Equalize
from nvpkit.bijections.masked_coupling import MaskedAdditiveCoupling
from nvpkit.bijections.masks import alternating_mask, channel_mask, checkerboard_mask, half_mask, nested_masks
from nvpkit.bijections.multiscale import MultiScale, Split
from nvpkit.bijections.normalization import ActNorm, BatchNorm
from nvpkit.bijections.permutation import Flip, Permutation
from nvpkit.bijections.planar import Planar
from nvpkit.bijections.preprocessing import Dequantize, Logit
from nvpkit.bijections.scaling import Scaling
from nvpkit.bijections.squeeze import Squeeze

__all__ = [
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "BatchNorm",
    "Bijection",
    "Chain",
    "CouplingChain",
    "Dequantize",
    "Equalize",
    "Flip",
    "Logit",
    "MaskedAdditiveCoupling",
    "MultiScale",
    "Permutation",
    "Planar",
    "Scaling",
    "Split",
    "Squeeze",
    "VariationalNoise",
    "alternating_mask",
    "channel_mask",
    "checkerboard_mask",
    "half_mask",
    "nested_masks",
]
