"""Scores for foreign inputs: each against a density where the right answer is known."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from nvpkit import Flow, models
from nvpkit.applications import (
    auroc,
    complexity_score,
    compressed_size,
    latent_norm,
    likelihood_ratio,
    likelihood_score,
    typicality,
    typicality_threshold,
)
from nvpkit.bijections import Scaling
from nvpkit.distributions import standard_normal
from tests.applications.shift import shift_flow

DIM = 100


@pytest.fixture
def gaussian():
    """Normal entries with standard deviations exp(-s), in DIM dimensions."""
    flow = Flow(Scaling(DIM), standard_normal(DIM))
    torch.nn.init.normal_(flow.bijection.s)
    return flow


def test_the_likelihood_score_is_the_negative_log_density(gaussian):
    x = gaussian.sample(300)
    with torch.no_grad():
        expected = -torch.distributions.Normal(0, (-gaussian.bijection.s).exp()).log_prob(x).sum(1)
    torch.testing.assert_close(likelihood_score(gaussian, x, batch_size=64), expected)


def test_the_likeliest_point_of_all_is_foreign_to_typicality_alone(gaussian):
    own, train, foreign = gaussian.sample(2000), gaussian.sample(2000), torch.zeros(50, DIM)
    scores_in, scores_out = likelihood_score(gaussian, own), likelihood_score(gaussian, foreign)
    assert auroc(scores_in, scores_out) == 0
    assert auroc(latent_norm(gaussian, own), latent_norm(gaussian, foreign)) == 0
    train_log_prob = -likelihood_score(gaussian, train)
    assert auroc(typicality(train_log_prob, -scores_in), typicality(train_log_prob, -scores_out)) == 1


def test_the_latent_norm_of_own_inputs_is_chi_squared(gaussian):
    norms = latent_norm(gaussian, gaussian.sample(4000))
    assert norms.mean() == pytest.approx(DIM, abs=5 * math.sqrt(2 * DIM / 4000))
    assert norms.var() == pytest.approx(2 * DIM, rel=0.15)


def test_typicality_is_the_distance_of_group_means():
    train, test = torch.randn(100), torch.randn(23)
    scores = typicality(train, test, m=5)
    expected = [abs(test[i : i + 5].mean() - train.mean()) for i in range(0, 20, 5)]
    torch.testing.assert_close(scores, torch.stack(expected))
    torch.testing.assert_close(typicality(train, test), (test - train.mean()).abs())


def test_shuffled_groups_use_every_input_once():
    # With powers of two each group's sum names its members.
    test = 2.0 ** torch.arange(12, dtype=torch.float64)
    scores = typicality(torch.zeros(1, dtype=torch.float64), test, m=3, generator=torch.Generator().manual_seed(0))
    assert (3 * scores).sum() == test.sum()
    members = [{i for i in range(12) if round(3 * score) >> i & 1} for score in scores.tolist()]
    assert [len(group) for group in members] == [3] * 4
    assert set().union(*members) == set(range(12))
    assert not torch.equal(scores, typicality(torch.zeros(1, dtype=torch.float64), test, m=3))


@pytest.mark.parametrize("m", [1, 10])
@pytest.mark.parametrize("quantile", [0.9, 0.99])
def test_the_bootstrap_threshold_keeps_its_false_alarm_rate(gaussian, m, quantile):
    train, validation, fresh = (-likelihood_score(gaussian, gaussian.sample(n)) for n in (20_000, 20_000, 20_000))
    generator = torch.Generator().manual_seed(1)
    threshold = typicality_threshold(train, validation, m, quantile, draws=40_000, generator=generator)
    alarms = (typicality(train, fresh, m) > threshold).float().mean().item()
    groups = 20_000 // m
    assert alarms == pytest.approx(1 - quantile, abs=5 * math.sqrt(quantile * (1 - quantile) / groups) + 0.002)


def test_groups_tell_foreign_sets_apart_better_than_single_inputs(gaussian):
    train, own = (-likelihood_score(gaussian, gaussian.sample(2000)) for _ in "ab")
    foreign = -likelihood_score(gaussian, 0.95 * gaussian.sample(2000))
    single, grouped = (auroc(typicality(train, own, m), typicality(train, foreign, m)) for m in (1, 25))
    assert 0.5 < single < 0.8 < grouped


def test_what_flow_and_background_share_cancels_in_the_ratio():
    # Sixty entries are noise that both know; four differ. The noise drowns them in the likelihood alone.
    def log_prob(x, scale):
        noise = torch.distributions.Normal(0, 1.0).log_prob(x[:, 4:]).sum(1)
        return torch.distributions.Normal(0, scale).log_prob(x[:, :4]).sum(1) + noise

    own, foreign = torch.randn(2000, 64), torch.randn(2000, 64)
    own[:, :4] *= 0.5
    ratios = [likelihood_ratio(log_prob(x, 0.5), log_prob(x, 1.0)) for x in (own, foreign)]
    alone = [-log_prob(x, 0.5) for x in (own, foreign)]
    assert auroc(*ratios) > 0.85
    assert auroc(*ratios) > auroc(*alone) + 0.05
    wide, narrow = (torch.distributions.Normal(0, scale).log_prob(own[:, :4]) for scale in (1.0, 0.5))
    torch.testing.assert_close(ratios[0], (wide - narrow).sum(1), rtol=0, atol=1e-3)


def test_the_compressed_size_is_that_of_a_png_that_holds_the_image():
    for shape in ((1, 28, 28), (3, 16, 12)):
        image = torch.randint(0, 256, shape, dtype=torch.uint8)
        size = compressed_size(image[None]).item() / (8 * math.log(2))
        assert size == pytest.approx(round(size))
        file = io.BytesIO()
        pixels = image.permute(1, 2, 0).squeeze(-1).numpy()
        Image.fromarray(pixels).save(file, format="png", optimize=True)
        assert file.tell() == round(size) >= image.numel()
        assert np.array_equal(np.asarray(Image.open(file)), pixels)


def test_subtracting_the_compressed_size_finds_smooth_images_that_are_too_likely():
    # A flow that knows neighbouring pixels alone gives flat images the highest likelihood.
    own = torch.randint(0, 256, (100, 1, 16, 16), dtype=torch.uint8)
    flat = torch.randint(0, 256, (100, 1, 1, 1), dtype=torch.uint8).expand(100, 1, 16, 16)
    scores = []
    for pixels in (own, flat):
        roughness = (pixels.double()[..., 1:] - pixels.double()[..., :-1]).abs().sum((1, 2, 3))
        scores.append((roughness / 50, complexity_score(-roughness / 50, pixels)))
    assert auroc(scores[0][0], scores[1][0]) == 0
    assert auroc(scores[0][1], scores[1][1]) == 1
    torch.testing.assert_close(scores[0][1], scores[0][0] - compressed_size(own))


def test_a_flow_on_digits_finds_turned_digits_foreign(digits_flow, digits):
    turned = digits.reshape(-1, 8, 8).transpose(1, 2).flatten(1)
    for score in (likelihood_score, latent_norm):
        assert auroc(score(digits_flow, digits), score(digits_flow, turned)) > 0.9


def test_scores_follow_the_context():
    flow, context = shift_flow([[0.0, 0.0], [9.0, 9.0]]), torch.eye(2)
    x = torch.tensor([[0.0, 0.0], [9.0, 9.0]])
    assert torch.equal(latent_norm(flow, x, context, batch_size=1), torch.zeros(2))
    assert torch.equal(latent_norm(flow, x, context[:1]), torch.tensor([0.0, 162.0]))


def test_training_goes_on_in_the_mode_that_it_was_in():
    flow = models.nice(4, dropout=0.5).train()
    likelihood_score(flow, torch.zeros(3, 4))
    latent_norm(flow, torch.zeros(3, 4))
    assert all(part.training for part in flow.modules())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: likelihood_score(models.nice(4), torch.zeros(0, 4)), "empty"),
        (lambda: latent_norm(models.nice(4), torch.zeros(2, 3)), r"\(B, 4\), got \(2, 3\)"),
        (lambda: latent_norm(shift_flow([[0.0], [0.0]]), torch.zeros(3, 1), torch.eye(2)), "3 rows or of one"),
        (lambda: typicality([1.0], [1.0, 2.0], m=3), "m is an integer from 1 to the 2"),
        (lambda: typicality([1.0], [1.0, math.nan]), "NaN"),
        (lambda: typicality_threshold([1.0], [1.0], m=0), "at least 1"),
        (lambda: typicality_threshold([1.0], [1.0], quantile=1.0), "quantile"),
        (lambda: likelihood_ratio([1.0], [1.0, 2.0]), "1 and 2"),
        (lambda: complexity_score([1.0, 2.0], torch.zeros(1, 1, 2, 2, dtype=torch.uint8)), "1 images"),
        (lambda: compressed_size(torch.zeros(1, 1, 2, 2)), "uint8"),
        (lambda: compressed_size(torch.zeros(1, 2, 2, 2, dtype=torch.uint8)), r"\(1, 2, 2, 2\)"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
