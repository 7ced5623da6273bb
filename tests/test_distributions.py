"""Base densities: equal to torch's and to closed forms, stable far out, sampled from what they say."""

import math

import pytest
import torch

import nvpkit
from nvpkit import ShapeError
from nvpkit.distributions import (
    Base,
    GaussianMixture,
    Logistic,
    draw,
    entropy,
    random_gaussian_mixture,
    standard_logistic,
    standard_normal,
)
from nvpkit.metrics import grid_integral

BASES = {"normal": standard_normal, "logistic": standard_logistic}


@pytest.mark.parametrize("kind", BASES)
@pytest.mark.parametrize(("shape", "event"), [(3, (3,)), ((1, 2, 2), (1, 2, 2)), ((4,), (4,))])
def test_event_shape_and_batch_shape(kind, shape, event):
    base = BASES[kind](shape)
    z = base.sample(5)
    assert base.event_shape == event
    assert z.shape == (5, *event)
    assert base.log_prob(z).shape == (5,)


@pytest.mark.parametrize("kind", BASES)
def test_density_integrates_to_one(kind):
    assert abs(grid_integral(BASES[kind](2).log_prob, -20, 20, 400) - 1) < 1e-5


def test_logistic_is_the_derivative_of_its_distribution_function():
    z = torch.linspace(-5, 5, 11, dtype=torch.float64, requires_grad=True)
    (derivative,) = torch.autograd.grad(torch.sigmoid(z).sum(), z)
    torch.testing.assert_close(standard_logistic(1).double().log_prob(z[:, None]), derivative.log())


