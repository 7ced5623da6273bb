"""A training that was interrupted goes on as if nothing had happened, and its files are whole or not there."""

import pytest
import torch

from nvpkit import CheckpointError, models
from nvpkit.bijections import ActNorm, AffineCoupling, BatchNorm, Chain, Dequantize, half_mask
from nvpkit.data import parabola
from nvpkit.distributions import standard_normal
from nvpkit.flow import Flow
from nvpkit.nets import MLP
from tests.small_trainings import quietly, same, small, state


class Stops(Exception):
    pass


class StopsAfter:
    """Data that fails at a certain step, as a killed session does."""

    def __init__(self, data, calls):
        self.data, self.calls = data, calls

    def sample(self, n, generator=None):
        self.calls -= 1
        if self.calls < 0:
            raise Stops
        return self.data.sample(n, generator)


@pytest.mark.parametrize("broken_at", [7, 10, 13])
def test_an_interrupted_run_resumes_bit_for_bit(tmp_path, broken_at):
    settings = {"steps": 20, "validate_every": 5, "validation": parabola().sample(100), "seed": 3, "lr": 1e-2}
    whole, broken, path = small(dropout=0.1), small(dropout=0.1), tmp_path / "run.pt"
    expected = quietly(whole, parabola(), **settings)
    with pytest.raises(Stops):
        quietly(broken, StopsAfter(parabola(), broken_at), checkpoint=path, **settings)
    fresh = small(seed=99, dropout=0.1)  # the weights come from the file
    resumed = quietly(fresh, parabola(), checkpoint=path, resume=True, **settings)
    assert resumed.loss == expected.loss
    assert resumed.validation == expected.validation
    assert resumed.best_step == expected.best_step
    assert same(state(fresh), state(whole))


def test_epochs_of_a_tensor_resume_bit_for_bit_too(tmp_path):
    data, path = torch.randint(17, (30, 4)), tmp_path / "run.pt"
    make = lambda: (torch.manual_seed(0), models.nice(4, hidden=8, levels=17))[1]  # noqa: E731
    whole, broken = make(), make()
    expected = quietly(whole, data, validate_every=4, batch_size=8)
    calls = iter(range(9))
    original = broken.log_prob
    broken.log_prob = lambda x: (next(calls), original(x))[1]
    with pytest.raises(StopIteration):
        quietly(broken, data, validate_every=4, batch_size=8, checkpoint=path)
    fresh = make()
    resumed = quietly(fresh, data, validate_every=4, batch_size=8, checkpoint=path, resume=True)
    assert resumed.loss == expected.loss
    assert same(state(fresh), state(whole))


def test_resume_without_a_file_starts_and_with_a_finished_one_ends(tmp_path):
    path, flow = tmp_path / "run.pt", small()
    first = quietly(flow, parabola(), checkpoint=path, resume=True)
    trained = state(flow)
    again = quietly(small(seed=5), parabola(), checkpoint=path, resume=True)
    assert again.loss == first.loss
    flow = small(seed=5)
    quietly(flow, parabola(), checkpoint=path, resume=True)
    assert same(state(flow), trained)
    (tmp_path / ".run.pt.abc.part").write_bytes(b"killed while writing")
    quietly(small(seed=5), parabola(), checkpoint=path, resume=True)
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", "truncated"])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "run.pt"
    quietly(small(), parabola(), checkpoint=path)
    path.write_bytes(path.read_bytes()[:500] if damage == "truncated" else damage)
    with pytest.raises(CheckpointError, match=r"run\.pt is (empty|damaged)"):
        quietly(small(), parabola(), checkpoint=path, resume=True)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    quietly(small(), parabola(), checkpoint=path)
    with pytest.raises(CheckpointError, match="other settings"):
        quietly(small(), parabola(), checkpoint=path, resume=True, lr=0.5)
    with pytest.raises(CheckpointError, match="does not belong to this flow"):
        quietly(models.nice(3), torch.randn(9, 3), checkpoint=path, resume=True)


