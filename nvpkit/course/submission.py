"""One submission from file to record: read, repair, run, judge, write down. Runs in a process of its own."""

import contextlib
import copy
import hashlib
import json
import os
import shutil
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

from nvpkit.course.execute import Limits, copy_companions, run_notebook
from nvpkit.course.folders import write_atomically, write_json
from nvpkit.course.notebooks import Source, Unreadable, parse, read_source, read_submission
from nvpkit.course.oracle import TaskResult, judge, write_outputs
from nvpkit.course.reference import find
from nvpkit.course.repair import repair

GRADED, TIMED_OUT, CRASHED = "graded", "timed out", "crashed"
MISSING, DAMAGED, WRONG, GRADER_ERROR = "missing", "damaged", "wrong assignment", "grader error"
WAITING = "needs manual grading"
UNSCORED = {MISSING, DAMAGED, WRONG, GRADER_ERROR}


@dataclass
class Job:
    """Everything that the process of one submission has to know; plain values, so that it travels as JSON."""

    student: str
    assignment: str
    folder: str
    source: str
    released: str
    root: str
    workplace: str
    fingerprint: str
    seeds: dict[str, list[int]]
    limits: dict
    env: dict[str, str] = field(default_factory=dict)
    scratch: str = ""


@dataclass
class Record:
    """What grading found out about one submission."""

    student: str
    assignment: str
    status: str
    reason: str = ""
    fingerprint: str = ""
    seconds: float = 0.0
    tasks: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reference: list[str] = field(default_factory=list)
    cell_seconds: dict[str, float] = field(default_factory=dict)


def file_hash(path: Path) -> str:
    """A hash of a file's bytes, or of its absence."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "none"


def find_notebook(folder: Path, assignment: str, source: Source | None = None) -> tuple[Path, list[str]]:
    """The notebook in a student's folder, and a note where it has another name; Unreadable where there is none.

    A renamed notebook is recognised by its contents: with several, the one that repairs as this assignment is taken.
    """
    own = folder / f"{assignment}.ipynb"
    if own.exists() or own.is_symlink():
        return own, []
    others = sorted(path for path in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    if not others:
        files = sorted(path.name for path in folder.iterdir() if path.name != "timestamp.txt")
        there = f"holds only {', '.join(files[:5])}" if files else "is empty"
        raise Unreadable(f"The folder {there}: there is no notebook in it. Ask the student to hand it in again.")
    fitting = [path for path in others if len(others) == 1 or _fits(path, assignment, source)]
    if len(fitting) == 1:
        return fitting[0], [f"The notebook was called {fitting[0].name}: it was recognised by its contents."]
    names = ", ".join(path.name for path in (fitting or others)[:5])
    what = "several could be" if fitting else "none is"
    raise Unreadable(f"There is no {assignment}.ipynb, and {what} this assignment: {names}. "
                     f"Give one of them the name {assignment}.ipynb.")


def _fits(path: Path, assignment: str, source: Source | None) -> bool:
    if source is None:
        return True
    try:
        repair(source, parse(path.read_text(encoding="utf-8")), assignment)
    except Exception:
        return False
    return True


def grade_submission(job: Job) -> Record:
    """Grade one submission and write `record.json` and `graded.ipynb` into its workplace; every failure is a status."""
    begun = time.monotonic()
    workplace = Path(job.workplace)
    record = Record(job.student, job.assignment, GRADED, fingerprint=job.fingerprint)
    source = None
    try:
        source = read_source(Path(job.source), Path(job.released), Path(job.root))
        notebook = _grade(job, source, record)
    except Unreadable as error:
        record.status, record.reason = error.status, str(error)
        notebook = None
    except Exception as error:
        lines = traceback.extract_tb(error.__traceback__)
        place = f"{Path(lines[-1].filename).name}:{lines[-1].lineno}" if lines else "?"
        record.status = GRADER_ERROR
        record.reason = f"The grader stopped at {place} with {type(error).__name__}: {str(error)[:300]}"
        notebook = None
    if notebook is None and source is not None:
        notebook = notice(source, record)
        record.tasks = ungraded(source)
    record.seconds = round(time.monotonic() - begun, 2)
    if notebook is not None:
        write_atomically(workplace / "graded.ipynb", nbformat.writes(notebook) + "\n")
    # Last of all: a record that exists is complete.
    write_json(workplace / "record.json", asdict(record))
    return record


def ungraded(source: Source) -> list[dict]:
    """The tasks of a submission of which nothing could be graded."""
    return [asdict(TaskResult(task.name, task.cell, task.points, None, task.manual, answered=False))
            for task in source.tasks]


def notice(source: Source, record: Record):
    """A notebook for formgrader that says why there is nothing to grade."""
    notebook = copy.deepcopy(source.skeleton)
    stubs = source.released_text
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = stubs[cell.metadata.nbgrader.grade_id]
    cell = new_markdown_cell(f"**{record.status}**: {record.reason}")
    cell["id"] = "nvpkit-notice"
    notebook.cells.insert(0, cell)
    return notebook


def _grade(job: Job, source: Source, record: Record):
    folder = Path(job.folder)
    path, record.notes = find_notebook(folder, job.assignment, source)
    repaired = repair(source, read_submission(path), job.assignment)
    record.notes = record.notes + repaired.notes
    uses = find(source, repaired.notebook)
    record.reference = [f"{use.task}: {use.sentence()}" for use in uses]
    limits = Limits(**job.limits)
    scratch = Path(job.scratch)
    work, values = scratch / "work", scratch / "values"
    try:
        work.mkdir(parents=True)
        values.mkdir()
        copy_companions(folder, work, path)
        env = {"NVPKIT_GRADING": "1", "NVPKIT_VALUES": str(values), "NVPKIT_SEEDS": json.dumps(job.seeds), **job.env}
        run = run_notebook(repaired.notebook, scratch, work, env, limits)
        results = judge(source, run, values, job.seeds, uses, repaired.untouched, limits.cell)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    write_outputs(repaired.notebook, run, results)
    record.tasks = [asdict(result) for result in results]
    record.cell_seconds = {name: round(result.seconds, 2) for name, result in run.cells.items()}
    stopped = [name for name, result in run.cells.items() if result.state == "timeout"]
    if "kernel died" in run.stopped:
        record.status, record.reason = CRASHED, f"{run.stopped}; what ran before is graded, the rest was not run"
    elif run.stopped:
        record.status, record.reason = TIMED_OUT, f"{run.stopped}; what ran before is graded, the rest was not run"
    elif stopped:
        cells = ", ".join(stopped)
        record.status = TIMED_OUT
        record.reason = f"stopped after {limits.cell:g} s in {cells}; everything else was run and graded"
    return repaired.notebook


def forget(workplace: Path) -> None:
    """Drop the record of a submission, so that no reader takes the old one for the new."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(workplace / "record.json")
