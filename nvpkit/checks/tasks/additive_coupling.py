"""AdditiveCoupling(mask, net): z = x + (1 - mask) net(mask x), its inverse, and a log-det of zeros."""

from __future__ import annotations

import torch

from nvpkit.checks import parts
from nvpkit.checks.diagnosis import additive_forward, additive_inverse
from nvpkit.checks.findings import Judge, Wrong
from nvpkit.checks.invariants import inputs_kept, report, round_trip, same, widen
from nvpkit.checks.recorder import Recorder, as_module, gradients
from nvpkit.checks.values import error_of, tolerance

ASSIGNMENT, ORDER, POINTS = "a2-nice", 1, 10
MOST_BUFFERS = 12


def inputs(seed: int) -> dict:
    """Return four cases: halves in an odd dimension, even/odd in float32, and two other masks, one with B = 1."""
    gen = parts.generator(seed)
    odd, even = [3 + 2 * int(torch.randint(3, (), generator=gen)) for _ in range(2)]
    even += 1
    any_dim = 3 + int(torch.randint(4, (), generator=gen))
    parity = int(torch.randint(2, (), generator=gen))
    halves = (torch.arange(odd) < (odd + 1) // 2).float()
    alternating = (torch.arange(even) % 2 == parity).float()
    mixed = parts.random_mask(any_dim, gen)
    plans = [
        ("halves", odd, halves if parity else 1 - halves, 5, torch.float64),
        ("even_odd", even, alternating, 3, torch.float32),
        ("single", any_dim, mixed, 1, torch.float64),
        ("other", any_dim, 1 - mixed, 4, torch.float64),
    ]
    cases = []
    for number, (name, dim, mask, batch, dtype) in enumerate(plans):
        cases.append({
            "name": name,
            "mask": mask,
            "dtype": dtype,
            "net_seed": seed * 10 + number,
            "x": 2 * parts.randn(batch, dim, gen=gen, dtype=dtype),
            "y": 2 * parts.randn(batch, dim, gen=gen, dtype=dtype),
            "weights": parts.randn(batch, dim, gen=gen, dtype=dtype),
        })
    return {"cases": cases}


def _net(case: dict) -> torch.nn.Module:
    dim = len(case["mask"])
    return parts.SmoothNet(dim, dim, parts.generator(case["net_seed"])).to(case["dtype"])


def run(student, inputs: dict) -> Recorder:
    """Call the student's layer both ways on each case and write down what it returns."""
    out = Recorder()
    with out.part():
        for case in inputs["cases"]:
            _run_case(out, student, case)
    return out


def _run_case(out: Recorder, student, case: dict) -> None:
    name, x, y = case["name"], case["x"].clone(), case["y"].clone()
    mask, net = case["mask"].clone(), _net(case)
    layer = as_module(student(mask, net), "AdditiveCoupling(mask, net)")
    if case["dtype"] == torch.float64:
        layer = layer.double()
    buffers = [buffer for buffer in layer.buffers() if buffer.numel() == mask.numel()][:MOST_BUFFERS]
    for number, buffer in enumerate(buffers):
        out[f"{name}.buffer{number}"] = buffer.detach().reshape(-1).double()
    out[f"{name}.mask_parameters"] = sum(
        parameter.numel() == mask.numel() and torch.equal(parameter.detach().reshape(-1).float(), case["mask"])
        for parameter in layer.parameters()
    )
    out.both_ways(name, layer, x, y)
    if case["dtype"] == torch.float64:
        points = parts.difference_points(x)
        out.pair(f"{name}.around", layer(points), points, "forward(x)")
    leaf = case["x"].clone().requires_grad_()
    z, _ = out.pair(f"{name}.again", layer(leaf), leaf, "forward(x)")
    found = gradients((z * case["weights"]).sum(), [leaf, *(p for p in layer.parameters() if p.requires_grad)])
    out[f"{name}.grad_x"] = found[0]
    out[f"{name}.grad_net"] = float(sum(grad.double().square().sum() for grad in found[1:]))
    out[f"{name}.n_parameters"] = sum(1 for _ in layer.parameters())
    out.kept(f"{name}.leaf", leaf)
    out.kept(f"{name}.mask", mask)


judge = Judge()


@judge.property("inputs keep their values, requires_grad and .grad")
def kept(inputs, values):
    for case in inputs["cases"]:
        inputs_kept(values, f"{case['name']}.x", case["x"], "x")
        inputs_kept(values, f"{case['name']}.y", case["y"], "z (the input of inverse)")
        inputs_kept(values, f"{case['name']}.leaf", case["x"].clone().requires_grad_(), "x")
        inputs_kept(values, f"{case['name']}.mask", case["mask"], "The mask")


@judge.property("forward: z = x + (1 - mask) net(mask x)")
def forward_formula(inputs, values):
    errors = {}
    for case in inputs["cases"]:
        x, mask, net = case["x"], case["mask"].to(case["dtype"]), _net(case)
        with torch.no_grad():
            expected = x + (1 - mask) * net(mask * x)
            got = values.tensor(f"{case['name']}.z", x.shape, x.dtype)
            error = same(got, expected, "forward(x) is not x + (1 - mask) net(mask x).", additive_forward(x, mask, net))
        widen(errors, case["dtype"], error)
    return report(errors)


@judge.property("kept entries pass through unchanged")
def passes_through(inputs, values):
    for case in inputs["cases"]:
        kept = case["mask"].bool()
        for name, given, call in (("z", case["x"], "forward"), ("x_at_y", case["y"], "inverse")):
            got = values.tensor(f"{case['name']}.{name}", given.shape, given.dtype)
            if error_of(got[:, kept], given[:, kept]) > tolerance(given.dtype):
                raise Wrong(f"{call} changes entries where the mask is 1. Those are kept: they must come out as they "
                            "went in, or the other direction cannot recompute the shift.")


@judge.property("Jacobian: ones on the diagonal, changed entries depend on kept ones alone")
def jacobian(inputs, values):
    for case in inputs["cases"]:
        if case["dtype"] != torch.float64:
            continue
        x, kept = case["x"], case["mask"].bool()
        around = values.tensor(f"{case['name']}.around", (2 * x.shape[0] * x.shape[1], x.shape[1]), x.dtype)
        jacobian = parts.difference_jacobian(around, len(x))
        off_diagonal = jacobian - torch.diag_embed(torch.diagonal(jacobian, dim1=1, dim2=2))
        if not off_diagonal[:, :, ~kept].abs().max() <= 1e-5:
            raise Wrong("An output depends on an entry that changes (mask 0), other than itself. The net leaks: it "
                        "may see mask * x, nothing else.")
        if not (torch.diagonal(jacobian, dim1=1, dim2=2) - 1).abs().max() <= 1e-5:
            raise Wrong("The Jacobian's diagonal is not 1: an additive coupling adds to x and scales nothing.")


@judge.property("inverse: undoes forward")
def inverse_formula(inputs, values):
    errors = {}
    for case in inputs["cases"]:
        y, mask, net = case["y"], case["mask"].to(case["dtype"]), _net(case)
        with torch.no_grad():
            expected = y - (1 - mask) * net(mask * y)
            got = values.tensor(f"{case['name']}.x_at_y", y.shape, y.dtype)
            error = same(got, expected, "inverse(z) does not undo forward.", additive_inverse(y, mask, net))
        widen(errors, case["dtype"], error)
    return report(errors)


@judge.property("round trip: inverse(forward(x)) = x and forward(inverse(z)) = z")
def undone(inputs, values):
    return round_trip(inputs["cases"], values)


@judge.property("log_det for each point: log|det| of the Jacobian by differences, both ways")
def log_det(inputs, values):
    for case in inputs["cases"]:
        n = len(case["x"])
        for name, call in (("z", "forward"), ("x_at_y", "inverse")):
            got = values.tensor(f"{case['name']}.{name}.log_det", (n,), case["dtype"])
            if not got.abs().max() <= tolerance(case["dtype"]):
                raise Wrong(f"{call} returned log_det = {got.flatten()[0]:.4g} for the first point, where "
                            "differences give log|det J| = 0. Write down the Jacobian for two dimensions: what "
                            "stands on its diagonal, whatever the net computes?")


@judge.property("the mask is a registered buffer, the net's weights are the layer's parameters")
def registered(inputs, values):
    for case in inputs["cases"]:
        name, mask = case["name"], case["mask"].double()
        buffers = [values.tensor(f"{name}.buffer{number}", mask.shape)
                   for number in range(MOST_BUFFERS) if f"{name}.buffer{number}" in values]
        if not any(torch.equal(buffer, mask) for buffer in buffers):
            if values.number(f"{name}.mask_parameters"):
                raise Wrong("The mask is registered as a parameter: an optimiser would train it. Register it as a "
                            "buffer (register_buffer).")
            raise Wrong("The mask is not a registered buffer: none of the layer's buffers holds it. A plain attribute "
                        "stays behind when the layer moves to another dtype or device, and is not saved: use "
                        "register_buffer.")
        if not values.number(f"{name}.n_parameters"):
            raise Wrong("The layer has no parameters: the net is not registered. Assign it to an attribute of self in "
                        "__init__, as it is.")


@judge.property("gradients reach x and the net's weights through z")
def gradient(inputs, values):
    for case in inputs["cases"]:
        leaf, mask, net = case["x"].clone().requires_grad_(), case["mask"].to(case["dtype"]), _net(case)
        z = leaf + (1 - mask) * net(mask * leaf)
        expected = torch.autograd.grad((z * case["weights"]).sum(), [leaf, *net.parameters()])
        norm = float(sum(grad.double().square().sum() for grad in expected[1:]))
        got = values.number(f"{case['name']}.grad_net")
        if got == 0:
            raise Wrong("No gradient reaches the net's weights: z was computed under no_grad, from .data, or detached. "
                        "The net could never learn.")
        if not abs(got - norm) <= 10 * tolerance(case["dtype"]) * (1 + norm):
            raise Wrong("The gradient of z with respect to the net's weights is not that of x + (1 - mask) "
                        "net(mask x). Is a part of the computation detached, or are there weights beside the net's?")
        grad_x = values.tensor(f"{case['name']}.grad_x", leaf.shape, leaf.dtype)
        if error_of(grad_x, expected[0]) > 10 * tolerance(case["dtype"]):
            raise Wrong("The gradient of z with respect to x is wrong: is a part of the computation detached, or "
                        "under no_grad?")
