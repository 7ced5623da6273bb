"""Grades a class: finds what is new, runs it in parallel, and writes the gradebook; can be killed and run again."""

import hashlib
import importlib.metadata
import os
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

import nvpkit
from nvpkit.course.execute import Limits
from nvpkit.course.folders import Course, read_json, require_nbgrader, write_json
from nvpkit.course.gradebook import publish, require_assignment
from nvpkit.course.notebooks import Source, read_source
from nvpkit.course.slots import run_jobs, what_happened
from nvpkit.course.submission import GRADER_ERROR, Job, Record, file_hash, forget, notice, ungraded
from nvpkit.errors import CourseError

# What only shows or moves results.
AFTERWARDS = {"cli.py"} | {f"course/{name}.py" for name in (
    "collect", "commands", "export", "feedback", "gradebook", "page", "release", "report", "standing")}


def load_record(course: Course, assignment: str, student: str) -> Record | None:
    """What an earlier run wrote down about a submission, or None."""
    data = read_json(course.workplace(assignment, student) / "record.json")
    try:
        return Record(**data)
    except TypeError:
        return None


def course_source(course: Course, assignment: str) -> Source:
    """The source of an assignment, held against the tasks that nvpkit.checks knows."""
    from nvpkit import checks

    path = course.source(assignment)
    source = read_source(path, course.released(assignment), course.root)
    for task in source.tasks:
        if task.manual:
            continue
        spec = checks.TASKS.get(task.name)
        if spec is None or spec.assignment != assignment:
            raise CourseError(f"{path} has the test cell {task.cell}, but nvpkit.checks knows no such task.")
        if spec.points != task.points:
            raise CourseError(f"{path} gives {task.points:g} points for {task.name}, nvpkit.checks {spec.points:g}.")
    return source


def _code_hash() -> str:
    """A hash of all code that can change a grade: another one, and everything is graded again."""
    digest, home = hashlib.sha256(importlib.metadata.version("torch").encode()), Path(nvpkit.__file__).parent
    for path in sorted(home.rglob("*.py")):
        if path.relative_to(home).as_posix() not in AFTERWARDS:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _fingerprint(folder: Path, parts: Iterable[str]) -> str:
    digest = hashlib.sha256("\n".join(parts).encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        digest.update(f"{path.relative_to(folder)} {file_hash(path)}\n".encode())
    return digest.hexdigest()


def _jobs(course: Course, assignment: str, source: Source, students: list[str], limits: Limits) -> list[Job]:
    from nvpkit import checks

    seeds = {task.name: checks.course_seeds(assignment, task.name) for task in source.tasks if not task.manual}
    env = {"NVPKIT_DATA": os.environ["NVPKIT_DATA"]} if os.environ.get("NVPKIT_DATA") else {}
    paths = (course.source(assignment), course.released(assignment))
    common = [_code_hash(), *map(file_hash, paths), repr(seeds), repr(limits)]
    return [
        Job(student, assignment, str(course.submitted / student / assignment), *map(str, paths), str(course.root),
            str(course.workplace(assignment, student)),
            _fingerprint(course.submitted / student / assignment, common), seeds, asdict(limits), env)
        for student in students
    ]


def _after(course: Course, source: Source, job: Job, code: int) -> Record:
    """The record of a job that has ended; a process that left none gets one that says so."""
    import nbformat

    record = load_record(course, job.assignment, job.student)
    if record is not None and record.fingerprint == job.fingerprint:
        return record
    record = Record(job.student, job.assignment, GRADER_ERROR, what_happened(code), job.fingerprint)
    record.tasks = ungraded(source)
    workplace = Path(job.workplace)
    workplace.mkdir(parents=True, exist_ok=True)
    nbformat.write(notice(source, record), workplace / "graded.ipynb")
    write_json(workplace / "record.json", asdict(record))
    return record


def grade(course: Course, assignment: str, workers: int | None = None, only: list[str] | None = None,
          force: bool = False, limits: Limits | None = None, progress: bool = True) -> dict:
    """Grade all submissions of an assignment that are new or changed; a summary with one record for each student."""
    require_nbgrader()
    source, limits = course_source(course, assignment), limits or Limits()
    students = course.students(assignment)
    if not students:
        raise CourseError(
            f"There are no submissions of {assignment} in {course.submitted}: "
            f"put them there as <student>/{assignment}/{assignment}.ipynb, or run `nvpkit course collect`.")
    unknown = sorted(set(only or []) - set(students))
    if unknown:
        raise CourseError(f"No submission of {assignment} by {', '.join(unknown)} in {course.submitted}.")
    jobs = _jobs(course, assignment, source, only or students, limits)
    records, todo = {}, []
    for job in jobs:
        record = load_record(course, assignment, job.student)
        fresh = record is not None and record.fingerprint == job.fingerprint and record.status != GRADER_ERROR
        if fresh and not force:
            records[job.student] = record
        else:
            todo.append(job)
    workers = max(1, min(workers or os.cpu_count() or 1, len(todo) or 1))
    with course.gradebook() as gradebook:
        require_assignment(course, gradebook, assignment)

        def keep(record: Record) -> None:
            records[record.student] = record
            publish(course, gradebook, record, course.workplace(assignment, record.student) / "graded.ipynb")

        for record in list(records.values()):
            keep(record)  # a run that was killed may have graded what it could not yet publish
        with tqdm(total=len(todo), desc=f"grading {assignment}", unit="submission", disable=not progress or not todo,
                  dynamic_ncols=True) as bar:

            def done(job: Job, code: int) -> None:
                record = _after(course, source, job, code)
                keep(record)
                bar.set_postfix_str(f"{record.student}: {record.status}", refresh=False)
                bar.update()

            for job in todo:
                forget(Path(job.workplace))
            if todo:
                begun = time.time()
                run_jobs(todo, workers, done)
                write_json(course.build / assignment / "run.json", {
                    "started": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(begun)), "graded": len(todo),
                    "seconds": round(time.time() - begun, 1), "workers": workers, "limits": asdict(limits)})
    return {"assignment": assignment, "graded": len(todo), "reused": len(jobs) - len(todo), "workers": workers,
            "records": [asdict(records[job.student]) for job in jobs]}
