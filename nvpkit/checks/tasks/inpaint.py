"""inpaint(flow, base_log_prob, x, known, steps): climb in log-likelihood by moving the unknown pixels alone."""

from __future__ import annotations

import torch

from nvpkit.checks import parts
from nvpkit.checks.findings import Judge, Wrong
from nvpkit.checks.invariants import inputs_kept
from nvpkit.checks.recorder import Recorder

ASSIGNMENT, ORDER, POINTS = "a2-nice", 7, 4
STEPS = 100
# The share of the best possible gain in log-likelihood that is asked for: noise and slow optimisers have room.
LEAST_SHARE = 0.75
DIM = 16


class PixelFlow(torch.nn.Module):
    """A smooth flow on [0, 1]^D whose density has one top, with a curvature that the paper's step can climb.

    With `bent`, each pixel is stretched by exp(bend x) first, so that the log-det has a slope of its own.
    """

    def __init__(self, gen: torch.Generator, bent: bool = False):
        super().__init__()
        half = DIM // 2
        self.register_buffer("centre", -0.15 + 1.3 * torch.rand(DIM, generator=gen))
        self.nets = torch.nn.ModuleList(parts.SmoothNet(half, half, gen) for _ in range(2))
        for net in self.nets:
            parts.rerandomise(net, gen, gain=0.35)
        self.s = torch.nn.Parameter(torch.log(2 + torch.rand(DIM, generator=gen)))
        signs = torch.where(torch.rand(DIM, generator=gen) < 0.5, -2.0, 2.0)
        self.register_buffer("bend", signs if bent else None)

    def forward(self, x: torch.Tensor):
        x = x - self.centre
        log_det = self.s.sum().expand(len(x))
        if self.bend is not None:
            log_det = log_det + (self.bend * x).sum(1)
            x = torch.expm1(self.bend * x) / self.bend
        first, second = x.chunk(2, 1)
        second = second + self.nets[0](first)
        first = first + self.nets[1](second)
        return torch.cat([first, second], 1) * self.s.exp(), log_det

    def inverse(self, z: torch.Tensor):
        first, second = (z * (-self.s).exp()).chunk(2, 1)
        first = first - self.nets[1](second)
        second = second - self.nets[0](first)
        x, log_det = torch.cat([first, second], 1), -self.s.sum().expand(len(z))
        if self.bend is not None:
            x = torch.log1p(self.bend * x) / self.bend
            log_det = log_det - (self.bend * x).sum(1)
        return x + self.centre, log_det


def _flat_log_prob(z: torch.Tensor) -> torch.Tensor:
    # Uniform: no way is up, so the result tells where the climb started.
    return 0.0 * z.sum(1)


_BASES = {"gaussian": parts.gaussian_log_prob, "flat": _flat_log_prob}


def inputs(seed: int) -> dict:
    """Return images far from the top, `known` (B, D) or (D,), one alone; a log-det with a slope; and a plain."""
    gen = parts.generator(seed)
    cases = []
    for number, (name, batch, dtype, rows, base, steps) in enumerate((
            ("each", 5, torch.float64, True, "gaussian", STEPS),
            ("same", 3, torch.float32, False, "gaussian", STEPS),
            ("single", 1, torch.float64, False, "gaussian", STEPS),
            ("bent", 3, torch.float64, True, "flat", STEPS),
            ("flat", 16, torch.float64, False, "flat", 1))):
        case = {"name": name, "seed": seed * 10 + number, "dtype": dtype, "base": base, "steps": steps}
        shape = (batch, DIM) if rows else (DIM,)
        known = torch.rand(shape, generator=gen) < 0.5
        known[..., 0], known[..., 1] = True, False
        flow = _flow(case)
        start = torch.rand(batch, DIM, generator=gen)
        if name != "flat":
            far = flow.centre < 0.5 if flow.bend is None else flow.bend < 0
            start = 0.3 * start + 0.7 * far
        cases.append({**case, "known": known, "x": start.to(dtype)})
    return {"cases": cases}


def _flow(case: dict) -> PixelFlow:
    return PixelFlow(parts.generator(case["seed"]), bent=case["name"] == "bent").to(case["dtype"])


def run(student, inputs: dict) -> Recorder:
    """Call the function on each case and write down the images, and the flow before and after."""
    out = Recorder()
    with out.part():
        for case in inputs["cases"]:
            name, flow, x, known = case["name"], _flow(case), case["x"].clone(), case["known"].clone()
            filled = student(flow, _BASES[case["base"]], x, known, case["steps"])
            out.put(f"{name}.filled", filled, x.shape, x.dtype, "inpaint(flow, base_log_prob, x, known, steps)")
            out[f"{name}.attached"] = int(filled.requires_grad)
            out.kept(f"{name}.x", x)
            out.kept(f"{name}.known", known)
            out[f"{name}.weights"] = torch.cat([p.detach().reshape(-1).clone() for p in flow.state_dict().values()])
            out[f"{name}.frozen"] = sum(not p.requires_grad for p in flow.parameters())
            out[f"{name}.n_grads"] = sum(p.grad is not None for p in flow.parameters())
    return out


judge = Judge()


