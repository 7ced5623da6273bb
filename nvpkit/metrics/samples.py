"""Do two samples come from one distribution: the energy distance, and points drawn from a density by a grid."""

import torch

from nvpkit.distributions.base import check_count
from nvpkit.errors import ShapeError
from nvpkit.metrics.evaluation import mean_and_error


def energy_distance(x, y, n_blocks=20):
    """Return (estimate, standard_error) of 2 E|X - Y| - E|X - X'| - E|Y - Y'|, 0 only for equal distributions.

    x and y (n, ...) are independent samples of one event shape (Szekely, Rizzo 2013, equation 5, with the norm of the
    flattened event). Each is cut into ``n_blocks`` blocks; a block gives an unbiased estimate, which may be negative,
    and the blocks are independent, so the standard error is that of their mean and holds under equality too: beyond
    four of them the distributions differ. Raises ShapeError for event shapes that differ and ValueError for NaN, and
    for fewer than two points in a block. The rows of each sample must be in random order.

    >>> generator = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(2, 2000, 3, generator=generator)
    >>> same, error = energy_distance(x, y)
    >>> shifted, _ = energy_distance(x, y + 0.5)
    >>> abs(same) < 4 * error < shifted
    True
    """
    if x.shape[1:] != y.shape[1:] or x.ndim == 0:
        raise ShapeError(f"two samples of one event shape are expected, got {tuple(x.shape)} and {tuple(y.shape)}")
    check_count(n_blocks, "blocks for a standard error", least=2)
    if min(len(x), len(y)) < 2 * n_blocks:
        raise ValueError(f"{n_blocks} blocks need two points each, got samples of {len(x)} and {len(y)}")
    x, y = (sample.detach().reshape(len(sample), -1).double() for sample in (x, y))
    if not (bool(torch.isfinite(x).all()) and bool(torch.isfinite(y).all())):
        raise ValueError("a sample holds NaN or infinite values")
    # Distances from inner products lose digits far from the origin; differences of points do not care where it is.
    centre = x.mean(0)
    blocks = zip((x - centre).tensor_split(n_blocks), (y - centre).tensor_split(n_blocks))
    return mean_and_error(torch.stack([2 * torch.cdist(a, b).mean() - _within(a) - _within(b) for a, b in blocks]))


def _within(x):
    """Mean distance of two different points of x."""
    distances = torch.cdist(x, x)
    return (distances.sum() - distances.trace()) / (len(x) * (len(x) - 1))


def grid_sample(log_prob, low, high, n, generator=None, cells=400):
    """Draw n points (n, 2) from exp(log_prob) on the square [low, high]^2: a cell by its mass, uniform within it.

    An independent sampler for any density on the plane that is smooth over a cell: what ``flow.sample`` gives can be
    held against ``flow.log_prob``. Raises ValueError where the square holds no mass.

    >>> from nvpkit.distributions import standard_normal
    >>> points = grid_sample(standard_normal(2).log_prob, -5, 5, 1000, torch.Generator().manual_seed(0))
    >>> points.shape, abs(points.std().item() - 1) < 0.1
    (torch.Size([1000, 2]), True)
    """
    check_count(n, "points")
    check_count(cells, "cells along an axis")
    if not low < high:
        raise ValueError(f"a square needs low < high, got low={low}, high={high}")
    width = (high - low) / cells
    axis = (low + (torch.arange(cells, dtype=torch.float64) + 0.5) * width).to(torch.get_default_dtype())
    with torch.no_grad():
        masses = torch.cat([log_prob(torch.cartesian_prod(rows, axis)).double().exp() for rows in axis.split(64)])
    if not 0 < masses.sum().item() < float("inf"):
        raise ValueError(f"the density has a mass of {masses.sum().item() * width**2:g} on the square")
    # By the distribution function, since torch.multinomial takes 2^24 cells at most and rounds to float32.
    u = torch.rand(n, dtype=torch.float64, generator=generator) * masses.sum()
    cell = torch.searchsorted(masses.cumsum(0), u).clamp_max(cells**2 - 1)
    corner = low + width * torch.stack([cell // cells, cell % cells], 1).double()
    points = corner + width * torch.rand(n, 2, dtype=torch.float64, generator=generator)
    return points.to(torch.get_default_dtype())
