"""Every layer of the zoo keeps the contract: the same theorems for each, held against the autograd Jacobian."""

import copy

import pytest
import torch

from nvpkit.bijections import Bijection
from nvpkit.errors import ShapeError
from tests.bijections.zoo import CASES

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def jacobians(function, x, context):
    """The Jacobian of each sample on its own, so that a layer that mixes samples cannot pass."""
    found = []
    for i, v in enumerate(x):
        rest = [c[i : i + 1] for c in context]
        jacobian = torch.autograd.functional.jacobian(lambda v, rest=rest: function(v[None], *rest)[0][0].flatten(), v)
        found.append(jacobian.reshape(v.numel(), v.numel()))
    return torch.stack(found)


def test_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)


@every_case
@pytest.mark.parametrize("batch", [1, 3])
def test_log_det_is_log_abs_det_of_the_jacobian_both_ways(case, batch):
    layer, x, context = case.layer(), case.data(batch), case.contexts(batch)
    for function, point in ((layer.forward, x), (layer.inverse, layer(x, *context)[0].detach())):
        _, log_det = function(point, *context)
        assert log_det.shape == (batch,)
        expected = torch.linalg.slogdet(jacobians(function, point, context))[1]
        torch.testing.assert_close(log_det, expected, rtol=0, atol=max(1e-10, 100 * case.tolerance))


@every_case
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_round_trip_both_ways_and_log_dets_cancel(case, dtype):
    layer, x, context = case.layer(dtype), case.data(6, dtype), case.contexts(6, dtype)
    tolerance = case.tolerance * (1 if dtype == torch.float64 else 1e8)
    z = layer(x, *context)[0].detach()
    for start, there, back in ((x, layer.forward, layer.inverse), (z, layer.inverse, layer.forward)):
        y, log_det = there(start, *context)
        again, opposite = back(y, *context)
        torch.testing.assert_close(again, start, rtol=0, atol=tolerance)
        torch.testing.assert_close(log_det + opposite, torch.zeros(6, dtype=dtype), rtol=0, atol=10 * tolerance)
    same = z.shape == x.shape and torch.allclose(z, x)
    assert not (same and case.moves), "the layer does nothing: this test would pass for the identity"


@every_case
def test_float32_agrees_with_float64(case):
    x, context = case.data(4), case.contexts(4)
    z, log_det = case.layer()(x, *context)
    z32, log_det32 = case.layer(torch.float32)(x.float(), *(c.float() for c in context))
    torch.testing.assert_close(z32.double(), z, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(log_det32.double(), log_det, rtol=1e-4, atol=1e-4)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inputs_stay_and_results_keep_their_dtype(case, dtype):
    layer, x, context = case.layer(dtype), case.data(4, dtype), case.contexts(4, dtype)
    z = layer(x, *context)[0].detach()
    for function, point in ((layer.forward, x), (layer.inverse, z)):
        before, context_before = point.clone(), [c.clone() for c in context]
        y, log_det = function(point, *context)
        (y.sum() + log_det.sum()).backward() if y.requires_grad else None
        assert torch.equal(point, before)
        assert all(torch.equal(c, old) for c, old in zip(context, context_before))
        assert (y.dtype, log_det.dtype) == (dtype, dtype)


@every_case
def test_one_sample_does_not_depend_on_its_batch(case):
    layer, x, context = case.layer(), case.data(4), case.contexts(4)
    state = copy.deepcopy(layer.state_dict())
    for function, points in ((layer.forward, x), (layer.inverse, layer(x, *context)[0].detach())):
        y, log_det = function(points, *context)
        alone, alone_log_det = function(points[2:3], *(c[2:3] for c in context))
        torch.testing.assert_close(y[2:3], alone)
        torch.testing.assert_close(log_det[2:3], alone_log_det)
    # In eval mode no buffer changes.
    assert all(torch.equal(state[key], value) for key, value in layer.state_dict().items())


@every_case
def test_gradients_reach_every_parameter_and_the_input(case):
    layer, x = case.layer(), case.data(4).requires_grad_()
    z, log_det = layer(x, *case.contexts(4))
    (z.sin().sum() + log_det.sum()).backward()
    assert x.grad.abs().flatten(1).sum(1).min() > 0
    for label, parameter in layer.named_parameters():
        assert parameter.grad is not None, label
        assert parameter.grad.abs().sum() > 0, label


@every_case
@pytest.mark.parametrize("way", ["forward", "inverse"])
def test_gradients_of_values_and_log_det_are_those_of_finite_differences(case, way):
    layer, context = case.layer(), case.contexts(3)
    start = layer(case.data(3), *context)[0].detach() if way == "inverse" else case.data(3)
    point = [start.requires_grad_(), *layer.parameters()]
    directions = [torch.randn_like(p) for p in point]

    def value():
        y, log_det = getattr(layer, way)(point[0], *context)
        weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype)
        return (weights * y.flatten()).sum() + (log_det * torch.tensor([1.0, -2.0, 3.0], dtype=y.dtype)).sum()

    slope = sum((g * d).sum() for g, d in zip(torch.autograd.grad(value(), point), directions))
    step, values = 1e-5, []
    with torch.no_grad():
        for move in (step, -2 * step):
            for p, d in zip(point, directions):
                p.add_(d, alpha=move)
            values.append(value())
    torch.testing.assert_close(slope, (values[0] - values[1]) / (2 * step), rtol=1e-5, atol=1e-6)


