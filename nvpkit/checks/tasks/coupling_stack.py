"""CouplingStack(dim, n_layers, hidden, split="half"): alternating additive couplings, forward and inverse."""

from __future__ import annotations

import contextlib

import torch
from torch import nn

from nvpkit.checks import parts
from nvpkit.checks.diagnosis import likely
from nvpkit.checks.findings import Judge, Wrong
from nvpkit.checks.invariants import inputs_kept, log_det_of, report, same, widen
from nvpkit.checks.recorder import Malformed, Recorder, as_module, gradients
from nvpkit.checks.structure import changed_entries, directions, fits_split, in_place, move, parts_of_split
from nvpkit.checks.values import error_of, tolerance

ASSIGNMENT, ORDER, POINTS = "a2-nice", 2, 8
STEP = 1e-8


def inputs(seed: int) -> dict:
    """Return stacks of one to five layers, both splits, odd and even dimensions, float64 and float32."""
    gen = parts.generator(seed)
    plans = [("half", 1), ("even_odd", 1), ("half", 2), ("even_odd", 2), ("half", 3), ("even_odd", 3), ("half", 4),
             ("even_odd", 4), ("even_odd", 5)]
    cases = []
    for split, n_layers in plans:
        dim = 5 + int(torch.randint(3, (), generator=gen))
        cases.append({"name": f"{split}{n_layers}", "split": split, "n_layers": n_layers, "dim": dim, "batch": 6,
                      "dtype": torch.float64})
    cases.append({"name": "default", "split": None, "n_layers": 3, "dim": 5, "batch": 1, "dtype": torch.float64})
    cases.append({"name": "plane", "split": "half", "n_layers": 2, "dim": 2, "batch": 4, "dtype": torch.float64})
    cases.append({"name": "float32", "split": "even_odd", "n_layers": 2, "dim": 6, "batch": 3, "dtype": torch.float32})
    for number, case in enumerate(cases):
        case["hidden"] = 11 + 2 * int(torch.randint(4, (), generator=gen))
        case["seed"] = seed * 20 + number
        for name in ("x", "y", "weights"):
            case[name] = parts.randn(case["batch"], case["dim"], gen=gen, dtype=case["dtype"])
    return {"cases": cases}


def run(student, inputs: dict) -> Recorder:
    """Build each stack, give it fresh weights, and call it both ways, also with one layer's weights moved."""
    out = Recorder()
    with out.part():
        for case in inputs["cases"]:
            _run_case(out, student, case)
    return out


def _build(student, case: dict):
    split = {} if case["split"] is None else {"split": case["split"]}
    stack = as_module(student(case["dim"], case["n_layers"], case["hidden"], **split), "CouplingStack(...)")
    layers = getattr(stack, "layers", None)
    if layers is None:
        raise Malformed("The stack has no attribute `layers`: keep the couplings in self.layers = nn.ModuleList(...).")
    if not isinstance(layers, nn.ModuleList):
        raise Malformed(f"`layers` is a {type(layers).__name__}; expected an nn.ModuleList, so that the layers' "
                        "weights are registered.")
    if len(layers) != case["n_layers"]:
        raise Malformed(f"`layers` holds {len(layers)} layers; expected n_layers = {case['n_layers']}. Nothing else "
                        "belongs there (no scaling yet).")
    parts.rerandomise(stack, parts.generator(case["seed"]), gain=0.8)
    return stack.double() if case["dtype"] == torch.float64 else stack


def _run_case(out: Recorder, student, case: dict) -> None:
    name, x, y = case["name"], case["x"].clone(), case["y"].clone()
    stack = _build(student, case)
    own = [list(layer.parameters()) for layer in stack.layers]
    if not all(own):
        raise Malformed("A layer of `layers` has no weights: each coupling needs a net of its own.")
    out[f"{name}.shared"] = sum(map(len, own)) - len({id(p) for layer in own for p in layer})
    out[f"{name}.narrow"] = sum(all(case["hidden"] not in p.shape for p in layer) for layer in own)
    z = out.both_ways(name, stack, x, y)
    _record_mistakes(out, name, stack, z)
    if case["dtype"] == torch.float64:
        points = parts.difference_points(x)
        out.pair(f"{name}.around", stack(points), points, "forward(x)")
        _record_gradient(out, stack, case, x)
        move(own[-1], case["seed"])
        out.pair(f"{name}.last_moved", stack(x), x, "forward(x)")
        move(own[-1], case["seed"], -1)
        move(own[0], case["seed"])
        out.pair(f"{name}.first_moved", stack.inverse(y), y, "inverse(z)")