def test_an_interrupted_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    quietly(small(), parabola(), checkpoint=path)
    before = path.read_bytes()

    def half(state, partial):
        with open(partial, "wb") as file:
            file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        quietly(small(), parabola(), checkpoint=path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]


def everything(seed):
    """A flow with noise, dropout, running statistics and a layer that sets itself from data; conditional too."""
    torch.manual_seed(seed)
    couplings = [
        layer
        for i in range(2)
        for layer in (AffineCoupling(half_mask(4, i % 2), MLP(2, 4, 8, context_dim=1, dropout=0.3)), BatchNorm(4))
    ]
    return Flow(Chain([Dequantize(17), ActNorm(4), *couplings]), standard_normal(4))


FEATURES = {
    "steps": 100,
    "validate_every": 5,
    "patience": 4,
    "average": 0.9,
    "optimizer": "adamw",
    "schedule": "linear",
    "warm_up": 7,
    "bf16": True,
    "seed": 4,
    "batch_size": 7,
    "clip": 1.0,
}


@pytest.mark.parametrize("broken_at", [6, 23, 31])
def test_with_every_feature_on_it_resumes_bit_for_bit(tmp_path, broken_at):
    generator = torch.Generator().manual_seed(0)
    x, context = torch.randint(17, (22, 4), generator=generator), torch.randn(22, 1, generator=generator)
    # Twelve rows are soon learned by heart, so patience ends it.
    settings = {**FEATURES, "lr": 0.2, "validation": (x[:10], context[:10])}
    x, context = x[10:], context[10:]
    whole, broken, path = everything(0), everything(0), tmp_path / "run.pt"
    expected = quietly(whole, (x, context), **settings)
    assert expected.ended == "patience"
    assert 31 < len(expected.loss) < 100

    calls, original = iter(range(broken_at)), broken.log_prob

    def stops(x, context):
        if broken.training:
            next(calls)
        return original(x, context)

    broken.log_prob = stops
    with pytest.raises(StopIteration):
        quietly(broken, (x, context), checkpoint=path, **settings)
    fresh = everything(99)
    resumed = quietly(fresh, (x, context), checkpoint=path, resume=True, **settings)
    assert resumed.loss == expected.loss
    assert resumed.validation == expected.validation
    assert (resumed.best_step, resumed.ended) == (expected.best_step, "patience")
    assert same(state(fresh), state(whole))


def test_a_training_pauses_for_the_time_and_ends_as_the_unbroken_one(tmp_path):
    path, whole, paused = tmp_path / "run.pt", small(), small()
    settings = {"average": 0.9, "steps": 12}
    expected = quietly(whole, parabola(), **settings)
    for _ in range(12):
        history = quietly(paused, parabola(), checkpoint=path, resume=True, max_seconds=0, **settings)
        paused = small(seed=7) if history.ended == "time" else paused
    assert history.ended == expected.ended == "steps"
    assert history.loss == expected.loss
    assert same(state(paused), state(whole))
    with pytest.raises(ValueError, match="max_seconds needs a checkpoint"):
        quietly(small(), parabola(), max_seconds=3)


def test_the_training_ends_when_patience_does():
    flow, few, held_out = small(), parabola().sample(20), parabola().sample(500)
    history = quietly(flow, few, steps=2000, lr=5e-2, validation=held_out, validate_every=10, patience=3)
    assert history.ended == "patience"
    assert len(history.loss) == history.best_step + 30 < 2000
    assert -flow.log_prob(held_out).mean().item() == pytest.approx(history.best_validation, abs=1e-5)


def test_a_checkpoint_for_each_epoch(tmp_path, monkeypatch):
    data, written = parabola().sample(50), []
    monkeypatch.setattr("nvpkit.training.run.save_training", lambda path, run: written.append(len(run.history.loss)))
    settings = {"validate_every": "epoch", "batch_size": 16, "steps": 10, "checkpoint": tmp_path / "run.pt"}
    history = quietly(small(), data, validation=data, **settings)
    assert [step for step, _ in history.validation] == written == [4, 8, 10]
    with pytest.raises(ValueError, match="fresh samples have no epochs"):
        quietly(small(), parabola(), validate_every="epoch")
