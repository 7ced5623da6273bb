"""Scaling(dim): z = exp(s) x with a trained s, its inverse, and the log-det sum(s) of either direction."""

from __future__ import annotations

import torch

from nvpkit.checks import parts
from nvpkit.checks.diagnosis import NO_MATCH, likely, sample
from nvpkit.checks.findings import Judge, Wrong
from nvpkit.checks.invariants import inputs_kept, log_det_of, report, round_trip, same, widen
from nvpkit.checks.recorder import Malformed, Recorder, as_module, gradients
from nvpkit.checks.values import error_of, shape_text, tolerance

ASSIGNMENT, ORDER, POINTS = "a2-nice", 3, 7


def inputs(seed: int) -> dict:
    """Return three cases: an odd dimension in float64, float32, and one point alone."""
    gen = parts.generator(seed)
    cases = []
    for name, batch, dtype in (("odd", 4, torch.float64), ("float32", 3, torch.float32), ("single", 1, torch.float64)):
        dim = 2 + int(torch.randint(5, (), generator=gen))
        dim += name == "odd" and dim % 2 == 0
        dim += dim == batch
        cases.append({
            "name": name,
            "dtype": dtype,
            "s": parts.randn(dim, gen=gen, dtype=dtype) + 0.3,
            "x": parts.randn(batch, dim, gen=gen, dtype=dtype),
            "y": parts.randn(batch, dim, gen=gen, dtype=dtype),
            "weights": parts.randn(batch, dim, gen=gen, dtype=dtype),
            "row_weights": 1 + parts.randn(batch, gen=gen, dtype=dtype).abs(),
        })
    return {"cases": cases}


def run(student, inputs: dict) -> Recorder:
    """Call the layer at its start, and with another s both ways."""
    out = Recorder()
    with out.part():
        for case in inputs["cases"]:
            _run_case(out, student, case)
    return out


def _run_case(out: Recorder, student, case: dict) -> None:
    name, x, y, dim = case["name"], case["x"].clone(), case["y"].clone(), len(case["s"])
    layer = as_module(student(dim), "Scaling(dim)")
    if case["dtype"] == torch.float64:
        layer = layer.double()
    s = getattr(layer, "s", None)
    if not isinstance(s, torch.Tensor):
        raise Malformed("The layer has no tensor named `s`: the log-scale must be an attribute self.s.")
    if not isinstance(s, torch.nn.Parameter) or not s.requires_grad:
        raise Malformed("`s` is no trained parameter: wrap it in nn.Parameter, so that an optimiser finds it.")
    if tuple(s.shape) != (dim,):
        raise Malformed(f"Expected `s` of shape ({dim},), one log-scale for each dimension; got {shape_text(s.shape)}.")
    out[f"{name}.s_start"] = s.detach().clone()
    with torch.no_grad():
        s.copy_(case["s"])
    out.both_ways(name, layer, x, y)
    points = parts.difference_points(x)
    out.pair(f"{name}.around", layer(points), points, "forward(x)")
    leaf = case["x"].clone().requires_grad_()
    z, log_det = out.pair(f"{name}.again", layer(leaf), leaf, "forward(x)")
    out[f"{name}.grad_x"], out[f"{name}.grad_s"] = gradients((z * case["weights"]).sum(), [leaf, layer.s])
    out[f"{name}.grad_log_det"] = gradients((log_det * case["row_weights"]).sum(), [layer.s])[0]
    _, log_det = layer.inverse(leaf)
    out[f"{name}.grad_inverse_log_det"] = gradients((log_det * case["row_weights"]).sum(), [layer.s])[0]
    out.kept(f"{name}.leaf", leaf)


judge = Judge()


@judge.property("inputs keep their values, requires_grad and .grad")
def kept(inputs, values):
    for case in inputs["cases"]:
        inputs_kept(values, f"{case['name']}.x", case["x"], "x")
        inputs_kept(values, f"{case['name']}.y", case["y"], "z (the input of inverse)")
        inputs_kept(values, f"{case['name']}.leaf", case["x"].clone().requires_grad_(), "x")


@judge.property("s starts at zeros")
def start(inputs, values):
    for case in inputs["cases"]:
        s = values.tensor(f"{case['name']}.s_start", case["s"].shape, case["dtype"])
        if not torch.equal(s, torch.zeros_like(s)):
            raise Wrong(f"`s` starts at {sample(s)}; expected zeros, so that the layer starts as the identity "
                        "(exp(0) = 1).")


@judge.property("forward: z = exp(s) x")
def forward_formula(inputs, values):
    errors = {}
    for case in inputs["cases"]:
        x, s = case["x"], case["s"]
        got = values.tensor(f"{case['name']}.z", x.shape, x.dtype)
        error = same(got, torch.exp(s) * x, "forward(x) is not exp(s) x.", {
            "It looks like exp is missing: s is the logarithm of the scale, x is multiplied by exp(s).": s * x,
            "It looks like the wrong sign of s: forward (data to latent) multiplies by exp(s), the inverse by exp(-s).":
                torch.exp(-s) * x,
            "It looks like 1 + s in place of exp(s).": (1 + s) * x,
            "It looks like s is added, not multiplied: a shift cannot change the volume.": x + s,
            "It looks like exp(s) is added in place of multiplied.": x + torch.exp(s),
            "It looks like x itself came back: the scale is not applied.": x,
        })
        widen(errors, case["dtype"], error)
    return report(errors)


