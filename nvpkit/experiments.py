"""Whole experiments on named data: what `nvpkit train`, `nvpkit sample` and `nvpkit evaluate` do."""

import math
from pathlib import Path

import torch

from nvpkit import models, viz
from nvpkit.checkpoints import load_flow, save_flow
from nvpkit.data import images, levels, toy
from nvpkit.data.images import SETS
from nvpkit.data.toy import TOYS
from nvpkit.metrics import bits_per_dim, kl_to, log_det_error, round_trip_error
from nvpkit.training import fit

# What a training takes unless it is told otherwise. Digits: the best test figure of a few tries of half a minute.
DEFAULTS = {
    "toy": {"steps": 1500, "lr": 1e-2, "batch_size": 256, "n_layers": 4, "hidden": (64, 64), "dropout": 0.0},
    "digits": {"steps": 2000, "lr": 2e-3, "batch_size": 128, "n_layers": 8, "hidden": (128, 128), "dropout": 0.2},
    "images": {"steps": 4000, "lr": 1e-3, "batch_size": 128, "n_layers": 4, "hidden": (500, 500, 500), "dropout": 0.0},
}
QUICK_STEPS = 200


def train(model, data, folder, *, seed=0, quick=False, device="auto", resume=False, progress=True, **given):
    """Train ``models.<model>`` on the data set or toy called ``data``, save it in ``folder``, return its figures.

    ``given`` may hold steps, lr, batch_size, n_layers, hidden, dropout; what is missing or None comes from
    ``DEFAULTS``, and ``quick`` means 200 steps. Of images a tenth of the training split is held out for validation;
    the test split is read only at the end. ``resume`` goes on where an interrupted training in ``folder`` stopped.
    """
    if model not in models.__all__:
        raise ValueError(f"there is no model called {model!r}; there are {', '.join(models.__all__)}")
    chosen = dict(DEFAULTS[_kind(data)])
    if quick:
        chosen["steps"] = QUICK_STEPS
    chosen.update({key: value for key, value in given.items() if value is not None})
    examples, validation, shape = _training_data(data, seed)
    settings = {
        "dim": math.prod(shape),
        "n_layers": chosen.pop("n_layers"),
        "hidden": list(chosen.pop("hidden")),
        "dropout": chosen.pop("dropout"),
        "levels": levels(data) if data in SETS else None,
    }
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        flow = getattr(models, model)(**settings)
        flow.initialise(examples[:10_000] if isinstance(examples, torch.Tensor) else examples.sample(10_000))
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
        **chosen,
    )
    figures = {
        "model": model,
        "data": data,
        **chosen,
        "seed": seed,
        "seconds": round(history.seconds, 1),
        "best_step": history.best_step,
        **_figures(flow, data, seed),
    }
    save_flow(folder, flow, data=data, shape=list(shape), figures=figures)
    return figures


def evaluate(checkpoint, data=None, seed=0):
    """Return the figures of a saved flow on the test data called ``data``, by default that of its training."""
    flow, description = load_flow(checkpoint)
    data = data or description.get("data")
    _kind(data)
    shape, own = _shape(data), tuple(description.get("shape", ()))
    if shape != own or (levels(data) if data in SETS else None) != description["settings"].get("levels"):
        raise ValueError(
            f"the flow in {checkpoint} was made for {description.get('data')} of shape {own}; {data} has shape {shape} "
            "or other grey levels: name the data that it was trained on, or train one for this data"
        )
    return {"model": description["model"], "data": data, **_figures(flow, data, seed)}


def sample(checkpoint, n, path, temperature=1.0, seed=0):
    """Draw n samples of a saved flow and write their picture to ``path``; returns the path."""
    flow, description = load_flow(checkpoint)
    points = flow.sample(n, temperature=temperature, generator=torch.Generator().manual_seed(seed))
    shape = tuple(description.get("shape", flow.event_shape))
    if len(shape) == 3:
        high = description["settings"]["levels"] - 1
        ax = viz.image_grid(points.reshape(n, *shape), n_columns=math.ceil(math.sqrt(n)), high=high)
    else:
        ax = viz.samples(points, title=f"{n} samples")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    ax.figure.savefig(path, dpi=150)
    return path


def _kind(data):
    if data in TOYS:
        return "toy"
    if data in SETS:
        return "digits" if data == "digits" else "images"
    raise ValueError(f"there is no data called {data!r}; there are {', '.join([*SETS, *TOYS])}")


def _shape(data):
    return SETS[data][2] if data in SETS else (2,)


def _training_data(data, seed):
    """Return (training data, validation data, shape of one example)."""
    if data in TOYS:
        return toy(data), toy(data), (2,)
    pixels, _ = images(data, "train")
    vectors = pixels.flatten(1)
    order = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(seed))
    held_out = min(len(vectors) // 10, 5000)
    return vectors[order[held_out:]], vectors[order[:held_out]], tuple(pixels.shape[1:])


def _figures(flow, data, seed):
    """Return the test figures of a flow; the noise of dequantisation is drawn with ``seed``."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if data in TOYS:
            target = toy(data)
            estimate, error = kl_to(flow, target, 50_000)
            x = target.sample(1000)
            score = {"kl_nats": estimate, "kl_standard_error": error, "nll_nats": -flow.log_prob(x).mean().item()}
        else:
            x = images(data, "test")[0].flatten(1)
            log_prob = torch.cat([flow.log_prob(part) for part in x.split(1024)])
            bits = bits_per_dim(log_prob, x.shape[1])
            score = {
                "bits_per_dim": bits.mean().item(),
                "bits_standard_error": (bits.std() / math.sqrt(len(bits))).item(),
                "nll_nats": -log_prob.mean().item(),
            }
        few = x[: 4 if x.shape[1] > 100 else 32]
        checks = {"round_trip_error": round_trip_error(flow, x[:256]), "log_det_error": log_det_error(flow, few)}
    return {**score, "test_size": len(x), **checks}
