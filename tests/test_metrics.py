"""Metrics against numbers known from elsewhere, and against flows with a known fault."""

import math

import pytest
import torch

from nvpkit import Flow, ShapeError, data, metrics, models
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


def test_negative_log_likelihood_is_the_cross_entropy_with_its_standard_error():
    """-E[log q] under N(0, I) is ln(2 pi) / 2 + s + exp(-2 s) / 2 for each dimension."""
    flow = gaussian_flow([0.5, -0.2]).train()
    expected = sum(0.5 * math.log(2 * math.pi) + s + math.exp(-2 * s) / 2 for s in (0.5, -0.2))
    runs = [metrics.negative_log_likelihood(flow, torch.randn(1000, 2)) for _ in range(100)]
    scores = torch.tensor([(estimate - expected) / error for estimate, error in runs])
    assert abs(scores.mean()) < 0.4
    assert abs(scores.std() - 1) < 0.25
    x = torch.randn(1000, 2)
    assert metrics.negative_log_likelihood(flow, x, chunk=7) == pytest.approx(
        metrics.negative_log_likelihood(flow, x), rel=1e-6
    )
    assert flow.training


class Moved(Bijection):
    """z = x - context, the simplest conditional flow."""

    def forward(self, x, context=None):
        return x - context, x.new_zeros(len(x))


def test_contexts_go_with_their_rows():
    flow, x, context = Flow(Moved(), standard_normal(2)), torch.randn(50, 2), 3 * torch.randn(50, 2)
    expected = flow.log_prob(x, context)
    estimate, _ = metrics.negative_log_likelihood(flow, x, context, chunk=8)
    assert estimate == pytest.approx(-expected.mean().item(), rel=1e-5)
    torch.testing.assert_close(metrics.importance_weighted_log_prob(flow, x, 3, context, chunk=7), expected)
    for measure, settings in ((metrics.negative_log_likelihood, ()), (metrics.importance_weighted_log_prob, (2,))):
        with pytest.raises(ShapeError, match="50 samples need a context of 50 rows"):
            measure(flow, x, *settings, context[:49])


def cell_flow(s=2.5, q=None):
    """One pixel of four levels whose density is logistic: steep within a cell, its mass known in closed form."""
    scaling = Scaling(1)
    with torch.no_grad():
        scaling.s.fill_(s)
    flow = Flow(Chain([Dequantize(4, q=q), scaling]), standard_logistic(1)).double()
    edges = torch.sigmoid(math.exp(s) * torch.arange(5, dtype=torch.float64) / 4)
    return flow, edges.diff().log()


def test_the_bound_tightens_with_every_draw_towards_the_exact_mass():
    """log (1/S) sum p(x + u_s): its mean grows with S and tends to log P(x) (Burda et al. 2016, theorem 1)."""
    flow, exact = cell_flow()
    x = torch.arange(4).repeat(4000)[:, None]
    means = []
    for n_draws in (1, 2, 4, 16, 128):
        bounds = metrics.importance_weighted_log_prob(flow, x, n_draws, chunk=200_000).reshape(4000, 4)
        assert (bounds.mean(0) < exact + 4 * bounds.std(0) / math.sqrt(4000)).all()
        means.append(bounds.mean(0))
    gaps = exact - torch.stack(means)
    assert (gaps.diff(dim=0) < 0).all()
    assert gaps[0].max() > 0.3
    assert gaps[-1].abs().max() < 0.02


def test_a_mean_of_weights_is_an_unbiased_mass():
    flow, exact = cell_flow()
    bound = metrics.importance_weighted_log_prob(flow, torch.arange(4)[:, None], 400_000, chunk=50_000)
    torch.testing.assert_close(bound, exact, rtol=0, atol=0.01)


def test_noise_from_the_flows_own_density_makes_one_draw_exact():
    class InCell(torch.nn.Module):
        """u from the logistic density cut to the pixel's cell, by its distribution function."""

        def forward(self, x, noise=None):
            scale = math.exp(2.5) / 4
            low, high = torch.sigmoid(scale * x), torch.sigmoid(scale * (x + 1))
            z = torch.logit(low + torch.rand_like(x) * (high - low))
            log_q = torch.log(torch.sigmoid(z) * torch.sigmoid(-z) * scale / (high - low))
            return z / scale - x, log_q.sum(1)

    flow, exact = cell_flow(q=InCell())
    for n_draws in (1, 5):
        torch.testing.assert_close(metrics.importance_weighted_log_prob(flow, torch.arange(4)[:, None], n_draws), exact)