@judge.property("inverse: undoes forward")
def inverse_formula(inputs, values):
    errors = {}
    for case in inputs["cases"]:
        y, s = case["y"], case["s"]
        got = values.tensor(f"{case['name']}.x_at_y", y.shape, y.dtype)
        error = same(got, torch.exp(-s) * y, "inverse(z) is not exp(-s) z.", {
            "It looks like the inverse multiplies by exp(s) again: it must undo forward, not repeat it.":
                torch.exp(s) * y,
            "It looks like exp is missing in the inverse: divide by exp(s), not by s.": y / s,
            "It looks like z itself came back: nothing is undone.": y,
            "It looks like s is taken away: undo a multiplication by a division.": y - s,
            "It looks like -s is multiplied: exp is missing in the inverse.": -s * y,
        })
        widen(errors, case["dtype"], error)
    return report(errors)


@judge.property("round trip: inverse(forward(x)) = x and forward(inverse(z)) = z")
def undone(inputs, values):
    return round_trip(inputs["cases"], values)


def _log_det_mistake(got, case: dict, sign: int) -> str:
    s, x = case["s"], case["x"]
    full = torch.ones(len(x), dtype=s.dtype)
    total = sign * s.sum()
    return likely(got, total * full, {
        "It looks like the negative: that is the log-det of the other direction, or exp(-s) was meant.": -total * full,
        "It looks like the log-det is missing: a scaling changes the volume.": 0 * full,
        "It looks like the mean of s in place of its sum: each dimension stretches the volume once more.":
            sign * s.mean() * full,
        "It looks like it was summed over the batch too: each point has its own log-det.": total * len(x) * full,
        "It looks like the log is missing: exp(s) was summed in place of s.": sign * s.exp().sum() * full,
        "It looks like the determinant, not its logarithm.": (sign * s.sum()).exp() * full,
        "It looks like the absolute values of s were summed: log|exp(s)| is s, which may be negative.":
            sign * s.abs().sum() * full,
        "It looks like log|s| was summed: the scale is exp(s), not s.": sign * s.abs().log().sum() * full,
        "It looks like z was summed in place of s.": (s.exp() * x).sum(1),
        "It looks like s x was summed in place of s.": (s * x).sum(1),
    })


@judge.property("log_det for each point: log|det| of the Jacobian by differences")
def log_det_forward(inputs, values):
    errors = {}
    for case in inputs["cases"]:
        x, total = case["x"], case["s"].sum()
        got = values.tensor(f"{case['name']}.z.log_det", (len(x),), x.dtype)
        error = error_of(got, total.expand(len(x)))
        if not error <= tolerance(x.dtype):
            raise Wrong(f"forward's log_det is {sample(got)}; expected log|det J| = {total:.4g} for each point. "
                        f"{_log_det_mistake(got, case, 1)}")
        widen(errors, case["dtype"], error)
        if case["dtype"] == torch.float64:
            around = values.tensor(f"{case['name']}.around", (2 * x.numel(), x.shape[1]), x.dtype)
            if error_of(log_det_of(parts.difference_jacobian(around, len(x))), got) > 1e-6:
                raise Wrong(f"log_det is not the log|det| of the Jacobian that differences give. {NO_MATCH}")
    return report(errors)


@judge.property("log_det of the inverse: the two cancel")
def log_det_inverse(inputs, values):
    errors = {}
    for case in inputs["cases"]:
        y, total = case["y"], -case["s"].sum()
        got = values.tensor(f"{case['name']}.x_at_y.log_det", (len(y),), y.dtype)
        error = error_of(got, total.expand(len(y)))
        if not error <= tolerance(y.dtype):
            raise Wrong(f"The inverse's log_det is {sample(got)}; expected {total:.4g} for each point, that of the map "
                        f"just applied, z to x. {_log_det_mistake(got, case, -1)}")
        widen(errors, case["dtype"], error)
    return report(errors)


@judge.property("gradients reach s and x, through z and through log_det")
def gradient(inputs, values):
    for case in inputs["cases"]:
        x, s, dtype = case["x"], case["s"], case["dtype"]
        rows = case["row_weights"].sum().expand(len(s))
        for name, sign in (("grad_log_det", 1), ("grad_inverse_log_det", -1)):
            got = values.tensor(f"{case['name']}.{name}", s.shape, dtype)
            if error_of(got, sign * rows) > 10 * tolerance(dtype):
                zero = " It is 0: log_det is detached, and the likelihood could not train s." if not got.any() else ""
                raise Wrong(f"The gradient of log_det with respect to s is wrong.{zero} Compute log_det from self.s "
                            "itself, without .data, .detach(), .item() or no_grad.")
        expected = (case["weights"] * s.exp() * x).sum(0)
        if error_of(values.tensor(f"{case['name']}.grad_s", s.shape, dtype), expected) > 10 * tolerance(dtype):
            raise Wrong("The gradient of z with respect to s is wrong: is s detached on the way?")
        grad_x = values.tensor(f"{case['name']}.grad_x", x.shape, dtype)
        if error_of(grad_x, case["weights"] * s.exp()) > 10 * tolerance(dtype):
            raise Wrong("The gradient of z with respect to x is wrong: is x detached on the way?")
