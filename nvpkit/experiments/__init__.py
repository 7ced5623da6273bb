"""Whole experiments on named data: what `nvpkit train`, `nvpkit sample` and `nvpkit evaluate` do."""

import inspect
import math
from pathlib import Path

import torch

from nvpkit import models, viz
from nvpkit.checkpoints import load_flow, save_flow
from nvpkit.data import images, levels, toy
from nvpkit.data.images import SETS
from nvpkit.data.toy import TOYS
from nvpkit.experiments.defaults import DEFAULTS
from nvpkit.metrics import (
    bits_per_dim,
    importance_weighted_log_prob,
    kl_to,
    log_det_error,
    negative_log_likelihood,
    round_trip_error,
)
from nvpkit.training import fit

QUICK_STEPS = 200
OF_FIT = {"average", "batch_size", "bf16", "clip", "compile", "lr", "max_seconds", "optimizer", "patience", "schedule"}
OF_FIT |= {"steps", "validate_every"}


def train(model, data, folder, *, seed=0, quick=False, device="auto", resume=False, progress=True, **given):
    """Train ``models.<model>`` on the data set or toy called ``data``, save it in ``folder``, return its figures.

    ``given`` may hold what ``OF_FIT`` names and any setting of the model's builder; what is missing or None comes from
    ``DEFAULTS``, and ``quick`` means 200 steps. nice and real_nvp see images as vectors, image_real_nvp as images. Of
    images a tenth of the training split, 2,000 at most (1,000 for image_real_nvp), is held out for validation; the test
    split is read only at the end. ``resume`` goes on where an interrupted training in ``folder`` stopped. Raises
    ValueError for a model that does not suit the data, and for a setting that the builder does not know.
    """
    choice, settings = _choices(model, data, quick, given)
    examples, validation, shape = _training_data(data, seed, flat=model != "image_real_nvp")
    if model == "image_real_nvp":
        settings["shape"] = shape
    else:
        settings["dim"] = math.prod(shape)
    if data in SETS:
        settings["levels"] = levels(data)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        flow = getattr(models, model)(**settings)
        # Images are dear, and on them a scaling of NICE that begins at 0 learns too slowly.
        few = 10_000 if model != "image_real_nvp" else 2000
        flow.initialise(examples[:few] if isinstance(examples, torch.Tensor) else examples.sample(few))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    history = fit(
        flow,
        examples,
        validation=validation,
        seed=seed,
        device=device,
        checkpoint=folder / "training.pt",
        resume=resume,
        progress=progress,
        **choice,
    )
    figures = {
        "model": model,
        "data": data,
        **choice,
        "seed": seed,
        "seconds": round(history.seconds, 1),
        "steps_done": len(history.loss),
        "best_step": history.best_step,
        **_figures(flow, data, seed),
    }
    save_flow(folder, flow, data=data, shape=list(shape), figures=figures)
    return figures


def evaluate(checkpoint, data=None, seed=0, draws=0):
    """Return the figures of a saved flow on the test data called ``data``, by default that of its training.

    With ``draws`` the importance-weighted bound with that many draws of the dequantisation noise is among them.
    """
    flow, description = load_flow(checkpoint)
    trained_on = description.get("data")
    if data is None and trained_on is None:
        raise ValueError(f"{checkpoint} does not say which data its flow was trained on: name it with --data")
    data = data or trained_on
    _kind(data)
    shape, own = _shape(data), tuple(description.get("shape", flow.event_shape))
    if math.prod(shape) != math.prod(own) or (levels(data) if data in SETS else None) != flow.levels:
        raise ValueError(
            f"the flow in {checkpoint} was made for {trained_on} of shape {own}; {data} has shape {shape} or other "
            "grey levels: name the data that it was trained on, or train one for this data"
        )
    if draws and flow.levels is None:
        raise ValueError(f"{data} is no integer data: a bound with several draws of the noise is for images alone")
    return {"model": description["model"], "data": data, **_figures(flow, data, seed, draws)}


