"""Paths and surfaces between data points, drawn in latent space."""

import math

import torch

from nvpkit.applications.continuous import repeated, same_shape
from nvpkit.errors import ShapeError
from nvpkit.metrics import evaluating


def lerp(z0, z1, steps):
    """Return the straight line from z0 to z1 (..., D) at t = i / (steps - 1), shape (steps, ..., D), ends included.

    In high dimensions its middle is nearer to the origin than samples of a normal base ever are: see ``slerp``.

    >>> lerp(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0]), 3)
    tensor([[0.0000, 2.0000],
            [0.5000, 1.0000],
            [1.0000, 0.0000]])
    """
    t = _times(z0, z1, steps, "lerp")
    return _with_exact_ends((1 - t) * z0 + t * z1, z0, z1)


def slerp(z0, z1, steps):
    """Return the great-circle path from z0 to z1 (..., D), shape (steps, ..., D), ends included bit for bit.

    The direction turns at constant angular speed, the norm goes linearly from |z0| to |z1|. Vectors run along the last
    axis, and the rest is a batch. Where no great circle is singled out (parallel or exactly opposite vectors, a zero
    vector) the path is the straight line. Raises ShapeError unless both have one shape, ValueError below two steps.

    >>> slerp(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]), 3)
    tensor([[2.0000, 0.0000],
            [1.4142, 1.4142],
            [0.0000, 2.0000]])
    """
    t = _times(z0, z1, steps, "slerp")
    norm0, norm1 = (torch.linalg.vector_norm(z, dim=-1, keepdim=True) for z in (z0, z1))
    tiny = torch.finfo(z0.dtype).tiny
    u0, u1 = z0 / norm0.clamp_min(tiny), z1 / norm1.clamp_min(tiny)
    # The part of u1 across u0. sin((1 - t) a) / sin(a) would lose all digits near a = 0 and a = pi; this keeps them.
    cosine = (u0 * u1).sum(-1, keepdim=True)
    across = u1 - cosine * u0
    across = across - (across * u0).sum(-1, keepdim=True) * u0
    sine = torch.linalg.vector_norm(across, dim=-1, keepdim=True)
    angle = t * torch.atan2(sine, cosine)
    direction = angle.cos() * u0 + angle.sin() * (across / sine.clamp_min(tiny))
    circle = ((1 - t) * norm0 + t * norm1) * direction
    straight = (sine <= 8 * torch.finfo(z0.dtype).eps) | (norm0 == 0) | (norm1 == 0)
    return _with_exact_ends(torch.where(straight, (1 - t) * z0 + t * z1, circle), z0, z1)


@torch.no_grad()
def interpolate(flow, x0, x1, steps=9, path=slerp, context=None):
    """Return data on the way from x0 to x1 (B, *event_shape), shape (steps, B, *event_shape), through latent space.

    Both are encoded, their latents joined by ``path`` (``slerp`` or ``lerp``), and every point decoded, in eval mode.
    The ends are x0 and x1 up to the flow's round trip. ``context`` (B, ...) holds for the whole path.

    >>> from nvpkit.models import nice
    >>> interpolate(nice(4), torch.zeros(2, 4), torch.ones(2, 4), steps=5).shape
    torch.Size([5, 2, 4])
    """
    same_shape(x0, x1, "interpolate")
    with evaluating(flow):
        z0, z1 = flow(x0, context)[0], flow(x1, context)[0]
        z = path(z0.flatten(1), z1.flatten(1), steps).reshape(-1, *z0.shape[1:])
        x = flow.inverse(z, repeated(context, steps))[0]
    return x.reshape(steps, *x0.shape)


def four_point_manifold(z, phi, phi_prime):
    """Return cos(phi)(cos(phi') z1 + sin(phi') z2) + sin(phi)(cos(phi') z3 + sin(phi') z4) (Real NVP, section 4.2).

    z (4, ...) holds the four latents; phi and phi' are angles in radians of one shape S. The result is (*S, ...).

    >>> four_point_manifold(torch.eye(4), torch.tensor([0.6]), torch.tensor([0.0]))
    tensor([[0.8253, 0.0000, 0.5646, 0.0000]])
    """
    if z.ndim < 2 or len(z) != 4:
        raise ShapeError(f"the manifold joins four points, shape (4, ...), got {tuple(z.shape)}")
    same_shape(phi, phi_prime, "four_point_manifold")
    weights = torch.stack([
        phi.cos() * phi_prime.cos(), phi.cos() * phi_prime.sin(), phi.sin() * phi_prime.cos(),
        phi.sin() * phi_prime.sin(),
    ], -1)  # fmt: skip
    return (weights.to(z) @ z.flatten(1)).reshape(*phi.shape, *z.shape[1:])


@torch.no_grad()
def latent_manifold(flow, points, n=8, turn=2 * math.pi, context=None):
    """Return the decoded manifold through four data points (4, *event_shape): (n, n, *event_shape).

    Rows are phi, columns phi', both i ``turn`` / n for a full turn, as in Real NVP's figure. A shorter turn, pi / 2
    say, includes its end: then the four corners are the four points. ``context`` is one row for all, shape (1, ...).

    >>> from nvpkit.models import nice
    >>> latent_manifold(nice(4), torch.eye(4), n=3).shape
    torch.Size([3, 3, 4])
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 2:
        raise ValueError(f"the manifold has an integer n of at least 2 points along each angle, got {n!r}")
    if len(points) != 4:
        raise ShapeError(f"the manifold joins four points, shape (4, ...), got {tuple(points.shape)}")
    if context is not None and len(context) != 1:
        raise ShapeError(f"one context holds for the whole manifold, shape (1, ...), got {tuple(context.shape)}")
    full = turn >= 2 * math.pi
    angles = torch.arange(n, dtype=torch.float64) * turn / (n if full else n - 1)
    with evaluating(flow):
        z = flow(points, repeated(context, 4))[0]
        surface = four_point_manifold(z, *torch.meshgrid(angles, angles, indexing="ij")).flatten(0, 1)
        x = torch.cat([flow.inverse(part, repeated(context, len(part)))[0] for part in surface.split(512)])
    return x.reshape(n, n, *x.shape[1:])


def _times(z0, z1, steps, who):
    same_shape(z0, z1, who)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ValueError(f"{who} needs an integer number of steps, both ends included, of at least 2, got {steps!r}")
    if not z0.is_floating_point() or z0.dtype != z1.dtype or z0.ndim < 1:
        raise ValueError(f"{who} joins float vectors of one dtype, got {z0.dtype} and {z1.dtype}")
    return torch.linspace(0, 1, steps, dtype=z0.dtype, device=z0.device).reshape(-1, *[1] * z0.ndim)


def _with_exact_ends(path, z0, z1):
    return torch.cat([z0[None], path[1:-1], z1[None]])
