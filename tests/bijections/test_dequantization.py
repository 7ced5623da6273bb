"""Learned dequantisation noise: an exact density on the cell, uniform untrained, and a tighter bound once trained."""

import math

import pytest
import torch

from nvpkit.bijections import ActNorm, Chain, Dequantize, Logit, VariationalNoise
from nvpkit.distributions import standard_normal
from nvpkit.errors import ShapeError
from nvpkit.flow import Flow

shapes = pytest.mark.parametrize("shape", [(1, 2, 4), (2, 3, 2)], ids=["squeezed", "odd side"])


def noise(shape, levels=17, scale=0.3):
    q = VariationalNoise(shape, levels, width=4).double()
    with torch.no_grad():
        for parameter in q.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return q


def integers(n, shape, levels=17):
    return torch.randint(levels, (n, *shape)).double()


@shapes
def test_log_q_is_that_of_the_change_of_variables(shape):
    q, x, start = noise(shape), integers(3, shape), torch.rand(3, *shape, dtype=torch.float64)
    u, log_q = q(x, start)
    for i in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda e, i=i: q(x[i : i + 1], e[None])[0][0], start[i])
        expected = -torch.linalg.slogdet(jacobian.reshape(u[i].numel(), -1))[1]
        torch.testing.assert_close(log_q[i], expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(q.log_prob(u, x), log_q)


@shapes
def test_the_density_of_u_integrates_to_one_and_depends_on_x(shape):
    # Small weights: steep ones have tails that a mean over uniform points does not see.
    q, x = noise(shape, scale=0.15), integers(1, shape)
    u = torch.rand(20_000, *shape, dtype=torch.float64)
    with torch.no_grad():
        density = q.log_prob(u, x.expand(len(u), *shape)).exp()
        assert not torch.allclose(q.log_prob(u[:1], x), q.log_prob(u[:1], (x + 5) % 17))
    assert abs(density.mean() - 1) < 5 * density.std() / math.sqrt(len(u))
    assert density.std() > 0.1, "too flat to tell anything"


@shapes
def test_untrained_it_is_the_uniform_density(shape):
    q, start = VariationalNoise(shape), torch.rand(3, *shape)
    u, log_q = q(integers(3, shape).float(), start)
    torch.testing.assert_close(u, start)
    torch.testing.assert_close(log_q, torch.zeros(3), rtol=0, atol=1e-5)


@shapes
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_every_integer_comes_back_whatever_q_does(shape, levels):
    for scale in (0.3, 3.0):
        layer = Dequantize(levels, noise(shape, levels, scale).float())
        x = integers(50, shape, levels).float()
        z, log_det = layer(x)
        assert bool(((z > 0) & (z < 1)).all())
        assert bool(torch.isfinite(log_det).all())
        assert torch.equal(layer.inverse(z)[0], x)


@shapes
def test_log_dets_cancel_for_the_same_noise(shape):
    layer, x = Dequantize(17, noise(shape)).double(), integers(4, shape)
    z, log_det = layer(x)
    again, opposite = layer.inverse(z)
    assert torch.equal(again, x)
    torch.testing.assert_close(log_det + opposite, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_u_stays_strictly_inside_even_where_the_sigmoid_rounds(dtype):
    q, x = noise((1, 2, 2), scale=5.0).to(dtype), integers(500, (1, 2, 2)).to(dtype)
    u, log_q = q(x)
    assert bool(((u > 0) & (u < 1)).all())
    assert bool(torch.isfinite(log_q).all())
    assert bool(torch.isfinite(q.log_prob(u, x)).all())


def test_the_noise_is_fresh_and_reaches_gradients():
    layer, x = Dequantize(17, noise((1, 2, 2))).double(), integers(4, (1, 2, 2))
    assert not torch.equal(layer(x)[0], layer(x)[0])
    z, log_det = layer(x)
    (z.sum() + log_det.sum()).backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_a_trained_q_closes_the_gap_to_the_exact_log_mass():
    # Logit, an affine map, a normal: the mass of a cell is a difference of two values of the normal's cdf.
    levels, shape = 4, (1, 2, 2)
    norm = ActNorm(1).eval()
    norm.log_scale.data.fill_(1.5)
    norm.shift.data.fill_(6.0)
    q = VariationalNoise(shape, levels, width=8)
    flows = {
        name: Flow(Chain([Dequantize(levels, noise), Logit(), norm]), standard_normal(shape))
        for name, noise in (("uniform", None), ("learned", q))
    }
    images = torch.tensor([[0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]]).reshape(3, *shape)
    edges = norm(Logit()(torch.arange(levels + 1.0)[:, None, None, None] / levels)[0])[0].flatten()
    mass = torch.special.ndtr(edges.double()).diff()
    exact = mass.log()[images].sum((1, 2, 3)).detach()

    optimiser = torch.optim.Adam(q.parameters(), 5e-3)
    for _ in range(250):
        optimiser.zero_grad()
        (-flows["learned"].log_prob(images.repeat(32, 1, 1, 1)).mean()).backward()
        optimiser.step()
    with torch.no_grad():
        gap = {name: exact - flow.log_prob(images.repeat(2000, 1, 1, 1)).reshape(2000, 3).mean(0)
               for name, flow in flows.items()}  # fmt: skip
    assert bool((gap["uniform"] > 0.5).all())
    assert bool((gap["learned"] > -0.02).all())
    assert bool((gap["learned"] < 0.25 * gap["uniform"]).all())


def test_another_shape_is_named():
    with pytest.raises(ShapeError, match=r"VariationalNoise expects shape \(B, 1, 4, 4\), got \(2, 1, 4, 6\)"):
        VariationalNoise((1, 4, 4))(torch.zeros(2, 1, 4, 6))
