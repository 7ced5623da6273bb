"""Training: it converges, it is repeatable, it can be interrupted, and it stops cleanly."""

import math

import pytest
import torch

from nvpkit import Bijection, Flow, models
from nvpkit.bijections import AdditiveCoupling, Chain, Scaling, half_mask
from nvpkit.data import moons, parabola
from nvpkit.distributions import random_gaussian_mixture, standard_normal
from nvpkit.metrics import kl_to
from nvpkit.nets import MLP
from nvpkit.training import History, fit
from nvpkit.training.schedules import factor
from tests.small_trainings import quietly, same, small, state


@pytest.mark.parametrize("kind", ["toy", "tensor", "mixture"])
def test_it_converges_on_each_kind_of_data(kind):
    target = random_gaussian_mixture(2, 1, torch.Generator().manual_seed(0)) if kind == "mixture" else parabola()
    data = target.sample(5000) if kind == "tensor" else target
    flow = small(base="normal")
    before, _ = kl_to(flow, target, 5000)
    history = quietly(flow, data, steps=400, lr=1e-2, batch_size=256)
    after, error = kl_to(flow, target, 20_000)
    assert -3 * error < after < 0.12
    assert before > 5 * after
    assert len(history.loss) == 400
    assert sum(history.loss[-50:]) < sum(history.loss[:50])
    assert history.seconds > 0


@pytest.mark.parametrize("data", [parabola(), parabola().sample(100)])
def test_the_seed_decides_and_the_global_generator_is_neither_used_nor_changed(data):
    results = []
    for seed, outside in ((1, 10), (1, 11), (2, 10)):
        flow = small()
        torch.manual_seed(outside)
        before = torch.get_rng_state()
        losses = quietly(flow, data, seed=seed).loss
        assert torch.equal(torch.get_rng_state(), before)
        results.append((losses, state(flow)))
    assert results[0][0] == results[1][0]
    assert same(results[0][1], results[1][1])
    assert results[0][0] != results[2][0]


def test_a_double_flow_trains_on_toys():
    flow = small().double()
    quietly(flow, parabola(), steps=3, validation=parabola())
    assert flow.dtype == torch.float64


def test_every_sample_is_seen_once_in_each_epoch():
    data, seen = torch.arange(10.0)[:, None].expand(10, 2).contiguous(), []
    flow = small()
    original = flow.log_prob
    flow.log_prob = lambda x: (seen.extend(x[:, 0].tolist()), original(x))[1]
    quietly(flow, data, steps=10, batch_size=4)
    assert sorted(seen) == sorted(4 * list(range(10)))
    assert sorted(seen[:10]) == list(range(10))
    assert seen[:10] != seen[10:20]


def test_a_batch_larger_than_the_data_is_all_of_it():
    assert len(quietly(small(), torch.randn(5, 2), steps=3, batch_size=64).loss) == 3


class Centred(Bijection):
    """A layer that takes its shift from data."""

    def __init__(self):
        super().__init__()
        self.register_buffer("shift", torch.zeros(2))
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, x, context=None):
        return x - self.shift, x.new_zeros(len(x))

    def initialise(self, x, context=None):
        self.shift.copy_(x.mean(0))
        self.initialised.fill_(True)


def test_what_is_not_initialised_is_set_from_the_first_examples():
    layer = Centred()
    flow = Flow(Chain([layer, Scaling(2)]), standard_normal(2))
    data = torch.randn(12_000, 2) + 5
    quietly(flow, data, steps=1)
    assert layer.initialised
    torch.testing.assert_close(layer.shift, data[:10_000].mean(0))
    quietly(flow, data - 5, steps=1)
    torch.testing.assert_close(layer.shift, data[:10_000].mean(0))  # once


class Shifted:
    """x is normal around its context: the flow must use it."""

    def sample(self, n, generator=None):
        context = torch.randn(n, 1, generator=generator)
        return context + 0.3 * torch.randn(n, 2, generator=generator), context


