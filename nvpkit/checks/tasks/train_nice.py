"""train_nice(flow, base_log_prob, data, steps, batch_size, lr): Adam on random batches; returns the losses."""

from __future__ import annotations

from itertools import pairwise

import torch

from nvpkit.checks import parts, toys
from nvpkit.checks.findings import Judge, Wrong
from nvpkit.checks.invariants import inputs_kept
from nvpkit.checks.recorder import Malformed, Recorder

ASSIGNMENT, ORDER, POINTS = "a2-nice", 6, 6
TRAINING = True
# What the checks train: a flow of n_layers couplings and a scaling. The largest gap is that of a right loop with room.
BUDGETS = {
    "parabola": {"n_layers": 4, "hidden": 32, "base": "gaussian", "steps": 300, "batch_size": 128, "lr": 1e-2},
    "moons": {"n_layers": 4, "hidden": 32, "base": "logistic", "steps": 400, "batch_size": 128, "lr": 1e-2},
    "digits": {"n_layers": 4, "hidden": 64, "base": "logistic", "steps": 300, "batch_size": 64, "lr": 1e-2},
}
# Nats above the true density on fresh points; for digits the mean NLL itself on held-out images.
BOUNDS = {"parabola": (-0.1, 0.45), "moons": (-0.1, 0.9), "digits": (-120.0, -15.0)}
_BASES = {"gaussian": parts.gaussian_log_prob, "logistic": parts.logistic_log_prob}


def inputs(seed: int) -> dict:
    """Return data to train on and fresh data to judge with, for parabola, moons and digits."""
    gen = parts.generator(seed)
    sets = {"parabola": toys.parabola(4000, gen), "moons": toys.moons(4000, gen), "digits": toys.digits(1797, gen)}
    cases = []
    for number, (name, points) in enumerate(sets.items()):
        n_train = 1400 if name == "digits" else 2000
        cases.append({"name": name, "seed": seed * 10 + number, "data": points[:n_train], "fresh": points[n_train:],
                      **BUDGETS[name]})
    return {"cases": cases}


def _flow(case: dict) -> parts.RecordingNice:
    return parts.RecordingNice(case["data"].shape[1], case["n_layers"], case["hidden"], parts.generator(case["seed"]))


def _train(student, flow, case: dict, data: torch.Tensor, steps: int, lr: float, base=None) -> torch.Tensor:
    losses = student(flow, base or _BASES[case["base"]], data, steps, case["batch_size"], lr)
    if losses is None:
        raise Malformed("Not written yet: train_nice returned None. It returns the list of the losses.")
    if not isinstance(losses, list | tuple):
        raise Malformed(f"Expected a list of {steps} floats from train_nice, got an object of type "
                        f"{type(losses).__name__}.")
    if len(losses) != steps:
        raise Malformed(f"Expected a list of {steps} losses, one for each step; got {len(losses)}.")
    if any(isinstance(loss, torch.Tensor) for loss in losses):
        raise Malformed("The list holds tensors; expected Python floats. A tensor keeps its whole graph in memory: "
                        "use .item().")
    return torch.tensor([float(loss) for loss in losses], dtype=torch.float64)


def run(student, inputs: dict) -> Recorder:
    """Take one step, then a few with a tiny rate, then train on each data set; write down losses and weights."""
    out = Recorder()
    with out.part():
        case = inputs["cases"][0]
        flow = _flow(case)
        before = _flat(flow)
        calls = []
        _train(student, flow, case, case["data"].clone(), 1, 0.0037,
               lambda z: calls.append(1) or _BASES[case["base"]](z))
        out["one_step"], out["base_calls"] = _flat(flow) - before, len(calls)
        flow = _flow(case)
        out["few_losses"] = _train(student, flow, case, case["data"].clone(), 5, 1e-7)
        out["few_steps"] = _flat(flow) - before
        for case in inputs["cases"]:
            _run_case(out, student, case)
    return out


def _flat(flow) -> torch.Tensor:
    return torch.cat([parameter.detach().reshape(-1).clone() for parameter in flow.parameters()])


