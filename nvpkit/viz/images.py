"""Pictures of images: a grid of them, and strips from one image to another."""

import math

import torch

from nvpkit.viz.canvas import on_axes, plain, titled


def image_grid(images, n_columns=8, ax=None, title=None, high=None):
    """Draw images (N, C, H, W), (N, H, W) or square ones as vectors (N, D), row by row; black is 0, white is ``high``.

    ``high`` is the largest value present unless given (16 for digits, 255 for 8-bit images, 1 for unit scale).

    >>> image_grid(torch.rand(10, 1, 8, 8)).get_images()[0].get_array().shape
    (19, 73)
    """
    images = as_images(images, "image_grid")
    count, _, height, width = images.shape
    columns = min(n_columns, count)
    rows = math.ceil(count / columns)
    ax = on_axes(ax, (0.6 * columns, 0.6 * rows * height / width + (0.3 if title else 0)))
    canvas = tiled(images, columns, high)
    ax.imshow(canvas.squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    return titled(ax, title)


def interpolation_strip(images, ax=None, title=None, high=None):
    """Draw images on the way from t = 0 to t = 1: (steps, C, H, W) or (steps, D), several strips with one axis more.

    The horizontal axis is t. ``high`` as in ``image_grid``.

    >>> interpolation_strip(torch.rand(5, 1, 8, 8)).get_xlabel()
    't'
    """
    images = torch.as_tensor(images)
    # (rows, steps, D), (rows, steps, C, H, W): one axis more than image_grid takes in that format.
    several = images.ndim == 5 or images.ndim == 3
    flat = as_images(images.flatten(0, 1) if several else images, "interpolation_strip")
    steps = images.shape[1] if several else len(images)
    if steps < 2:
        raise ValueError(f"a strip has at least 2 steps, got {steps}")
    height, width = flat.shape[-2:]
    rows = len(flat) // steps
    ax = on_axes(ax, (0.7 * steps, 0.7 * rows * height / width + (0.7 if title else 0.45)))
    canvas = tiled(flat, steps, high)
    ax.imshow(canvas.squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    shown = sorted({round(i * (steps - 1) / 4) for i in range(5)}) if steps > 5 else range(steps)
    ax.set_xticks([i * (width + 1) + width / 2 for i in shown], [f"{i / (steps - 1):.2g}" for i in shown])
    ax.set_yticks([])
    ax.set_frame_on(False)
    ax.set_xlabel("t")
    return titled(ax, title)


def as_images(images, who):
    """Return float images (N, C, H, W) on the CPU from (N, C, H, W), (N, H, W) or square vectors (N, D).

    >>> as_images(torch.zeros(2, 64), "image_grid").shape
    torch.Size([2, 1, 8, 8])
    """
    images = torch.as_tensor(images).detach().cpu().float()
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        images = images.reshape(len(images), 1, side, -1) if side**2 == images.shape[1] > 0 else images
    images = images[:, None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.numel() == 0:
        raise ValueError(
            f"{who} draws (N, C, H, W) with C 1 or 3, (N, H, W) or square (N, D) images, got {tuple(images.shape)}"
        )
    return plain(images, who)


def tiled(images, columns, high=None):
    """Return one canvas (height, width, C) in [0, 1] from images (N, C, H, W), with grey lines between them.

    >>> tiled(torch.zeros(2, 1, 3, 3), columns=2).shape
    torch.Size([5, 9, 1])
    """
    count, channels, height, width = images.shape
    rows = math.ceil(count / columns)
    high = float(images.max()) if high is None else high
    # Grey lines of one pixel between the images; empty places stay grey too.
    canvas = torch.full((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), 0.5)
    for i, image in enumerate((images / (high or 1)).clamp(0, 1)):
        top, left = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        canvas[top : top + height, left : left + width] = image.permute(1, 2, 0)
    return canvas