def sample(checkpoint, n, path, temperature=1.0, seed=0):
    """Draw n samples of a saved flow and write their picture to ``path``; returns the path."""
    flow, description = load_flow(checkpoint)
    points = flow.sample(n, temperature=temperature, generator=torch.Generator().manual_seed(seed))
    shape = tuple(description.get("shape", flow.event_shape))
    if len(shape) == 3:
        ax = viz.image_grid(points.reshape(n, *shape), n_columns=math.ceil(math.sqrt(n)), high=flow.levels - 1)
    else:
        ax = viz.samples(points, title=f"{n} samples")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    ax.figure.savefig(path, dpi=150)
    return path


def _choices(model, data, quick, given):
    """Return (what goes to fit, what goes to the builder)."""
    if model not in DEFAULTS:
        raise ValueError(f"there is no model called {model!r}; there are {', '.join(DEFAULTS)}")
    kind = _kind(data)
    defaults = DEFAULTS[model].get(data, DEFAULTS[model].get(kind))
    if defaults is None:
        raise ValueError(f"{model} is for images and {data} is a toy on the plane: train nice or real_nvp on it")
    choice = {key: value for key, value in defaults.items() if key != "settings"}
    if "lr" in choice:
        choice["optimizer"] = "adam"  # for which the rate was chosen
    settings = dict(defaults["settings"])
    if quick:
        choice["steps"] = QUICK_STEPS
    known = set(inspect.signature(getattr(models, model)).parameters) - {"dim", "shape", "levels"}
    for key, value in given.items():
        if value is None:
            continue
        if key not in OF_FIT and key not in known:
            raise ValueError(f"{model} has no setting {key!r}; it has {', '.join(sorted(known))}")
        (choice if key in OF_FIT else settings)[key] = value
    if model == "image_real_nvp":
        # Their validation takes as long as many steps.
        choice.setdefault("validate_every", max(1, choice["steps"] // 5))
    if model == "image_real_nvp" and not isinstance(settings["hidden"], int):
        if len(settings["hidden"]) != 1:
            raise ValueError(f"image_real_nvp takes one width, that of its first scale, got {settings['hidden']}")
        settings["hidden"] = settings["hidden"][0]
    return choice, settings


def _kind(data):
    if data in TOYS:
        return "toy"
    if data in SETS:
        return "digits" if data == "digits" else "images"
    raise ValueError(f"there is no data called {data!r}; there are {', '.join([*SETS, *TOYS])}")


def _shape(data):
    return SETS[data][2] if data in SETS else (2,)


def _training_data(data, seed, flat=True):
    """Return (training data, validation data, shape of one example); images as vectors where ``flat``."""
    if data in TOYS:
        return toy(data), toy(data), (2,)
    pixels, _ = images(data, "train")
    examples = pixels.flatten(1) if flat else pixels
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed))
    held_out = min(len(examples) // 10, 2000 if flat else 1000)
    return examples[order[held_out:]], examples[order[:held_out]], tuple(pixels.shape[1:])


def _figures(flow, data, seed, draws=0):
    """Return the test figures of a flow; the noise of dequantisation is drawn with ``seed``."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if data in TOYS:
            target = toy(data)
            estimate, error = kl_to(flow, target, 50_000)
            x = target.sample(1000)
            score = {"kl_nats": estimate, "kl_standard_error": error, "nll_nats": negative_log_likelihood(flow, x)[0]}
        else:
            x = images(data, "test")[0].reshape(-1, *flow.event_shape)
            dims = math.prod(flow.event_shape)
            nats, error = negative_log_likelihood(flow, x)
            bits = bits_per_dim(-nats, dims)
            score = {"bits_per_dim": bits, "bits_standard_error": error / (dims * math.log(2)), "nll_nats": nats}
            if draws:
                tighter = importance_weighted_log_prob(flow, x, draws).mean().item()
                score[f"bits_per_dim_{draws}_draws"] = bits_per_dim(tighter, dims)
        score |= {"test_size": len(x), "round_trip_error": round_trip_error(flow, x[:1000], continuous=True)}
        if math.prod(flow.event_shape) <= 256 or len(flow.event_shape) == 1:
            # A backward pass for each dimension: too long for convolutions on large images.
            score["log_det_error"] = log_det_error(flow, x[: 4 if x[0].numel() > 100 else 32])
    return score
