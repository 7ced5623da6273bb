"""Squeeze trades pixels for channels, so that what was a neighbour becomes a channel."""

from torch.nn import functional

from nvpkit.bijections.base import Bijection, check_count, check_image
from nvpkit.errors import ShapeError


class Squeeze(Bijection):
    """(B, C, H, W) to (B, f^2 C, H/f, W/f) for factor f: each f x f block becomes channels (Real NVP, figure 3).

    Entry (row, column) of a block of channel c goes to channel f^2 c + f row + column. Nothing is scaled, so log_det is
    0. Raises ShapeError when a side is no multiple of the factor.

    >>> import torch
    >>> x = torch.tensor([[[[1, 2, 5, 6], [3, 4, 7, 8]]]])
    >>> Squeeze()(x)[0]
    tensor([[[[1, 5]],
             [[2, 6]],
             [[3, 7]],
             [[4, 8]]]])
    """

    def __init__(self, factor=2):
        super().__init__()
        check_count("factor", factor, least=2)
        self.factor = factor

    def forward(self, x, context=None):
        check_image(x, (None, None, None), "Squeeze")
        self.output_shape(x.shape[1:])
        return functional.pixel_unshuffle(x, self.factor), x.new_zeros(len(x))

    def inverse(self, z, context=None):
        check_image(z, (None, None, None), "Squeeze.inverse")
        if z.shape[1] % self.factor**2:
            raise ShapeError(
                f"Squeeze.inverse expects a multiple of {self.factor**2} channels, got shape {tuple(z.shape)}"
            )
        return functional.pixel_shuffle(z, self.factor), z.new_zeros(len(z))

    def output_shape(self, shape):
        """The shape (f^2 C, H/f, W/f) that an image of shape (C, H, W) gets."""
        channels, height, width = shape
        if height % self.factor or width % self.factor or 0 in (height, width):
            raise ShapeError(
                f"Squeeze(factor={self.factor}) expects a height and a width that are multiples of {self.factor}, "
                f"got {height} x {width}"
            )
        return (channels * self.factor**2, height // self.factor, width // self.factor)

    def extra_repr(self):
        return f"factor={self.factor}"
