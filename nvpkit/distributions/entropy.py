"""Entropies: in closed form, by quadrature for mixtures in one and two dimensions, else by Monte Carlo."""

import math
from typing import NamedTuple

import torch
from torch.distributions import Distribution

from nvpkit.distributions.base import Base, check_count, draw
from nvpkit.distributions.mixture import GaussianMixture, mixture_distribution
from nvpkit.errors import ShapeError

METHODS = ("auto", "closed form", "quadrature", "monte carlo")
# Evaluations of one Gaussian at one point that a quadrature may cost: about two seconds.
MOST_EVALUATIONS = 2**27


class Entropy(NamedTuple):
    """An entropy in nats, its error, and the method that found it.

    ``error`` is 0 for "closed form", the change at the last refinement for "quadrature" (it bounds the error in
    practice), and one standard error for "monte carlo".

    >>> Entropy(1.5, 0.0, "closed form").value
    1.5
    """

    value: float
    error: float
    method: str


def entropy(density, method="auto", tolerance=1e-6, n=100_000, generator=None):
    """Return ``Entropy(value, error, method)`` of a density in nats.

    ``density`` has ``sample`` and ``log_prob``: a base density, a mixture, a toy, a torch.distributions object, or a
    flow in eval mode. "auto" takes the closed form where there is one; for Gaussian mixtures in one or two dimensions
    quadrature to ``tolerance``; and otherwise, or where components of very different widths would need too fine a
    grid, ``n`` samples. Raises ValueError when the method that is asked for cannot be had.

    >>> from nvpkit.distributions import GaussianMixture
    >>> value, error, method = entropy(GaussianMixture([0.5, 0.5], [[-9.0], [9.0]], [[[1.0]], [[1.0]]]))
    >>> round(value, 6), error < 1e-6, method   # ln 2 + ln(2 pi e) / 2
    (2.112086, True, 'quadrature')
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, got {tolerance!r}")
    if getattr(density, "training", False) and not isinstance(density, Base):
        raise ValueError("the entropy of a flow is that of its eval mode: call flow.eval() first")
    if method in ("auto", "closed form") and (exact := _closed_form(density)) is not None:
        return Entropy(exact, 0.0, "closed form")
    if method in ("auto", "quadrature") and (found := _quadrature(density, tolerance)) is not None:
        return Entropy(*found, "quadrature")
    if method == "closed form":
        raise ValueError(f"{type(density).__name__} has no entropy in closed form")
    if method == "quadrature":
        raise ValueError(
            "quadrature is for Gaussian mixtures in one or two dimensions whose components are not too different in "
            f'width for tolerance={tolerance:g}, got {density!r}: use method="monte carlo"'
        )
    return Entropy(*_monte_carlo(density, n, generator), "monte carlo")


def _closed_form(density):
    distribution = density.distribution() if isinstance(density, Base) else density
    if not isinstance(distribution, Distribution):
        return None
    if distribution.batch_shape:
        raise ShapeError(
            f"expected one distribution, got a batch of shape {tuple(distribution.batch_shape)}: "
            "torch.distributions.Independent makes one of it"
        )
    try:
        return distribution.entropy().item()
    except NotImplementedError:
        return None


def _quadrature(mixture, tolerance):
    """Return (entropy, last change), or None where there is no mixture or the grid would be too large.

    H = -sum_k w_k E[log p(m_k + L_k u)] with u standard normal: the trapezoidal rule on u, which converges
    exponentially for such integrands, with steps halved until the sum stays.
    """
    if not isinstance(mixture, GaussianMixture) or len(mixture.means[0]) > 2:
        return None
    weights, means, factors = (part.double().cpu() for part in (mixture.weights, mixture.means, mixture.factors))
    density = mixture_distribution(weights, means, factors)
    k, dim = means.shape
    # Seen from component k, component j is narrower by up to |L_j^-1 L_k|: the first grid must not step over it.
    relative = torch.linalg.solve_triangular(factors[:, None], factors.expand(k, *factors.shape), upper=False)
    step = min(0.5, 1 / torch.linalg.matrix_norm(relative, 2).max().item())
    before = None
    while k**2 * (16 / step + 1) ** dim <= MOST_EVALUATIONS:
        value = _trapezoidal(density, weights, means, factors, step)
        if before is not None and abs(value - before) < tolerance:
            return value, abs(value - before)
        before, step = value, step / 2
    return None


def _trapezoidal(density, weights, means, factors, step):
    half = math.ceil(8 / step)  # beyond eight standard deviations lies a mass of 1e-15
    axis = step * torch.arange(-half, half + 1, dtype=torch.float64)
    u = torch.cartesian_prod(*[axis] * means.shape[1]).reshape(-1, means.shape[1])
    mass = torch.exp(-0.5 * u.square().sum(1)) * (step / math.sqrt(2 * math.pi)) ** means.shape[1]
    total = 0.0
    for weight, mean, factor in zip(weights, means, factors):
        for nodes, masses in zip(u.split(1 << 16), mass.split(1 << 16)):
            total -= (weight * masses * density.log_prob(mean + nodes @ factor.T)).sum().item()
    return total


@torch.no_grad()
def _monte_carlo(density, n, generator, chunk=8192):
    check_count(n, "samples for a standard error", least=2)
    sizes = [chunk] * (n // chunk) + [n % chunk] * (n % chunk > 0)
    information = torch.cat([-density.log_prob(draw(density, size, generator)).double().cpu() for size in sizes])
    return information.mean().item(), (information.std() / math.sqrt(n)).item()
