"""Planar flow: w.u' > -1 whatever the parameters, the determinant lemma, an inverse down to rounding."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvpkit.bijections import Planar


def planar(dim, scale=1.0, seed=0, dtype=torch.float64):
    layer = Planar(dim).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        parameter.data.copy_(scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return layer.requires_grad_(False)


@given(seed=st.integers(0, 1000), scale=st.sampled_from([0.1, 1.0, 5.0]))
def test_the_guard_keeps_the_map_increasing_along_w(seed, scale):
    layer = planar(4, scale, seed)
    direction, slope = layer._guarded()
    assert slope > 0
    torch.testing.assert_close(1 + layer.w @ direction, slope, rtol=1e-7, atol=1e-9)
    # Along w: w.z is an increasing function of w.x.
    x = torch.linspace(-20, 20, 400, dtype=torch.float64)[:, None] * layer.w / (layer.w @ layer.w)
    assert bool(((layer(x)[0] @ layer.w).diff() > 0).all())


def test_without_need_the_guard_is_the_papers():
    layer = planar(3)
    product = layer.w @ layer.u
    m = -1 + torch.log1p(product.exp())
    expected = layer.u + (m - product) * layer.w / (layer.w @ layer.w)
    x = torch.randn(5, 3, dtype=torch.float64)
    psi = (1 - torch.tanh(x @ layer.w + layer.b) ** 2)[:, None] * layer.w
    z, log_det = layer(x)
    torch.testing.assert_close(z, x + torch.tanh(x @ layer.w + layer.b)[:, None] * expected)
    torch.testing.assert_close(log_det, (1 + psi @ expected).abs().log())


@given(seed=st.integers(0, 1000), scale=st.sampled_from([0.3, 1.0, 3.0]))
@pytest.mark.parametrize(("dtype", "eps"), [(torch.float64, 2.3e-16), (torch.float32, 1.2e-7)])
def test_the_inverse_is_exact_up_to_rounding(dtype, eps, seed, scale):
    layer = planar(3, scale, seed, dtype)
    x = 3 * torch.randn(50, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    z, log_det = layer(x)
    again, opposite = layer.inverse(z)
    # What was rounded in z comes back divided by the map's slope, whatever the solver.
    allowed = 100 * eps * (1 + x.abs().amax(1) + layer._guarded()[0].abs().max()) * (1 + (-log_det).exp())
    assert bool(((again - x).abs().amax(1) <= allowed).all())
    assert bool(((log_det + opposite).abs() <= 100 * allowed * (1 + (-log_det).exp())).all())


def test_steep_and_strange_parameters_stay_finite():
    for w, u in (([50.0, 0.0], [-50.0, 1.0]), ([1e-6, 0.0], [3.0, 1.0]), ([0.0, 0.0], [2.0, -1.0])):
        layer = Planar(2)
        layer.w.data, layer.u.data = torch.tensor(w), torch.tensor(u)
        x = torch.cat([torch.randn(50, 2), torch.zeros(1, 2)])
        z, log_det = layer(x)
        assert bool(torch.isfinite(z).all())
        assert bool(torch.isfinite(log_det).all())
        assert bool(torch.isfinite(layer.inverse(z)[0]).all())


def test_with_w_zero_all_points_move_alike():
    layer = Planar(2)
    layer.w.data.zero_()
    layer.b.data.fill_(0.7)
    x = torch.randn(5, 2)
    z, log_det = layer(x)
    torch.testing.assert_close(z - x, (torch.tanh(torch.tensor(0.7)) * layer.u).expand(5, 2))
    assert torch.equal(log_det, torch.zeros(5))


def test_the_untrained_layer_is_the_identity_and_learns():
    layer, x = Planar(5), torch.randn(4, 5)
    z, log_det = layer(x)
    torch.testing.assert_close(z, x)
    torch.testing.assert_close(log_det, torch.zeros(4), rtol=0, atol=1e-6)
    (z.square().sum() - log_det.sum()).backward()
    assert layer.u.grad.abs().sum() > 0


def test_a_dimension_that_is_none_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Planar(0)
