"""negative_log_likelihood(flow, base_log_prob, x): minus the mean log-likelihood of a batch in nats, with gradient."""

from __future__ import annotations

import torch

from nvpkit.checks import parts
from nvpkit.checks.findings import Judge, Wrong
from nvpkit.checks.invariants import inputs_kept, report, same, widen
from nvpkit.checks.recorder import Recorder, gradients
from nvpkit.checks.values import error_of, tolerance

ASSIGNMENT, ORDER, POINTS = "a2-nice", 5, 4


def _skewed_log_prob(z: torch.Tensor) -> torch.Tensor:
    # A base that no student wrote: the function that is handed over must be the one that is used.
    return parts.logistic_log_prob(1.5 * z + 0.7) + z.shape[1] * 0.4054651081081644


_BASES = {"logistic": parts.logistic_log_prob, "gaussian": parts.gaussian_log_prob, "skewed": _skewed_log_prob}


def inputs(seed: int) -> dict:
    """Return three flows and batches: logistic, normal and skewed base, one batch of one, one in float32."""
    gen = parts.generator(seed)
    cases = []
    for number, (base, batch, dtype) in enumerate((("logistic", 5, torch.float64), ("gaussian", 7, torch.float32),
                                                   ("skewed", 1, torch.float64), ("skewed", 6, torch.float64))):
        dim = 2 + int(torch.randint(3, (), generator=gen))
        cases.append({"name": f"{base}{batch}", "base": base, "dtype": dtype, "seed": seed * 10 + number, "dim": dim,
                      "x": parts.randn(batch, dim, gen=gen, dtype=dtype)})
    return {"cases": cases}


def _flow(case: dict) -> parts.TinyFlow:
    return parts.TinyFlow(case["dim"], parts.generator(case["seed"])).to(case["dtype"])


def run(student, inputs: dict) -> Recorder:
    """Call the function on each batch and take the gradient with respect to the flow's parameters."""
    out = Recorder()
    with out.part():
        for case in inputs["cases"]:
            name, flow, x = case["name"], _flow(case), case["x"].clone()
            loss = student(flow, _BASES[case["base"]], x)
            out.put(f"{name}.loss", loss, (), x.dtype, "negative_log_likelihood(flow, base_log_prob, x)")
            out.kept(f"{name}.x", x)
            out[f"{name}.carries_gradient"] = int(loss.requires_grad)
            found = gradients(loss, list(flow.parameters()))
            out[f"{name}.grad"] = torch.cat([grad.reshape(-1) for grad in found])
    return out


judge = Judge()


def _mistakes(case: dict) -> dict[str, torch.Tensor]:
    x, base = case["x"], _BASES[case["base"]]
    flow = _flow(case)
    z, log_det = flow(x)
    back, back_log_det = flow.inverse(x)
    loss = -(base(z) + log_det)
    return {
        "It looks like the log-det has the wrong sign: log p(x) = log p(z) + log|det dz/dx|, and that is the log-det "
        "that forward returns.": -(base(z) - log_det).mean(),
        "It looks like the log-det is missing: log p(x) = log p(z) + log|det dz/dx|.": -base(z).mean(),
        "It looks like the base density is evaluated at x: it belongs to z = f(x).": -(base(x) + log_det).mean(),
        "It looks like the flow is not used: the base density of x came back.": -base(x).mean(),
        "It looks like the minus is missing: this is the log-likelihood itself, and a loss must fall.": -loss.mean(),
        "It looks like the sum over the batch in place of the mean.": loss.sum(),
        "It looks like the mean over batch and dimensions: divide by the number of points only.":
            loss.mean() / x.shape[1],
        "It looks like the log-det is summed over the batch while the rest is a mean: take the mean of both.":
            -base(z).mean() - log_det.sum(),
        "It looks like the log-det is taken without the base density.": -log_det.mean(),
        "It looks like bits in place of nats: no division by log 2 here.": loss.mean() / 0.6931471805599453,
        "It looks like flow.inverse in place of flow: data to latent is forward.": -(base(back) + back_log_det).mean(),
        "It looks like only the first point is used.": loss[0],
    }


@judge.property("value: mean over the batch, in nats, a 0-d tensor")
def value(inputs, values):
    errors = {}
    for case in inputs["cases"]:
        with torch.no_grad():
            z, log_det = _flow(case)(case["x"])
            expected = -(_BASES[case["base"]](z) + log_det).mean()
            got = values.tensor(f"{case['name']}.loss", (), case["dtype"])
            widen(errors, case["dtype"], same(got, expected, "The loss is wrong.", _mistakes(case)))
    return report(errors)


@judge.property("the loss carries gradient to the flow's parameters")
def gradient(inputs, values):
    for case in inputs["cases"]:
        if not values.number(f"{case['name']}.carries_gradient"):
            raise Wrong("The loss carries no gradient: was it made by .item(), .detach(), torch.tensor(...) or under "
                        "no_grad? Training needs the graph.")
        flow = _flow(case)
        z, log_det = flow(case["x"])
        loss = -(_BASES[case["base"]](z) + log_det).mean()
        expected = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(flow.parameters()))])
        got = values.tensor(f"{case['name']}.grad", expected.shape, expected.dtype)
        if error_of(got, expected) > 10 * tolerance(case["dtype"]):
            raise Wrong("The value is right but its gradient is not: a part of the sum is detached, so that training "
                        "would not see it. Is it the log-det?")


@judge.property("x keeps its values, requires_grad and .grad")
def kept(inputs, values):
    for case in inputs["cases"]:
        inputs_kept(values, f"{case['name']}.x", case["x"], "x")