def _record_mistakes(out: Recorder, name: str, stack, z: torch.Tensor) -> None:
    """Write down what known mistakes of the inverse give, where the layers can be called one by one."""
    layers = list(stack.layers)
    for mistake, order, method in (("in_order", layers, "inverse"), ("forward_again", layers, "forward"),
                                   ("forward_reversed", layers[::-1], "forward")):
        with contextlib.suppress(Exception), torch.no_grad():
            value = z
            for layer in order:
                value = getattr(layer, method)(value)[0]
            if value.shape == z.shape:
                out[f"{name}.{mistake}"] = value


def _record_gradient(out: Recorder, stack, case: dict, x: torch.Tensor) -> None:
    """Write down a directional derivative in each layer's weights, by autograd and by a difference."""
    for number, layer in enumerate(stack.layers):
        own = [p for p in layer.parameters() if p.requires_grad]
        value = (stack(x)[0] * case["weights"]).sum()
        slope = sum((g * d).sum() for g, d in zip(gradients(value, own), directions(own, case["seed"])))
        ends = []
        for sign in (STEP, -2 * STEP, STEP):
            move(own, case["seed"], sign)
            ends.append((stack(x)[0] * case["weights"]).sum().detach())
        out[f"{case['name']}.slope{number}"] = torch.stack([torch.as_tensor(slope, dtype=x.dtype).detach(),
                                                            (ends[0] - ends[1]) / (2 * STEP)])


judge = Judge()


def _double(inputs: dict) -> list[dict]:
    return [case for case in inputs["cases"] if case["dtype"] == torch.float64]


def _depends(values, case: dict) -> torch.Tensor:
    """Whether output i depends on input j at any of the points: (D, D), with the Jacobian's identity taken away."""
    x = case["x"]
    around = values.tensor(f"{case['name']}.around", (2 * x.numel(), case["dim"]), x.dtype)
    jacobian = parts.difference_jacobian(around, len(x)) - torch.eye(case["dim"], dtype=x.dtype)
    return jacobian.abs().amax(0) > 1e-7


@judge.property("inputs keep their values")
def kept(inputs, values):
    for case in inputs["cases"]:
        inputs_kept(values, f"{case['name']}.x", case["x"], "x")
        inputs_kept(values, f"{case['name']}.y", case["y"], "z (the input of inverse)")


@judge.property("each layer has weights of its own, of width `hidden`")
def weights(inputs, values):
    for case in inputs["cases"]:
        if values.number(f"{case['name']}.shared"):
            raise Wrong("Layers share weights: one net, or one layer, is used more than once. Make a new net for each "
                        "layer, inside the loop.")
        if values.number(f"{case['name']}.narrow"):
            raise Wrong(f"A layer has no weight of width hidden = {case['hidden']}: is the argument `hidden` used for "
                        "the width of the nets?")


@judge.property("log_det is 0 for each point, and the volume is kept (Jacobian by differences): no scaling")
def volume(inputs, values):
    for case in inputs["cases"]:
        n = case["batch"]
        for key, call in (("z", "forward"), ("x_at_y", "inverse")):
            got = values.tensor(f"{case['name']}.{key}.log_det", (n,), case["dtype"])
            if not got.abs().max() <= tolerance(case["dtype"]):
                raise Wrong(f"{call} returned log_det = {got[0]:.4g} for the first point; expected 0. The log-dets of "
                            "the layers are added, and those of additive couplings are 0.")
        if case["dtype"] == torch.float64:
            around = values.tensor(f"{case['name']}.around", (2 * case["x"].numel(), case["dim"]), case["dtype"])
            # The median: a net with kinks gives a wrong difference where a kink lies within the step.
            log_det = log_det_of(parts.difference_jacobian(around, n)).abs().median()
            if not log_det <= 1e-5:
                raise Wrong(f"The stack changes the volume: log|det J| by differences is {log_det:.3g}, not 0. "
                            "Additive couplings alone belong here; the scaling is a layer of its own, later.")


