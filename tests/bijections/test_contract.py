"""Every layer keeps the contract: the same theorems, held against the autograd Jacobian, for each of them."""

import copy

import pytest
import torch

from nvpkit.bijections import (
    AdditiveCoupling,
    Bijection,
    Chain,
    Dequantize,
    MaskedAdditiveCoupling,
    Scaling,
    alternating_mask,
    half_mask,
)
from nvpkit.nets import MLP


def additive(dim, mask):
    kept = int(mask.sum())
    return AdditiveCoupling(mask, MLP(kept, dim - kept, (16, 16), activation=torch.nn.Tanh))


LAYERS = {
    "additive half": lambda dim: additive(dim, half_mask(dim, 0)),
    "additive other half": lambda dim: additive(dim, half_mask(dim, 1)),
    "additive alternating": lambda dim: additive(dim, alternating_mask(dim, 1)),
    "masked additive": lambda dim: MaskedAdditiveCoupling(half_mask(dim, 0), MLP(dim, dim, (16,), torch.nn.Tanh)),
    "scaling": Scaling,
    "chain": lambda dim: Chain(
        [additive(dim, half_mask(dim, 0)), Scaling(dim), additive(dim, half_mask(dim, 1)), Scaling(dim)]
    ),
    "chain of chains": lambda dim: Chain([Chain([Scaling(dim)]), Chain([additive(dim, alternating_mask(dim, 0))])]),
}

pytestmark = pytest.mark.parametrize("name", LAYERS)


def randomised(name, dim, dtype=torch.float64):
    """A layer whose weights hide nothing: zero-initialised ones would test the identity."""
    layer = LAYERS[name](dim).to(dtype)
    generator = torch.Generator().manual_seed(len(name) * 10 + dim)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return layer


def jacobians(function, x):
    """The Jacobian of each sample on its own, so that a layer that mixes samples cannot pass."""
    one = lambda v: function(v[None])[0][0]  # noqa: E731
    return torch.stack([torch.autograd.functional.jacobian(one, v) for v in x])


@pytest.mark.parametrize("dim", [2, 3, 7])
@pytest.mark.parametrize("batch", [1, 5])
def test_log_det_is_log_abs_det_of_the_jacobian_both_ways(name, dim, batch):
    layer, x = randomised(name, dim), torch.randn(batch, dim, dtype=torch.float64)
    for function, point in ((layer.forward, x), (layer.inverse, layer(x)[0].detach())):
        _, log_det = function(point)
        assert log_det.shape == (batch,)
        torch.testing.assert_close(log_det, torch.linalg.slogdet(jacobians(function, point))[1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("dim", [2, 3, 7])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_round_trip_both_ways_and_log_dets_cancel(name, dim, dtype, tolerance):
    layer, x = randomised(name, dim, dtype), torch.randn(6, dim, dtype=dtype)
    for there, back in ((layer.forward, layer.inverse), (layer.inverse, layer.forward)):
        y, log_det = there(x)
        again, opposite = back(y)
        torch.testing.assert_close(again, x, rtol=0, atol=tolerance)
        torch.testing.assert_close(log_det + opposite, torch.zeros(6, dtype=dtype), rtol=0, atol=tolerance)
        assert not torch.allclose(y, x), "the layer does nothing: this test would pass for the identity"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inputs_stay_and_results_keep_their_dtype(name, dtype):
    layer, x = randomised(name, 5, dtype), torch.randn(4, 5, dtype=dtype)
    before = x.clone()
    for function in (layer.forward, layer.inverse):
        y, log_det = function(x)
        assert torch.equal(x, before)
        assert (y.dtype, log_det.dtype) == (dtype, dtype)


def test_one_sample_does_not_depend_on_its_batch(name):
    layer, x = randomised(name, 5), torch.randn(4, 5, dtype=torch.float64)
    z, log_det = layer(x)
    alone, alone_log_det = layer(x[2:3])
    torch.testing.assert_close(z[2:3], alone)
    torch.testing.assert_close(log_det[2:3], alone_log_det)


def test_gradients_reach_every_parameter_and_the_input(name):
    layer, x = randomised(name, 5), torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    z, log_det = layer(x)
    (z.sin().sum() + log_det.sum()).backward()
    assert x.grad.abs().min() > 0
    for label, parameter in layer.named_parameters():
        assert parameter.grad is not None, label
        assert parameter.grad.abs().sum() > 0, label


def test_state_survives_save_and_load(name, tmp_path):
    layer, other = randomised(name, 5), LAYERS[name](5).double()
    x = torch.randn(3, 5, dtype=torch.float64)
    torch.save(layer.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(layer(x)[0], other(x)[0])
    assert torch.equal(layer.inverse(x)[0], copy.deepcopy(layer).inverse(x)[0])


def test_wrong_shapes_are_named(name):
    layer = randomised(name, 5)
    for function in (layer.forward, layer.inverse):
        with pytest.raises(ValueError, match=r"\(B, 5\), got \(3, 4\)"):
            function(torch.zeros(3, 4, dtype=torch.float64))


def test_it_is_a_bijection_that_shows_its_dimension(name):
    layer = LAYERS[name](5)
    assert isinstance(layer, Bijection)
    assert isinstance(Dequantize(2), Bijection)
    assert any(mark in repr(layer) for mark in ("mask=", "dim=5"))
