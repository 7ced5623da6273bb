"""The parts of training: one vector of parameters, averages, precision, the culprit of a NaN, capture."""

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from nvpkit import Bijection, Flow, models
from nvpkit.bijections import AffineCoupling, BatchNorm, Chain, Scaling, half_mask
from nvpkit.data import parabola
from nvpkit.distributions import standard_normal
from nvpkit.nets import MLP
from nvpkit.training import fit
from nvpkit.training.averaging import Average
from nvpkit.training.capture import WARM_UP, CapturedStep, should_capture
from nvpkit.training.diagnosis import find_culprit
from nvpkit.training.flat import FlatParameters
from nvpkit.training.precision import bfloat16_conditioners
from nvpkit.training.run import LOOK_EVERY
from nvpkit.training.step import Step, make_optimizer

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def affine(n=4, layers=(), scale=0.5):
    """A flow of affine couplings with random weights of moderate size."""
    torch.manual_seed(0)
    couplings = [AffineCoupling(half_mask(2, i % 2), MLP(1, 2, 16)) for i in range(n)]
    flow = Flow(Chain([*couplings, *layers]), standard_normal(2))
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape))
    return flow


def quietly(flow, data, **settings):
    return fit(flow, data, progress=False, **{"steps": 20, "batch_size": 32, "lr": 1e-2, **settings})


# One vector of parameters


def test_flat_parameters_are_the_same_parameters_with_the_same_gradients():
    flow, x = affine(), torch.randn(8, 2)
    before = [parameter.detach().clone() for parameter in flow.parameters()]
    (-flow.log_prob(x).mean()).backward()
    expected = [parameter.grad.clone() for parameter in flow.parameters()]
    flat = FlatParameters(flow)
    for _ in range(2):  # zero_grad forgets the first
        flat.zero_grad()
        (-flow.log_prob(x).mean()).backward()
    assert all(torch.equal(p.grad, g) for p, g in zip(flow.parameters(), expected))
    assert flat.norm() == pytest.approx(torch.cat([g.flatten() for g in expected]).norm().item(), rel=1e-5)
    flat.vectors[0].data.mul_(2)
    flat.release()
    assert all(torch.equal(parameter, 2 * value) for parameter, value in zip(flow.parameters(), before))
    own = [p.untyped_storage().nbytes() == p.numel() * p.element_size() for p in flow.parameters()]
    assert all(own)


def test_a_fit_is_adam_with_the_clipped_gradient_of_the_mean_nll():
    data = parabola().sample(64)
    flow, reference = affine(), affine()
    optimizer = torch.optim.Adam(reference.parameters(), lr=1e-2, betas=(0.9, 0.99))
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = -reference.log_prob(data).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    history = quietly(flow, data, steps=5, batch_size=64, clip=0.5, schedule="constant", warm_up=0)
    assert history.loss == pytest.approx(losses, rel=1e-4)
    for ours, theirs in zip(flow.parameters(), reference.parameters()):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_an_optimiser_of_ones_own_and_parameters_that_stand_still():
    flow = affine()
    still = flow.bijection.layers[0].net.layers[0].weight.requires_grad_(False).clone()
    before = flow.bijection.layers[1].net.layers[0].weight.detach().clone()
    quietly(flow, parabola(), steps=3, optimizer=lambda vectors, lr: torch.optim.SGD(vectors, lr=lr))
    assert torch.equal(flow.bijection.layers[0].net.layers[0].weight, still)
    assert not torch.equal(flow.bijection.layers[1].net.layers[0].weight, before)
    quietly(affine(), parabola(), steps=3, optimizer="adamw")
    with pytest.raises(ValueError, match="optimizer must be one of adam, adamw"):
        quietly(affine(), parabola(), optimizer="adagrad")

    def fails(vectors, lr):
        raise KeyError("no such optimiser")

    flow = affine()
    with pytest.raises(KeyError):
        quietly(flow, parabola(), optimizer=fails)
    assert all(p.untyped_storage().nbytes() == p.numel() * p.element_size() for p in flow.parameters())


# Averaging


