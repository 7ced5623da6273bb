"""How well a score tells foreign from own, and where to draw the line: high means foreign."""

import math

import torch


def auroc(scores_in, scores_out):
    """Return P(out > in) + P(out = in) / 2, the area under the ROC curve: .5 is a coin, 1 no overlap.

    ``scores_in`` (N,) of own inputs and ``scores_out`` (M,) of foreign ones; ties count half. N log N by ranks.

    >>> auroc([1, 2, 3], [2, 4])
    0.75
    """
    return auroc_and_error(scores_in, scores_out)[0]


def auroc_and_error(scores_in, scores_out):
    """Return (AUROC, standard error), the error over draws of both samples (DeLong et al. 1988).

    The error is NaN where a sample has one score: one value shows no spread.

    >>> value, error = auroc_and_error([1, 2, 3], [2, 4])
    >>> value, round(error, 3)
    (0.75, 0.289)
    """
    own, foreign = as_scores(scores_in, "scores_in"), as_scores(scores_out, "scores_out")
    # For each foreign score the share of own ones below it, and for each own one the share of foreign ones above.
    above_own, below_foreign = _share_below(foreign, own), 1 - _share_below(own, foreign)
    value = above_own.mean().item()
    if len(own) < 2 or len(foreign) < 2:
        return value, math.nan
    return value, math.sqrt(above_own.var().item() / len(foreign) + below_foreign.var().item() / len(own))


def roc_curve(scores_in, scores_out):
    """Return (false positive rates, true positive rates, thresholds), each (K + 1,) for K different scores.

    Point i flags what scores at or above threshold i; the first threshold is infinite and flags nothing.

    >>> roc_curve([1, 2], [2, 3])
    (tensor([0.0000, 0.0000, 0.5000, 1.0000]), tensor([0.0000, 0.5000, 1.0000, 1.0000]), tensor([inf, 3., 2., 1.]))
    """
    own, foreign = as_scores(scores_in, "scores_in"), as_scores(scores_out, "scores_out")
    own, foreign = own.to(torch.promote_types(own.dtype, foreign.dtype)), foreign.to(own)
    thresholds = torch.cat([own, foreign]).unique().flip(0)
    rates = [
        torch.cat([group.new_zeros(1), 1 - torch.searchsorted(group.sort().values, thresholds).to(group) / len(group)])
        for group in (own, foreign)
    ]
    return *rates, torch.cat([thresholds.new_full((1,), math.inf), thresholds])


def threshold_for(scores_validation, false_positive_rate):
    """Return the score that a share ``false_positive_rate`` of own validation inputs exceeds, a float.

    >>> threshold_for(list(range(101)), 0.05)
    95.0
    """
    scores = as_scores(scores_validation, "scores_validation")
    if not 0 < false_positive_rate < 1:
        raise ValueError(f"the false positive rate is within 0 and 1, got {false_positive_rate}")
    # torch.quantile stops at 16 million values; sorting does not.
    place = (1 - false_positive_rate) * (len(scores) - 1)
    ordered = scores.double().sort().values
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return (low + (high - low) * (place - math.floor(place))).item()


def detect(scores_validation, scores_test, false_positive_rate=0.05):
    """Return bool (N,): True where a test score is above the threshold that validation scores alone set.

    >>> detect(list(range(101)), [10, 96], 0.05)
    tensor([False,  True])
    """
    return as_scores(scores_test, "scores_test") > threshold_for(scores_validation, false_positive_rate)


def precision_recall(scores_in, scores_out, threshold):
    """Return (precision, recall) of flagging scores above the threshold.

    Precision is the foreign share of what is flagged (it moves with the sizes of the two samples; NaN where nothing is
    flagged), recall the flagged share of what is foreign.

    >>> precision_recall([1, 2, 5], [3, 6], threshold=4)
    (0.5, 0.5)
    """
    own, foreign = as_scores(scores_in, "scores_in"), as_scores(scores_out, "scores_out")
    if math.isnan(threshold):
        raise ValueError("the threshold is NaN")
    false, true = int((own > threshold).sum()), int((foreign > threshold).sum())
    return true / (true + false) if true + false else math.nan, true / len(foreign)


def as_scores(values, name):
    """Return scores as a float tensor (N,) without NaN; raise ValueError where they cannot be that.

    >>> as_scores([1, 2], "scores_in")
    tensor([1., 2.])
    """
    values = torch.as_tensor(values).detach()
    values = values if values.is_floating_point() else values.to(torch.get_default_dtype())
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"{name} holds one number for each input, shape (N,), got {tuple(values.shape)}")
    if bool(values.isnan().any()):
        raise ValueError(f"{name} holds NaN at {int(values.isnan().int().argmax())}: a score must say something")
    return values


def _share_below(values, others):
    """For each value the share of ``others`` below it, ties half, in float64."""
    values, others = values.double(), others.double().to(values.device).sort().values
    below = torch.searchsorted(others, values) + torch.searchsorted(others, values, right=True)
    return below.double() / (2 * len(others))
