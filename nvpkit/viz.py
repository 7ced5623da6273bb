"""Pictures from plain tensors and functions. Each draws on ``ax``, or on a new figure, and returns the Axes.

The colours are those of Okabe and Ito and matplotlib's viridis: they differ in brightness too, so that colour-blind
readers and black-and-white print keep the difference. Figures are opaque white, which reads on dark pages as well.
"""

import math

import torch

BLUE, ORANGE = "#0072B2", "#E69F00"


def samples(points, ax=None, title=None, color=BLUE, label=None):
    """Scatter points (n, 2).

    >>> samples(torch.randn(10, 2), title="ten points").get_title()
    'ten points'
    """
    ax = _axes(ax)
    points = torch.as_tensor(points).detach().cpu()
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"samples draws points of shape (n, 2), got {tuple(points.shape)}")
    ax.scatter(*points.T.numpy(), s=4, alpha=0.5, color=color, linewidths=0, label=label, rasterized=True)
    ax.set_aspect("equal", adjustable="datalim")
    if title is not None:
        ax.set_title(title)
    return ax


def density(log_prob, limits, ax=None, title=None, n=200):
    """Draw exp(log_prob) on a square; ``limits`` is (low, high) or (x low, x high, y low, y high).

    ``log_prob`` maps points (m, 2) to (m,) in nats: ``flow.log_prob``, ``toy.log_prob``.

    >>> from nvpkit.data import moons
    >>> _ = density(moons().log_prob, (-2, 3), n=20)
    """
    ax = _axes(ax)
    left, right, bottom, top = _box(limits)
    x = left + (torch.arange(n) + 0.5) * (right - left) / n
    y = bottom + (torch.arange(n) + 0.5) * (top - bottom) / n
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)
    with torch.no_grad():
        values = torch.cat([log_prob(part).cpu() for part in grid.split(8192)]).exp().reshape(n, n)
    extent = (left, right, bottom, top)
    ax.imshow(values.numpy(), origin="lower", extent=extent, cmap="viridis", interpolation="bilinear", aspect="equal")
    if title is not None:
        ax.set_title(title)
    return ax


def training_curve(history, ax=None, title=None):
    """Draw the losses of a ``History``, or a plain list of one loss for each step; both in nats.

    >>> training_curve([3.0, 2.0, 1.5]).get_xlabel()
    'step'
    """
    ax = _axes(ax, (5.0, 3.2))
    losses = torch.tensor(list(getattr(history, "loss", history)), dtype=torch.float64)
    if len(losses) == 0:
        raise ValueError("there is no loss to draw: the history is empty")
    steps = torch.arange(1, len(losses) + 1)
    window = max(1, len(losses) // 50)
    ax.plot(steps, losses, color=BLUE, alpha=0.25, linewidth=0.8)
    smooth = losses.unfold(0, window, 1).mean(1)
    ax.plot(steps[window - 1 :], smooth, color=BLUE, label=f"training (mean of {window})" if window > 1 else "training")
    validation = getattr(history, "validation", [])
    if validation:
        ax.plot(*zip(*validation), color=ORANGE, marker="o", markersize=3, label="validation")
        ax.legend(frameon=False)
    # The first steps can be so far off that nothing else could be seen.
    shown = torch.cat([smooth, torch.tensor([value for _, value in validation], dtype=torch.float64)])
    low, high = shown.min().item(), torch.quantile(shown, 0.98).item()
    if math.isfinite(low) and high > low:
        ax.set_ylim(low - 0.08 * (high - low), high + 0.3 * (high - low))
    ax.set_xlabel("step")
    ax.set_ylabel("negative log-likelihood (nats)")
    if title is not None:
        ax.set_title(title)
    return ax


def image_grid(images, n_columns=8, ax=None, title=None, high=None):
    """Draw images (N, C, H, W), (N, H, W) or square ones as vectors (N, D), row by row; black is 0, white is ``high``.

    ``high`` is the largest value present unless given (16 for digits, 255 for 8-bit images, 1 for unit scale).

    >>> image_grid(torch.rand(10, 1, 8, 8)).get_images()[0].get_array().shape
    (19, 73)
    """
    images = torch.as_tensor(images).detach().cpu().float()
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        images = images.reshape(len(images), 1, side, -1) if side**2 == images.shape[1] else images
    images = images[:, None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise ValueError(
            "image_grid draws (N, C, H, W) with C 1 or 3, (N, H, W) or square (N, D) images, "
            f"got {tuple(images.shape)}"
        )
    count, channels, height, width = images.shape
    columns = min(n_columns, count)
    rows = math.ceil(count / columns)
    high = float(images.max()) if high is None else high
    # Grey lines of one pixel between the images; empty places stay grey too.
    canvas = torch.full((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), 0.5)
    for i, image in enumerate((images / (high or 1)).clamp(0, 1)):
        top, left = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        canvas[top : top + height, left : left + width] = image.permute(1, 2, 0)
    ax = _axes(ax, (0.6 * columns, 0.6 * rows * height / width + (0.3 if title else 0)))
    ax.imshow(canvas.squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title)
    return ax


def warped_grid(forward, limits, ax=None, title=None, n_lines=21):
    """Draw what a map makes of a square grid: ``forward`` maps (n, 2) to (n, 2), or to (z, log_det) as layers do.

    >>> _ = warped_grid(lambda x: 2 * x, (-1, 1), n_lines=3)
    """
    ax = _axes(ax)
    left, right, bottom, top = _box(limits)
    fine = torch.linspace(0, 1, 200)
    for share in torch.linspace(0, 1, n_lines):
        vertical = torch.stack([(left + share * (right - left)).expand(200), bottom + fine * (top - bottom)], 1)
        level = torch.stack([left + fine * (right - left), (bottom + share * (top - bottom)).expand(200)], 1)
        for line, color in ((vertical, BLUE), (level, ORANGE)):
            with torch.no_grad():
                image = forward(line)
            image = image[0] if isinstance(image, tuple) else image
            ax.plot(*image.cpu().T.numpy(), color=color, linewidth=0.8)
    ax.set_aspect("equal", adjustable="datalim")
    if title is not None:
        ax.set_title(title)
    return ax


def _box(limits):
    low, high, *rest = limits
    return (low, high, *rest) if rest else (low, high, low, high)


def _axes(ax, size=(4.0, 4.0)):
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=size, layout="constrained", facecolor="white")
    return ax