def test_the_average_equals_the_reference_formula():
    layer = torch.nn.Linear(3, 2).double()
    average = Average(list(layer.parameters()), decay=0.9)
    count = iter(range(1, 100))

    def mixed(averages, weights, _):
        decay = min(0.9, (1 + (t := next(count))) / (10 + t))
        torch._foreach_mul_(averages, decay)
        torch._foreach_add_(averages, weights, alpha=1 - decay)

    reference = AveragedModel(layer, multi_avg_fn=mixed)
    reference.n_averaged.fill_(1)  # else the first update is a copy
    for t in range(1, 100):
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update(t)
        reference.update_parameters(layer)
    for ours, theirs in zip(average.averages, reference.module.parameters()):
        torch.testing.assert_close(ours, theirs.detach())


def test_the_averaged_weights_and_statistics_are_validated_and_kept():
    flow, data, seen = affine(2, [BatchNorm(2)]), parabola().sample(300), []
    norm = flow.bijection.layers[-1]

    def statistics():
        return [norm.running_mean.clone(), norm.running_var.clone()]

    class Recorded(torch.optim.SGD):
        def step(self):
            super().step()
            seen.append([self.param_groups[0]["params"][0].detach().clone(), *statistics()])

    flat = FlatParameters(flow)
    expected = [flat.vectors[0].detach().clone(), *statistics()]
    flat.release()
    settings = {"steps": 12, "average": 0.5, "validate_every": 12, "validation": data}
    history = quietly(flow, data, optimizer=lambda vectors, lr: Recorded(vectors, lr=lr), **settings)
    for t, state in enumerate(seen, start=1):
        decay = min(0.5, (1 + t) / (10 + t))
        expected = [decay * a + (1 - decay) * w for a, w in zip(expected, state)]
    for ours, theirs, last in zip([FlatParameters(flow).vectors[0].detach(), *statistics()], expected, seen[-1]):
        torch.testing.assert_close(ours, theirs)
        assert not torch.allclose(ours, last, rtol=1e-4)
    assert -flow.log_prob(data).mean().item() == pytest.approx(history.validation[-1][1], abs=1e-5)


def test_an_average_forgets_the_untrained_weights_soon():
    flow, data = models.nice(2, hidden=16), parabola().sample(2000)
    history = quietly(flow, data, steps=150, lr=1e-2, batch_size=256, average=0.9999)
    # A plain average with this decay would still be the untrained flow, 4.1 nats.
    assert -flow.log_prob(data).mean().item() < sum(history.loss[-20:]) / 20 + 0.2


# Precision


