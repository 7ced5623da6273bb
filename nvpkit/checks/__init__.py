"""Checks that name the bug: `nvpkit.checks.<task>(YourCode)` prints one line for each property.

A property that does not hold raises CheckFailed: what was expected, what came, and the likely cause. The hidden tests
of a notebook are `grade("<task>", YourCode)`.
"""

from nvpkit.checks.findings import Finding, Verdict
from nvpkit.checks.grading import TASKS, course_seeds, grade, judge_values, progress, training_budget, visible
from nvpkit.checks.registry import TaskSpec

__all__ = [
    "TASKS",
    "Finding",
    "TaskSpec",
    "Verdict",
    "course_seeds",
    "grade",
    "judge_values",
    "progress",
    "training_budget",
    *TASKS,
]


def _visible_check(spec: TaskSpec):
    def check(*objects) -> None:
        visible(spec.name, *objects)

    check.__name__ = check.__qualname__ = spec.name
    check.__doc__ = f"{spec.module.__doc__.strip()}\n\nPrints one line for each property; CheckFailed names the bug."
    return check


globals().update({name: _visible_check(spec) for name, spec in TASKS.items()})