@judge.property("one layer changes one part of the split, the other passes through in its place")
def one_layer(inputs, values):
    for case in _double(inputs):
        if case["n_layers"] == 1:
            z, x = values.tensor(f"{case['name']}.z", case["x"].shape, case["dtype"]), case["x"]
            in_place(z, x, case)
            fits_split(changed_entries(x, z), case, "a stack of one layer")


@judge.property("round trip: inverse(forward(x)) = x and forward(inverse(z)) = z, 1 to 5 layers")
def round_trip(inputs, values):
    errors = {}
    texts = {
        "in_order": "It looks like the inverse goes through the layers in forward order: undo the last layer first.",
        "forward_again": "It looks like the inverse calls forward once more: shifts are added in both directions.",
        "forward_reversed": "It looks like the inverse calls the layers' forward in reverse order: call their inverse.",
    }
    for case in inputs["cases"]:
        name = case["name"]
        mistakes = {text: values.tensor(f"{name}.{key}", case["x"].shape)
                    for key, text in texts.items()
                    if f"{name}.{key}" in values and (case["n_layers"] > 1 or key == "forward_again")}
        z = values.tensor(f"{name}.z", case["x"].shape, case["dtype"])
        mistakes["It looks like z itself came back: nothing is undone."] = z
        for key, given, text in (("back", case["x"], "inverse(forward(x)) is not x."),
                                 ("forth", case["y"], "forward(inverse(z)) is not z.")):
            got = values.tensor(f"{name}.{key}", given.shape, given.dtype)
            if case["n_layers"] == 1 and not error_of(got, given) <= tolerance(case["dtype"]):
                one_layer(inputs, values)
                raise Wrong(f"{text} One layer alone fails. {likely(got, given, mistakes if key == 'back' else {})}")
            error = same(got, given, f"{text} ({case['n_layers']} layers.)", mistakes if key == "back" else None)
            widen(errors, case["dtype"], error)
    return report(errors)


@judge.property("the layers alternate: two leave no entry unchanged, three let each entry see all")
def alternates(inputs, values):
    for case in _double(inputs):
        depends, n_layers = _depends(values, case), case["n_layers"]
        if case["dim"] == 2 or n_layers == 1:
            continue
        # Whole parts of the split are looked at, not single entries: a unit that never fires proves nothing.
        for part in map(sorted, parts_of_split(case)):
            if not depends[part].any():
                raise Wrong(f"With {n_layers} layers the entries {part} of {case['dim']} come out as they went in: "
                            "every layer keeps the same part. Alternate: what one layer keeps, the next one changes.")
            if n_layers > 2 and not depends[part][:, part].any():
                raise Wrong(f"With {n_layers} layers the entries {part} of {case['dim']} do not depend on each other: "
                            "two neighbouring layers keep the same part, so one of them is lost. Alternate at every "
                            "step.")
    for case in _double(inputs):
        name, shape = case["name"], case["x"].shape
        last = changed_entries(values.tensor(f"{name}.z", shape), values.tensor(f"{name}.last_moved", shape))
        first = changed_entries(values.tensor(f"{name}.x_at_y", shape), values.tensor(f"{name}.first_moved", shape))
        fits_split(last, case, f"the last of {case['n_layers']} layers")
        fits_split(first, case, f"the first of {case['n_layers']} layers")
        if (first == last) != (case["n_layers"] % 2 == 1):
            raise Wrong(f"In a stack of {case['n_layers']} layers the first and the last one change "
                        f"{'the same part' if first == last else 'different parts'}: two neighbours keep the same "
                        "part. Alternate at every step, for any number of layers.")


@judge.property("gradients reach the weights of every layer")
def gradient(inputs, values):
    for case in _double(inputs):
        for number in range(case["n_layers"]):
            slope, difference = values.tensor(f"{case['name']}.slope{number}", (2,), torch.float64).tolist()
            if slope == 0 and abs(difference) > 1e-9:
                raise Wrong(f"No gradient reaches layer {number} of {case['n_layers']}: is a part computed under "
                            "no_grad, or detached?")
            # Wide: a net with kinks may turn one within the step.
            if not abs(slope - difference) <= 0.05 * (1 + abs(difference)):
                raise Wrong(f"The gradient with respect to layer {number}'s weights does not agree with a difference: "
                            "is a part of the way detached?")