def _log_prob(case: dict, flow, x: torch.Tensor) -> torch.Tensor:
    z, log_det = flow(x)
    return _BASES[case["base"]](z) + log_det


def _climb(case: dict, flow, sign: float = 1.0) -> torch.Tensor:
    """Climb (or descend) from x by our own steps, long enough to arrive."""
    x, known = case["x"], case["known"]
    for _ in range(250):
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(_log_prob(case, flow, leaf).sum(), leaf)
        x = torch.where(known, x, (x + sign * 0.06 * slope).clamp(0, 1))
    return x


def _filled(values, case: dict) -> torch.Tensor:
    return values.tensor(f"{case['name']}.filled", case["x"].shape, case["dtype"])


def _climbing(inputs: dict) -> list[dict]:
    return [case for case in inputs["cases"] if case["name"] != "flat"]


@judge.property("the flow, x and known stay as they were")
def kept(inputs, values):
    notes = ""
    for case in inputs["cases"]:
        weights = torch.cat([p.detach().reshape(-1) for p in _flow(case).state_dict().values()])
        if not torch.equal(values.tensor(f"{case['name']}.weights", weights.shape, weights.dtype), weights):
            raise Wrong("The flow's weights changed: the pixels are to be moved, not the flow. Give the optimiser the "
                        "pixels alone.")
        if values.number(f"{case['name']}.frozen"):
            raise Wrong("The flow's parameters have requires_grad = False after the call: nobody could train it any "
                        "more. Take the gradient with respect to the pixels alone (torch.autograd.grad).")
        inputs_kept(values, f"{case['name']}.x", case["x"], "x")
        inputs_kept(values, f"{case['name']}.known", case["known"], "known")
        if values.number(f"{case['name']}.n_grads"):
            notes = "note: .grad of the flow's parameters is filled; torch.autograd.grad would leave it alone"
    return notes


@judge.property("known pixels come back bit for bit")
def known_kept(inputs, values):
    for case in inputs["cases"]:
        filled, known = _filled(values, case), case["known"].expand_as(case["x"])
        if not torch.equal(filled[known], case["x"][known]):
            if torch.equal(filled[~known], case["x"][~known]):
                raise Wrong("The known pixels moved and the unknown ones stayed: `known` is used the wrong way round. "
                            "It is True where a pixel is given.")
            raise Wrong("Known pixels have other values than before. Only the pixels where `known` is False may move; "
                        "the others come back bit for bit.")


@judge.property("unknown pixels lie in [0, 1]")
def clipped(inputs, values):
    for case in inputs["cases"]:
        unknown = _filled(values, case)[~case["known"].expand_as(case["x"])]
        if not torch.isfinite(unknown).all():
            raise Wrong("The result holds NaN or infinity.")
        if unknown.min() < 0 or unknown.max() > 1:
            raise Wrong(f"Unknown pixels reach from {unknown.min():.3g} to {unknown.max():.3g}: they are not clipped "
                        "to [0, 1]. Clip after each step.")


@judge.property("the climb starts from the values of x")
def start(inputs, values):
    for case in inputs["cases"]:
        if case["name"] == "flat":
            unknown = ~case["known"].expand_as(case["x"])
            away = (_filled(values, case) - case["x"])[unknown].abs().mean()
            # A noisy first step of size .1 moves a pixel by .08 on average; another start is .25 away or more.
            if not away <= 0.17:
                raise Wrong(f"After one step on a flat density the unknown pixels are {away:.2g} away from x on "
                            "average: the climb does not start from x's own values (zeros, noise, or .5 in their "
                            "place?), or its step is far too long.")


@judge.property("the log-likelihood rises")
def gain(inputs, values):
    shares = []
    for case in _climbing(inputs):
        flow, filled = _flow(case), _filled(values, case)
        best = _climb(case, flow)
        with torch.no_grad():
            before = _log_prob(case, flow, case["x"]).sum()
            possible = (_log_prob(case, flow, best).sum() - before).item()
            reached = (_log_prob(case, flow, filled).sum() - before).item()
        share = reached / possible
        shares.append(share)
        if not share >= LEAST_SHARE:
            text = (f"In {case['steps']} steps the log-likelihood changed by {reached:.3g} nats, of {possible:.3g} "
                    "that were possible. ")
            if case["name"] == "bent":
                raise Wrong(text + "Here the base density is flat, and the log-det alone has a slope: is it a part of "
                            "the likelihood that is climbed, and is the base the one that is handed over?")
            if torch.equal(filled, case["x"]):
                raise Wrong(text + "Nothing moved: is x itself returned, or is the step never added?")
            if reached < 0:
                raise Wrong(text + "It fell: this walks downhill. Add the gradient of the log-likelihood, or "
                            "minimise its negative.")
            raise Wrong(text + "It rises too slowly, or something else is climbed: is it log p(x) of the whole image, "
                        "base density at z plus log-det, for every step?")
    return f"{min(shares):.0%} of the possible gain, or more"


@judge.property("the result is detached")
def detached(inputs, values):
    for case in inputs["cases"]:
        if values.number(f"{case['name']}.attached"):
            raise Wrong("The result still requires a gradient: return it detached, so that nobody keeps the graph of "
                        "all the steps.")