def _run_case(out: Recorder, student, case: dict) -> None:
    name, flow, data = case["name"], _flow(case), case["data"].clone()
    own, summed = [], []
    # The gradient of one backward pass beside what .grad then holds: they differ where nobody clears it.
    flow.s.register_hook(lambda grad: own.append(grad.detach().clone()) if len(own) < 8 else None)
    flow.s.register_post_accumulate_grad_hook(
        lambda s: summed.append(s.grad.detach().clone()) if len(summed) < 8 else None)
    out[f"{name}.losses"] = _train(student, flow, case, data, case["steps"], case["lr"])
    out.kept(f"{name}.data", data)
    for key, weight in flow.state_dict().items():
        out[f"{name}.weights.{key}"] = weight.detach().clone()
    out[f"{name}.sizes"] = torch.tensor(flow.sizes[:5000], dtype=torch.int64)
    out[f"{name}.columns"] = torch.cat([*flow.first_columns, torch.zeros(0)])
    if own and len(own) == len(summed):
        out[f"{name}.grads"] = torch.stack([torch.stack(own), torch.stack(summed)])


judge = Judge()


def _nll(flow, case: dict, points: torch.Tensor) -> float:
    with torch.no_grad():
        z, log_det = flow(points)
        return -(_BASES[case["base"]](z.double()) + log_det.double()).mean().item()


def _trained(values, case: dict) -> parts.TinyNice:
    flow = _flow(case)
    flow.load_state_dict({key: values.tensor(f"{case['name']}.weights.{key}", weight.shape, weight.dtype)
                          for key, weight in flow.state_dict().items()})
    return flow


@judge.property("the flow that is handed over is trained in place, with base_log_prob")
def in_place(inputs, values):
    moved = values.tensor("one_step", _flat(_flow(inputs["cases"][0])).shape)
    if not torch.isfinite(moved).all():
        raise Wrong("One step turned weights into NaN or infinity.")
    if not moved.any():
        raise Wrong("The flow's weights are the same after a step: is optimiser.step() missing, is a copy trained, or "
                    "is there no backward()?")
    if values.number("base_calls") < 1:
        raise Wrong("base_log_prob is never called: the loss needs the base density that is handed over.")


@judge.property("a step is Adam's, of size lr")
def adam(inputs, values):
    moved = values.tensor("one_step").abs()
    moved, lr = moved[moved > 1e-9], 0.0037
    few = values.tensor("few_steps").abs().max()
    if not few <= 1e-5:
        raise Wrong(f"With lr = 1e-7 the weights moved by {few:.2g} in 5 steps: it looks as if lr is not used. Hand it "
                    "to the optimiser.")
    if (moved >= 0.9 * moved.max()).double().mean() < 0.5:
        raise Wrong("After one step the weights have moved by very different amounts. Adam's first step has the size "
                    "lr for every weight: it looks like plain gradient descent.")
    if not moved.max() <= 1.1 * lr:
        raise Wrong(f"The first step moved weights by {moved.max():.2g} with lr = {lr}: Adam moves them by lr at most. "
                    "Is it another optimiser, or is lr changed?")


def _batches(values, case: dict) -> tuple[torch.Tensor, list[list[int]]]:
    """The sizes of all calls, and the row numbers of the first ones (-1 for what is no row of the data)."""
    name, sizes = case["name"], values.tensor(f"{case['name']}.sizes")
    columns = values.tensor(f"{name}.columns")
    order = case["data"][:, 0].argsort()
    ordered = case["data"][order, 0].contiguous()
    place = torch.searchsorted(ordered, columns).clamp(max=len(ordered) - 1)
    rows = torch.where(ordered[place] == columns, order[place], -1)
    kept = sizes[:parts.MOST_CALLS].clamp(max=2048).tolist()
    return sizes, [part.tolist() for part in rows[: sum(kept)].split(kept)]


