"""The tasks that there are: one module of nvpkit.checks.tasks each, found by looking into that folder."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from types import ModuleType

from nvpkit.checks import tasks


@dataclass(frozen=True)
class TaskSpec:
    """What a task is called, where it belongs, and what its parts are worth."""

    name: str
    assignment: str
    points: float
    parts: dict[str, float]
    training: bool
    module: ModuleType

    @property
    def n_seeds(self) -> int:
        # A training is long and its bounds are wide: one seed. The others get three.
        return 1 if self.training else 3


def load() -> dict[str, TaskSpec]:
    """Return every task by name, in the order of its module's ORDER within an assignment."""
    found = []
    for module_info in pkgutil.iter_modules(tasks.__path__):
        module = importlib.import_module(f"{tasks.__name__}.{module_info.name}")
        parts = getattr(module, "PARTS", {"": module.POINTS})
        training = getattr(module, "TRAINING", False)
        found.append((module.ASSIGNMENT, module.ORDER,
                      TaskSpec(module_info.name, module.ASSIGNMENT, module.POINTS, parts, training, module)))
    found.sort(key=lambda entry: entry[:2])
    return {spec.name: spec for _, _, spec in found}
