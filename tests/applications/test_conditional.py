"""Class-conditional flows: Bayes' rule against a density known in full, samples of the class that was asked for."""

import math

import pytest
import torch

from nvpkit import Flow, models
from nvpkit.applications import class_log_posterior, classify, one_hot, sample_classes
from nvpkit.bijections import Chain, Dequantize
from nvpkit.data import eight_gaussians
from nvpkit.training import fit
from tests.applications.shift import shift_flow

MEANS = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)


def test_the_posterior_is_bayes_rule():
    x, prior = 2 * torch.randn(50, 2, dtype=torch.float64), torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    joint = prior.log() - (x[:, None] - MEANS).square().sum(-1) / 2
    expected = joint - joint.logsumexp(1, keepdim=True)
    posterior = class_log_posterior(shift_flow(MEANS), x, 3, prior)
    torch.testing.assert_close(posterior, expected)
    torch.testing.assert_close(posterior.exp().sum(1), torch.ones(50, dtype=torch.float64))
    uniform = class_log_posterior(shift_flow(MEANS), x, 3)
    torch.testing.assert_close(uniform, torch.log_softmax(joint - prior.log(), 1))
    assert torch.equal(classify(shift_flow(MEANS), x, 3, prior), expected.argmax(1))


def test_a_class_that_cannot_be_is_never_chosen():
    posterior = class_log_posterior(shift_flow(MEANS), MEANS, 3, [0.5, 0.0, 0.5])
    assert bool((posterior[:, 1] == -math.inf).all())
    assert bool(torch.isfinite(posterior[:, [0, 2]]).all())


class TowardsOne(torch.nn.Module):
    """Noise with density 2u on (0, 1)."""

    def forward(self, x, noise=None):
        u = torch.rand_like(x).sqrt()
        return u, self.log_prob(u, x)

    def log_prob(self, u, x):
        return (2 * u).log().sum(1)


def dequantised(means, sigma, q=None):
    rest = shift_flow(means, sigma)
    return Flow(Chain([Dequantize(4, q), rest.bijection]), rest.base)


def test_the_noise_of_dequantisation_says_nothing_about_the_class():
    x = torch.randint(0, 4, (100, 5))
    posterior = class_log_posterior(dequantised(torch.full((3, 5), 0.5), 0.01), x, 3)
    torch.testing.assert_close(posterior, torch.full((100, 3), math.log(1 / 3)))


@pytest.mark.parametrize("q", [None, TowardsOne()])
def test_draws_of_the_noise_average_the_mass_of_the_cell(q):
    means, sigma = torch.tensor([[0.45], [0.75]]), 0.1
    posterior = class_log_posterior(dequantised(means, sigma, q), torch.tensor([[2]]), 2, draws=1500)
    normal = torch.distributions.Normal(means[:, 0], sigma)
    mass = normal.cdf(torch.tensor(0.75)) - normal.cdf(torch.tensor(0.5))
    torch.testing.assert_close(posterior.exp()[0], mass / mass.sum(), rtol=0, atol=0.05)


def test_samples_belong_to_the_class_that_was_asked_for():
    drawn = sample_classes(shift_flow(100 * MEANS), 40, 3, generator=torch.Generator().manual_seed(0))
    assert (drawn.shape, drawn.dtype) == ((3, 40, 2), torch.float64)
    assert bool(((drawn - 100 * MEANS[:, None]).abs() < 6).all())
    cold = sample_classes(shift_flow(100 * MEANS), 2, 3, temperature=0.0)
    torch.testing.assert_close(cold, (100 * MEANS)[:, None].expand(3, 2, 2))


def test_a_conditional_real_nvp_learns_its_classes():
    torch.manual_seed(0)
    x = eight_gaussians().sample(6000, generator=torch.Generator().manual_seed(0))
    labels = (torch.atan2(x[:, 1], x[:, 0]) / (math.pi / 4)).round().long() % 8
    flow = models.real_nvp(2, n_layers=4, hidden=(32, 32), context_dim=8)
    fit(flow, (x[:5000], one_hot(labels[:5000], 8)), steps=350, lr=5e-3, progress=False)
    assert (classify(flow, x[5000:], 8) == labels[5000:]).float().mean() > 0.97
    drawn = sample_classes(flow, 100, 8)
    found = (torch.atan2(drawn[..., 1], drawn[..., 0]) / (math.pi / 4)).round().long() % 8
    assert (found == torch.arange(8)[:, None]).float().mean() > 0.95


def test_one_hot_has_a_single_one_at_the_label():
    labels = torch.randint(0, 5, (20,))
    context = one_hot(labels, 5, torch.float64)
    assert context.dtype == torch.float64
    assert torch.equal(context.argmax(1), labels)
    assert bool((context.sum(1) == 1).all())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: one_hot(torch.tensor([0, 3]), 3), r"0\.\.2, got 0\.\.3"),
        (lambda: one_hot(torch.tensor([-1]), 3), "-1"),
        (lambda: one_hot(torch.tensor([0.0]), 3), "float32"),
        (lambda: one_hot(torch.zeros(2, 1, dtype=torch.long), 3), r"\(2, 1\)"),
        (lambda: classify(shift_flow(MEANS), MEANS, 1), "at least 2"),
        (lambda: classify(shift_flow(MEANS), MEANS, 3, [0.5, 0.5]), r"\(3,\), got \(2,\)"),
        (lambda: classify(shift_flow(MEANS), MEANS, 3, [0.5, 0.5, 0.5]), "sums to 1"),
        (lambda: classify(shift_flow(MEANS), MEANS[:, :1], 3), r"\(3, 1\)"),
        (lambda: classify(shift_flow(MEANS), MEANS, 3, draws=0), "draws"),
        (lambda: sample_classes(shift_flow(MEANS), 0, 3), "at least 1"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
