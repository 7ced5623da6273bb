"""The diagonal scaling that ends NICE: additive couplings alone preserve volume."""

import torch
from torch import nn

from nvpkit.bijections.base import Bijection, check_count, check_vector


class Scaling(Bijection):
    """z = exp(s) * x with one learned s for each dimension, log_det = sum of s (NICE, section 3.3).

    ``s`` has shape (dim,) and starts at zero. ``initialise(x)`` sets it so that every entry of z has unit variance:
    on images a scale that starts at zero learns too slowly.

    >>> import torch
    >>> scaling = Scaling(2)
    >>> _ = scaling.s.data.copy_(torch.tensor([1.0, -3.0]))
    >>> scaling(torch.ones(1, 2))[1]
    tensor([-2.], grad_fn=<...>)
    """

    def __init__(self, dim):
        super().__init__()
        check_count("dim", dim)
        self.s = nn.Parameter(torch.zeros(dim))

    def forward(self, x, context=None):
        check_vector(x, len(self.s), "Scaling")
        return x * self.s.exp(), self.s.sum().expand(len(x))

    def inverse(self, z, context=None):
        check_vector(z, len(self.s), "Scaling")
        return z * (-self.s).exp(), -self.s.sum().expand(len(z))

    @torch.no_grad()
    def initialise(self, x, context=None):
        """Set s = -log std(x); an entry that never changes keeps its scale. Raises ValueError below two samples."""
        check_vector(x, len(self.s), "Scaling")
        if len(x) < 2:
            raise ValueError(f"Scaling.initialise needs at least two samples, got {len(x)}")
        std, mean = torch.std_mean(x, 0)
        # The deviation of a constant is rounding noise, and one over it is no scale.
        changes = std > 4 * torch.finfo(x.dtype).eps * mean.abs()
        self.s.copy_(torch.where(changes, -std.clamp_min(torch.finfo(std.dtype).tiny).log(), self.s))

    def extra_repr(self):
        return f"dim={len(self.s)}"
