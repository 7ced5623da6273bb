"""From integer pixels to real numbers: dequantisation as the first layer of a flow."""

import math

import torch

from nvpkit.bijections.base import Bijection


class Dequantize(Bijection):
    """Integers 0..levels-1 to [0, 1]: z = (x + u) / levels with u uniform on [0, 1), fresh at every call.

    ``log_det`` is -D ln(levels) for D entries. With this layer first, a flow's ``log_prob`` is a lower bound of the
    log-mass of the integer image (Jensen), exact when the density is constant over the pixel's cell. ``inverse``
    returns the integer, as float, of the cell that z lies in, clamped to 0..levels-1. Integer input gives results in
    the layer's own dtype (``.double()`` changes it), float input keeps its dtype. The noise comes from the global
    generator unless ``noise`` of x's shape is given.

    >>> import torch
    >>> layer = Dequantize(levels=17)
    >>> x = torch.tensor([[0, 16, 3]])
    >>> z, log_det = layer(x)
    >>> torch.equal(layer.inverse(z)[0], x.float()), round(log_det.item(), 3)
    (True, -8.5)
    """

    def __init__(self, levels=256):
        super().__init__()
        if isinstance(levels, bool) or not isinstance(levels, int) or levels < 2:
            raise ValueError(f"levels must be an integer of at least 2, got {levels!r}")
        self.levels = levels
        # An empty buffer that .double() and .to() change: it says in which dtype integers come out.
        self.register_buffer("like", torch.empty(0), persistent=False)

    def forward(self, x, context=None, noise=None):
        x = x if x.is_floating_point() else x.to(self.like.dtype)
        u = torch.rand_like(x) if noise is None else noise.to(x.dtype)
        # Rounding must not carry x + u into the neighbouring cell, or the inverse would return another integer.
        edge = 2 * self.levels * torch.finfo(x.dtype).eps
        return (x + u.clamp(edge, 1 - edge)) / self.levels, self._log_det(x, -1)

    def inverse(self, z, context=None):
        return (z * self.levels).floor().clamp(0, self.levels - 1), self._log_det(z, 1)

    def _log_det(self, x, sign):
        return x.new_full((len(x),), sign * math.log(self.levels) * x[0].numel())

    def check_input(self, x):
        """Raise ValueError unless x holds integers 0..levels-1."""
        low, high = x.min().item(), x.max().item()
        if low < 0 or high > self.levels - 1:
            raise ValueError(
                f"Dequantize(levels={self.levels}) expects integers 0..{self.levels - 1}, got values from {low:g} to "
                f"{high:g}: give it the stored integers, not rescaled pixels"
            )
        if x.is_floating_point() and not bool((x == x.round()).all()):
            raise ValueError(
                f"Dequantize(levels={self.levels}) expects integers 0..{self.levels - 1}, got fractions: give it the "
                "stored integers, not rescaled or already dequantised pixels"
            )

    def extra_repr(self):
        return f"levels={self.levels}"
