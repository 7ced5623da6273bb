"""`fit`: what can be chosen, and the checks on it. The run itself is in `run`."""

import math
from contextlib import ExitStack, nullcontext
from pathlib import Path

import torch

from nvpkit.training.batches import as_pair, first_examples, is_given, make_batches, seeded
from nvpkit.training.capture import should_capture
from nvpkit.training.flat import FlatParameters
from nvpkit.training.precision import bfloat16_conditioners
from nvpkit.training.run import Run
from nvpkit.training.schedules import SCHEDULES
from nvpkit.training.soap import LARGEST
from nvpkit.training.state import load_training
from nvpkit.training.step import OPTIMIZERS


def fit(
    flow,
    data,
    steps=1000,
    lr=None,
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
    *,
    optimizer=None,
    schedule="cosine",
    warm_up=None,
    average=None,
    patience=None,
    max_seconds=None,
    bf16=False,
    capture="auto",
):
    """Fit a flow by maximum likelihood: the loss is the mean negative log-likelihood in nats. Returns a History.

    Layers that set themselves from data and have not done so are initialised from the first 10,000 examples. The global
    random state is neither used nor changed. Afterwards the flow is on its own device, in eval mode.

    - ``data``: a tensor (N, *event_shape) or a pair (x, context), gone through in shuffled epochs, or anything with
      ``sample(n)``, which may give a pair: then every step sees fresh samples.
    - ``steps``, ``batch_size``: how many steps, and how many examples each one sees.
    - ``lr``, ``schedule``, ``warm_up``: the largest learning rate; "cosine" (down to zero), "linear" or "constant" or a
      function of the share of the way gone; how many steps it rises first (a tenth of all, 100 at most).
    - ``optimizer``: "adam" or "adamw" (fused, betas .9 and .99), "soap", or a function (vectors, lr) -> optimiser. With
      neither ``optimizer`` nor ``lr``: SOAP at .01 for nets of small matrices on a CPU, where it gains most; else, and
      where only ``lr`` is given, Adam (at .001).
    - ``clip``: bound on the gradient's norm; None turns it off.
    - ``average``: decay, such as .999, of an exponential moving average of weights and running statistics, which is
      what is validated and kept; None keeps the last weights.
    - ``validation``: data of either kind, evaluated every ``validate_every`` steps ("epoch", or a number; a twentieth
      of all by default). The flow ends with the weights that were best there.
    - ``patience``: stop after so many validations without a new best.
    - ``checkpoint``, ``resume``: a file that takes the state at each validation; go on from it, with the result that an
      unbroken run gives (to the bit on a CPU).
    - ``max_seconds``: pause after that long, with a checkpoint to resume from.
    - ``seed``: of batches, noise and dropout. ``progress``: a bar on stdout.
    - ``device``: "auto" is a GPU where there is one. ``compile``: True or the name of a torch.compile backend.
    - ``capture``: replay each step as one CUDA graph; "auto" does so for small flows on a GPU that are not compiled.
    - ``bf16``: train the conditioners, and only these, in bfloat16; the trained flow computes in its own dtype.

    Raises CheckpointError when the checkpoint belongs to other settings, and FloatingPointError, which names the layer,
    when the loss or its gradient stops being finite: the flow then holds the last good weights.

    >>> from nvpkit.data import parabola
    >>> from nvpkit.models import nice
    >>> history = fit(nice(2), parabola(), steps=5, progress=False)
    >>> len(history.loss)
    5
    """
    if not any(p.requires_grad for p in flow.parameters()):
        raise ValueError("the flow has no parameters to train")
    home, device = next(flow.parameters()).device, choose_device(device)
    optimizer, lr = _recipe(flow, device, optimizer, lr)
    settings = {
        "steps": steps,
        "lr": lr,
        "batch_size": batch_size,
        "seed": seed,
        "clip": clip,
        "every": _every(validate_every, steps, data, batch_size),
        "optimizer": _named("optimizer", optimizer, OPTIMIZERS),
        "schedule": _named("schedule", schedule, SCHEDULES),
        "warm_up": warm_up,
        "average": average,
        "patience": patience,
        "bf16": bf16,
    }
    _check(settings, validation, checkpoint, resume, max_seconds)
    capture_is_a_must = capture is True
    capture = should_capture(capture, flow, device, compile, optimizer)
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        stack.enter_context(seeded(seed, device))
        stack.callback(lambda: flow.to(home).eval())
        flat = FlatParameters(flow.to(device))
        stack.callback(flat.release)
        if bf16:
            stack.enter_context(bfloat16_conditioners(flow, only_in_training=True))
        run = Run(flow, flat, settings, optimizer, schedule)
        stack.callback(run.finish)
        like = flat.parameters[0]
        if resume and Path(checkpoint).exists():
            load_training(checkpoint, run)
        if not all(getattr(module, "initialised", True) for module in flow.modules()):
            flow.initialise(*first_examples(data, 10_000, seed, like))
            run.restart_average()
        batches = _at_the_door(flow, data, make_batches(data, batch_size, seed, like))
        held_out = None if validation is None else first_examples(validation, None, seed + 1, like)
        if held_out is not None and hasattr(flow, "check"):
            flow.check(*held_out)
        log_prob = flow.log_prob
        if compile:
            log_prob = torch.compile(log_prob, **({} if compile is True else {"backend": compile}))
        run.prepare(log_prob, capture, capture_is_a_must)
        with flow.trusted() if hasattr(flow, "trusted") else nullcontext():
            run.go(batches, held_out, checkpoint, progress, max_seconds)
    return run.history


