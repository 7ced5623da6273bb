"""Trained flows on disk: a folder with the weights and, beside them in model.json, how to build the flow."""

import hashlib
import json
from pathlib import Path

import torch

from nvpkit.errors import CheckpointError
from nvpkit.files import write_atomically

FORMAT = "nvpkit flow 1"
REMEDY = "train again with `nvpkit train`, or name another folder"
WEIGHTS = {"pt": "model.pt", "safetensors": "model.safetensors"}


def save_flow(folder, flow, weights="pt", **notes):
    """Write the weights of ``flow`` and its ``config``, the builder call that makes its like; returns the folder.

    ``weights`` is "pt" (a state dict, read back without running code) or "safetensors", which needs that package.
    ``notes`` (data set, figures, ...) go into model.json too. Each file appears whole or not at all. Raises ValueError
    for a flow without config: builders set it, a flow of your own needs
    ``flow.config = {"model": name of a builder, "settings": {...}}`` of a builder that gives the same layers.

    >>> import tempfile
    >>> from nvpkit.models import nice
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save_flow(folder, nice(2), data="moons")
    ...     flow, description = load_flow(folder)
    >>> description["model"], description["data"]
    ('nice', 'moons')
    """
    config = getattr(flow, "config", None)
    if not isinstance(config, dict) or set(config) != {"model", "settings"}:
        raise ValueError(
            "a flow is saved with flow.config, the builder call that makes its like, "
            f'{{"model": "real_nvp", "settings": {{"dim": 2}}}} for instance; this one has {config!r}'
        )
    if weights not in WEIGHTS:
        raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
    taken = sorted({"format", "model", "settings", "weights", "sha256"} & set(notes))
    if taken:
        raise ValueError(f"a note cannot be called {' or '.join(taken)}: save_flow writes that itself")
    folder = Path(folder)
    path = folder / WEIGHTS[weights]
    state = {key: tensor.detach().cpu().clone().contiguous() for key, tensor in flow.state_dict().items()}
    description = {"format": FORMAT, **config, "weights": path.name, **notes}
    try:
        json.dumps(description)
    except TypeError as error:
        raise ValueError(f"model.json holds plain values alone, not this: {error}") from error
    write_atomically(path, (lambda to: torch.save(state, to)) if weights == "pt" else _safetensors_writer(state))
    # The checksum notices a changed bit, and weights that another training left beside this description.
    text = json.dumps({**description, "sha256": _sha256(path)}, indent=2) + "\n"
    write_atomically(folder / "model.json", lambda to: to.write_text(text, encoding="utf-8"))
    for other in set(WEIGHTS.values()) - {path.name}:
        (folder / other).unlink(missing_ok=True)
    return folder


def load_flow(folder):
    """Return (flow in eval mode on the CPU, description) of a folder that ``save_flow`` wrote, or of a file in it.

    Raises CheckpointError, one sentence that names the file and the remedy, when a file is missing, empty, damaged or
    not ours. Nothing in the files is executed.

    >>> load_flow("nowhere")
    Traceback (most recent call last):
    nvpkit.errors.CheckpointError: nowhere/model.json is not there: train again ...
    """
    from nvpkit import models

    folder = Path(folder)
    if folder.name in ("model.json", *WEIGHTS.values()):
        folder = folder.parent
    description = _read_description(folder / "model.json")
    builder = getattr(models, description["model"]) if description["model"] in models.__all__ else None
    if builder is None:
        raise CheckpointError(
            f"{folder / 'model.json'} asks for a model {description['model']!r}, which this nvpkit does not have "
            f"({', '.join(models.__all__)}): install a newer nvpkit"
        )
    try:
        with torch.random.fork_rng(devices=[]):
            flow = builder(**description["settings"])
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / 'model.json'} has settings that do not build ({error}): {REMEDY}") from error
    weights = folder / description["weights"]
    _check_file(weights)
    if _sha256(weights) != description["sha256"]:
        raise CheckpointError(f"{weights} is damaged or not the file that model.json was written for: {REMEDY}")
    state = read_state(weights)
    dtypes = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()}
    if len(dtypes) == 1:
        flow = flow.to(dtypes.pop())
    try:
        flow.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"the weights in {weights} do not belong to the flow that model.json describes: {REMEDY}"
        ) from error
    return flow.eval(), description


def read_state(path):
    """Return the dictionary saved at ``path``: safetensors, or what torch reads with weights_only=True.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save({"s": torch.zeros(2)}, Path(folder) / "state.pt")
    ...     read_state(Path(folder) / "state.pt")
    {'s': tensor([0., 0.])}
    """
    path = Path(path)
    _check_file(path)
    try:
        if path.suffix == ".safetensors":
            state = _safetensors(f"{path} is read").load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    # What torch.load raises on a damaged file depends on where the damage is: a zip, pickle, key or index error.
    except Exception as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint of nvpkit: {REMEDY}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__}, not the weights of a flow: {REMEDY}")
    return state


def _safetensors(what):
    try:
        import safetensors.torch
    except ImportError as error:
        raise CheckpointError(
            f"{what} with the package safetensors, which is not installed: pip install safetensors, "
            'or save with weights="pt"'
        ) from error
    return safetensors.torch


def _safetensors_writer(state):
    package = _safetensors("model.safetensors is written")
    return lambda to: package.save_file(state, to)


def _check_file(path):
    if not path.is_file():
        raise CheckpointError(f"{path} is not there: {REMEDY}")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty: {REMEDY}")


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_description(path):
    _check_file(path)
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is no valid JSON: {REMEDY}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise CheckpointError(f"{path} does not say \"format\": \"{FORMAT}\", so nvpkit did not write it: {REMEDY}")
    description.setdefault("weights", WEIGHTS["pt"])
    needed = {"model": str, "settings": dict, "weights": str, "sha256": str}
    lacking = [key for key, kind in needed.items() if not isinstance(description.get(key), kind)]
    if lacking:
        raise CheckpointError(f"{path} lacks {' and '.join(lacking)}: {REMEDY}")
    if description["weights"] not in WEIGHTS.values():
        raise CheckpointError(f"{path} names weights {description['weights']!r}, not one of ours: {REMEDY}")
    return description
