"""A flow behind the interface of torch.distributions: shapes, supports, gradients, and a place inside other ones."""

import math

import pytest
import torch
from torch.distributions import (
    AffineTransform,
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    TransformedDistribution,
)

from nvpkit import Flow, ShapeError, models
from nvpkit.bijections import Chain, Dequantize, Planar, Scaling
from nvpkit.data import parabola
from nvpkit.distributions import standard_normal
from nvpkit.errors import InverseNotAvailable
from nvpkit.metrics import energy_distance, grid_sample, kl_to
from nvpkit.training import fit


def randomised(flow, scale=0.3):
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape))
    return flow.eval()


def vectors(context_dim=0):
    return randomised(models.real_nvp(3, n_layers=2, hidden=8, context_dim=context_dim))


def test_it_is_a_distribution_with_the_flows_density():
    flow = vectors()
    p = flow.as_distribution()
    assert isinstance(p, Distribution)
    assert (p.batch_shape, p.event_shape, p.has_rsample) == ((), (3,), True)
    for shape in ((), (5,), (2, 4), (0,)):
        x = p.sample(shape)
        assert x.shape == (*shape, 3)
        assert not x.requires_grad
        assert p.sample(torch.Size(shape)).shape == x.shape
        if x.numel():
            assert bool(p.support.check(x).all())
            assert p.log_prob(x).shape == shape
            torch.testing.assert_close(p.log_prob(x), flow.log_prob(x.reshape(-1, 3)).reshape(shape))
    assert p.support.event_dim == 1
    assert flow.double().as_distribution().sample().dtype == torch.float64


def test_a_context_makes_a_batch():
    flow = vectors(context_dim=2)
    context = torch.randn(4, 5, 2)
    p = flow.as_distribution(context)
    assert p.batch_shape == (4, 5)
    x = p.sample((7,))
    assert x.shape == (7, 4, 5, 3)
    expected = torch.stack([flow.log_prob(x[:, i, j], context[i, j].expand(7, 2)) for i in range(4) for j in range(5)])
    torch.testing.assert_close(p.log_prob(x), expected.reshape(4, 5, 7).permute(2, 0, 1))
    one = flow.as_distribution(context[0, 0])
    assert (one.batch_shape, one.sample((6,)).shape) == ((), (6, 3))
    assert p.log_prob(torch.zeros(3)).shape == (4, 5)
    wide = one.expand((2, 3))
    assert wide.log_prob(wide.sample((2,))).shape == (2, 2, 3)


def test_expand_repeats_the_flow_and_knows_what_does_not_fit():
    p = vectors().as_distribution().expand((4, 2))
    assert p.batch_shape == (4, 2)
    assert p.sample((3,)).shape == (3, 4, 2, 3)
    assert p.log_prob(torch.randn(3, 4, 2, 3)).shape == (3, 4, 2)
    assert p.expand((5, 4, 2)).batch_shape == (5, 4, 2)
    with pytest.raises(ShapeError, match=r"\(4, 2\) does not expand to \(4, 3\)"):
        p.expand((4, 3))


def test_gradients_reach_parameters_and_context_through_rsample():
    flow = vectors(context_dim=2)
    context = torch.randn(4, 2, requires_grad=True)
    x = flow.as_distribution(context).rsample((6,))
    x.square().sum().backward()
    assert context.grad.abs().sum() > 0
    assert all(p.grad is not None for p in flow.parameters())


def test_samples_follow_the_density_that_log_prob_says():
    torch.manual_seed(0)
    flow = models.real_nvp(2, n_layers=4, hidden=32)
    fit(flow, parabola(), steps=200, lr=1e-2, batch_size=256, progress=False)
    p = flow.as_distribution()
    # Trained, so that shape and scale are far from the base's; the grid is an independent sampler of the density.
    by_grid = grid_sample(lambda x: p.log_prob(x), -8, 14, 4000, torch.Generator().manual_seed(1), cells=300)
    distance, error = energy_distance(p.sample((4000,)), by_grid)
    assert abs(distance) < 4 * error
    moved, error = energy_distance(p.sample((4000,)) + 0.3, by_grid)
    assert moved > 4 * error
    estimate, error = kl_to(flow, p, 2000)
    assert abs(estimate) < 4 * error + 1e-5