@judge.property("each batch has batch_size rows of the data, drawn at random")
def random_batches(inputs, values):
    case = inputs["cases"][0]
    sizes, batches = _batches(values, case)
    n, batch_size = len(case["data"]), case["batch_size"]
    if not len(sizes):
        raise Wrong("The flow is never called with gradients on: no step can learn from it.")
    usual = sizes.mode().values.item()
    total = sizes.sum() / (case["steps"] * batch_size)
    if usual == n:
        raise Wrong(f"The flow is called with all {n} rows at each step. Draw a new batch of batch_size rows instead.")
    if not 0.5 <= total <= 3:
        raise Wrong(f"The flow is mostly called with {usual} rows; expected batch_size = {batch_size} at each step.")
    if sum(row < 0 for batch in batches for row in batch) > 0.05 * sum(map(len, batches)):
        raise Wrong("The flow is called with points that are no rows of the data: train on the data as they are.")
    full = [batch for batch in batches if len(batch) == usual]
    sets = [frozenset(batch) for batch in full]
    if len(sets) > 2 and sets[0] == sets[1] == sets[2]:
        raise Wrong("Every step uses the same batch: draw new rows inside the loop.")
    steps_of_one = sum(b - a == 1 for batch in full for a, b in pairwise(batch))
    follow = sum(after[0] - before[-1] in (1, 1 - n) for before, after in pairwise(full))
    if steps_of_one > 0.8 * sum(len(batch) - 1 for batch in full) and follow > 0.5 * (len(full) - 1):
        raise Wrong("The batches are taken in the order of the data, one after the other. Draw the rows at random.")
    # A divided data set comes back after about n / batch_size steps.
    if len(sets) - len(set(sets)) > len(sets) // 3:
        raise Wrong("The same batches come back again and again: draw each batch anew, or shuffle in every round.")
    seen = len({row for batch in batches for row in batch}) / n
    if len(batches) == parts.MOST_CALLS and seen < 0.5:
        raise Wrong(f"In {parts.MOST_CALLS} steps only {seen:.0%} of the rows were ever drawn: draw from all of them.")


@judge.property("gradients are cleared before each step")
def cleared(inputs, values):
    for case in inputs["cases"]:
        if f"{case['name']}.grads" not in values:
            continue
        own, summed = values.tensor(f"{case['name']}.grads").double()
        running = own.cumsum(0)
        scale = own.abs().max() + 1e-12
        if len(own) > 2 and (summed - running).abs().max() < 1e-3 * scale < (summed - own).abs().max():
            raise Wrong("The gradients of all steps add up: zero_grad() is missing. Clear them before each backward().")


@judge.property("the losses are finite floats and go down")
def losses(inputs, values):
    details = []
    for case in inputs["cases"]:
        found = values.tensor(f"{case['name']}.losses", (case["steps"],), torch.float64)
        if not torch.isfinite(found).all():
            raise Wrong(f"On {case['name']} the losses hold NaN or infinity. A diverging loss has most often a wrong "
                        "sign or no log-det.")
        tenth = max(1, len(found) // 10)
        first, last = found[:tenth].mean().item(), found[-tenth:].mean().item()
        if not last < first:
            why = "every loss is the same" if found.std() == 0 else f"from {first:.3g} to {last:.3g}"
            raise Wrong(f"On {case['name']} the losses do not go down: {why}. The loss is the negative "
                        "log-likelihood, and its gradient is followed downhill.")
        details.append(f"{case['name']} {first:.2f} to {last:.2f}")
    return "; ".join(details)


@judge.property("it converges: NLL of the trained flow on fresh data, held against the true density")
def converges(inputs, values):
    details = []
    for case in inputs["cases"]:
        name, flow = case["name"], _trained(values, case)
        nll = _nll(flow, case, case["fresh"])
        truth = {"parabola": toys.parabola_log_prob, "moons": toys.moons_log_prob}.get(name)
        gap = nll if truth is None else nll + truth(case["fresh"]).mean().item()
        low, high = BOUNDS[name]
        what = "NLL on held-out images" if truth is None else "gap to the true density on fresh points"
        if not low <= gap <= high:
            raise Wrong(f"On {name} ({case['steps']} steps, batches of {case['batch_size']}, lr {case['lr']:g}): "
                        f"{what} {gap:.3g} nats; a right loop comes below {high:g}. {_why(flow, case, nll)}")
        details.append(f"{name}: {what} {gap:.2f}")
    return "; ".join(details)


def _why(flow, case: dict, nll: float) -> str:
    if flow.s.mean() < -0.2:
        return ("The scaling has shrunk the data to a point: it looks like the log-det is missing from the loss, or "
                "has the wrong sign.")
    if not nll < _nll(_flow(case), case, case["fresh"]):
        return "That is no better than before the training: does the loss have the right sign?"
    return "It learns, but too slowly: are lr, steps and the gradient used as they are?"


@judge.property("the data keep their values")
def kept(inputs, values):
    for case in inputs["cases"]:
        inputs_kept(values, f"{case['name']}.data", case["data"], "data")
