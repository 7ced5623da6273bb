"""Pictures show what they are given: the arrays and limits that are drawn, not the look."""

import numpy as np
import pytest
import torch

from nvpkit import models, viz
from nvpkit.data import images, moons, parabola
from nvpkit.training import History
from tests.viz.axes import drawn_on_axes_given_and_on_new_ones


def test_samples_draws_each_point_where_it_is():
    points = torch.randn(30, 2, requires_grad=True)
    ax = viz.samples(points, title="thirty")
    drawn = ax.collections[0].get_offsets()
    assert np.allclose(drawn, points.detach().numpy())
    assert ax.get_title() == "thirty"
    with pytest.raises(ValueError, match=r"\(30, 3\)"):
        viz.samples(torch.randn(30, 3))


def test_density_has_the_first_coordinate_across_and_the_second_up():
    ax = viz.density(lambda x: torch.where((x[:, 0] > 0) & (x[:, 1] < 0), 0.0, -torch.inf), (-1, 1), n=4)
    image = ax.images[0]
    assert image.get_extent() == [-1, 1, -1, 1]
    assert image.origin == "lower"
    assert np.array_equal(image.get_array(), [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_density_takes_a_box_and_a_flow():
    ax = viz.density(models.nice(2).log_prob, (-3, 3, -1, 9), n=50)
    assert ax.images[0].get_extent() == [-3, 3, -1, 9]
    peak = np.unravel_index(ax.images[0].get_array().argmax(), (50, 50))
    assert peak in [(row, column) for row in (4, 5) for column in (24, 25)]


def test_training_curve_shows_training_and_validation():
    history = History(loss=[float(5 - i / 20) for i in range(100)], validation=[(50, 3.0), (100, 1.0)])
    ax = viz.training_curve(history)
    raw, smooth, validation = ax.lines
    assert np.allclose(raw.get_ydata(), history.loss)
    assert list(raw.get_xdata()) == list(range(1, 101))
    assert np.allclose(smooth.get_ydata()[0], np.mean(history.loss[:2]))
    assert list(validation.get_xdata()) == [50, 100]
    assert "nats" in ax.get_ylabel()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training (mean of 2)", "validation"]
    assert len(viz.training_curve([3.0, 2.0]).lines) == 2
    with pytest.raises(ValueError, match="empty"):
        viz.training_curve([])


def test_one_bad_first_step_does_not_hide_the_rest():
    ax = viz.training_curve([1e6] + [2.0 - i / 1000 for i in range(999)])
    assert ax.get_ylim()[1] < 10


def test_image_grid_puts_images_row_by_row():
    batch = torch.zeros(3, 1, 2, 2)
    batch[1] = 8
    batch[2, 0, 0, 1] = 16
    canvas = viz.image_grid(batch, n_columns=2).images[0].get_array()
    assert canvas.shape == (7, 7)
    assert np.array_equal(canvas[1:3, 1:3], np.zeros((2, 2)))
    assert np.array_equal(canvas[1:3, 4:6], np.full((2, 2), 0.5))
    assert np.array_equal(canvas[4:6, 1:3], [[0, 1], [0, 0]])
    assert np.array_equal(viz.image_grid(batch, 2, high=32).images[0].get_array()[1:3, 4:6], np.full((2, 2), 0.25))


@pytest.mark.parametrize("shape", [(5, 1, 8, 8), (5, 8, 8), (5, 64)])
def test_image_grid_takes_images_in_every_usual_shape(shape):
    pixels = images("digits", "test")[0][:5]
    expected = viz.image_grid(pixels).images[0].get_array()
    assert np.array_equal(viz.image_grid(pixels.reshape(shape)).images[0].get_array(), expected)


def test_image_grid_takes_colour_and_refuses_what_is_no_image():
    assert viz.image_grid(torch.rand(2, 3, 4, 5)).images[0].get_array().shape == (6, 13, 3)
    for wrong in (torch.zeros(2, 7), torch.zeros(2, 2, 4, 4), torch.zeros(0, 1, 4, 4)):
        with pytest.raises(ValueError, match="image_grid draws"):
            viz.image_grid(wrong)


def test_warped_grid_draws_the_images_of_straight_lines():
    ax = viz.warped_grid(lambda x: 2 * x + 1, (0, 1), n_lines=3)
    assert len(ax.lines) == 6
    ends = [line.get_xydata()[[0, -1]].tolist() for line in ax.lines[:2]]
    assert ends == [[[1, 1], [1, 3]], [[1, 1], [3, 1]]]
    layers = viz.warped_grid(models.nice(2), (-1, 1), n_lines=3)
    assert np.allclose(layers.lines[0].get_xydata()[0], [-1, -1])


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: viz.samples(parabola().sample(5), ax=ax),
        lambda ax: viz.density(moons().log_prob, (-2, 3), ax=ax, n=5),
        lambda ax: viz.training_curve([2.0, 1.0], ax=ax),
        lambda ax: viz.image_grid(torch.rand(2, 4, 4), ax=ax),
        lambda ax: viz.warped_grid(lambda x: x, (-1, 1), ax=ax, n_lines=2),
    ],
)
def test_each_draws_on_the_axes_given_or_on_a_new_white_figure(draw):
    drawn_on_axes_given_and_on_new_ones(draw)


def test_the_two_colours_differ_in_brightness():
    from matplotlib.colors import to_rgb

    blue, orange = (np.dot((0.2126, 0.7152, 0.0722), to_rgb(color)) for color in (viz.BLUE, viz.ORANGE))
    assert orange - blue > 0.2
