"""Scores that tell foreign inputs from own ones: high means foreign."""

import torch

from nvpkit.applications.detection import as_scores, auroc_and_error
from nvpkit.applications.detection import roc_curve as rates_at_each_threshold
from nvpkit.viz.canvas import BLUE, GREY, ORANGE, VERMILLION, on_axes, titled


def score_histogram(
    scores_in, scores_out, threshold=None, ax=None, title=None, labels=("own", "foreign"), xlabel="score"
):
    """Draw the scores of own and of foreign inputs over the same bins, and the threshold between them.

    Each histogram has area one. ``xlabel`` says what the score is and its unit. The farthest thousandth on either side
    is left out of the picture, never out of the area.

    >>> score_histogram(torch.randn(100), torch.randn(100) + 2, threshold=1.6).get_ylabel()
    'density'
    """
    own, foreign = (as_scores(scores, name).cpu().double()
                    for scores, name in ((scores_in, "scores_in"), (scores_out, "scores_out")))  # fmt: skip
    if not bool(torch.isfinite(torch.cat([own, foreign])).all()):
        raise ValueError("score_histogram draws finite scores, got infinity")
    ends = [quantile for scores in (own, foreign) for quantile in _ends(scores)]
    low, high = min(ends), max(ends)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = torch.linspace(low, high, 51).numpy()
    ax = on_axes(ax, (5.0, 3.2))
    for scores, color, label, style in ((own, BLUE, labels[0], "-"), (foreign, ORANGE, labels[1], "--")):
        weights = torch.full_like(scores, 1 / (len(scores) * (edges[1] - edges[0]))).numpy()
        ax.hist(scores.numpy(), edges, weights=weights, color=color, alpha=0.45, label=label)
        # The outline differs in style too, for readers and printers without colour.
        ax.hist(scores.numpy(), edges, weights=weights, histtype="step", color=color, linestyle=style, linewidth=1.2)
    if threshold is not None:
        ax.axvline(float(threshold), color=VERMILLION, linewidth=1.5, label=f"threshold {float(threshold):.4g}")
    ax.legend(frameon=False, fontsize="small")
    ax.set_xlabel(xlabel)
    ax.set_ylabel("density")
    return titled(ax, title)


def roc_curve(scores_in, scores_out, ax=None, title=None, label=None, color=BLUE):
    """Draw the share of foreign inputs that is flagged against the share of own ones, over all thresholds.

    The legend gives the area under the curve and its standard error. Several curves go on one ``ax`` with ``label``
    and ``color``; the diagonal is a coin's.

    >>> ax = roc_curve(torch.randn(100), torch.randn(100) + 2, label="typicality")
    >>> ax.get_xlabel()
    'false positive rate'
    """
    false, true, _ = rates_at_each_threshold(scores_in, scores_out)
    area, error = auroc_and_error(scores_in, scores_out)
    spread = f" ± {error:.3f}" if error == error else ""
    ax = on_axes(ax)
    if not any(line.get_gid() == "coin" for line in ax.lines):
        ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1, gid="coin")
    text = f"AUROC {area:.3f}{spread}"
    ax.plot(false.cpu().numpy(), true.cpu().numpy(), color=color, label=f"{label}: {text}" if label else text)
    ax.legend(frameon=False, loc="lower right", fontsize="small")
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    ax.set_xlabel("false positive rate")
    ax.set_ylabel("true positive rate")
    return titled(ax, title)


def _ends(scores):
    ordered = scores.sort().values
    cut = len(ordered) // 1000
    return ordered[cut].item(), ordered[-1 - cut].item()
