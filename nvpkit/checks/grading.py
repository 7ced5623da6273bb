"""From a student's object to lines on the screen and to points: the visible check, the hidden tests, the judge.

The hidden tests run in two modes with the same points. Stock: inputs, run and judge in the student's kernel, as
`nbgrader autograde` does. Value mode (`nvpkit course grade`): inputs and run in the kernel, which writes values to a
file, and the judge in a process that never runs a student's code.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from nvpkit.checks import channel
from nvpkit.checks.findings import Finding, Verdict, add_up, merge
from nvpkit.checks.recorder import quiet_room
from nvpkit.checks.registry import TaskSpec, load
from nvpkit.errors import CheckFailed

TASKS: dict[str, TaskSpec] = load()
VISIBLE_SEED = 0
DEFAULT_SECRET = "nvpkit"
_earned: dict[str, dict[str, float]] = {}


def _spec(task: str) -> TaskSpec:
    if task not in TASKS:
        raise KeyError(f"There is no task {task!r}; the tasks are {', '.join(TASKS)}.")
    return TASKS[task]


def course_seeds(assignment: str, task: str, secret: str | None = None) -> list[int]:
    """Return the hidden tests' seeds of a task: a hash of the course secret, the assignment and the task.

    The secret is the argument, else $NVPKIT_COURSE_SECRET, else a fixed one; the same secret gives the same seeds.
    """
    secret = secret or os.environ.get("NVPKIT_COURSE_SECRET") or DEFAULT_SECRET
    seeds = []
    for number in range(_spec(task).n_seeds):
        digest = hashlib.sha256(f"{secret}/{assignment}/{task}/{number}".encode()).digest()
        seeds.append(1 + int.from_bytes(digest[:4], "big") % (2**31 - 2))
    return seeds


def _run(spec: TaskSpec, objects: tuple, seed: int, stdout_off: bool) -> dict:
    takes = getattr(spec.module, "TAKES", (spec.name,))
    if len(objects) != len(takes):
        raise TypeError(f"The check {spec.name} takes {len(takes)} object(s): {', '.join(takes)}; got {len(objects)}.")
    with quiet_room(seed, stdout=stdout_off):
        inputs = spec.module.inputs(seed)
        return dict(spec.module.run(objects[0] if len(objects) == 1 else objects, inputs))


def _judge(spec: TaskSpec, seed: int, outputs: dict) -> list[Finding]:
    # The student's default dtype and grad mode hold in the kernel: the judge must not depend on them.
    with quiet_room(seed):
        return spec.module.judge(spec.module.inputs(seed), outputs)


def visible(task: str, *objects) -> None:
    """Print one line for each property of the student's objects; CheckFailed at the first that does not hold."""
    # In grading the hidden tests decide: a failure here would stop the cell before they can give part of the points.
    if os.environ.get("NVPKIT_VALUES") or os.environ.get("NBGRADER_EXECUTION") == "autograde":
        return
    spec = _spec(task)
    # Through the same packing as the hidden tests: what passes here is what the trusted judge reads.
    outputs = channel.unpack(channel.pack(_run(spec, objects, VISIBLE_SEED, stdout_off=False)))
    findings = _judge(spec, VISIBLE_SEED, outputs)
    _earned[task] = _points_by_part(spec, findings)
    failed = None
    for finding in findings:
        name = f"{finding.part}: {finding.property}" if finding.part else finding.property
        if not finding.ok:
            print(f"FAIL  {name}")
            failed = failed or f"{name}\n{finding.message}"
        elif failed is None or finding.part:
            print(f"  ok  {name}" + (f" ({finding.message})" if finding.message else ""))
    if failed:
        raise CheckFailed(failed)


def _points_by_part(spec: TaskSpec, findings: list[Finding]) -> dict[str, float]:
    return {part: add_up(findings, {part: points}).score for part, points in spec.parts.items()}


def grade(task: str, *objects) -> float | None:
    """Run the hidden tests of a task.

    Stock mode: CheckFailed where nothing is earned, None for full points, else the points (nbgrader's partial credit).
    Value mode ($NVPKIT_VALUES and $NVPKIT_SEEDS set): writes the values to <folder>/<task>.npz and returns None.
    """
    spec = _spec(task)
    folder = os.environ.get("NVPKIT_VALUES")
    if folder:
        seeds = [int(seed) for seed in json.loads(os.environ["NVPKIT_SEEDS"])[task]]
        channel.write(Path(folder) / f"{task}.npz", {seed: _run(spec, objects, seed, True) for seed in seeds})
        return None
    runs = []
    for seed in course_seeds(spec.assignment, task):
        outputs = channel.unpack(channel.pack(_run(spec, objects, seed, True)))
        runs.append(_judge(spec, seed, outputs))
    verdict = add_up(merge(runs), spec.parts)
    if verdict.score >= verdict.max_score:
        return None
    if verdict.score > 0:
        return verdict.score
    failed = next((finding for finding in verdict.findings if not finding.ok), None)
    raise CheckFailed(f"{failed.property}\n{failed.message}" if failed else "Nothing was tested.")


def judge_values(task: str, seeds: list[int], path: Path | str) -> Verdict:
    """Return the verdict on a file of values, in a process that runs no student's code; never raises for a bad file."""
    spec = _spec(task)
    try:
        runs = channel.read(path)
    except channel.BadValues as bad:
        return add_up([Finding("values arrive", False, str(bad), part) for part in spec.parts], spec.parts)
    findings = []
    for seed in seeds:
        if seed in runs:
            findings.append(_judge(spec, seed, runs[seed]))
        else:
            findings.append([Finding("values arrive", False, "The values of one test did not arrive.", part)
                             for part in spec.parts])
    return add_up(merge(findings), spec.parts)


def training_budget(full: int, graded: int) -> int:
    """Return `graded` while a notebook is graded ($NVPKIT_GRADING is set to 1), else `full`."""
    return graded if os.environ.get("NVPKIT_GRADING") == "1" else full


def progress(assignment: str) -> None:
    """Print one line: the points of the visible checks that passed in this kernel, and the tasks still open."""
    specs = [spec for spec in TASKS.values() if spec.assignment == assignment]
    if not specs:
        known = ", ".join(sorted({spec.assignment for spec in TASKS.values()}))
        raise KeyError(f"There is no assignment {assignment!r}; the assignments are {known}.")
    total, still_open = 0.0, []
    for spec in specs:
        earned = sum(_earned.get(spec.name, {}).values())
        total += earned
        if earned < spec.points:
            still_open.append(spec.name + (f" ({earned:g} of {spec.points:g})" if earned else ""))
    rest = f"; still open: {', '.join(still_open)}" if still_open else ""
    print(f"points so far: {total:g} of {sum(spec.points for spec in specs):g}, before the hidden tests{rest}")