def test_it_stands_inside_other_distributions():
    flow = vectors(context_dim=2)
    p = flow.as_distribution(torch.randn(4, 2))
    x = torch.randn(6, 3)
    independent = Independent(p, 1)
    assert (independent.batch_shape, independent.event_shape) == ((), (4, 3))
    torch.testing.assert_close(independent.log_prob(x[:4]), p.log_prob(x[:4]).sum())

    weights = torch.tensor([0.1, 0.2, 0.3, 0.4])
    mixture = MixtureSameFamily(Categorical(weights), p)
    expected = torch.logsumexp(p.log_prob(x[:, None]) + weights.log(), -1)
    torch.testing.assert_close(mixture.log_prob(x), expected)
    assert mixture.sample((9,)).shape == (9, 3)

    moved = TransformedDistribution(p, [AffineTransform(torch.ones(3), 2 * torch.ones(3), event_dim=1)])
    torch.testing.assert_close(moved.log_prob(1 + 2 * x[:4]), p.log_prob(x[:4]) - 3 * math.log(2))
    assert moved.rsample((5,)).shape == (5, 4, 3)


def test_integers_have_their_own_support_and_no_gradients():
    flow = randomised(models.image_real_nvp((1, 4, 4), levels=17, hidden=4, n_blocks=1))
    p = flow.as_distribution()
    assert (p.event_shape, p.has_rsample, flow.levels) == ((1, 4, 4), False, 17)
    x = p.sample((6,))
    assert x.shape == (6, 1, 4, 4)
    assert bool(p.support.check(x).all())
    assert p.log_prob(x.to(torch.uint8)).shape == (6,)
    with pytest.raises(ValueError, match="use sample"):
        p.rsample()
    with pytest.raises(ValueError, match=r"integers 0\.\.16"):
        p.log_prob(x + 17)


def test_what_does_not_fit_is_named():
    p = vectors().as_distribution()
    with pytest.raises(ShapeError, match=r"\(\.\.\., 3\), got \(2, 4\)"):
        p.log_prob(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="NaN or infinite"):
        p.log_prob(torch.full((1, 3), math.nan))
    with pytest.raises(ValueError, match=r"flow is torch.float32, x is torch.float64"):
        p.log_prob(torch.zeros(2, 3, dtype=torch.float64))
    conditional = vectors(context_dim=2)
    with pytest.raises(ShapeError, match=r"context of shape \(2, 2\), got \(2, 5\)"):
        conditional.as_distribution(torch.randn(2, 5)).sample()
    with pytest.raises(ValueError, match=r"context is torch\.float64"):
        conditional.as_distribution(torch.randn(2, 2, dtype=torch.float64)).sample()
    with pytest.raises((TypeError, ValueError), match="context"):
        conditional.as_distribution([0.0, 1.0])
    with pytest.raises(ShapeError, match="context"):
        conditional.as_distribution(torch.tensor(1.0))
    one_way = Flow(Chain([Forward()]), standard_normal(2)).as_distribution()
    assert one_way.log_prob(torch.zeros(2)).shape == ()
    with pytest.raises(InverseNotAvailable):
        one_way.sample()


class Forward(Scaling):
    def __init__(self):
        super().__init__(2)

    def inverse(self, z, context=None):
        raise InverseNotAvailable("one way only")


def test_planar_flows_and_dequantised_vectors_too():
    flow = randomised(Flow(Chain([Planar(2), Planar(2)]), standard_normal(2)).double())
    p = flow.as_distribution()
    assert p.log_prob(p.sample((3,))).shape == (3,)
    flow = Flow(Chain([Dequantize(4), Scaling(2)]), standard_normal(2))
    assert flow.levels == 4
    assert set(flow.as_distribution().sample((50,)).flatten().tolist()) <= {0.0, 1.0, 2.0, 3.0}