def test_normal_is_torchs_normal():
    z = torch.randn(7, 3, dtype=torch.float64)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    torch.testing.assert_close(standard_normal(3).double().log_prob(z), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logistic_and_its_gradient_are_exact_far_out(dtype):
    z = torch.tensor([[-1000.0], [1000.0], [0.0]], dtype=dtype, requires_grad=True)
    log_prob = standard_logistic(1).to(dtype).log_prob(z)
    torch.testing.assert_close(log_prob, torch.tensor([-1000.0, -1000.0, -2 * math.log(2)], dtype=dtype))
    log_prob.sum().backward()
    torch.testing.assert_close(z.grad, torch.tensor([[1.0], [-1.0], [0.0]], dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logistic_is_exact_to_rounding_on_the_whole_line(dtype):
    """log p = -|z| - 2 log(1 + exp(-|z|)), d log p / dz = -tanh(z / 2): no threshold where digits are dropped."""
    z = torch.cat([torch.linspace(-60, 60, 481, dtype=torch.float64), torch.tensor([-1000.0, 1000.0])])
    exact = -z.abs() - 2 * torch.log1p(torch.exp(-z.abs()))
    given = z.to(dtype)[:, None].requires_grad_()
    log_prob = standard_logistic(1).to(dtype).log_prob(given)
    eps = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(log_prob.double(), exact, rtol=eps, atol=0)
    (slope,) = torch.autograd.grad(log_prob.sum(), given)
    torch.testing.assert_close(slope[:, 0].double(), -torch.tanh(z / 2), rtol=eps, atol=eps)
    entries = Logistic(torch.zeros((), dtype=dtype), torch.ones((), dtype=dtype))
    torch.testing.assert_close(entries.log_prob(given)[:, 0], log_prob, rtol=eps, atol=0)


@pytest.mark.parametrize("kind", BASES)
@pytest.mark.parametrize("shape", [3, (2, 1, 4)])
def test_a_base_has_the_density_of_its_torch_distribution(kind, shape):
    base = BASES[kind](shape).double()
    z = 4 * base.sample(9)
    torch.testing.assert_close(base.log_prob(z), base.distribution().log_prob(z))


@pytest.mark.parametrize("kind", BASES)
def test_samples_have_the_moments_and_entropy_of_the_density(kind):
    base = BASES[kind](1)
    z = base.sample(100_000, torch.Generator().manual_seed(0))
    variance, entropy = {"normal": (1, 0.5 + 0.5 * math.log(2 * math.pi)), "logistic": (math.pi**2 / 3, 2)}[kind]
    assert abs(z.mean().item()) < 0.02
    assert abs(z.var().item() / variance - 1) < 0.03
    assert abs(-base.log_prob(z).mean().item() - entropy) < 0.02
    assert torch.isfinite(z).all()


@pytest.mark.parametrize("kind", BASES)
def test_the_generator_decides_the_draw(kind):
    base = BASES[kind](3)
    one, same, other = (base.sample(4, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("kind", BASES)
def test_dtype_follows_the_module(kind):
    base = BASES[kind](3).double()
    assert base.sample(2).dtype == torch.float64
    assert base.log_prob(base.sample(2)).dtype == torch.float64
    assert not list(base.state_dict())


def test_logistic_is_a_torch_distribution():
    logistic = Logistic(torch.tensor(2.0), torch.tensor(3.0))
    assert logistic.mean == 2
    assert abs(logistic.sample((50_000,)).var() / logistic.variance - 1) < 0.05
    torch.testing.assert_close(logistic.entropy(), torch.tensor(2 + math.log(3)))
    assert logistic.expand((4,)).log_prob(torch.zeros(4)).shape == (4,)
    quantiles = torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(logistic.cdf(logistic.icdf(quantiles)), quantiles)
    z = torch.linspace(-20, 20, 9)
    uniform = torch.distributions.Uniform(0.0, 1.0)
    moves = [torch.distributions.SigmoidTransform().inv, torch.distributions.AffineTransform(2.0, 3.0)]
    composed = torch.distributions.TransformedDistribution(uniform, moves, validate_args=False)
    torch.testing.assert_close(logistic.log_prob(z), composed.log_prob(z), rtol=1e-3, atol=1e-3)
    whole = torch.distributions.Independent(Logistic(torch.zeros(2), torch.ones(2)), 1)
    torch.testing.assert_close(whole.log_prob(torch.ones(1, 2)), standard_logistic(2).log_prob(torch.ones(1, 2)))


def test_mixture_density_is_the_weighted_sum_of_its_gaussians():
    mixture = random_gaussian_mixture(3, 4, torch.Generator().manual_seed(0)).double()
    x = 3 * torch.randn(20, 3, dtype=torch.float64)
    total = sum(
        weight * torch.distributions.MultivariateNormal(mean, factor @ factor.T).log_prob(x).exp()
        for weight, mean, factor in zip(mixture.weights, mixture.means, mixture.factors)
    )
    torch.testing.assert_close(mixture.log_prob(x), total.log(), rtol=1e-6, atol=1e-6)


def test_mixture_integrates_to_one_and_is_sampled_from():
    mixture = random_gaussian_mixture(2, 3, torch.Generator().manual_seed(1))
    assert abs(grid_integral(mixture.log_prob, -16, 16, 400) - 1) < 1e-4
    x = mixture.sample(100_000, torch.Generator().manual_seed(2))
    torch.testing.assert_close(x.mean(0), mixture.weights @ mixture.means, rtol=0, atol=0.05)
    within = torch.einsum("k,kij->ij", mixture.weights, mixture.factors @ mixture.factors.mT)
    between = torch.einsum("k,ki,kj->ij", mixture.weights, mixture.means, mixture.means)
    mean = mixture.weights @ mixture.means
    torch.testing.assert_close(x.T.cov(), within + between - torch.outer(mean, mean), rtol=0.02, atol=0.1)
    assert torch.equal(x, mixture.sample(100_000, torch.Generator().manual_seed(2)))


def test_one_component_is_sampled_with_its_own_covariance():
    covariance = torch.tensor([[4.0, 1.8], [1.8, 1.0]])
    x = GaussianMixture([1.0], [[0.0, 0.0]], covariance[None]).sample(50_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(x.T.cov(), covariance, rtol=0, atol=0.1)


def test_random_mixtures_follow_their_recipe():
    generator = torch.Generator().manual_seed(0)
    mixtures = [random_gaussian_mixture(5, 3, generator) for _ in range(300)]
    means = torch.stack([m.means for m in mixtures])
    covariances = torch.stack([m.factors @ m.factors.mT for m in mixtures])
    assert abs(means.std().item() - 3) < 0.15
    # E[.7 A A^T / D + .3 I] is the unit matrix.
    torch.testing.assert_close(covariances.mean((0, 1)), torch.eye(5), rtol=0, atol=0.08)
    assert torch.linalg.eigvalsh(covariances).min() > 0.299
    log_weights = torch.stack([m.weights for m in mixtures]).log()
    assert abs((log_weights - log_weights.mean(1, keepdim=True)).std().item() - 0.5 * math.sqrt(2 / 3)) < 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_component_of_weight_zero_does_not_count(dtype):
    means, covariances = torch.tensor([[0.0], [50.0]], dtype=dtype), torch.ones(2, 1, 1, dtype=dtype)
    mixture = GaussianMixture(torch.tensor([1.0, 0.0], dtype=dtype), means, covariances)
    x = torch.tensor([[0.0], [50.0]], dtype=dtype)
    torch.testing.assert_close(mixture.log_prob(x), standard_normal(1).to(dtype).log_prob(x))
    assert (mixture.sample(1000) < 25).all()


def test_the_posterior_is_bayes_rule():
    mixture = random_gaussian_mixture(2, 3, torch.Generator().manual_seed(0)).double()
    x = mixture.sample(50, torch.Generator().manual_seed(1))
    posterior = mixture.posterior(x)
    torch.testing.assert_close(posterior.sum(1), torch.ones(50, dtype=torch.float64))
    for k in range(3):
        component = torch.distributions.MultivariateNormal(mixture.means[k], mixture.covariances[k])
        joint = mixture.weights[k].log() + component.log_prob(x)
        torch.testing.assert_close(posterior[:, k], (joint - mixture.log_prob(x)).exp())


def test_the_expected_posterior_is_the_weights():
    mixture = random_gaussian_mixture(2, 4, torch.Generator().manual_seed(0))
    expected = mixture.posterior(mixture.sample(100_000, torch.Generator().manual_seed(1))).mean(0)
    torch.testing.assert_close(expected, mixture.weights, rtol=0, atol=0.006)


@pytest.mark.parametrize(("kind", "each"), [("normal", 0.5 * math.log(2 * math.pi * math.e)), ("logistic", 2.0)])
def test_bases_have_their_entropy_in_closed_form(kind, each):
    value, error, method = entropy(BASES[kind]((3, 2)))
    assert (error, method) == (0, "closed form")
    assert value == pytest.approx(6 * each)


@pytest.mark.parametrize("dim", [1, 2])
def test_the_entropy_of_one_gaussian_by_quadrature_is_the_closed_form(dim):
    a = torch.randn(dim, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    covariance = a @ a.T + 0.1 * torch.eye(dim)
    value, error, method = entropy(GaussianMixture([1.0], torch.ones(1, dim), covariance[None]))
    closed = 0.5 * torch.logdet(2 * math.pi * math.e * covariance).item()
    assert method == "quadrature"
    assert abs(value - closed) < 1e-9 + error


def test_the_entropy_of_far_components_is_the_entropy_of_the_choice_plus_their_own():
    weights = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    scales = torch.tensor([0.1, 1.0, 3.0], dtype=torch.float64)
    mixture = GaussianMixture(weights, torch.tensor([[-500.0], [0.0], [500.0]]), scales.square()[:, None, None])
    own = scales.log() + 0.5 * math.log(2 * math.pi * math.e)
    assert mixture.entropy() == pytest.approx((weights * (own - weights.log())).sum().item(), abs=1e-6)


@pytest.mark.parametrize(("dim", "k", "seed"), [(1, 4, 0), (2, 4, 0), (2, 8, 1), (2, 12, 2)])
def test_quadrature_and_monte_carlo_agree_within_their_stated_errors(dim, k, seed):
    mixture = random_gaussian_mixture(dim, k, torch.Generator().manual_seed(seed))
    value, error, method = entropy(mixture)
    estimate, standard_error, drawn = entropy(mixture, "monte carlo", generator=torch.Generator().manual_seed(1))
    assert (method, drawn) == ("quadrature", "monte carlo")
    assert error < 1e-6
    assert abs(value - estimate) < 4 * standard_error
    assert 0 < standard_error < 0.01
    assert abs(entropy(mixture, tolerance=1e-10).value - value) < 1e-6


def test_the_stated_error_holds_for_a_narrow_component_within_a_wide_one():
    mixture = GaussianMixture([0.5, 0.5], [[0.0], [0.3]], [[[1.0]], [[1e-6]]])
    axis = torch.linspace(-9, 9, 2_000_001, dtype=torch.float64)[:, None]
    log_p = mixture.double().log_prob(axis)
    grid = -torch.trapezoid(log_p.exp() * log_p, axis[:, 0]).item()
    value, error, method = entropy(mixture)
    assert method == "quadrature"
    assert abs(value - grid) < 1e-6 + error


def test_what_no_grid_resolves_is_said_to_be_monte_carlo():
    covariances = torch.stack([torch.eye(2), 1e-8 * torch.eye(2)])
    needle = GaussianMixture([0.5, 0.5], [[0.0, 0.0], [0.1, 0.1]], covariances)
    deep = random_gaussian_mixture(3, 2, torch.Generator().manual_seed(0))
    for mixture in (needle, deep):
        _, error, method = entropy(mixture, n=5000, generator=torch.Generator().manual_seed(0))
        assert method == "monte carlo"
        assert error > 1e-3
        with pytest.raises(ValueError, match="monte carlo"):
            entropy(mixture, "quadrature")
    # The needle overlaps next to nothing: ln 2 and the mean of the two entropies.
    closed = math.log(2) + 1 + math.log(2 * math.pi) + 0.5 * math.log(1e-8)
    value, error, _ = entropy(needle, n=50_000)
    assert abs(value - closed) < 4 * error


def test_eight_gaussians_have_their_known_entropy():
    angle = torch.arange(8, dtype=torch.float64) * math.pi / 4
    means = 2 * torch.stack([angle.cos(), angle.sin()], 1)
    mixture = GaussianMixture(torch.full((8,), 0.125), means, 0.04 * torch.eye(2).expand(8, 2, 2))
    assert mixture.entropy() == pytest.approx(1.6980612, abs=1e-6)


def test_the_entropy_of_other_densities_is_drawn_or_refused():
    uniform = torch.distributions.Independent(torch.distributions.Uniform(torch.zeros(2), torch.ones(2)), 1)
    assert entropy(uniform) == (0.0, 0.0, "closed form")
    assert entropy(uniform, "monte carlo", n=100) == (0.0, 0.0, "monte carlo")
    with pytest.raises(ValueError, match="no entropy in closed form"):
        entropy(random_gaussian_mixture(2), "closed form")
    with pytest.raises(ShapeError, match=r"batch of shape \(2,\)"):
        entropy(torch.distributions.Uniform(torch.zeros(2), torch.ones(2)))
    with pytest.raises(ValueError, match=r"flow\.eval\(\)"):
        entropy(nvpkit.models.nice(2))
    with pytest.raises(ValueError, match="method must be one of"):
        entropy(uniform, "guess")
    with pytest.raises(ValueError, match="tolerance must be positive"):
        entropy(uniform, tolerance=0)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        entropy(uniform, "monte carlo", n=1)


NAN = math.nan


@pytest.mark.parametrize(
    ("weights", "means", "covariances", "message"),
    [
        ([1.0], [[0.0]], [[[0.0]]], "covariance 0 of the mixture is not positive definite"),
        ([0.5, 0.5], [[0.0], [0.0]], [[[1.0]], [[-1.0]]], "covariance 1 of the mixture is not positive definite"),
        ([1.0], [[0.0, 0.0]], [[[1.0, 1.0], [1.0, 1.0]]], "not positive definite"),
        ([1.0], [[0.0, 0.0]], [[[0.1, 0.1 - 1e-8], [0.1 - 1e-8, 0.1]]], "not positive definite"),
        ([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.0, 1.0]]], "not symmetric"),
        ([0.5, 0.6], [[0.0], [1.0]], [[[1.0]], [[1.0]]], "sum to 1, got .* a sum of 1.1"),
        ([-0.5, 1.5], [[0.0], [1.0]], [[[1.0]], [[1.0]]], "not negative .* least weight of -0.5"),
        ([NAN, 1.0], [[0.0], [1.0]], [[[1.0]], [[1.0]]], "weights of a mixture must be finite, got nan"),
        ([1.0], [[math.inf]], [[[1.0]]], "means of a mixture must be finite, got inf"),
        ([1.0], [[0.0]], [[[NAN]]], "covariances of a mixture must be finite, got nan"),
        ([1.0], [[0.0, 0.0]], [[[1.0]]], r"\(K, D, D\)"),
        ([1.0], [0.0], [[[1.0]]], r"means \(K, D\), got \(1,\)"),
        (torch.zeros(0), torch.zeros(0, 2), torch.zeros(0, 2, 2), r"means \(K, D\), got \(0, 2\)"),
    ],
)
def test_what_is_no_mixture_is_refused(weights, means, covariances, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(weights, means, covariances)


def test_integers_and_mixed_dtypes_make_a_mixture_too():
    whole = GaussianMixture([1], [[0, 0]], [[[1, 0], [0, 1]]])
    assert whole.sample(3).dtype == torch.float32
    mixed = GaussianMixture([1.0], torch.zeros(1, 2, dtype=torch.float64), torch.eye(2)[None])
    assert mixed.sample(3).dtype == torch.float64


def test_what_is_given_is_not_kept():
    weights = torch.tensor([0.5, 0.5])
    mixture = GaussianMixture(weights, [[0.0], [1.0]], torch.ones(2, 1, 1))
    weights.zero_()
    assert mixture.weights.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("target", [standard_normal(2), standard_logistic(2), random_gaussian_mixture(2)])
@pytest.mark.parametrize("n", [-1, 0, 1.5, True])
def test_a_count_that_is_none_is_refused(target, n):
    with pytest.raises(ValueError, match=f"number of samples must be an integer of at least 1, got {n}"):
        draw(target, n)


def test_random_mixtures_need_dimensions_and_components():
    with pytest.raises(ValueError, match="number of dimensions"):
        random_gaussian_mixture(0)
    with pytest.raises(ValueError, match="number of components"):
        random_gaussian_mixture(2, -3)


def test_torch_distributions_take_no_generator():
    with pytest.raises(ValueError, match=r"torch\.manual_seed"):
        draw(torch.distributions.Normal(0.0, 1.0), 3, torch.Generator())


def test_wrong_shapes_are_named():
    with pytest.raises(ShapeError, match=r"\(B, 3\), got \(2, 4\)"):
        standard_normal(3).log_prob(torch.zeros(2, 4))
    with pytest.raises(ShapeError, match=r"\(B, 2\), got \(5,\)"):
        random_gaussian_mixture(2).posterior(torch.zeros(5))
    for shape in ((), 0, (2, 0)):
        with pytest.raises(ValueError, match="at least one"):
            standard_logistic(shape)


def test_a_base_must_say_what_it_is():
    with pytest.raises(TypeError, match=r"distribution\(\)"):
        Base().log_prob(torch.zeros(1, 2))
    with pytest.raises(TypeError, match="sample"):
        Base().sample(1)
