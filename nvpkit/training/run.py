"""One training from its first step to its last: validation, averaging, checkpoints, and what to do when it breaks."""

import math
import sys
import time
from contextlib import nullcontext

import torch
from tqdm import tqdm

from nvpkit.metrics import evaluating
from nvpkit.training.averaging import Average, copy
from nvpkit.training.batches import seeded
from nvpkit.training.capture import CapturedStep
from nvpkit.training.diagnosis import find_culprit
from nvpkit.training.history import History
from nvpkit.training.schedules import factor
from nvpkit.training.state import save_training
from nvpkit.training.step import Step, make_optimizer, set_lr

KEEP_EVERY = 10  # steps between two copies of the weights to fall back on
LOOK_EVERY = {"cpu": 1}  # steps between two looks at the losses; on a GPU, where looking means waiting, 50


class Run:
    """The flow, its optimiser and all that a checkpoint holds."""

    def __init__(self, flow, flat, settings, optimizer, schedule):
        self.flow, self.flat, self.settings, self.schedule = flow, flat, settings, schedule
        self.device = flat.vectors[0].device
        self.optimizer = make_optimizer(optimizer, self.flat.vectors, settings["lr"], self.flat.layout)
        persistent = flow.state_dict().keys()
        self.buffers = [b for name, b in flow.named_buffers() if name in persistent and b.is_floating_point()]
        self.live = [vector.detach() for vector in self.flat.vectors] + self.buffers
        self.history, self.best, self.average = History(), None, None
        self.restart_average()

    def restart_average(self):
        """Let the average begin at the present weights."""
        if self.settings["average"] is not None:
            self.average = Average(self.live, self.settings["average"])

    def prepare(self, log_prob, capture, capture_is_a_must):
        """Make the step; ``capture_is_a_must`` says whether a failed capture is an error."""
        self.step = self.eager = Step(log_prob, self.flat, self.optimizer, self.settings["clip"])
        self.capture_is_a_must, self.history.captured = capture_is_a_must, bool(capture)
        if capture:
            self.step = CapturedStep(self.eager)

    def go(self, batches, held_out, checkpoint, progress, max_seconds):
        """Run from where the history ends to the last step, the end of patience, or the end of the time."""
        steps, every = self.settings["steps"], self.settings["every"]
        look_every = LOOK_EVERY.get(self.device.type, 50)
        begun, before = time.perf_counter(), self.history.seconds
        done = len(self.history.loss)
        self.figures = torch.zeros(look_every, 2, dtype=self.flat.vectors[0].dtype, device=self.device)
        self.unseen, self.last_good = [], None
        # Two copies in turn: one known to be good, one that the next look may confirm.
        self.good, self.candidate = ([tensor.clone() for tensor in self.live] for _ in range(2))
        self.candidate_is_new, self.kept_at, self.looks_late = False, done, look_every > 1
        self.flow.train()
        # stdout, not stderr: what a notebook writes to stderr can cost a student points.
        with tqdm(initial=done, total=steps, disable=not progress, file=sys.stdout, mininterval=0.5) as bar:
            while done < steps and not self._out_of_patience():
                self._advance(done, batches(done))
                done += 1
                validates = done % every == 0 or done == steps
                if len(self.unseen) == look_every or validates:
                    bar.update(self._look(done))
                    self.history.seconds = before + time.perf_counter() - begun
                out_of_time = max_seconds is not None and time.perf_counter() - begun > max_seconds
                if out_of_time and self.unseen:
                    bar.update(self._look(done))
                if validates:
                    recent = self.history.loss[-every:]
                    shown = {"nll": f"{sum(recent) / len(recent):.3f}"}
                    if held_out is not None:
                        shown["validation"] = f"{self._validate(done, held_out):.3f}"
                    bar.set_postfix(shown, refresh=False)
                if checkpoint is not None and (validates or out_of_time):
                    save_training(checkpoint, self)
                if out_of_time and done < steps:
                    self.history.ended = "time"
                    return
        self.history.ended = "steps" if done == steps else "patience"

    def _advance(self, step, batch):
        if not self.unseen and step - self.kept_at >= KEEP_EVERY:
            copy(self.candidate, self.live)
            self.candidate_is_new, self.kept_at = True, step
        share = factor(self.schedule, step, self.settings["steps"], self.settings["warm_up"])
        set_lr(self.optimizer, self.settings["lr"] * share)
        noise = None if self.looks_late else torch.get_rng_state()
        try:
            result = self.step(*batch)
        except RuntimeError as error:
            if self.step is self.eager or self.step.graph is not None:
                raise
            if self.capture_is_a_must:
                raise RuntimeError(f"this step cannot be captured ({error}); train with capture=False") from error
            self.step, self.history.captured = self.eager, False
            result = self.step(*batch)
        self.figures[len(self.unseen)].copy_(result)
        self.unseen.append((step, batch, noise))
        if self.average is not None and self.looks_late:
            self.average.update(step + 1)

    def _look(self, done):
        """Read the figures of the steps not yet looked at; returns how many they are."""
        figures, unseen, self.unseen = self.figures[: len(self.unseen)].tolist(), self.unseen, []
        for (loss, norm), (step, batch, noise) in zip(figures, unseen):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                self._stop(loss, norm, step, batch, noise)
            self.history.loss.append(loss)
            self.last_good = batch
        if self.candidate_is_new:
            self.good, self.candidate, self.candidate_is_new = self.candidate, self.good, False
        if self.average is not None and not self.looks_late:
            self.average.update(done)
        return len(unseen)

    def _stop(self, loss, norm, step, batch, noise):
        if noise is not None:
            torch.set_rng_state(noise)
        what = f"loss is {loss}" if not math.isfinite(loss) else f"gradient of the loss is {norm}"
        where = find_culprit(self.flow, *batch)
        largest = batch[0].abs().max().item()
        self._fall_back()
        raise FloatingPointError(
            f"the {what} at step {step + 1}, {where}: lower lr (now {self.settings['lr']:g}) or look at the data for "
            f"values far out (the largest of this batch is {largest:g}); the flow holds the last good weights"
        )

    @torch.no_grad()
    def _fall_back(self):
        """Keep the weights that met the bad batch when they are good for the batch before, else go back to the copy."""
        if not all(bool(torch.isfinite(buffer).all()) for buffer in self.buffers):
            copy(self.buffers, self.good[len(self.flat.vectors) :])
        if self.last_good is not None:
            with evaluating(self.flow):
                if bool(torch.isfinite(_log_prob(self.flow, *self.last_good)).all()):
                    return
        copy(self.live, self.good)

    def _validate(self, step, held_out):
        x, context = held_out
        contexts = [None] * len(x) if context is None else context.split(2048)
        # The same noise every time, and none of the training's: validating changes nothing.
        with self._kept_weights(), torch.no_grad(), evaluating(self.flow), seeded(self.settings["seed"], self.device):
            parts = [_log_prob(self.flow, *part) for part in zip(x.split(2048), contexts)]
            value = -torch.cat(parts).mean().item()
            self.history.validation.append((step, value))
            if math.isfinite(value) and value <= self.history.best_validation:
                self.history.best_step = step
                self.best = {key: tensor.detach().clone() for key, tensor in self.flow.state_dict().items()}
        return value

    def _out_of_patience(self):
        patience, validation = self.settings["patience"], self.history.validation
        if patience is None or not validation:
            return False
        return sum(step > (self.history.best_step or 0) for step, _ in validation) >= patience

    def _kept_weights(self):
        return nullcontext() if self.average is None else self.average.in_place()

    def finish(self):
        """Leave the flow with the weights to keep."""
        if self.best is not None:
            self.flow.load_state_dict(self.best)
        elif self.average is not None and self.history.loss:
            self.average.apply()


def _log_prob(flow, x, context):
    return flow.log_prob(x) if context is None else flow.log_prob(x, context)
