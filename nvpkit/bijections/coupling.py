"""Additive coupling (NICE, section 3.2): shift one part of x by a function of the other part."""

import torch

from nvpkit.bijections.base import Bijection, check_vector
from nvpkit.errors import ShapeError


class AdditiveCoupling(Bijection):
    """z = x on the kept entries, z = x + net(kept entries) on the others (NICE, equation 4).

    ``mask`` (D,) is 1 where a value is kept; ``net`` maps the kept entries (B, kept) to shifts (B, D - kept). The
    Jacobian is triangular with ones on its diagonal, so log_det is exactly 0. The net sees and emits only what counts:
    nothing is multiplied by zero. With a context the layer calls ``net(kept, context)``.

    >>> import torch
    >>> from nvpkit.bijections import half_mask
    >>> coupling = AdditiveCoupling(half_mask(2, 0), torch.nn.Linear(1, 1))
    >>> x = torch.randn(4, 2)
    >>> z, log_det = coupling(x)
    >>> torch.equal(z[:, 0], x[:, 0]), log_det
    (True, tensor([0., 0., 0., 0.]))
    """

    def __init__(self, mask, net):
        super().__init__()
        mask = check_mask(mask)
        # The indices are what is saved: a loaded state brings its own split with it.
        self.register_buffer("kept", torch.nonzero(mask == 1).flatten())
        self.register_buffer("others", torch.nonzero(mask == 0).flatten())
        self.net = net

    @property
    def mask(self):
        """The mask (D,), 1 where a value is kept."""
        mask = torch.zeros(self.dim, device=self.kept.device)
        return mask.index_fill(0, self.kept, 1.0)

    @property
    def dim(self):
        return len(self.kept) + len(self.others)

    def forward(self, x, context=None):
        return self._shift(x, context, 1)

    def inverse(self, z, context=None):
        return self._shift(z, context, -1)

    def _shift(self, x, context, sign):
        check_vector(x, self.dim, "AdditiveCoupling")
        kept = x.index_select(1, self.kept)
        shift = self.net(kept) if context is None else self.net(kept, context)
        if shift.shape != (len(x), len(self.others)):
            raise ShapeError(
                f"the net of AdditiveCoupling must map {tuple(kept.shape)} to {(len(x), len(self.others))}, "
                f"got {tuple(shift.shape)}"
            )
        return x.index_add(1, self.others, shift, alpha=sign), x.new_zeros(len(x))

    def extra_repr(self):
        return f"mask={''.join(str(int(m)) for m in self.mask)}" if self.dim <= 64 else f"dim={self.dim}"


class MaskedAdditiveCoupling(Bijection):
    """The paper's way of writing the same layer: z = x + (1 - mask) net(mask x), with a net D -> D.

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
        self.register_buffer("mask", check_mask(mask))
        self.net = net

    def forward(self, x, context=None):
        return x + self._shift(x, context), x.new_zeros(len(x))

    def inverse(self, z, context=None):
        # The kept entries of z are those of x, so the shift is the same one.
        return z - self._shift(z, context), z.new_zeros(len(z))

    def _shift(self, x, context):
        check_vector(x, len(self.mask), "MaskedAdditiveCoupling")
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


def check_mask(mask):
    """Return mask as a float tensor (D,); raise ValueError unless it holds 0 and 1 and at least one of each."""
    mask = torch.as_tensor(mask).detach().clone().to(torch.get_default_dtype())
    if mask.ndim != 1:
        raise ShapeError(f"a mask for vectors has shape (D,), got {tuple(mask.shape)}")
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise ValueError("a mask holds only 0 (changed) and 1 (kept)")
    if bool((mask == mask[0]).all()):
        raise ValueError(f"a coupling must keep some entries and change others; this mask is all {int(mask[0])}")
    return mask