@every_case
def test_state_survives_save_and_load(case, tmp_path):
    layer, other, x, context = case.layer(), case.make().double().eval(), case.data(3), case.contexts(3)
    torch.save(layer.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    z = layer(x, *context)[0]
    assert torch.equal(z, other(x, *context)[0])
    assert torch.equal(layer.inverse(z, *context)[0], copy.deepcopy(layer).inverse(z, *context)[0])


@pytest.mark.parametrize("case", [case for case in CASES if case.context], ids=lambda case: case.name)
def test_context_matters_and_stays_with_its_row(case):
    layer, x, (context,) = case.layer(), case.data(4), case.contexts(4)
    z, log_det = layer(x, context)
    assert not torch.allclose(z, layer(x, context + 1)[0])
    order = torch.tensor([2, 0, 3, 1])
    shuffled, shuffled_log_det = layer(x[order], context[order])
    torch.testing.assert_close(shuffled, z[order])
    torch.testing.assert_close(shuffled_log_det, log_det[order])


@pytest.mark.parametrize("case", [c for c in CASES if len(c.free) < len(c.shape)], ids=lambda case: case.name)
def test_wrong_shapes_are_named(case):
    layer = case.layer()
    z = layer(case.data(3), *case.contexts(3))[0]
    for function, shape in ((layer.forward, (3, *case.shape)), (layer.inverse, tuple(z.shape))):
        free = case.free if len(shape) == len(case.shape) + 1 else ()
        longer = [n + (axis > 0 and axis - 1 not in free) for axis, n in enumerate(shape)]
        for wrong in (tuple(longer), (*shape, 1), (3,)):
            with pytest.raises(ShapeError) as raised:
                function(torch.zeros(wrong, dtype=torch.float64), *case.contexts(3))
            assert str(wrong) in str(raised.value)
            assert "expects" in str(raised.value)


@every_case
def test_it_is_a_bijection_and_shows_what_it_is(case):
    layer = case.make()
    assert isinstance(layer, Bijection)
    assert type(layer).__name__ in repr(layer)
    assert any(mark in repr(layer) for mark in ("=", "Chain"))


@every_case
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_on_a_gpu_results_stay_there_and_are_those_of_the_cpu(case):
    layer, x, context = case.layer(), case.data(4), case.contexts(4)
    z, log_det = layer(x, *context)
    there = copy.deepcopy(layer).cuda()
    z_gpu, log_det_gpu = there(x.cuda(), *(c.cuda() for c in context))
    back, _ = there.inverse(z_gpu, *(c.cuda() for c in context))
    assert {t.device.type for t in (z_gpu, log_det_gpu, back)} == {"cuda"}
    torch.testing.assert_close(z_gpu.cpu(), z)
    torch.testing.assert_close(log_det_gpu.cpu(), log_det)
    torch.testing.assert_close(back.cpu(), x)
