"""What every toy has: samples, an exact log-density, an entropy."""

import functools
import math

import torch

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
        raise TypeError(f"{type(self).__name__} must define sample(n, generator=None)")

    def log_prob(self, x):
        """Return the log-density of x (n, 2), shape (n,), in x's dtype; raises ShapeError for another shape."""
        if x.ndim != 2 or x.shape[1] != 2:
            raise ShapeError(f"{self.name} expects points of shape (n, 2), got {tuple(x.shape)}")
        return self._log_prob(x)

    def entropy(self):
        """Return the entropy in nats: in closed form, or by a fine grid where there is none."""
        return _grid_entropy(self)

    def __repr__(self):
        settings = ", ".join(f"{key}={value}" for key, value in vars(self).items() if not key.startswith("_"))
        return f"{self.name}({settings})"


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