@pytest.mark.parametrize("kind", ["pair", "sampler"])
def test_pairs_of_data_and_context(kind):
    net = lambda: MLP(1, 1, 16, context_dim=1, zero_last=True)  # noqa: E731
    couplings = [AdditiveCoupling(half_mask(2, i % 2), net()) for i in range(2)]
    flow = Flow(Chain([*couplings, Scaling(2)]), standard_normal(2))
    data = Shifted() if kind == "sampler" else Shifted().sample(2000)
    history = quietly(flow, data, steps=200, lr=2e-2, batch_size=128, validation=Shifted())
    # The entropy of x given its context is 2 (0.5 ln(2 pi e) + ln 0.3); without the context it is 1.57 nats more.
    assert history.best_validation == pytest.approx(0.430, abs=0.25)


def test_validation_is_recorded_and_the_best_weights_are_kept():
    flow, few, held_out = small(), moons().sample(40), moons().sample(2000)
    history = quietly(flow, few, steps=400, lr=2e-2, validation=held_out, validate_every=20)
    assert [step for step, _ in history.validation] == list(range(20, 401, 20))
    step, value = min(history.validation, key=lambda pair: pair[1])
    assert (history.best_step, history.best_validation) == (step, value)
    assert -flow.log_prob(held_out).mean().item() == pytest.approx(value, abs=1e-5)
    # 40 points are soon overfitted, so the last weights are not the best ones.
    assert history.validation[-1][1] > value + 0.05


def test_validating_changes_nothing_and_takes_distributions():
    x = torch.randint(17, (50, 4))
    with_validation, without = small(), small()
    a = quietly(with_validation, parabola(), validation=parabola(), validate_every=3)
    b = quietly(without, parabola())
    assert a.loss == b.loss
    noisy = [models.nice(4, hidden=8, levels=17, dropout=0.2) for _ in range(2)]
    noisy[1].load_state_dict(noisy[0].state_dict())
    a = quietly(noisy[0], x, validation=x, validate_every=3)
    b = quietly(noisy[1], x)
    assert a.loss == b.loss


class Poisoned:
    """Good data first, then values far out."""

    def __init__(self, good, value):
        self.left, self.value = good, value

    def sample(self, n, generator=None):
        self.left -= 1
        x = parabola().sample(n, generator)
        return x if self.left >= 0 else x * self.value


@pytest.mark.parametrize("validated", [False, True])
def test_a_loss_that_is_not_finite_stops_with_the_last_good_weights(validated):
    flow, reference = small(base="normal"), small(base="normal")
    settings = {"steps": 100, "validate_every": 5, "validation": parabola().sample(50) if validated else None}
    with pytest.raises(FloatingPointError, match=r"the loss is (inf|nan) at step 11, .*: lower lr.*last good weights"):
        quietly(flow, Poisoned(10, 1e30), **settings)
    assert all(torch.isfinite(p).all() for p in flow.parameters())
    assert torch.isfinite(flow.log_prob(parabola().sample(10))).all()
    assert not same(state(flow), state(reference))


def test_steps_that_are_too_large_stop_with_the_weights_before_them():
    flow = small()
    with pytest.raises(FloatingPointError, match="lower lr"):
        quietly(flow, parabola(), steps=100, lr=1e30)
    assert torch.isfinite(flow.log_prob(parabola().sample(10))).all()


def test_a_gradient_that_is_not_finite_stops_too():
    class Root(torch.nn.Module):
        def forward(self, x):
            return (x * 0).sqrt()

    flow = small()
    layer = flow.bijection.layers[0]
    layer.net = torch.nn.Sequential(layer.net, Root())
    with pytest.raises(FloatingPointError, match="gradient of the loss is nan at step 1"):
        quietly(flow, parabola())
    assert all(torch.isfinite(p).all() for p in flow.parameters())


