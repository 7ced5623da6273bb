"""Pictures of the plane: points, a density, and what a map makes of a square grid."""

import torch

from nvpkit.viz.canvas import BLUE, ORANGE, box, on_axes, titled


def samples(points, ax=None, title=None, color=BLUE, label=None):
    """Scatter points (n, 2).

    >>> samples(torch.randn(10, 2), title="ten points").get_title()
    'ten points'
    """
    points = torch.as_tensor(points).detach().cpu()
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"samples draws points of shape (n, 2), got {tuple(points.shape)}")
    ax = on_axes(ax)
    ax.scatter(*points.T.numpy(), s=4, alpha=0.5, color=color, linewidths=0, label=label, rasterized=True)
    ax.set_aspect("equal", adjustable="datalim")
    return titled(ax, title)


def density(log_prob, limits, ax=None, title=None, n=200):
    """Draw exp(log_prob) on a square; ``limits`` is (low, high) or (x low, x high, y low, y high).

    ``log_prob`` maps points (m, 2) to (m,) in nats: ``flow.log_prob``, ``toy.log_prob``.

    >>> from nvpkit.data import moons
    >>> _ = density(moons().log_prob, (-2, 3), n=20)
    """
    left, right, bottom, top = box(limits)
    x = left + (torch.arange(n) + 0.5) * (right - left) / n
    y = bottom + (torch.arange(n) + 0.5) * (top - bottom) / n
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)
    with torch.no_grad():
        values = torch.cat([log_prob(part).cpu() for part in grid.split(8192)])
    if values.shape != (n * n,):
        raise ValueError(f"log_prob must map (m, 2) to (m,): {n * n} points gave shape {tuple(values.shape)}")
    ax = on_axes(ax)
    ax.imshow(
        values.exp().reshape(n, n).numpy(), origin="lower", extent=(left, right, bottom, top), cmap="viridis",
        interpolation="bilinear", aspect="equal",
    )  # fmt: skip
    return titled(ax, title)


def warped_grid(forward, limits, ax=None, title=None, n_lines=21):
    """Draw what a map makes of a square grid: ``forward`` maps (n, 2) to (n, 2), or to (z, log_det) as layers do.

    >>> _ = warped_grid(lambda x: 2 * x, (-1, 1), n_lines=3)
    """
    lines = grid_lines(limits, n_lines)
    with torch.no_grad():
        image = forward(lines.flatten(0, 1))
    image = image[0] if isinstance(image, tuple) else image
    ax = on_axes(ax)
    for i, line in enumerate(image.cpu().reshape(lines.shape)):
        ax.plot(*line.T.numpy(), color=(BLUE, ORANGE)[i % 2], linewidth=0.8)
    ax.set_aspect("equal", adjustable="datalim")
    return titled(ax, title)


def grid_lines(limits, n_lines=21, n_points=200):
    """Return the lines of a grid, (2 n_lines, n_points, 2): an upright one, a level one, and so on.

    >>> grid_lines((-1, 1), n_lines=5).shape
    torch.Size([10, 200, 2])
    """
    left, right, bottom, top = box(limits)
    if n_lines < 2 or n_points < 2:
        raise ValueError(f"a grid needs at least 2 lines of at least 2 points, got {n_lines} and {n_points}")
    along, across = torch.linspace(0, 1, n_points)[None], torch.linspace(0, 1, n_lines)[:, None]
    along, across = torch.broadcast_tensors(along, across)
    upright = torch.stack([left + across * (right - left), bottom + along * (top - bottom)], -1)
    level = torch.stack([left + along * (right - left), bottom + across * (top - bottom)], -1)
    return torch.stack([upright, level], 1).flatten(0, 1)
