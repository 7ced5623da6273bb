"""The state of a training on disk: what it takes to go on as if nothing had happened."""

from dataclasses import asdict
from pathlib import Path

import torch

from nvpkit.checkpoints import read_state
from nvpkit.errors import CheckpointError
from nvpkit.files import write_atomically
from nvpkit.training.history import History


def save_training(path, run):
    """Write the state of a run, whole or not at all."""
    state = {
        "settings": run.settings,
        "history": asdict(run.history),
        "flow": {key: tensor.detach().clone() for key, tensor in run.flow.state_dict().items()},
        "optimizer": run.optimizer.state_dict(),
        "average": None if run.average is None else run.average.averages,
        "best": run.best,
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(run.device) if run.device.type == "cuda" else None,
    }
    write_atomically(path, lambda partial: torch.save(state, partial))


def load_training(path, run):
    """Put the state at ``path`` into a run; raises CheckpointError where it belongs to another one."""
    state = read_state(path)
    for unfinished in Path(path).parent.glob(f".{Path(path).name}.*.part"):
        unfinished.unlink(missing_ok=True)  # left by a process that was killed while it wrote
    if state.get("settings") != run.settings:
        saved = state.get("settings")
        saved = saved if isinstance(saved, dict) else {}
        keys = [key for key in {**run.settings, **saved} if saved.get(key) != run.settings.get(key)]
        was, now = ({key: settings.get(key) for key in keys} for settings in (saved, run.settings))
        raise CheckpointError(
            f"{path} was saved by a training with other settings ({was}, now {now}): "
            "resume with the same ones, or name another checkpoint file"
        )
    try:
        run.flow.load_state_dict(state["flow"])
        rates = [group["lr"] for group in run.optimizer.param_groups]
        run.optimizer.load_state_dict(state["optimizer"])
        for group, rate in zip(run.optimizer.param_groups, rates):
            group["lr"] = rate  # set anew at each step, and where it lives is this run's business
        run.history, run.best = History(**state["history"]), state["best"]
        if run.average is not None:
            for average, saved in zip(run.average.averages, state["average"], strict=True):
                average.copy_(saved)
        torch.set_rng_state(state["random"])
        if run.device.type == "cuda" and state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"], run.device)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} does not belong to this flow: name another checkpoint file, or train without resume"
        ) from error