def test_the_norm_of_the_gradient_is_clipped():
    moved = []
    for clip in (1e-12, None):
        flow = small()
        before = state(flow)["bijection.layers.4.s"]
        quietly(flow, parabola(), steps=1, lr=1e-3, clip=clip)
        moved.append((state(flow)["bijection.layers.4.s"] - before).abs().max().item())
    # Adam divides by the gradient's size plus 1e-8: a norm of 1e-12 all but stops it.
    assert moved[0] < 1e-6 < moved[1]


def test_the_learning_rate_warms_up_and_goes_down_to_zero():
    factors = [factor("cosine", step, 1000) for step in range(1000)]
    assert factors[0] == pytest.approx(0.01)
    assert max(factors) == 1
    assert factors.index(1) in (99, 100)
    assert factors[:100] == sorted(factors[:100])
    assert factors[100:] == sorted(factors[100:], reverse=True)
    assert factors[-1] < 1e-4
    assert factor("cosine", 0, 1) == 1
    assert [factor("constant", step, 40, warm_up=2) for step in (0, 1, 2, 39)] == [0.5, 1, 1, 1]
    assert [factor("linear", step, 40, warm_up=0) for step in (0, 10, 30)] == [1, 0.75, 0.25]
    assert [factor(lambda share: share**2, step, 40, warm_up=0) for step in (0, 20)] == [0, 0.25]


def test_progress_goes_to_stdout_and_never_to_stderr(capsys):
    fit(small(), parabola(), steps=40, validation=parabola(), batch_size=32)
    said = capsys.readouterr()
    assert said.err == ""
    assert "40/40" in said.out
    assert "validation=" in said.out
    assert "<00:00" in said.out  # time left
    quietly(small(), parabola())
    assert capsys.readouterr() == ("", "")


def test_compile_takes_a_backend_and_gives_the_same_training():
    plain, compiled = small(), small()
    a = quietly(plain, parabola(), steps=5)
    b = quietly(compiled, parabola(), steps=5, compile="eager")
    assert a.loss == pytest.approx(b.loss, abs=1e-5)


def test_device_and_mode_afterwards():
    flow = small().train()
    with torch.no_grad():
        quietly(flow, parabola(), steps=2, device="cpu")
    assert not flow.training
    assert next(flow.parameters()).device.type == "cpu"
    assert all(p.grad is None and p.is_leaf and p.requires_grad for p in flow.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "must be positive"),
        ({"batch_size": 0}, "must be positive"),
        ({"lr": 0.0}, "must be positive"),
        ({"resume": True}, "needs the checkpoint"),
        ({"clip": 0.0}, "positive bound or None"),
        ({"average": 1.0}, "decay between 0 and 1"),
        ({"patience": 3}, "needs validation data"),
        ({"schedule": "steps"}, "schedule must be one of cosine, linear, constant"),
        ({"device": "gpu"}, '"auto", "cpu" or "cuda"'),
    ],
)
def test_nonsense_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        quietly(small(), parabola(), **settings)
    with pytest.raises(ValueError, match="no parameters"):
        quietly(small().requires_grad_(False), parabola())


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_gpu_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no CUDA GPU here"):
        quietly(small(), parabola(), device="cuda")


def test_data_that_are_no_data_are_named():
    x = torch.randn(9, 2)
    for data, error, message in (
        ((x, x, x), TypeError, "a pair of tensors"),
        ((x, [1.0]), TypeError, "sequence of Tensor, list"),
        ((x, x[:5]), ValueError, r"as many rows, got shapes \(9, 2\) and \(5, 2\)"),
        (x.new_full((9, 2), math.nan), ValueError, "NaN or infinite"),
        (x[:0], ValueError, "empty batch"),
        (x.double(), ValueError, "torch.float64"),
    ):
        with pytest.raises(error, match=message):
            quietly(small(), data)


def test_data_of_the_wrong_shape_is_named_and_history_is_plain():
    with pytest.raises(ValueError, match=r"\(B, 2\), got"):
        quietly(small(), torch.randn(50, 3))
    assert History().best_validation is None
    assert math.isclose(History(validation=[(1, 3.0), (2, 2.0)]).best_validation, 2.0)
