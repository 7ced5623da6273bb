"""Latents, spectra, scores and ROC curves: what is drawn is what was given."""

import numpy as np
import pytest
import torch

from nvpkit import applications, viz
from tests.viz.axes import drawn_on_axes_given_and_on_new_ones


def test_latents_in_the_plane_and_the_regions_that_hold_the_base():
    for base, sample in (("normal", torch.randn), ("logistic", lambda *size: torch.rand(*size).logit())):
        z = sample(2000, 2)
        ax = viz.latents(z, base=base)
        assert np.allclose(ax.collections[0].get_offsets(), z)
        contours = ax.collections[1]
        outlines = sorted((path for path in contours.get_paths()), key=lambda path: np.abs(path.vertices).max())
        many = sample(40_000, 2).numpy()
        for share, outline in zip((0.5, 0.9, 0.99), outlines):
            assert outline.contains_points(many).mean() == pytest.approx(share, abs=0.012)
        for name, low, high in (("x", *ax.get_xlim()), ("y", *ax.get_ylim())):
            entries = z[:, 0] if name == "x" else z[:, 1]
            assert low <= entries.min() <= entries.max() <= high


def test_latents_in_many_dimensions_are_a_histogram_beside_the_density_of_one_entry():
    ax = viz.latents(torch.randn(400, 30))
    area = sum(patch.get_width() * patch.get_height() for patch in ax.patches)
    assert area == pytest.approx(1, abs=1e-6)
    line = ax.lines[0]
    expected = torch.distributions.Normal(0, 1).log_prob(torch.tensor(line.get_xdata())).exp()
    assert np.allclose(line.get_ydata(), expected)
    assert viz.latents(torch.randn(5, 1)).get_xlabel() == "entry of z"


def test_the_spectrum_is_exp_of_minus_s_sorted():
    s = torch.randn(20, requires_grad=True)
    ax = viz.scale_spectrum(s, title="NICE")
    assert np.allclose(ax.lines[0].get_ydata(), np.sort(np.exp(-s.detach().numpy()))[::-1])
    assert list(ax.lines[0].get_xdata()) == list(range(1, 21))
    assert ax.get_yscale() == "log"
    assert ax.get_title() == "NICE"


def test_histograms_have_area_one_over_the_same_bins():
    own, foreign = torch.randn(500), torch.randn(300) + 2
    ax = viz.score_histogram(own, foreign, threshold=1.25, labels=("clothes", "digits"), xlabel="-log p(x) (nats)")
    bars = [container for container in ax.containers if len(container.patches) == 50][:2]
    edges = [[patch.get_x() for patch in bar.patches] for bar in bars]
    assert np.allclose(*edges)
    for bar in bars:
        assert sum(patch.get_width() * patch.get_height() for patch in bar.patches) == pytest.approx(1)
    assert ax.lines[0].get_xdata()[0] == 1.25
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["clothes", "digits", "threshold 1.25"]
    assert ax.get_xlabel() == "-log p(x) (nats)"


def test_a_far_score_does_not_hide_the_rest_and_equal_scores_can_be_drawn():
    ax = viz.score_histogram(torch.cat([torch.randn(5000), torch.tensor([1e6])]), torch.randn(5000))
    assert ax.get_xlim()[1] < 10
    assert len(viz.score_histogram([1.0, 1.0], [1.0]).lines) == 0


def test_the_roc_curve_is_drawn_with_its_area_and_error():
    own, foreign = torch.randn(200), torch.randn(100) + 1
    ax = viz.roc_curve(own, foreign)
    false, true, _ = applications.roc_curve(own, foreign)
    assert np.allclose(ax.lines[1].get_xydata(), np.stack([false, true], 1))
    area, error = applications.auroc_and_error(own, foreign)
    assert ax.get_legend().get_texts()[0].get_text() == f"AUROC {area:.3f} ± {error:.3f}"
    again = viz.roc_curve(own, foreign + 1, ax=ax, label="second", color=viz.ORANGE)
    assert again is ax
    assert len(ax.lines) == 3, "the coin's diagonal is drawn once"
    assert ax.get_legend().get_texts()[1].get_text().startswith("second: AUROC")
    assert "±" not in viz.roc_curve([1.0], [2.0]).get_legend().get_texts()[0].get_text()


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: viz.latents(torch.randn(5, 2), ax=ax),
        lambda ax: viz.latents(torch.randn(5, 3), ax=ax),
        lambda ax: viz.scale_spectrum(torch.randn(5), ax=ax),
        lambda ax: viz.score_histogram([1.0, 2.0], [3.0], ax=ax),
        lambda ax: viz.roc_curve([1.0, 2.0], [3.0], ax=ax),
        lambda ax: viz.interpolation_strip(torch.rand(3, 1, 4, 4), ax=ax),
    ],
)
def test_each_draws_on_the_axes_given_or_on_a_new_white_figure(draw):
    new = drawn_on_axes_given_and_on_new_ones(draw)
    assert new.get_xlabel()


def test_strips_put_steps_across_and_images_down():
    images = torch.zeros(2, 3, 1, 2, 2)
    images[1, 2] = 16
    canvas = viz.interpolation_strip(images, high=16).images[0].get_array()
    assert canvas.shape == (7, 10)
    assert np.array_equal(canvas[4:6, 7:9], np.ones((2, 2)))
    assert canvas[:3].max() == 0.5
    ticks = viz.interpolation_strip(torch.rand(9, 64)).get_xticklabels()
    assert [tick.get_text() for tick in ticks] == ["0", "0.25", "0.5", "0.75", "1"]
    assert viz.interpolation_strip(torch.rand(2, 3, 64)).images[0].get_array().shape == (19, 28)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viz.latents(torch.zeros(5)), r"\(5,\)"),
        (lambda: viz.latents(torch.full((5, 2), torch.inf)), "infinity"),
        (lambda: viz.latents(torch.zeros(5, 2), base="cauchy"), "normal, logistic"),
        (lambda: viz.scale_spectrum(torch.zeros(2, 2)), r"\(2, 2\)"),
        (lambda: viz.score_histogram([1.0], []), "scores_out"),
        (lambda: viz.score_histogram([1.0], [torch.inf]), "infinity"),
        (lambda: viz.roc_curve([torch.nan], [1.0]), "scores_in holds NaN"),
        (lambda: viz.interpolation_strip(torch.rand(1, 1, 4, 4)), "at least 2 steps"),
        (lambda: viz.interpolation_strip(torch.rand(3, 7)), r"\(3, 7\)"),
        (lambda: viz.image_grid(torch.full((2, 4, 4), torch.nan)), "NaN"),
        (lambda: viz.density(lambda x: x, (-1, 1), n=4), r"\(32, 2\)|\(16, 2\)"),
        (lambda: viz.density(lambda x: x[:, 0], (1, -1)), "limits are"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
