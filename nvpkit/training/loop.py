"""The loop: maximum likelihood step by step."""

import math
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from nvpkit.checkpoints import read_state
from nvpkit.errors import CheckpointError
from nvpkit.files import write_atomically
from nvpkit.metrics import evaluating
from nvpkit.training.batches import first_examples, make_batches, seeded
from nvpkit.training.history import History


def fit(
    flow,
    data,
    steps=1000,
    lr=1e-3,
    batch_size=256,
    validation=None,
    seed=0,
    device="auto",
    compile=False,
    checkpoint=None,
    resume=False,
    progress=True,
    clip=100.0,
    validate_every=None,
):
    """Fit a flow by maximum likelihood with Adam (beta2 .99), warm-up and cosine decay; returns a History.

    ``data`` is a tensor (N, *event_shape) or a pair (x, context), gone through in shuffled epochs, or anything with
    ``sample(n)``, which may give a pair: then every step sees fresh samples. Layers that set themselves from data and
    have not done so are initialised from the first 10,000 examples. ``validation``, of either kind, is evaluated every
    ``validate_every`` steps (a twentieth of all by default), and the flow ends with the weights that were best there.
    The global random state is neither used nor changed. ``device`` "auto" is a GPU where there is one; the flow returns
    to its own device, in eval mode.
    ``compile`` is True or the name of a torch.compile backend. ``clip`` bounds the gradient's norm, None turns it off.

    With ``checkpoint`` (a file) the state is saved at each validation; ``resume=True`` goes on from it, with the same
    result as an unbroken run. Raises CheckpointError when it belongs to other settings, FloatingPointError when the
    loss or its gradient stops being finite: the flow then holds the last good weights.

    >>> from nvpkit.data import parabola
    >>> from nvpkit.models import nice
    >>> history = fit(nice(2), parabola(), steps=5, progress=False)
    >>> len(history.loss)
    5
    """
    if not any(p.requires_grad for p in flow.parameters()):
        raise ValueError("the flow has no parameters to train")
    if resume and checkpoint is None:
        raise ValueError("resume=True needs the checkpoint file to resume from")
    if steps < 1 or batch_size < 1 or not lr > 0:
        raise ValueError(f"steps, batch_size and lr must be positive, got {steps}, {batch_size} and {lr}")
    every = validate_every or max(1, steps // 20)
    settings = {"steps": steps, "lr": lr, "batch_size": batch_size, "seed": seed, "clip": clip, "every": every}
    home = next(flow.parameters()).device
    device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    with seeded(seed, device):
        run = _Run(flow.to(device), device, settings)
        if resume and Path(checkpoint).exists():
            run.load(checkpoint)
        log_prob = flow.log_prob
        if compile:
            log_prob = torch.compile(log_prob, **({} if compile is True else {"backend": compile}))
        try:
            if not all(getattr(module, "initialised", True) for module in flow.modules()):
                flow.initialise(*first_examples(data, 10_000, seed, run.parameters[0]))
            batches = make_batches(data, batch_size, seed, run.parameters[0])
            held_out = None if validation is None else first_examples(validation, None, seed + 1, run.parameters[0])
            run.go(log_prob, batches, held_out, checkpoint, progress)
        finally:
            run.keep_best()
            flow.to(home).eval()
    return run.history


class _Run:
    """The state of one training: what a checkpoint holds."""

    def __init__(self, flow, device, settings):
        self.flow, self.device, self.settings = flow, device, settings
        self.parameters = [p for p in flow.parameters() if p.requires_grad]
        fused = device.type in ("cpu", "cuda") and all(p.is_floating_point() for p in self.parameters)
        self.optimizer = torch.optim.Adam(self.parameters, lr=settings["lr"], betas=(0.9, 0.99), fused=fused)
        self.history, self.best, self.good = History(), None, []

    def go(self, log_prob, batches, held_out, checkpoint, progress):
        steps, every = self.settings["steps"], self.settings["every"]
        started = time.perf_counter() - self.history.seconds
        done = len(self.history.loss)
        # stdout, not stderr: what a notebook writes to stderr can cost a student points.
        with tqdm(initial=done, total=steps, disable=not progress, file=sys.stdout, mininterval=0.5) as bar:
            for step in range(done, steps):
                self.flow.train()
                self.history.loss.append(self._step(step, log_prob, batches(step)))
                self.history.seconds = time.perf_counter() - started
                if (step + 1) % every == 0 or step + 1 == steps:
                    recent = self.history.loss[-every:]
                    shown = {"nll": f"{sum(recent) / len(recent):.3f}"}
                    if held_out is not None:
                        self._validate(step + 1, held_out)
                        shown["validation"] = f"{self.history.validation[-1][1]:.3f}"
                    if checkpoint is not None:
                        self.save(checkpoint)
                    bar.set_postfix(shown, refresh=False)
                bar.update()

    def _step(self, step, log_prob, batch):
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings["lr"] * _schedule(step, self.settings["steps"])
        self.optimizer.zero_grad(set_to_none=True)
        loss = -_call(log_prob, *batch).mean()
        value = loss.item()
        if not math.isfinite(value):
            self._stop("loss", value, step)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings["clip"] or math.inf).item()
        if not math.isfinite(norm):
            self._stop("gradient of the loss", norm, step)
        with torch.no_grad():
            self.good = [p.clone() for p in self.parameters]
        self.optimizer.step()
        return value

    def _stop(self, what, value, step):
        # The weights at hand may be the cause. Those before the last update gave a finite loss.
        with torch.no_grad():
            for parameter, good in zip(self.parameters, self.good):
                parameter.copy_(good)
        raise FloatingPointError(
            f"the {what} is {value} at step {step + 1}: lower lr (now {self.settings['lr']:g}) or look at the data for "
            "values far out; the flow holds the last good weights"
        )

    def _validate(self, step, held_out):
        # The same noise every time, and none of the training's: validating changes nothing.
        x, context = held_out
        contexts = [None] * len(x) if context is None else context.split(2048)
        with torch.no_grad(), evaluating(self.flow), seeded(self.settings["seed"], self.device):
            parts = [_call(self.flow.log_prob, *pair) for pair in zip(x.split(2048), contexts)]
            value = -torch.cat(parts).mean().item()
        self.history.validation.append((step, value))
        if math.isfinite(value) and value <= self.history.best_validation:
            self.history.best_step = step
            self.best = {key: tensor.detach().clone() for key, tensor in self.flow.state_dict().items()}

    def keep_best(self):
        if self.best is not None:
            self.flow.load_state_dict(self.best)

    def save(self, path):
        state = {
            "settings": self.settings,
            "history": asdict(self.history),
            "flow": self.flow.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }
        write_atomically(path, lambda partial: torch.save(state, partial))

    def load(self, path):
        state = read_state(path)
        if state.get("settings") != self.settings:
            raise CheckpointError(
                f"{path} was saved by a training with other settings ({state.get('settings')}, now {self.settings}): "
                "resume with the same ones, or name another checkpoint file"
            )
        try:
            self.flow.load_state_dict(state["flow"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.history, self.best = History(**state["history"]), state["best"]
            torch.set_rng_state(state["random"])
            if self.device.type == "cuda" and state["random_cuda"] is not None:
                torch.cuda.set_rng_state(state["random_cuda"], self.device)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path} does not belong to this flow: name another checkpoint file, or train without resume"
            ) from error


def _call(log_prob, x, context):
    return log_prob(x) if context is None else log_prob(x, context)


def _schedule(step, steps):
    """Factor on lr: linear warm-up over a tenth of the steps, 100 at most, then half a cosine down to zero."""
    warm_up = max(1, min(100, steps // 10))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
