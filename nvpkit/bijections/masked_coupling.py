"""The additive coupling as the paper writes it, with a mask that multiplies (NICE, section 3.2)."""

from nvpkit.bijections.base import Bijection
from nvpkit.bijections.coupling import check_mask
from nvpkit.errors import ShapeError


class MaskedAdditiveCoupling(Bijection):
    """The paper's way of writing the additive coupling: z = x + (1 - mask) net(mask x), with a net D -> D.

    Half of the net's work is multiplied by zero. ``AdditiveCoupling`` computes the same map without that.

    >>> import torch
    >>> from nvpkit.bijections import half_mask
    >>> coupling = MaskedAdditiveCoupling(half_mask(3, 1), torch.nn.Linear(3, 3))
    >>> x = torch.randn(4, 3)
    >>> z, _ = coupling(x)
    >>> torch.allclose(coupling.inverse(z)[0], x, atol=1e-6)
    True
    """

    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("mask", check_mask(mask, vectors_only=True))
        self.net = net

    def forward(self, x, context=None):
        return x + self._shift(x, context), x.new_zeros(len(x))

    def inverse(self, z, context=None):
        # The kept entries of z are those of x, so the shift is the same one.
        return z - self._shift(z, context), z.new_zeros(len(z))

    def _shift(self, x, context):
        if x.ndim != 2 or x.shape[1] != len(self.mask):
            raise ShapeError(f"MaskedAdditiveCoupling expects shape (B, {len(self.mask)}), got {tuple(x.shape)}")
        mask = self.mask.to(x.dtype)
        shift = self.net(mask * x) if context is None else self.net(mask * x, context)
        if shift.shape != x.shape:
            raise ShapeError(
                f"the net of MaskedAdditiveCoupling must map {tuple(x.shape)} to the same shape, "
                f"got {tuple(shift.shape)}"
            )
        return (1 - mask) * shift

    def extra_repr(self):
        return f"mask={''.join(str(int(m)) for m in self.mask)}" if len(self.mask) <= 64 else f"dim={len(self.mask)}"
