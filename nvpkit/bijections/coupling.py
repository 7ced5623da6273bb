"""Coupling layers: move one part of x by a function of the other part (NICE, section 3.2; Real NVP, section 3.2)."""

import math
from numbers import Real

import torch
from torch import nn

from nvpkit.bijections.base import Bijection
from nvpkit.errors import ShapeError


class Coupling(Bijection):
    """What additive and affine couplings share: a mask, a net, the way apart and together again.

    ``mask`` is 1 where a value is kept. With a mask (D,) the layer takes vectors (B, D) and the net sees the kept
    entries alone, in their order, and emits ``numbers`` values for each of the others: nothing is multiplied by zero.
    The same mask, of length C, takes images (B, C, H, W) by their channels. With a mask (1, H, W), (C, 1, 1) or
    (C, H, W) the layer takes images as the paper does: the net sees mask * x and emits ``numbers`` * C channels. With a
    context the layer calls ``net(x, context)``. A subclass says how entries move.
    """

    numbers = 1

    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("mask", check_mask(mask))
        # Both are made from the mask, so they are not saved.
        self.register_buffer("order", None, persistent=False)
        self.register_buffer("back", None, persistent=False)
        self.net = net
        self._arrange()

    def _arrange(self):
        """Make of any mask (D,) two blocks: the entries like the first one, then the others.

        Two blocks are slices of one tensor, which cost nothing. Where the mask is not made of blocks, ``order`` brings
        the entries there and ``back`` brings them home. Couplings of one ``cut`` share their blocks.
        """
        if self.mask.ndim == 3:
            self.cut = None
            return
        like_first = self.mask == self.mask[0]
        order = torch.cat([like_first.nonzero(), (~like_first).nonzero()]).flatten()
        blocks = bool((order[1:] > order[:-1]).all())
        self.order, self.back = (None, None) if blocks else (order, order.argsort())
        self.cut = bytes(like_first.tolist())
        first = int(like_first.sum())
        self._sizes = (first, len(order) - first)
        self._keeps_first = bool(self.mask[0])
        self._emits = self.numbers * self._sizes[self._keeps_first]

    def _load_from_state_dict(self, *arguments, **keywords):
        super()._load_from_state_dict(*arguments, **keywords)
        self._arrange()  # a loaded state brings its own split

    def forward(self, x, context=None):
        if self.mask.ndim == 3:
            return self._image(x, context, inverse=False)
        parts, s = self.move(self.apart(x), context)
        return self.together(parts), x.new_zeros(len(x)) if s is None else s.flatten(1).sum(1)

    def inverse(self, z, context=None):
        # The kept entries of z are those of x, so the net says the same.
        if self.mask.ndim == 3:
            return self._image(z, context, inverse=True)
        parts, s = self.move(self.apart(z), context, inverse=True)
        return self.together(parts), z.new_zeros(len(z)) if s is None else -s.flatten(1).sum(1)

    def apart(self, x):
        """Return the two blocks of x (B, D) or (B, D, H, W); they are views of x where the mask is made of blocks."""
        if x.ndim not in (2, 4) or x.shape[1] != len(self.mask):
            raise ShapeError(f"{type(self).__name__} expects shape (B, {len(self.mask)}), got {tuple(x.shape)}")
        return (x if self.order is None else x.index_select(1, self.order)).split_with_sizes(self._sizes, 1)

    def together(self, parts):
        """Undo ``apart``."""
        x = torch.cat(parts, 1)
        return x if self.back is None else x.index_select(1, self.back)

    def move(self, parts, context=None, inverse=False):
        """Move the block that is not kept; return both blocks and the log-scales s (B, ...) of forward, or None."""
        kept, others = parts if self._keeps_first else parts[::-1]
        emitted = self._ask(kept, context, self._emits)
        others, s = self._move(others, emitted, None, inverse)
        return ((kept, others) if self._keeps_first else (others, kept)), s

    def _image(self, x, context, inverse):
        shape = self.mask.shape
        if x.ndim != 4 or any(wanted not in (1, given) for wanted, given in zip(shape, x.shape[1:])):
            raise ShapeError(
                f"{type(self).__name__} expects images (B, C, H, W) that fit its mask {tuple(shape)}, "
                f"got {tuple(x.shape)}"
            )
        mask = self.mask.to(x.dtype)
        emitted = self._ask(mask * x, context, self.numbers * x.shape[1])
        x, s = self._move(x, emitted, 1 - mask, inverse)
        log_det = x.new_zeros(len(x)) if s is None else s.sum((1, 2, 3))
        return x, -log_det if inverse else log_det

    def _ask(self, kept, context, wanted):
        """Return what the net emits for the kept entries: ``wanted`` columns or channels."""
        emitted = self.net(kept) if context is None else self.net(kept, context)
        if emitted.dtype != kept.dtype:  # a net under autocast; the layer's results keep x's dtype
            emitted = emitted.to(kept.dtype)
        given, shape = emitted.shape, kept.shape
        if given[1:2] != (wanted,) or given[0] != shape[0] or given[2:] != shape[2:]:
            raise ShapeError(
                f"the net of {type(self).__name__} must map {tuple(shape)} to {(shape[0], wanted, *shape[2:])}, "
                f"got {tuple(given)}"
            )
        return emitted

    def _move(self, x, emitted, active, inverse):
        """Return x moved by what the net emitted, and s or None; ``active`` is 1 - mask, None where all moves."""
        raise TypeError(f"{type(self).__name__} is a Coupling and must define _move")

    def extra_repr(self):
        mask, shape = self.mask, tuple(self.mask.shape)
        if mask.ndim == 3:
            return f"mask shape={shape}, kept={int(mask.sum())} of {mask.numel()}"
        return f"mask={''.join(str(int(m)) for m in mask)}" if len(mask) <= 64 else f"dim={len(mask)}"


