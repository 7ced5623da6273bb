"""Base densities: equal to torch's and to closed forms, stable far out, sampled from what they say."""

import math

import pytest
import torch

from nvpkit import ShapeError
from nvpkit.distributions import (
    Base,
    GaussianMixture,
    Logistic,
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


@pytest.mark.parametrize(
    ("weights", "means", "covariances", "message"),
    [
        ([1.0], [[0.0]], [[[0.0]]], "not positive definite"),
        ([0.5, 0.6], [[0.0], [1.0]], [[[1.0]], [[1.0]]], "sum to 1"),
        ([-0.5, 1.5], [[0.0], [1.0]], [[[1.0]], [[1.0]]], "not negative"),
        ([1.0], [[0.0, 0.0]], [[[1.0]]], r"\(K, D, D\)"),
    ],
)
def test_what_is_no_mixture_is_refused(weights, means, covariances, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(weights, means, covariances)


def test_wrong_shapes_are_named():
    with pytest.raises(ShapeError, match=r"\(B, 3\), got \(2, 4\)"):
        standard_normal(3).log_prob(torch.zeros(2, 4))


def test_a_base_must_say_what_it_is():
    with pytest.raises(TypeError, match=r"distribution\(\)"):
        Base().log_prob(torch.zeros(1, 2))
    with pytest.raises(TypeError, match="sample"):
        Base().sample(1)
