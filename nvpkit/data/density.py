"""What every toy has: samples, an exact log-density, an entropy."""

import functools
import math

import torch

from nvpkit.distributions.base import check_count
from nvpkit.errors import ShapeError


class Toy:
    """A density on the plane: ``sample(n, generator) -> (n, 2)``, ``log_prob(x) -> (n,)`` in nats, ``entropy()``.

    ``limits`` is the square [low, high]^2 outside which there is next to no mass: pictures and grids use it.
    """

    name: str
    limits: tuple
    has_density = True
    event_shape = (2,)

    def sample(self, n, generator=None):
        """Return n points (n, 2) in the default dtype, drawn with ``generator`` where one is given."""
        check_count(n, "samples")
        return self._sample(n, generator)

    def log_prob(self, x):
        """Return the log-density of x (n, 2), shape (n,), in x's dtype.

        Raises ShapeError for another shape and ValueError for points that are not finite.
        """
        if x.ndim != 2 or x.shape[1] != 2:
            raise ShapeError(f"{self.name} expects points of shape (n, 2), got {tuple(x.shape)}")
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"{self.name} expects finite points, got NaN or infinite values")
        return self._log_prob(x if x.is_floating_point() else x.to(torch.get_default_dtype()))

    def entropy(self):
        """Return the entropy in nats: in closed form, or by a fine grid where there is none."""
        return _grid_entropy(self)

    def __repr__(self):
        settings = ", ".join(f"{key}={value}" for key, value in vars(self).items() if not key.startswith("_"))
        return f"{self.name}({settings})"


def positive(name, value):
    """Return value; raise ValueError unless it is a finite number above 0."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}")
    return value


def _grid_entropy(toy):
    return _entropy_on_grid(type(toy), *(tuple(vars(toy).items())))


@functools.lru_cache
def _entropy_on_grid(kind, *settings):
    toy = object.__new__(kind)
    vars(toy).update(settings)
    low, high = toy.limits
    cells = math.ceil((high - low) / (toy.sigma / 2))
    axis = low + (torch.arange(cells, dtype=torch.float64) + 0.5) * (high - low) / cells
    total = 0.0
    for row in axis:
        log_p = toy.log_prob(torch.stack([axis, row.expand(cells)], 1))
        total -= (log_p.exp() * log_p).sum().item()
    return total * ((high - low) / cells) ** 2
