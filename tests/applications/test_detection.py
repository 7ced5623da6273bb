"""ROC curves, thresholds and errors, against scikit-learn and against their definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from nvpkit.applications import auroc, auroc_and_error, detect, precision_recall, roc_curve, threshold_for

SCORES = st.lists(st.integers(-5, 5), min_size=1, max_size=30)


def joined(own, foreign):
    return np.r_[np.zeros(len(own)), np.ones(len(foreign))], np.r_[np.asarray(own, float), np.asarray(foreign, float)]


@given(SCORES, SCORES)
def test_auroc_is_the_probability_that_foreign_scores_higher_with_ties_half(own, foreign):
    pairs = [(out > score) + (out == score) / 2 for score in own for out in foreign]
    assert auroc(own, foreign) == pytest.approx(np.mean(pairs))
    assert auroc(own, foreign) == pytest.approx(sk.roc_auc_score(*joined(own, foreign)))
    assert auroc(own, foreign) + auroc(foreign, own) == pytest.approx(1)
    assert auroc(np.exp(own), np.exp(foreign)) == pytest.approx(auroc(own, foreign))


@given(SCORES, SCORES)
def test_the_curve_is_scikit_learns_and_its_area_is_the_auroc(own, foreign):
    false, true, thresholds = roc_curve(own, foreign)
    expected = sk.roc_curve(*joined(own, foreign), drop_intermediate=False)
    for ours, theirs in zip((false, true, thresholds), expected):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert torch.trapezoid(true, false).item() == pytest.approx(auroc(own, foreign), abs=1e-6)


def test_large_samples_and_float32_ties():
    own, foreign = torch.randn(50_000), (torch.randn(40_000) + 1).round(decimals=2)
    assert auroc(own, foreign) == pytest.approx(sk.roc_auc_score(*joined(own, foreign)), abs=1e-12)
    # Two normals one standard deviation apart: Phi(1 / sqrt 2).
    assert auroc(own, foreign) == pytest.approx((1 + math.erf(0.5)) / 2, abs=0.01)


def test_the_standard_error_is_the_spread_over_draws():
    # Unequal sizes and spreads: the two samples' shares of the error are not to be mistaken for each other.
    pairs = [auroc_and_error(torch.randn(300), 3 * torch.randn(15) + 1) for _ in range(800)]
    values, errors = torch.tensor(pairs, dtype=torch.float64).T
    assert errors.square().mean().sqrt().item() == pytest.approx(values.std().item(), rel=0.1)
    assert math.isnan(auroc_and_error([1.0], [2.0, 3.0])[1])
    assert auroc_and_error([1.0, 2.0], [3.0, 4.0]) == (1.0, 0.0)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3])
def test_own_inputs_are_flagged_at_the_rate_that_was_asked_for(rate):
    validation, fresh = torch.randn(20_000), torch.randn(20_000)
    flagged = detect(validation, fresh, rate)
    assert flagged.dtype == torch.bool
    assert abs(flagged.float().mean() - rate) < 5 * math.sqrt(2 * rate * (1 - rate) / 20_000)
    assert threshold_for(validation, rate) == pytest.approx(np.quantile(validation.double(), 1 - rate))


def test_test_scores_play_no_part_and_the_threshold_itself_is_not_flagged():
    validation = torch.arange(101.0)
    threshold = threshold_for(validation, 0.1)
    assert detect(validation, [threshold, threshold + 1], 0.1).tolist() == [False, True]
    for others in ([1e9] * 50, []):
        assert detect(validation, [threshold + 1, *others], 0.1)[0]


@given(SCORES, SCORES, st.integers(-5, 4))
def test_precision_and_recall_are_scikit_learns(own, foreign, threshold):
    truth, scores = joined(own, foreign)
    flagged = scores > threshold
    precision, recall = precision_recall(own, foreign, threshold)
    assert recall == pytest.approx(sk.recall_score(truth, flagged))
    if flagged.any():
        assert precision == pytest.approx(sk.precision_score(truth, flagged))
    else:
        assert math.isnan(precision)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auroc([], [1.0]), r"scores_in holds one number for each input, shape \(N,\), got \(0,\)"),
        (lambda: auroc([1.0], [[1.0]]), r"scores_out.*\(1, 1\)"),
        (lambda: auroc([1.0, math.nan], [1.0]), "NaN at 1"),
        (lambda: roc_curve([1.0], [math.nan]), "scores_out holds NaN"),
        (lambda: threshold_for([1.0], 0.0), "false positive rate"),
        (lambda: threshold_for([1.0], 1.5), "false positive rate"),
        (lambda: precision_recall([1.0], [1.0], math.nan), "threshold is NaN"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