def test_conditioners_run_in_bfloat16_and_the_maps_do_not():
    flow, x, seen = affine(8, scale=0.3).eval(), torch.randn(20_000, 2), []
    coupling = flow.bijection.layers[0]
    coupling.net.layers[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    with torch.no_grad():
        z, _ = flow(x)
        exact, _ = flow.inverse(z)
        seen.clear()
        with bfloat16_conditioners(flow):
            z16, log_det = flow(x)
            back, _ = flow.inverse(z16)
            s_and_t = coupling.net(x[:, :1])
    assert set(seen) == {torch.bfloat16}
    assert {z16.dtype, log_det.dtype, back.dtype, s_and_t.dtype} == {torch.float32}
    assert 1e-4 < (z16 - z).abs().max() < 0.5
    # Where a kept entry comes back one rounding off, bfloat16 may give s and t another third digit.
    assert (back - x).abs().max() > 30 * (exact - x).abs().max()
    seen.clear()
    assert torch.equal(flow(x)[0], z)
    assert set(seen) == {torch.float32}
    assert "forward" not in vars(coupling.net)


def test_a_training_with_bfloat16_conditioners_validates_in_full_precision():
    flow, seen = affine(), {True: set(), False: set()}
    net = flow.bijection.layers[0].net
    net.layers[0].register_forward_hook(lambda module, inputs, output: seen[module.training].add(output.dtype))
    x = parabola().sample(200)
    history = quietly(flow, x, steps=10, validation=x, bf16=True)
    assert seen == {True: {torch.bfloat16}, False: {torch.float32}}
    assert history.loss[-1] < history.loss[0]
    assert history.best_validation == pytest.approx(-flow.log_prob(x).mean().item(), abs=1e-5)
    assert {p.dtype for p in flow.parameters()} == {torch.float32}


# The culprit of a NaN


class Spoils(Bijection):
    """The identity until x grows large; then one value is lost."""

    def __init__(self, to=torch.nan):
        super().__init__()
        self.to = to

    def forward(self, x, context=None):
        return torch.where(x.abs() > 50, self.to, x), x.new_zeros(len(x))


class SpoilsTheGradient(torch.nn.Module):
    def forward(self, x):
        return x + (x * 0).sqrt()


@pytest.mark.parametrize("n_before", [0, 1, 3])
def test_the_layer_in_the_middle_that_makes_nan_is_named(n_before):
    flow = affine(3)
    flow.bijection.layers.insert(n_before, Spoils())
    x = torch.full((4, 2), 1.0)
    with torch.no_grad():
        assert find_culprit(flow, x) == "not seen again when the batch was run a second time"
    flow.bijection.layers[n_before].to = torch.inf
    layers = flow.bijection.layers
    layers[n_before].forward = lambda x, context=None: (x * torch.nan, x.new_zeros(len(x)))
    assert find_culprit(flow, x) == f"first in bijection.layers.{n_before} (Spoils)"


def test_a_fit_names_the_layer_and_keeps_the_last_good_weights():
    flow, data = affine(2), torch.cat([parabola().sample(640), torch.full((1, 2), 1e3)])
    flow.bijection.layers.insert(1, Spoils())
    flow.bijection.layers[0].net.layers[2].weight.data.zero_()
    flow.bijection.layers[0].net.layers[2].bias.data.zero_()
    message = r"the loss is nan at step \d+, first in bijection\.layers\.1 \(Spoils\)"
    with pytest.raises(FloatingPointError, match=message):
        quietly(flow, data, steps=200)
    assert torch.isfinite(flow.log_prob(parabola().sample(100))).all()
    assert not flow.training


def test_weights_inside_a_net_a_gradient_a_base_and_a_batch_are_told_apart():
    x = torch.randn(4, 2)
    flow = affine()
    flow.bijection.layers[2].net.layers[1] = SpoilsTheGradient()
    assert "gradient of bijection.layers.2.net.layers.0" in find_culprit(flow, x)
    flow = affine()
    flow.bijection.layers[2].net.layers[1] = torch.nn.Threshold(1e9, torch.inf)
    assert find_culprit(flow, x) == "first in bijection.layers.2.net.layers.1 (Threshold)"
    flow = Flow(Scaling(2), standard_normal(2))
    assert find_culprit(flow, 1e30 * x).startswith("in the base density")
    assert find_culprit(flow, x * torch.nan) == "the batch itself holds NaN or infinite values"
    assert all(not module._forward_hooks for module in flow.modules())


class FromThenOn:
    """Good batches, then batches times a factor."""

    def __init__(self, good, target, factor):
        self.left, self.target, self.factor = good, target, factor

    def sample(self, n, generator=None):
        self.left -= 1
        return self.target.sample(n, generator) * (1 if self.left >= 0 else self.factor)


def test_the_weights_that_met_a_bad_batch_are_kept_and_exploded_ones_are_not():
    flow, reference = affine(2, [BatchNorm(2)]), affine(2, [BatchNorm(2)])
    settings = {"schedule": "constant", "warm_up": 1}
    quietly(reference, FromThenOn(13, parabola(), 1e30), steps=13, **settings)
    with pytest.raises(FloatingPointError, match="at step 14"):
        quietly(flow, FromThenOn(13, parabola(), 1e30), steps=200, **settings)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(flow.parameters(), reference.parameters()))
    assert all(torch.isfinite(value).all() for value in flow.state_dict().values() if value.is_floating_point())
    with pytest.raises(FloatingPointError, match="at step 2"):
        quietly(flow, parabola(), lr=1e30)
    assert torch.isfinite(flow.log_prob(parabola().sample(100))).all()


# Capture


class Counts:
    """A step that a CPU can take too, with the sticky flag that a GPU reads late."""

    def __init__(self):
        self.flow = affine(2)
        self.flat = FlatParameters(self.flow)
        self.step = Step(self.flow.log_prob, self.flat, make_optimizer("adam", self.flat.vectors, 1e-2), 100.0)


def test_after_a_bad_batch_no_step_moves_the_weights():
    run, x = Counts(), torch.randn(16, 2)
    before = run.flat.vectors[0].detach().clone()
    loss, norm = run.step(x, None)
    assert torch.isfinite(norm)
    assert loss == -affine(2).log_prob(x).mean()
    after = run.flat.vectors[0].detach().clone()
    assert not torch.equal(after, before)
    with run.flow.trusted():
        assert not torch.isfinite(run.step(x * torch.nan, None)[0])
    run.step(x, None)
    assert torch.equal(run.flat.vectors[0], after)
    assert run.step.stopped == 1


