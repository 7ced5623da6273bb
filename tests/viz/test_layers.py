"""What each layer does to points: the states are those of the flow, and the panels show them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from nvpkit import models, viz
from nvpkit.bijections import Chain, Scaling
from nvpkit.viz.layers import direction_groups, surrounding


@pytest.fixture
def flow():
    flow = models.nice(2, n_layers=3, hidden=8).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape))
    return flow.eval()


def test_states_run_from_data_to_latent_and_back(flow):
    x = torch.randn(20, 2, dtype=torch.float64)
    states = viz.layer_states(flow, x)
    assert states.shape == (5, 20, 2)
    assert torch.equal(states[0], x)
    with torch.no_grad():
        torch.testing.assert_close(states[-1], flow(x)[0])
    torch.testing.assert_close(states[2], flow.bijection.layers[1](states[1])[0].detach())
    torch.testing.assert_close(viz.layer_states(flow, states[-1], inverse=True), states.flip(0))
    assert not states.requires_grad


def test_lines_keep_their_shape_and_nested_chains_give_their_layers():
    nested = Chain([Chain([Scaling(2), Scaling(2)]), Scaling(2)])
    lines = viz.grid_lines((-1, 1), n_lines=3, n_points=5)
    assert lines.shape == (6, 5, 2)
    assert viz.layer_states(nested, lines).shape == (4, 6, 5, 2)
    plain = viz.layer_states([lambda x: 2 * x, lambda x: x + 1], torch.ones(1, 2))
    assert plain.tolist() == [[[1, 1]], [[2, 2]], [[3, 3]]]


def test_context_reaches_every_layer():
    flow = models.real_nvp(2, n_layers=2, hidden=8, context_dim=3).eval()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape))
    x, context = torch.randn(4, 2), torch.randn(4, 3)
    with torch.no_grad():
        torch.testing.assert_close(viz.layer_states(flow, x, context)[-1], flow(x, context)[0])


def test_movement_draws_every_state_on_the_same_limits(flow):
    states = viz.layer_states(flow, torch.randn(50, 2, dtype=torch.float64))
    axes = viz.movement(states)
    assert [ax.get_title() for ax in axes] == ["start", "layer 1", "layer 2", "layer 3", "layer 4"]
    for ax, state in zip(axes, states):
        assert np.allclose(ax.collections[0].get_offsets(), state)
        assert (ax.get_xlim(), ax.get_ylim()) == (axes[0].get_xlim(), axes[0].get_ylim())
        low, high = state.amin(0), state.amax(0)
        assert ax.get_xlim()[0] <= low[0] <= high[0] <= ax.get_xlim()[1]
        assert ax.get_ylim()[0] <= low[1] <= high[1] <= ax.get_ylim()[1]
    colours = [ax.collections[0].get_facecolors() for ax in axes]
    assert all(np.array_equal(colours[0], other) for other in colours)


def test_movement_of_a_grid_on_given_axes_and_limits(flow):
    states = viz.layer_states(flow, viz.grid_lines((-1, 1), n_lines=3).double())
    _, given = plt.subplots(1, 5)
    axes = viz.movement(states, axes=given, titles="abcde", limits=(-2, 2))
    assert list(axes) == list(given)
    assert axes[3].get_title() == "d"
    assert axes[3].get_xlim() == (-2, 2)
    assert np.allclose(axes[3].lines[4].get_xydata(), states[3, 4])


def test_sectors_hold_as_many_points_each():
    groups = torch.tensor(direction_groups(torch.randn(60, 2)))
    assert groups.bincount().tolist() == [10] * 6


def test_the_surrounding_is_a_square_with_everything_in_it():
    points = torch.randn(3, 40, 2) * torch.tensor([3.0, 1.0])
    left, right, bottom, top = surrounding(points)
    assert right - left == pytest.approx(top - bottom)
    assert left < points[..., 0].min() < points[..., 0].max() < right
    assert bottom < points[..., 1].min() < points[..., 1].max() < top
    assert np.isfinite(surrounding(torch.zeros(1, 2))).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viz.layer_states(Scaling(3), torch.zeros(4, 3)), r"\(4, 3\)"),
        (lambda: viz.movement(torch.zeros(2, 5, 3)), r"\(2, 5, 3\)"),
        (lambda: viz.movement(torch.full((2, 5, 2), torch.nan)), "NaN"),
        (lambda: viz.movement(torch.zeros(2, 0, 2)), "empty"),
        (lambda: viz.movement(torch.zeros(2, 5, 2), titles=["one"]), "2 states need"),
        (lambda: viz.movement(torch.zeros(2, 5, 2), axes=[plt.subplot()]), "2 states need"),
        (lambda: viz.grid_lines((1, -1)), "limits are"),
        (lambda: viz.grid_lines((0, 1, 2)), "limits are"),
        (lambda: viz.grid_lines((0, 1), n_lines=1), "at least 2"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
