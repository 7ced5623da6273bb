"""Points to train on, of the checks' own: two curves in the plane with their exact log-densities, and digits."""

from __future__ import annotations

import math

import torch

from nvpkit.checks.parts import randn


def parabola(n: int, gen: torch.Generator) -> torch.Tensor:
    """Return n points (n, 2) with x2 = x1^2 + .3 noise, x1 standard normal."""
    first = randn(n, 1, gen=gen)
    return torch.cat([first, first.square() + 0.3 * randn(n, 1, gen=gen)], 1).float()


def parabola_log_prob(points: torch.Tensor) -> torch.Tensor:
    """Return the log-density (n,) of the parabola."""
    first, second = points.double().unbind(1)
    return -0.5 * first**2 - 0.5 * ((second - first**2) / 0.3) ** 2 - math.log(2 * math.pi * 0.3)


def moons(n: int, gen: torch.Generator, sigma: float = 0.1) -> torch.Tensor:
    """Return n points (n, 2) on two half circles with normal noise."""
    angle = math.pi * torch.rand(n, generator=gen, dtype=torch.float64)
    upper = torch.rand(n, generator=gen) < 0.5
    first = torch.where(upper, angle.cos(), 1 - angle.cos())
    second = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return (torch.stack([first, second], 1) + sigma * randn(n, 2, gen=gen)).float()


def moons_log_prob(points: torch.Tensor, sigma: float = 0.1, n_angles: int = 400) -> torch.Tensor:
    """Return the log-density (n,) of the moons: the mean over midpoints of the angle, exact to rounding."""
    angle = (torch.arange(n_angles, dtype=torch.float64) + 0.5) * math.pi / n_angles
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    centres = torch.cat([upper, torch.tensor([1.0, 0.5], dtype=torch.float64) - upper])
    squares = (points.double()[:, None] - centres).square().sum(2)
    density = torch.logsumexp(-squares / (2 * sigma**2), 1) - math.log(2 * n_angles)
    return density - math.log(2 * math.pi * sigma**2)


def digits(n: int, gen: torch.Generator) -> torch.Tensor:
    """Return n dequantised 8x8 digits (n, 64) in [0, 1], drawn without repetition; n at most 1797."""
    from sklearn.datasets import load_digits

    pixels = torch.tensor(load_digits().data).float()
    rows = torch.randperm(len(pixels), generator=gen)[:n]
    return (pixels[rows] + torch.rand(n, pixels.shape[1], generator=gen)) / 17
