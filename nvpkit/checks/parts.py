"""Small working parts that the checks hand to students' code and compare with: plain functions and nets of our own."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

# How many calls a recording flow writes down in full.
MOST_CALLS = 60


def generator(seed: int) -> torch.Generator:
    """Return a CPU generator of its own for a seed."""
    return torch.Generator().manual_seed(int(seed) % 2**63)


def randn(*shape: int, gen: torch.Generator, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return standard normal numbers, the same values in every dtype."""
    return torch.randn(*shape, generator=gen, dtype=torch.float64).to(dtype)


def random_mask(dim: int, gen: torch.Generator) -> torch.Tensor:
    """Return a mask (dim,) of 0 and 1, float32, with at least one of each, neither halves nor even/odd by plan."""
    mask = torch.zeros(dim)
    n_kept = 1 + int(torch.randint(dim - 1, (), generator=gen))
    mask[torch.randperm(dim, generator=gen)[:n_kept]] = 1
    return mask


class SmoothNet(nn.Module):
    """A net dim_in -> dim_out with one tanh layer and large random weights and biases: smooth, and never zero."""

    def __init__(self, dim_in: int, dim_out: int, gen: torch.Generator, width: int = 7):
        super().__init__()
        self.first = nn.Linear(dim_in, width)
        self.last = nn.Linear(width, dim_out)
        rerandomise(self, gen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(self.first(x)))


def rerandomise(module: nn.Module, gen: torch.Generator, gain: float = 1.0) -> None:
    """Give every floating parameter fresh random values: a net that starts at zero would hide bugs."""
    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = parameter.shape[-1] if parameter.ndim > 1 else 4
            parameter.copy_(gain * randn(*parameter.shape, gen=gen) / fan_in**0.5)


def difference_points(x: torch.Tensor, step: float = 1e-6) -> torch.Tensor:
    """Return the points (2 B D, D) at which a map must be known for its Jacobians at x (B, D) by differences."""
    dim = x.shape[1]
    steps = step * torch.eye(dim, dtype=x.dtype)
    return torch.cat([(x[:, None] + steps).reshape(-1, dim), (x[:, None] - steps).reshape(-1, dim)])


def difference_jacobian(values: torch.Tensor, n_points: int, step: float = 1e-6) -> torch.Tensor:
    """Return Jacobians (B, D, D), rows outputs, from a map's values at `difference_points(x)`.

    The error is of order step^2.
    """
    dim = values.shape[1]
    upper, lower = values.reshape(2, n_points, dim, dim)
    return ((upper - lower) / (2 * step)).transpose(1, 2)


def logistic_log_prob(z: torch.Tensor) -> torch.Tensor:
    """Return the log-density (B,) of D independent standard logistic variables at z (B, D), stable for any z."""
    return -(F.softplus(z) + F.softplus(-z)).sum(-1)


def gaussian_log_prob(z: torch.Tensor) -> torch.Tensor:
    """Return the log-density (B,) of a standard normal at z (B, D)."""
    return -0.5 * (z.square() + torch.log(torch.tensor(2 * torch.pi, dtype=z.dtype))).sum(-1)


class TinyFlow(nn.Module):
    """An affine coupling and a scaling with random weights: a flow whose log-det differs from point to point."""

    def __init__(self, dim: int, gen: torch.Generator):
        super().__init__()
        self.n_kept = dim // 2
        self.net = SmoothNet(self.n_kept, 2 * (dim - self.n_kept), gen)
        self.s = nn.Parameter(0.5 * randn(dim, gen=gen, dtype=torch.float32))

    def _scale_shift(self, kept: torch.Tensor):
        raw, shift = self.net(kept).chunk(2, -1)
        return torch.tanh(raw), shift

    def forward(self, x: torch.Tensor):
        kept, others = x[:, : self.n_kept], x[:, self.n_kept :]
        scale, shift = self._scale_shift(kept)
        z = torch.cat([kept, others * scale.exp() + shift], 1) * self.s.exp()
        return z, scale.sum(1) + self.s.sum()

    def inverse(self, z: torch.Tensor):
        z = z * (-self.s).exp()
        kept, others = z[:, : self.n_kept], z[:, self.n_kept :]
        scale, shift = self._scale_shift(kept)
        x = torch.cat([kept, (others - shift) * (-scale).exp()], 1)
        return x, -scale.sum(1) - self.s.sum()


class TinyNice(nn.Module):
    """NICE as in the paper: additive couplings that take turns, then a scaling; weights start small and random."""

    def __init__(self, dim: int, n_layers: int, hidden: int, gen: torch.Generator):
        super().__init__()
        self.cut = dim // 2
        sizes = [(self.cut, dim - self.cut), (dim - self.cut, self.cut)]
        self.nets = nn.ModuleList()
        for number in range(n_layers):
            dim_in, dim_out = sizes[number % 2]
            net = nn.Sequential(nn.Linear(dim_in, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
                                nn.Linear(hidden, dim_out))
            rerandomise(net, gen, gain=0.7)
            self.nets.append(net)
        self.s = nn.Parameter(torch.zeros(dim))

    def forward(self, x: torch.Tensor):
        first, second = x[:, : self.cut], x[:, self.cut :]
        for number, net in enumerate(self.nets):
            if number % 2:
                first = first + net(second)
            else:
                second = second + net(first)
        return torch.cat([first, second], 1) * self.s.exp(), self.s.sum().expand(len(x))

    def inverse(self, z: torch.Tensor):
        x = z * (-self.s).exp()
        first, second = x[:, : self.cut], x[:, self.cut :]
        for number, net in reversed(list(enumerate(self.nets))):
            if number % 2:
                first = first - net(second)
            else:
                second = second - net(first)
        return torch.cat([first, second], 1), -self.s.sum().expand(len(z))


class RecordingNice(TinyNice):
    """The flow that is handed over: it writes down which rows it is called with while gradients are on."""

    def __init__(self, dim: int, n_layers: int, hidden: int, gen: torch.Generator):
        super().__init__(dim, n_layers, hidden, gen)
        self.sizes: list[int] = []
        self.first_columns: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor):
        if torch.is_grad_enabled():
            self.sizes.append(len(x))
            if len(self.first_columns) < MOST_CALLS:
                self.first_columns.append(x[:, 0].detach().float().clone()[:2048])
        return super().forward(x)