def test_no_more_pairs_than_a_chunk_are_computed_at_once():
    seen = []

    class Watched(Scaling):
        def forward(self, x, context=None):
            seen.append(len(x))
            assert not self.training
            return super().forward(x)

    flow = Flow(Chain([Dequantize(4), Watched(2)]), standard_normal(2)).train()
    bounds = metrics.importance_weighted_log_prob(flow, torch.randint(4, (5, 2)), 7, chunk=4)
    assert bounds.shape == (5,)
    assert bounds.dtype == torch.float32
    assert sum(seen) == 35
    assert max(seen) <= 4
    assert flow.training


def test_bad_counts_are_named():
    flow, x = models.nice(2), torch.zeros(3, 2)
    for call, message in [
        (lambda: metrics.negative_log_likelihood(flow, x[:1]), "at least 2, got 1"),
        (lambda: metrics.negative_log_likelihood(flow, x, chunk=0), "chunk"),
        (lambda: metrics.importance_weighted_log_prob(flow, x, 0), "draws must be an integer of at least 1, got 0"),
        (lambda: metrics.importance_weighted_log_prob(flow, x[:0], 2), "samples must be"),
        (lambda: metrics.kl_to(flow, parabola(), -5), "at least 2, got -5"),
        (lambda: metrics.negative_log_likelihood(flow, torch.full((3, 2), math.nan)), "NaN"),
        (lambda: metrics.bits_per_dim(0.0, math.nan), "at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


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


@pytest.mark.parametrize("levels", [None, 17])
def test_the_continuous_round_trip_is_seen_behind_dequantize(levels):
    """A fault below half a grey level: the integers come back, the continuous coordinates do not."""

    class Blurred(Scaling):
        def inverse(self, z, context=None):
            x, log_det = super().inverse(z)
            return x + 0.01, log_det

    flow = Flow(Chain([Chain([*([] if levels is None else [Dequantize(levels)]), Blurred(3)])]), standard_normal(3))
    x = torch.randint(1, 16, (50, 3)) if levels else torch.rand(50, 3)
    assert metrics.round_trip_error(flow, x, continuous=True) == pytest.approx(0.01, abs=1e-6)
    sound = models.nice(6, hidden=16, levels=17)
    assert metrics.round_trip_error(sound, torch.randint(17, (50, 6)), continuous=True) < 1e-6


def test_the_continuous_part_is_the_flow_behind_dequantize():
    flow = models.nice(6, hidden=16, levels=17)
    x = torch.randint(17, (5, 6))
    part, y = metrics.continuous_part(flow, x)
    assert torch.equal((17 * y).floor(), x)
    torch.manual_seed(3)
    whole = flow.log_prob(x)
    torch.manual_seed(3)
    _, y = metrics.continuous_part(flow, x)
    torch.testing.assert_close(part.log_prob(y) - 6 * math.log(17), whole)
    assert part.event_shape == (6,)
    plain = models.nice(6)
    assert metrics.continuous_part(plain, y) == (plain, y)
    assert flow.training
    assert all(layer.training for layer in flow.modules())


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(0, 6, dtype=torch.uint8), "at least one sample"),
        (torch.full((2, 6), 17), r"integers 0\.\.16, got values from 17 to 17"),
        (torch.full((2, 6), math.nan), "integers"),
        (torch.zeros(2, 5, dtype=torch.uint8), r"\(B, 6\), got \(2, 5\)"),
    ],
)
def test_bad_images_are_named_in_the_continuous_coordinates_too(x, message):
    with pytest.raises(ValueError, match=message):
        metrics.round_trip_error(models.nice(6, levels=17), x, continuous=True)
    with pytest.raises(ValueError, match=message):
        metrics.log_det_error(models.nice(6, levels=17), x)


def test_dequantize_alone_has_no_continuous_part():
    with pytest.raises(ValueError, match="only layer"):
        metrics.continuous_part(Dequantize(4), torch.zeros(1, 2))


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


