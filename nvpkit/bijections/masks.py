"""Masks say which entries a coupling keeps: 1 where the value passes through unchanged, 0 where it changes."""

import torch

from nvpkit.bijections.base import check_count


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


def checkerboard_mask(height, width, parity=0):
    """Return the mask (1, height, width) that is 1 where (row + column) % 2 == parity (Real NVP, section 3.4).

    It broadcasts over batch and channels. The paper's own b is parity 1.

    >>> checkerboard_mask(2, 4, 0)
    tensor([[[1., 0., 1., 0.],
             [0., 1., 0., 1.]]])
    """
    _check_parity(parity)
    check_count("height", height)
    check_count("width", width)
    diagonal = torch.arange(height)[:, None] + torch.arange(width)
    return (diagonal % 2 == parity).to(torch.get_default_dtype())[None]


def channel_mask(channels, parity=0):
    """Return the mask (channels, 1, 1) that keeps the first ceil(channels/2) for parity 0, the others for parity 1.

    >>> channel_mask(3, 0).flatten(), channel_mask(3, 1).flatten()
    (tensor([1., 1., 0.]), tensor([0., 0., 1.]))
    """
    check_count("channels", channels)
    return half_mask(channels, parity)[:, None, None]


def nested_masks(dim):
    """Return masks (dim,) that keep dim // 2, dim // 4, ..., 1 entries, each at the start and then at the end.

    The list has 2 floor(log2(dim)) masks. Each mask is followed by its mirror image, so that every entry changes in
    each pair. Raises ValueError for dim < 2.

    >>> [mask.int().tolist() for mask in nested_masks(4)]
    [[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0], [0, 0, 0, 1]]
    """
    check_count("dim", dim, least=2)
    masks, kept = [], dim // 2
    while kept >= 1:
        mask = (torch.arange(dim) < kept).to(torch.get_default_dtype())
        masks += [mask, mask.flip(0)]
        kept //= 2
    return masks


def _check(dim, parity):
    check_count("dim", dim)
    _check_parity(parity)


def _check_parity(parity):
    if parity not in (0, 1):
        raise ValueError(f"parity must be 0 or 1, got {parity!r}")
