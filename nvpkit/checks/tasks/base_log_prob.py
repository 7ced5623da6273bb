"""logistic_log_prob(z) and gaussian_log_prob(z): log-densities (B,) of independent standard variables, stable."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from nvpkit.checks import parts
from nvpkit.checks.diagnosis import likely, sample
from nvpkit.checks.findings import Judge, Wrong
from nvpkit.checks.invariants import inputs_kept, report, same, widen
from nvpkit.checks.recorder import Recorder, gradients
from nvpkit.checks.values import error_of, tolerance

ASSIGNMENT, ORDER, POINTS = "a2-nice", 4, 6
PARTS = {"logistic": 3, "gaussian": 3}
TAKES = ("logistic_log_prob", "gaussian_log_prob")
_EXPECTED = {"logistic": parts.logistic_log_prob, "gaussian": parts.gaussian_log_prob}


def inputs(seed: int) -> dict:
    """Return moderate points of several shapes, and points out to +-1000."""
    gen = parts.generator(seed)
    cases = []
    for name, shape, dtype in (("odd", (4, 5), torch.float64), ("single", (1, 3), torch.float64),
                               ("one_dim", (6, 1), torch.float64), ("float32", (3, 64), torch.float32)):
        cases.append({"name": name, "z": 2 * parts.randn(*shape, gen=gen, dtype=dtype)})
    sizes = torch.tensor([20.0, 100.0, 400.0, 1000.0])
    far = torch.stack([sizes, -sizes, sizes.roll(1) * torch.tensor([1.0, -1, 1, -1])])
    for name, dtype in (("far", torch.float64), ("far32", torch.float32)):
        cases.append({"name": name, "z": torch.cat([far, parts.randn(1, 4, gen=gen, dtype=torch.float32)]).to(dtype)})
    return {"cases": cases}


def run(student, inputs: dict) -> Recorder:
    """Call both functions on each case, and take the gradient of the sum."""
    out = Recorder()
    for part, function in zip(PARTS, student):
        with out.part(part):
            for case in inputs["cases"]:
                name, z = f"{part}/{case['name']}", case["z"].clone()
                what = f"{part}_log_prob(z), z (B, D) -> (B,),"
                out.put(f"{name}.value", function(z), z.shape[:1], z.dtype, what)
                out.kept(f"{name}.z", z)
                leaf = case["z"].clone().requires_grad_()
                value = out.put(f"{name}.again", function(leaf), z.shape[:1], z.dtype, what)
                out[f"{name}.grad"] = gradients(value.sum(), [leaf])[0]
                out.kept(f"{name}.leaf", leaf)
    return out


judge = Judge()


def _terms(part: str, z: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each known mistake gives at moderate points."""
    if part == "logistic":
        right = parts.logistic_log_prob(z)
        return {
            "It looks like the mean over the dimensions in place of the sum: independent densities multiply, so their "
            "logarithms add.": right / z.shape[1],
            "It looks like the wrong sign: a log-density falls as |z| grows.": -right,
            "It looks like one softplus is missing: the density has two factors, one for each tail.":
                -F.softplus(z).sum(1),
            "It looks like one softplus is missing: the density has two factors, one for each tail. ":
                -F.softplus(-z).sum(1),
            "It looks like a factor 2 is missing before the softplus.": (-z - F.softplus(-z)).sum(1),
            "It looks like the sign of the linear term is wrong: which tail does the softplus leave to it?":
                (z - 2 * F.softplus(-z)).sum(1),
            "It looks like the sign of the linear term is wrong: which tail does the softplus leave to it? ":
                (-z - 2 * F.softplus(z)).sum(1),
            "It looks like the density, not its logarithm.": right.exp(),
            "It looks like a sum over the batch: one number must stay for each point.": right.sum().expand(len(z)),
            "It looks like the normal density: this one is the logistic.": parts.gaussian_log_prob(z),
        }
    right, constant = parts.gaussian_log_prob(z), z.shape[1] * math.log(2 * math.pi)
    squares = z.square().sum(1)
    return {
        "It looks like the mean over the dimensions in place of the sum: independent densities multiply, so their "
        "logarithms add.": right / z.shape[1],
        "It looks like the wrong sign: a log-density falls as |z| grows.": -right,
        "It looks like the constant is missing: without it the density does not integrate to 1.": -0.5 * squares,
        "It looks like the constant is counted once, not once for each dimension.":
            -0.5 * squares - 0.5 * math.log(2 * math.pi),
        "It looks like the 1/2 before z^2 is missing.": -squares - 0.5 * constant,
        "It looks like the 1/2 before log(2 pi) is missing.": -0.5 * squares - constant,
        "It looks as if both factors 1/2 are missing.": -squares - constant,
        "It looks like the sign of the constant is wrong: it stands in the denominator of the density.":
            -0.5 * squares + 0.5 * constant,
        "It looks like a 2 is missing in the constant.": -0.5 * squares - 0.5 * z.shape[1] * math.log(math.pi),
        "It looks like the density, not its logarithm.": right.exp(),
        "It looks like the square is missing.": -0.5 * z.abs().sum(1) - 0.5 * constant,
        "It looks like a sum over the batch: one number must stay for each point.": right.sum().expand(len(z)),
        "It looks like the logistic density: this one is the normal.": parts.logistic_log_prob(z),
    }


