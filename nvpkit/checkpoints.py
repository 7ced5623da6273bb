"""Trained flows on disk: a folder with the weights (model.pt) and, beside them, how to build the flow (model.json)."""

import hashlib
import json
from pathlib import Path

import torch

from nvpkit.errors import CheckpointError
from nvpkit.files import write_atomically

FORMAT = "nvpkit flow 1"
REMEDY = "train again with `nvpkit train`, or name another folder"


def save_flow(folder, flow, model, settings, **notes):
    """Write the weights of ``flow`` and the builder call ``models.<model>(**settings)`` that makes its like.

    ``notes`` (data set, figures, ...) go into the JSON file too. Each file appears whole or not at all.

    >>> import tempfile
    >>> from nvpkit.models import nice
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_flow(folder, nice(2), "nice", {"dim": 2}, data="moons")
    ...     flow, description = load_flow(folder)
    >>> description["data"]
    'moons'
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "model.pt"
    write_atomically(weights, lambda path: torch.save(flow.state_dict(), path))
    # The checksum notices a changed bit, and weights that another training left beside this description.
    description = {"format": FORMAT, "model": model, "settings": settings, "sha256": _sha256(weights), **notes}
    text = json.dumps(description, indent=2) + "\n"
    write_atomically(folder / "model.json", lambda path: path.write_text(text, encoding="utf-8"))


def load_flow(folder):
    """Return (flow in eval mode on the CPU, description) of a folder that ``save_flow`` wrote, or of its model.pt.

    Raises CheckpointError, one sentence that names the file and the remedy, when a file is missing, empty, damaged or
    not ours. Nothing in the files is executed.

    >>> load_flow("nowhere")
    Traceback (most recent call last):
    nvpkit.errors.CheckpointError: nowhere/model.json is not there: train again ...
    """
    from nvpkit import models

    folder = Path(folder)
    if folder.name in ("model.pt", "model.json"):
        folder = folder.parent
    description = _read_description(folder / "model.json")
    builder = getattr(models, description["model"]) if description["model"] in models.__all__ else None
    if builder is None:
        raise CheckpointError(
            f"{folder / 'model.json'} asks for a model {description['model']!r}, which this nvpkit does not have "
            f"({', '.join(models.__all__)}): install a newer nvpkit"
        )
    try:
        flow = builder(**description["settings"])
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / 'model.json'} has settings that do not build ({error}): {REMEDY}") from error
    weights = folder / "model.pt"
    _check_file(weights)
    if _sha256(weights) != description["sha256"]:
        raise CheckpointError(f"{weights} is damaged or not the file that model.json was written for: {REMEDY}")
    state = read_state(weights)
    try:
        flow.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"the weights in {weights} do not belong to the flow that model.json describes: {REMEDY}"
        ) from error
    return flow.eval(), description


def read_state(path):
    """Return the dictionary of tensors and plain values saved at ``path``; it is loaded with weights_only=True.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save({"s": torch.zeros(2)}, Path(folder) / "state.pt")
    ...     read_state(Path(folder) / "state.pt")
    {'s': tensor([0., 0.])}
    """
    path = Path(path)
    _check_file(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # What torch.load raises on a damaged file depends on where the damage is: a zip, pickle, key or index error.
    except Exception as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint of nvpkit: {REMEDY}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__}, not the weights of a flow: {REMEDY}")
    return state


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
    needed = {"model": str, "settings": dict, "sha256": str}
    lacking = [key for key, kind in needed.items() if not isinstance(description.get(key), kind)]
    if lacking:
        raise CheckpointError(f"{path} lacks {' and '.join(lacking)}: {REMEDY}")
    return description
