"""The losses of a training."""

import math

import torch

from nvpkit.viz.canvas import BLUE, ORANGE, on_axes, titled


def training_curve(history, ax=None, title=None):
    """Draw the losses of a ``History``, or a plain list of one loss for each step; both in nats.

    >>> training_curve([3.0, 2.0, 1.5]).get_xlabel()
    'step'
    """
    losses = torch.tensor(list(getattr(history, "loss", history)), dtype=torch.float64)
    if len(losses) == 0:
        raise ValueError("there is no loss to draw: the history is empty")
    ax = on_axes(ax, (5.0, 3.2))
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
    return titled(ax, title)
