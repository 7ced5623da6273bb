"""Metrics against numbers known from elsewhere, and against flows with a known fault."""

import math

import pytest
import torch

from nvpkit import Flow, metrics, models
from nvpkit.bijections import Bijection, Chain, Dequantize, Scaling
from nvpkit.data import moons, parabola
from nvpkit.distributions import GaussianMixture, standard_logistic, standard_normal


def gaussian_flow(log_std):
    """A flow that is exactly N(0, diag(exp(2 log_std)))."""
    scaling = Scaling(len(log_std))
    with torch.no_grad():
        scaling.s.copy_(-torch.tensor(log_std))
    return Flow(scaling, standard_normal(len(log_std)))


class WrongSign(Scaling):
    def forward(self, x, context=None):
        z, log_det = super().forward(x)
        return z, -log_det


class Lossy(Scaling):
    def inverse(self, z, context=None):
        x, log_det = super().inverse(z)
        return x + 0.25, log_det


def test_bits_per_dim_reproduces_published_figures():
    assert round(metrics.bits_per_dim(1980.50, 784, 256), 2) == 4.36  # NICE, MNIST
    # NICE, CIFAR-10: pixels on [-1, 1], so 256 levels are 1/128 wide.
    assert round(metrics.bits_per_dim(5371.78, 3072, 128), 2) == 4.48


def test_bits_per_dim_of_the_uniform_mass_is_the_number_of_bits():
    log_mass = torch.full((3,), -10 * math.log(256))
    torch.testing.assert_close(metrics.bits_per_dim(log_mass, 10), torch.full((3,), 8.0))
    assert metrics.bits_per_dim(0.0, 10, 256) == pytest.approx(8.0)
    with pytest.raises(ValueError, match="at least 1"):
        metrics.bits_per_dim(0.0, 0)


def test_bits_per_dim_is_the_same_on_both_roads():
    """Density on [0, 1] with levels=256, or log-mass of the integers with levels=1."""
    x = torch.randint(256, (4, 6))
    flow = models.nice(6, levels=256)
    unit = Flow(Chain(flow.bijection.layers[1:]), flow.base)
    dequantise = flow.bijection.layers[0]
    torch.manual_seed(1)
    mass = flow.log_prob(x)
    torch.manual_seed(1)
    density = unit.log_prob(dequantise(x)[0])
    torch.testing.assert_close(metrics.bits_per_dim(mass, 6), metrics.bits_per_dim(density, 6, levels=256))


def test_kl_between_gaussians_is_the_closed_form():
    flow = gaussian_flow([0.5, -0.2])
    target = GaussianMixture([1.0], [[0.0, 0.0]], torch.eye(2)[None])
    # KL(N(0, 1) || N(0, s^2)) = ln s + 1 / (2 s^2) - 1/2 for each dimension.
    expected = sum(s + math.exp(-2 * s) / 2 - 0.5 for s in (0.5, -0.2))
    estimate, error = metrics.kl_to(flow, target, 50_000, torch.Generator().manual_seed(0))
    assert abs(estimate - expected) < 4 * error
    assert 0 < error < 0.01
    # The other direction differs: KL(model || target).
    assert abs(expected - sum(-s + math.exp(2 * s) / 2 - 0.5 for s in (0.5, -0.2))) > 20 * error


def test_kl_of_a_density_from_itself_is_zero_and_chunks_do_not_matter():
    flow = gaussian_flow([0.0, 0.0])
    target = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    estimate, error = metrics.kl_to(flow, target, 1000, chunk=300)
    assert abs(estimate) < 1e-6
    assert error < 1e-6
    with pytest.raises(ValueError, match=r"torch\.manual_seed"):
        metrics.kl_to(flow, target, 1000, torch.Generator())
    with pytest.raises(ValueError, match="at least 2"):
        metrics.kl_to(flow, target, 1)


def test_kl_draws_exactly_n_in_the_flows_dtype():
    class Counting:
        drawn = 0

        def sample(self, n, generator=None):
            self.drawn += n
            return parabola().sample(n, generator)

        def log_prob(self, x):
            return parabola().log_prob(x)

    target = Counting()
    flow = models.nice(2).double().train()
    metrics.kl_to(flow, target, 1234, chunk=500)
    assert target.drawn == 1234
    assert flow.training


@pytest.mark.parametrize("levels", [None, 17])
def test_errors_of_right_flows_are_rounding(levels):
    flow = models.nice(6, hidden=16, levels=levels)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape))
    x = torch.randn(5, 6) if levels is None else torch.randint(17, (5, 6))
    assert metrics.round_trip_error(flow, x) < 1e-4
    assert metrics.log_det_error(flow, x) < 1e-4
    assert flow.training


def test_errors_of_wrong_flows_are_their_faults():
    for kind, metric, expected in ((WrongSign, metrics.log_det_error, 3.0), (Lossy, metrics.round_trip_error, 0.25)):
        layer = kind(2)
        with torch.no_grad():
            layer.s.copy_(torch.tensor([1.0, 0.5]))
        assert metric(layer, torch.randn(4, 2)) == pytest.approx(expected, abs=1e-5)


class OnlyInEval(Scaling):
    def forward(self, x, context=None):
        assert not self.training, "metrics are taken in eval mode"
        return super().forward(x)


def test_metrics_are_taken_in_eval_mode_and_every_part_returns_to_its_own():
    flow = Flow(Chain([OnlyInEval(2), Scaling(2).eval()]), standard_normal(2)).train()
    flow.bijection.layers[1].eval()
    metrics.log_det_error(flow, torch.randn(3, 2))
    metrics.round_trip_error(flow, torch.randn(3, 2))
    metrics.kl_to(flow, parabola(), 10)
    assert [layer.training for layer in flow.bijection.layers] == [True, False]


def test_log_det_error_sees_every_sample():
    class OneWrong(Bijection):
        def forward(self, x, context=None):
            log_det = x.new_zeros(len(x))
            return x, log_det.index_fill(0, torch.tensor([2]), 0.7)

    assert metrics.log_det_error(OneWrong(), torch.randn(4, 2)) == pytest.approx(0.7)


def test_log_det_error_leaves_gradients_and_input_alone():
    flow, x = models.nice(3), torch.randn(2, 3)
    metrics.log_det_error(flow, x)
    assert not x.requires_grad
    assert all(p.grad is None for p in flow.parameters())


def test_images_keep_their_shape_in_log_det_error():
    class Scale(Bijection):
        def forward(self, x, context=None):
            return 2 * x, x.new_full((len(x),), x[0].numel() * math.log(2))

    assert metrics.log_det_error(Chain([Dequantize(4), Scale()]), torch.randint(4, (2, 1, 3, 3))) < 1e-5


def test_grid_integral_counts_cells_and_area():
    assert metrics.grid_integral(lambda x: torch.zeros(len(x)), -1, 3, 7) == pytest.approx(16.0)
    assert metrics.grid_integral(standard_logistic(2).log_prob, -25, 25, 200) == pytest.approx(1, abs=1e-3)
    assert metrics.grid_integral(moons().log_prob, 0.5, 3, 200) < 0.9
    # First coordinate along the rows: an integrand that is not symmetric tells the axes apart.
    steep = metrics.grid_integral(lambda x: x[:, 0].log() + 3 * x[:, 1].log(), 0, 1, 400)
    assert steep == pytest.approx(1 / 8, rel=1e-3)
    for low, high, n in ((0, 1, 0), (1, 1, 5)):
        with pytest.raises(ValueError, match="grid needs"):
            metrics.grid_integral(moons().log_prob, low, high, n)
