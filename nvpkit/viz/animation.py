"""Pictures that move, as HTML that plays without a kernel and without a network."""

import base64
import io

import torch

from nvpkit.viz.canvas import BLUE, ORANGE, box, plain
from nvpkit.viz.images import as_images, tiled
from nvpkit.viz.layers import WHEEL, direction_groups, stage_names, surrounding
from nvpkit.viz.player import Animation, player

__all__ = ["Animation", "animate", "animate_images", "animate_movement"]


def animate_movement(states, alt, labels=None, limits=None, label="layer", seconds=None, width=420):
    """Return an Animation of points (K, n, 2) or lines (K, lines, n, 2), such as ``layer_states`` returns.

    Between two states everything goes on straight lines, which is for the eye: a layer has no way between. ``alt``
    says what is seen; ``labels`` name the states, ``label`` the slider. ``seconds`` is the length, one for each state
    unless given, ``width`` that of the picture in pixels.

    >>> from nvpkit.models import nice
    >>> from nvpkit.viz import layer_states
    >>> animate_movement(layer_states(nice(2), torch.randn(100, 2)), "100 points that stay where they are")
    Animation(... kB)
    """
    states = plain(states, "animate_movement", (3, 4), 2).double()
    labels = stage_names(len(states)) if labels is None else list(labels)
    if len(labels) != len(states):
        raise ValueError(f"{len(states)} states need as many labels, got {len(labels)}")
    if states.ndim == 4:
        # A line of 64 points is smooth at this size.
        states = states[:, :, torch.linspace(0, states.shape[2] - 1, min(64, states.shape[2])).round().long()]
    left, right, bottom, top = limits = box(limits) if limits is not None else surrounding(states)
    # 0 to 65535 is three times the picture; what goes farther is out of sight.
    low, size = states.new_tensor([left, bottom]), states.new_tensor([right - left, top - bottom])
    places = ((states - low) / size + 1).div(3).clamp(0, 1).mul(65535).round().numpy().astype("<u2")
    seconds = max(1, len(states) - 1) if seconds is None else seconds
    data = {
        "points": base64.b64encode(places.tobytes()).decode(),
        "box": [f"{value:.2g}" for value in limits],
        "colours": WHEEL if states.ndim == 3 else [BLUE, ORANGE],
        "group": direction_groups(states[0]) if states.ndim == 3 else [],
        "line": 0 if states.ndim == 3 else states.shape[2],
    }
    return player("points", data, labels, alt, label, seconds, width)


def animate_images(frames, alt, labels=None, n_columns=8, high=None, label="step", seconds=4.0, width=420):
    """Return an Animation of images (K, C, H, W) or square ones (K, D), or of grids of N images, (K, N, C, H, W) or
    (K, N, D).

    ``n_columns`` and ``high`` as in ``image_grid``, but ``high`` is the largest value of all frames unless given.

    >>> animate_images(torch.rand(3, 1, 8, 8), "three frames of noise")
    Animation(... kB)
    """
    frames = torch.as_tensor(frames)
    grids = frames if frames.ndim in (3, 5) else frames[:, None]
    if grids.ndim not in (3, 5) or grids.numel() == 0:
        raise ValueError(f"animate_images plays (K, C, H, W), (K, D) or grids of them, got shape {tuple(frames.shape)}")
    images = as_images(grids.flatten(0, 1), "animate_images")
    high = float(images.max()) if high is None else high
    columns = min(n_columns, grids.shape[1])
    pictures = []
    for grid in images.split(grids.shape[1]):
        pixels = tiled(grid, columns, high).mul(255).round().to(torch.uint8).squeeze(-1)
        pictures.append(_png(pixels.numpy()))
    labels = range(len(pictures)) if labels is None else list(labels)
    return _of_pictures(pictures, alt, labels, label, seconds, width, "pixelated")


def animate(draw, n_frames, alt, labels=None, size=(4.0, 4.0), label="step", seconds=4.0, dpi=100):
    """Return an Animation of ``n_frames`` figures: ``draw(ax, i)`` draws frame i on fresh axes of ``size`` inches.

    Frames keep 64 colours, to be small; about 5 kB each.

    >>> animate(lambda ax, i: ax.plot([0, i]), 2, "a line that rises", size=(1, 1))
    Animation(... kB)
    """
    from matplotlib.figure import Figure
    from PIL import Image

    pictures = []
    for i in range(n_frames):
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        draw(figure.subplots(), i)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=dpi)
        frame = Image.open(file).convert("RGB").quantize(64, dither=Image.Dither.NONE)
        pictures.append(_png(frame))
    labels = range(n_frames) if labels is None else list(labels)
    return _of_pictures(pictures, alt, labels, label, seconds, round(size[0] * 100), "auto")


def _of_pictures(pictures, alt, labels, label, seconds, width, rendering):
    if len(labels) != len(pictures):
        raise ValueError(f"{len(pictures)} frames need as many labels, got {len(labels)}")
    return player("images", {"frames": pictures}, labels, alt, label, seconds, width, rendering)


def _png(pixels):
    from PIL import Image

    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, format="png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