def _moderate(inputs: dict) -> list[dict]:
    return [case for case in inputs["cases"] if not case["name"].startswith("far")]


def _far(inputs: dict) -> list[dict]:
    return [case for case in inputs["cases"] if case["name"].startswith("far")]


def _right(part: str, z: torch.Tensor) -> torch.Tensor:
    return _EXPECTED[part](z.double()).to(z.dtype)


def _value(inputs, values, part):
    errors = {}
    for case in _moderate(inputs):
        z = case["z"]
        got = values.tensor(f"{part}/{case['name']}.value", z.shape[:1], z.dtype)
        error = same(got, _right(part, z), f"{part}_log_prob(z) is wrong.", _terms(part, z))
        widen(errors, z.dtype, error)
    return report(errors)


def _stable(inputs, values, part):
    for case in _far(inputs):
        z = case["z"]
        got = values.tensor(f"{part}/{case['name']}.value", z.shape[:1], z.dtype)
        if not torch.isfinite(got).all():
            row = z[~torch.isfinite(got)][0]
            why = ("exp(100) overflows in float32 and exp(1000) in float64, though the log-density is about -|z|: "
                   "write it without exp, with softplus or logsigmoid." if part == "logistic" else
                   "exp(-z^2/2) is 0 there: never take the logarithm of a density, write the log-density at once.")
            raise Wrong(f"The value at z = {sample(row, 4)} is not finite: it overflows. {why}")
        same(got, _right(part, z), f"{part}_log_prob is wrong far out, at |z| up to 1000.", {
            "It looks like z was clamped.": _right(part, z.clamp(-100, 100)),
            "It looks as if softplus switches to its linear part on one side only.": _right(part, z.abs()),
        })
    return "float64 and float32"


def _gradient(inputs, values, part):
    for case in inputs["cases"]:
        z = case["z"]
        got = values.tensor(f"{part}/{case['name']}.grad", z.shape, z.dtype)
        expected = -torch.tanh(z / 2) if part == "logistic" else -z
        if not torch.isfinite(got).all():
            raise Wrong("The gradient is NaN or infinite far out (|z| up to 1000): a branch that overflows spoils it "
                        "even where torch.where picks the other one.")
        if error_of(got, expected) > 10 * tolerance(z.dtype):
            zero = " No gradient flows: is the value detached?" if not got.any() else ""
            raise Wrong(f"The gradient with respect to z is {sample(got)}; expected {sample(expected)}.{zero} "
                        f"{likely(got, expected, {'It looks like the wrong sign.': -expected})}")


def _kept(inputs, values, part):
    for case in inputs["cases"]:
        inputs_kept(values, f"{part}/{case['name']}.z", case["z"], "z")
        inputs_kept(values, f"{part}/{case['name']}.leaf", case["z"].clone().requires_grad_(), "z")


def _register(part: str) -> None:
    formula = "the log of the logistic density, summed over D" if part == "logistic" else "log N(z; 0, I)"
    for name, function in ((f"value: {formula}", _value), ("finite and right at +-100 and +-1000", _stable),
                           ("gradient with respect to z, far out too", _gradient),
                           ("the input keeps its values, requires_grad and .grad", _kept)):
        judge.property(name, part)(lambda inputs, values, function=function: function(inputs, values, part))


for _part in PARTS:
    _register(_part)