class AdditiveCoupling(Coupling):
    """z = x on the kept entries, z = x + net(kept entries) on the others (NICE, equation 4).

    Vectors: ``mask`` (D,), ``net`` maps the kept entries (B, kept) to shifts (B, D - kept). Images: ``mask``
    (1, H, W), (C, 1, 1) or (C, H, W), ``net`` maps mask * x (B, C, H, W) to (B, C, H, W). The Jacobian is triangular
    with ones on its diagonal, so log_det is exactly 0. With a context the layer calls ``net(kept, context)``. Raises
    ShapeError for an x or a net that does not fit, ValueError for a mask that is none.

    >>> import torch
    >>> from nvpkit.bijections import half_mask
    >>> coupling = AdditiveCoupling(half_mask(2, 0), torch.nn.Linear(1, 1))
    >>> x = torch.randn(4, 2)
    >>> z, log_det = coupling(x)
    >>> torch.equal(z[:, 0], x[:, 0]), log_det
    (True, tensor([0., 0., 0., 0.]))
    """

    def _move(self, x, emitted, active, inverse):
        shift = emitted if active is None else active * emitted
        return x - shift if inverse else x + shift, None


class AffineCoupling(Coupling):
    """z = x on the kept entries, z = x exp(s) + t on the others, with (s, t) from one net (Real NVP, equation 7).

    Vectors: ``mask`` (D,), ``net`` maps the kept entries (B, kept) to (B, 2 (D - kept)); a mask of length C couples the
    channels of images (B, C, H, W) in the same way. Images: ``mask`` (1, H, W), (C, 1, 1) or (C, H, W), ``net`` maps
    mask * x (B, C, H, W) to (B, 2C, H, W). s comes first, then t. The log-scale is
    bounded, since exp overflows and steep layers cannot be undone: s = m tanh(raw / m) with m = ``max_log_scale``.
    With ``max_log_scale=None`` it is s = gain tanh(raw), with one learned ``gain`` that starts at 2. log_det is the sum
    of s over every entry that moves (Real NVP, equation 6). With a context the layer calls ``net(kept, context)``.
    Raises ShapeError for an x or a net that does not fit, ValueError for a mask or a bound that is none.

    >>> import torch
    >>> from nvpkit.bijections import half_mask
    >>> coupling = AffineCoupling(half_mask(3, 1), torch.nn.Linear(1, 4))
    >>> x = torch.randn(5, 3)
    >>> z, log_det = coupling(x)
    >>> torch.equal(z[:, 2], x[:, 2]), log_det.shape, torch.allclose(coupling.inverse(z)[0], x, atol=1e-5)
    (True, torch.Size([5]), True)
    """

    numbers = 2

    def __init__(self, mask, net, max_log_scale=2.0):
        super().__init__(mask, net)
        good = isinstance(max_log_scale, Real) and not isinstance(max_log_scale, bool) and 0 < max_log_scale < math.inf
        if not (max_log_scale is None or good):
            raise ValueError(f"max_log_scale must be a positive number, or None to learn it, got {max_log_scale!r}")
        self.max_log_scale = max_log_scale
        self.gain = nn.Parameter(torch.tensor(2.0)) if max_log_scale is None else None

    def log_scale(self, raw):
        """Bound what the net emits for s."""
        if self.gain is not None:
            return self.gain * torch.tanh(raw)
        if self.max_log_scale == 1:
            return torch.tanh(raw)  # what the line below gives, without its two products
        return self.max_log_scale * torch.tanh(raw / self.max_log_scale)

    def _move(self, x, emitted, active, inverse):
        half = emitted.shape[1] // 2
        raw, t = emitted.split_with_sizes((half, half), 1)
        s = self.log_scale(raw)
        if active is not None:
            s, t = active * s, active * t
        return (x - t) * torch.exp(-s) if inverse else torch.addcmul(t, x, torch.exp(s)), s

    def extra_repr(self):
        bound = "learned" if self.max_log_scale is None else f"{self.max_log_scale:g}"
        return f"{super().extra_repr()}, max_log_scale={bound}"


def check_mask(mask, vectors_only=False):
    """Return mask as a float tensor; raise ValueError unless it holds 0 and 1 and at least one of each.

    Its shape is (D,) for vectors, (1, H, W), (C, 1, 1) or (C, H, W) for images.
    """
    mask = torch.as_tensor(mask).detach().clone().to(torch.get_default_dtype())
    if mask.ndim != 1 and (vectors_only or mask.ndim != 3):
        images = "" if vectors_only else ", a mask for images (1, H, W), (C, 1, 1) or (C, H, W)"
        raise ShapeError(f"a mask for vectors has shape (D,){images}, got {tuple(mask.shape)}")
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise ValueError("a mask holds only 0 (changed) and 1 (kept)")
    if mask.numel() == 0 or bool((mask == mask.flatten()[0]).all()):
        all_the_same = f"all {int(mask.flatten()[0])}" if mask.numel() else "empty"
        raise ValueError(f"a coupling must keep some entries and change others; this mask is {all_the_same}")
    return mask
