"""Masks say which entries a coupling keeps: 1 where the value passes through unchanged, 0 where it changes."""

import torch


def half_mask(dim, parity=0):
    """Return the mask (dim,) that keeps one half: the first ceil(dim/2) entries for parity 0, the others for parity 1.

    Float, default dtype. Raises ValueError for dim < 1 or a parity that is neither 0 nor 1.

    >>> half_mask(5, 0)
    tensor([1., 1., 1., 0., 0.])
    >>> half_mask(5, 1)
    tensor([0., 0., 0., 1., 1.])
    """
    _check(dim, parity)
    first = torch.arange(dim) < (dim + 1) // 2
    return (first if parity == 0 else ~first).to(torch.get_default_dtype())


def alternating_mask(dim, parity=0):
    """Return the mask (dim,) that is 1 where index % 2 == parity: the even/odd split of NICE, section 5.

    >>> alternating_mask(5, 0)
    tensor([1., 0., 1., 0., 1.])
    """
    _check(dim, parity)
    return (torch.arange(dim) % 2 == parity).to(torch.get_default_dtype())


def _check(dim, parity):
    if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
        raise ValueError(f"dim must be an integer of at least 1, got {dim!r}")
    if parity not in (0, 1):
        raise ValueError(f"parity must be 0 or 1, got {parity!r}")