def choose_device(device):
    """Return the torch.device for "auto" (a GPU where there is one) or for a name; ValueError for one that is not here.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f'device is "auto", "cpu" or "cuda", got {device!r}') from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError('there is no CUDA GPU here: train with device "auto" or "cpu"')
    return device


def _at_the_door(flow, data, batches):
    """Let the flow's door look once, at all given data or at the first fresh batch; the steps then need not wait."""
    if not hasattr(flow, "check"):
        return batches
    if is_given(data):
        flow.check(*as_pair(data))
        return batches
    first = []

    def checked(step):
        batch = batches(step)
        if not first:
            flow.check(*batch)
            first.append(step)
        return batch

    return checked


def _every(validate_every, steps, data, batch_size):
    if validate_every == "epoch":
        if not is_given(data):
            raise ValueError('validate_every="epoch" needs data of a known size; fresh samples have no epochs')
        return max(1, math.ceil(len(as_pair(data)[0]) / batch_size))
    return validate_every or max(1, steps // 20)


def _recipe(flow, device, optimizer, lr):
    """Return the optimiser and the learning rate, chosen where none was given."""
    if optimizer is None:
        small = all(p.ndim < 2 or (p.ndim == 2 and max(p.shape) <= LARGEST) for p in flow.parameters())
        optimizer = "soap" if lr is None and small and device.type == "cpu" else "adam"
    return optimizer, (1e-2 if optimizer == "soap" else 1e-3) if lr is None else lr


def _named(what, choice, known):
    """Return the name of a choice, for the checkpoint."""
    if callable(choice):
        return getattr(choice, "__qualname__", type(choice).__qualname__)
    if choice not in known:
        raise ValueError(f"{what} must be one of {', '.join(known)} or a function, got {choice!r}")
    return choice


def _check(settings, validation, checkpoint, resume, max_seconds):
    steps, batch_size, lr = settings["steps"], settings["batch_size"], settings["lr"]
    if steps < 1 or batch_size < 1 or not lr > 0:
        raise ValueError(f"steps, batch_size and lr must be positive, got {steps}, {batch_size} and {lr}")
    if settings["clip"] is not None and not settings["clip"] > 0:
        raise ValueError(f"clip is a positive bound or None, got {settings['clip']}")
    if settings["average"] is not None and not 0 < settings["average"] < 1:
        raise ValueError(f"average is a decay between 0 and 1, or None, got {settings['average']}")
    if settings["patience"] is not None and (settings["patience"] < 1 or validation is None):
        raise ValueError(f"patience={settings['patience']} needs validation data and a count of at least 1")
    if resume and checkpoint is None:
        raise ValueError("resume=True needs the checkpoint file to resume from")
    if max_seconds is not None and checkpoint is None:
        raise ValueError("max_seconds needs a checkpoint file, or what was paused is lost")
