"""What the chapters claim in formulas and in the answers to exercises, held against computation."""

import math

import pytest
import torch
from torch import nn
from torch.func import jacrev, vmap
from torch.nn.functional import softplus

import nvpkit
from nvpkit.bijections import AdditiveCoupling, Bijection, Chain, Scaling, half_mask
from nvpkit.distributions import standard_normal
from nvpkit.metrics import bits_per_dim, grid_integral, log_det_error
from nvpkit.nets import MLP


class Square(nn.Module):
    def forward(self, kept):
        return -(kept**2)


class Sinh(Bijection):
    def forward(self, x, context=None):
        return x.sinh(), x.cosh().log().sum(1)


def test_predict_first_densities():
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(torch.tensor(0.0)).exp()
    assert round(2 * normal.item(), 3) == 0.798
    assert round(5 * normal.item(), 2) == 1.99


def test_logit_of_a_uniform_number_is_logistic():
    x = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    z = x.logit()
    log_density = -softplus(z) - softplus(-z) - (x * (1 - x)).log()
    assert torch.allclose(log_density, torch.zeros_like(x), atol=1e-12)


def test_banana_density():
    flow = nvpkit.Flow(AdditiveCoupling(half_mask(2, 0), Square()), standard_normal(2))
    x = torch.randn(200, 2)
    expected = -math.log(2 * math.pi) - x[:, 0] ** 2 / 2 - (x[:, 1] - x[:, 0] ** 2) ** 2 / 2
    assert torch.allclose(flow.log_prob(x), expected, atol=1e-5)
    assert flow.log_prob(x).max() <= flow.log_prob(torch.zeros(1, 2))


@pytest.mark.parametrize("times", [1, 2])
def test_a_forgotten_or_negated_log_det_shows_in_the_integral(times):
    s = torch.tensor([0.4, -0.9])
    layer = Scaling(2)
    layer.s.data = s
    flow = nvpkit.Flow(layer, standard_normal(2))
    integral = grid_integral(lambda x: flow.log_prob(x) - times * s.sum(), -16, 16, 800)
    assert integral == pytest.approx(math.exp(-times * s.sum().item()), rel=1e-3)


def test_planar_determinant():
    u, w, b = torch.randn(5).double(), torch.randn(5).double(), 0.3
    x = torch.randn(5).double()
    jacobian = jacrev(lambda v: v + u * torch.tanh(w @ v + b))(x)
    psi = (1 - torch.tanh(w @ x + b) ** 2) * w
    assert torch.allclose(torch.linalg.det(jacobian), 1 + psi @ u)


def test_sinh_layer_and_the_grid_it_needs():
    flow = nvpkit.Flow(Sinh(), standard_normal(2))
    assert log_det_error(flow.bijection, torch.randn(10, 2).double()) < 1e-12
    assert abs(grid_integral(flow.log_prob, -4, 4, 400) - 1) < 1e-5


def test_zeros_of_the_jacobian_after_one_and_two_couplings():
    layers = [AdditiveCoupling(half_mask(6, k % 2), MLP(3, 3, 16, activation=nn.Tanh)) for k in range(3)]
    counts = []
    for k in (1, 2, 3):
        chain = Chain(layers[:k])
        jacobian = vmap(jacrev(lambda v, chain=chain: chain(v[None])[0][0]))(torch.randn(20, 6))
        counts.append(int((jacobian.abs().sum(0) == 0).sum()))
    assert counts == [21, 6, 0]


def test_the_parabola_is_a_nice_model():
    stretch = Scaling(2)
    stretch.s.data = torch.tensor([0.0, -math.log(0.3)])
    flow = nvpkit.Flow(Chain([AdditiveCoupling(half_mask(2, 0), Square()), stretch]), standard_normal(2))
    target = nvpkit.data.parabola()
    x = target.sample(100, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(flow.log_prob(x), target.log_prob(x), atol=1e-4)
    assert round(target.entropy(), 3) == round(1 + math.log(2 * math.pi) + math.log(0.3), 3) == 1.634


def test_floor_of_digits_without_scaling():
    assert round(bits_per_dim(-64 * math.log(4), dims=64, levels=17), 2) == 6.09
    assert round(math.log2(17), 2) == 4.09


def test_a_dead_pixel_costs_a_third_of_a_bit():
    u = (torch.arange(1000) + 0.5) / 1000 - 0.5
    scale = torch.linspace(0.5, 20, 400)[:, None]
    nats = (softplus(scale * u) + softplus(-scale * u)).mean(1) - scale.log()[:, 0]
    assert round(nats.min().item() / math.log(2), 2) == 0.32


def test_the_moons_have_about_one_nat():
    assert nvpkit.data.moons().entropy() == pytest.approx(1.008, abs=2e-3)