def test_energy_distance_of_shifted_normals_is_the_closed_form():
    """E|X - Y| of N(0, 1) and N(d, 1) is the mean of a folded normal with variance 2."""
    d = 0.7
    folded = 2 / math.sqrt(math.pi) * math.exp(-(d**2) / 4) + d * math.erf(d / 2)
    x, y = torch.randn(2, 8000, 1)
    estimate, error = metrics.energy_distance(x, y + d)
    assert abs(estimate - (2 * folded - 4 / math.sqrt(math.pi))) < 4 * error
    assert error < 0.02


def test_energy_distance_of_equals_is_zero_within_its_standard_error():
    scores = []
    for _ in range(150):
        estimate, error = metrics.energy_distance(torch.randn(400, 2), torch.randn(300, 2))
        scores.append(estimate / error)
    scores = torch.tensor(scores)
    assert abs(scores.mean()) < 0.35
    assert 0.8 < scores.std() < 1.3
    assert scores.abs().max() < 4.5


def test_energy_distance_does_not_care_where_the_origin_is_and_takes_images():
    x, y = torch.randn(2, 200, 1, 8, 8, dtype=torch.float64)
    near = metrics.energy_distance(x, y)
    assert near == pytest.approx(metrics.energy_distance(x.flatten(1) + 1e5, y.flatten(1) + 1e5), abs=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "n_blocks", "message"),
    [
        (torch.zeros(50, 2), torch.zeros(50, 3), 20, r"one event shape are expected, got \(50, 2\) and \(50, 3\)"),
        (torch.zeros(30, 2), torch.zeros(50, 2), 20, "20 blocks need two points each, got samples of 30 and 50"),
        (torch.zeros(50, 2), torch.zeros(0, 2), 20, "two points each"),
        (torch.zeros(50, 2), torch.zeros(50, 2), 1, "blocks for a standard error"),
        (torch.zeros(50, 2), torch.full((50, 2), math.nan), 5, "NaN"),
    ],
)
def test_what_cannot_be_compared_is_refused(x, y, n_blocks, message):
    with pytest.raises(ValueError, match=message):
        metrics.energy_distance(x, y, n_blocks)


def randomised(flow):
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape))
    return flow


def test_sampling_agrees_with_log_prob():
    """Points drawn from exp(log_prob) by a grid, and points of flow.sample: one distribution."""
    flow = randomised(models.nice(2, base="normal")).eval()
    inside = metrics.grid_integral(flow.log_prob, -9, 9, 400)
    assert inside == pytest.approx(1, abs=1e-3)
    expected = metrics.grid_sample(flow.log_prob, -9, 9, 5000)
    estimate, error = metrics.energy_distance(flow.sample(5000), expected)
    assert abs(estimate) < 4 * error
    cold, cold_error = metrics.energy_distance(flow.sample(5000, temperature=0.8), expected)
    assert cold > 4 * cold_error


@pytest.mark.parametrize("toy", [data.moons(), data.checkerboard(), data.rings(), data.eight_gaussians(4, 0.5)])
def test_toys_are_drawn_from_their_log_prob(toy):
    expected = metrics.grid_sample(toy.log_prob, *toy.limits, 4000, cells=200)
    estimate, error = metrics.energy_distance(toy.sample(4000), expected)
    assert abs(estimate) < 4 * error


def test_grid_sample_tells_the_axes_apart_and_follows_its_generator():
    def steep(x):
        return 3 * x[:, 1].log() + math.log(4)

    points = metrics.grid_sample(steep, 0, 1, 20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(points.mean(0), torch.tensor([0.5, 0.8]), rtol=0, atol=0.01)
    assert ((points >= 0) & (points <= 1)).all()
    assert torch.equal(points, metrics.grid_sample(steep, 0, 1, 20_000, torch.Generator().manual_seed(0)))
    with pytest.raises(ValueError, match="mass of 0"):
        metrics.grid_sample(data.checkerboard().log_prob, 5, 6, 10)
    with pytest.raises(ValueError, match="low < high"):
        metrics.grid_sample(steep, 1, 1, 10)
    with pytest.raises(ValueError, match="number of points"):
        metrics.grid_sample(steep, 0, 1, -1)