def test_looking_late_at_the_losses_changes_nothing(monkeypatch):
    """What a GPU does, on a CPU: seven steps are made before anyone looks at their losses."""
    results = []
    for look_every in (1, 7):
        monkeypatch.setitem(LOOK_EVERY, "cpu", look_every)
        flow = affine(2, [BatchNorm(2)])
        settings = {"steps": 40, "average": 0.9, "validate_every": 9}
        history = quietly(flow, parabola(), validation=parabola(), **settings)
        with pytest.raises(FloatingPointError, match=r"at step 19, the batch itself"):
            quietly(flow, FromThenOn(18, parabola(), torch.nan), validation=parabola().sample(9), **settings)
        assert all(torch.isfinite(value).all() for value in flow.state_dict().values() if value.is_floating_point())
        results.append((history, [p.detach().clone() for p in flow.parameters()]))
    (one, weights), (other, as_late) = results
    assert (one.loss, one.validation, one.best_step) == (other.loss, other.validation, other.best_step)
    assert all(torch.equal(early, late) for early, late in zip(weights, as_late))


def test_when_to_capture():
    flow, gpu, cpu = affine(), torch.device("cuda"), torch.device("cpu")
    assert should_capture("auto", flow, gpu, False, "adam")
    assert not should_capture("auto", flow, cpu, False, "adam")
    assert not should_capture("auto", flow, gpu, True, "adam")
    assert not should_capture("auto", flow, gpu, False, torch.optim.SGD)
    assert not should_capture("auto", torch.nn.Linear(3000, 3000), gpu, False, "adam")
    assert should_capture(True, flow, gpu, True, "adam")
    assert not should_capture(False, flow, gpu, False, "adam")
    with pytest.raises(ValueError, match="needs a CUDA device"):
        quietly(flow, parabola(), capture=True, device="cpu")
    with pytest.raises(ValueError, match="True, False or"):
        quietly(flow, parabola(), capture="always")


def test_the_first_steps_run_as_usual_and_the_rest_are_replayed(monkeypatch):
    """The order of things, with a graph that only counts: what is copied in, captured and replayed."""
    done = []

    class Graph:
        def replay(self):
            done.append("replay")

    captured = CapturedStep(lambda x, context: done.append("step") or x.sum())
    monkeypatch.setattr(captured, "_aside", lambda x, context: captured.step(x, context))

    def capture(x, context):
        captured.x, captured.context, captured.result, captured.graph = x.clone(), None, torch.zeros(2), Graph()

    monkeypatch.setattr(captured, "_capture", capture)
    for value in range(WARM_UP + 3):
        result = captured(torch.full((2,), float(value)), None)
    assert done == ["step"] * WARM_UP + ["replay"] * 3
    assert torch.equal(captured.x, torch.full((2,), WARM_UP + 2.0))
    assert result is captured.result
    with pytest.raises(ValueError, match=r"captured for x of shape \(2,\), got \(3,\)"):
        captured(torch.zeros(3), None)


@CUDA
def test_a_captured_training_is_the_eager_one():
    data = parabola().sample(1000).cuda()
    flows, losses = [], []
    for capture in (False, True):
        flow = models.real_nvp(2, hidden=16)
        torch.manual_seed(0)
        for parameter in flow.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        history = quietly(flow, data, steps=120, device="cuda", capture=capture, average=0.99)
        assert history.captured is capture
        flows.append(flow)
        losses.append(history.loss)
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    x = parabola().sample(10)
    torch.testing.assert_close(flows[0].log_prob(x), flows[1].log_prob(x), atol=1e-2, rtol=1e-2)


@CUDA
def test_a_captured_training_resumes(tmp_path):
    settings = {"steps": 90, "device": "cuda", "capture": True, "checkpoint": tmp_path / "run.pt"}
    quietly(affine(), parabola().sample(500), max_seconds=0, **settings)
    history = quietly(affine(), parabola().sample(500), resume=True, **settings)
    assert history.ended == "steps"
    assert len(history.loss) == 90
