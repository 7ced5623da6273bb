"""What all pictures share: the colours, the axes to draw on, and points that can be drawn."""

import torch

# Okabe and Ito's colours. They differ in brightness too, so that black-and-white print keeps the difference.
BLUE, ORANGE, VERMILLION, GREEN = "#0072B2", "#E69F00", "#D55E00", "#009E73"
PINK, SKY, GREY = "#CC79A7", "#56B4E9", "#666666"


def on_axes(ax, size=(4.0, 4.0)):
    """Return ``ax``, or the axes of a new white figure of ``size`` inches.

    >>> on_axes(None).figure.get_facecolor()
    (1.0, 1.0, 1.0, 1.0)
    """
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=size, layout="constrained", facecolor="white")
    return ax


def box(limits):
    """Return (x low, x high, y low, y high) from four numbers, or from (low, high) of both axes.

    >>> box((-1, 1))
    (-1, 1, -1, 1)
    """
    values = tuple(limits)
    values = values * 2 if len(values) == 2 else values
    if len(values) != 4 or not (values[0] < values[1] and values[2] < values[3]):
        raise ValueError(f"limits are (low, high) or (x low, x high, y low, y high), got {tuple(limits)}")
    return values


def plain(values, who, ndims=None, last=None):
    """Return a detached tensor on the CPU; raise ValueError where it cannot be drawn: no entry, NaN, or a wrong shape.

    ``ndims`` are the numbers of axes that ``who`` can draw, ``last`` the size of the last one.

    >>> plain([1, 2], "spectrum", (1,))
    tensor([1, 2])
    """
    values = torch.as_tensor(values).detach().cpu()
    shape = tuple(values.shape)
    if (ndims is not None and values.ndim not in ndims) or (last is not None and shape[-1:] != (last,)):
        wanted = " or ".join(f"{n} axes" for n in ndims or ()) + (f", {last} numbers along the last" if last else "")
        raise ValueError(f"{who} draws tensors with {wanted}, got shape {shape}")
    if values.numel() == 0:
        raise ValueError(f"{who} has nothing to draw: the tensor of shape {shape} is empty")
    if values.is_floating_point() and not bool(torch.isfinite(values).all()):
        raise ValueError(f"{who} draws finite numbers, got NaN or infinity")
    return values


def titled(ax, title):
    """Set the title where there is one, and return the axes.

    >>> titled(on_axes(None), "moons").get_title()
    'moons'
    """
    if title is not None:
        ax.set_title(title)
    return ax
