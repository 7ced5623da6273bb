"""`nvpkit course ...`: release, collect, grade, feedback, report, export. Each command is one call into its module."""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated

import typer

from nvpkit.course.folders import Course, require_nbgrader
from nvpkit.errors import CourseError, NvpkitError

course_app = typer.Typer(
    no_args_is_help=True,
    help="From a source notebook to a graded class: release, collect, grade, feedback, report, export.")

Assignment = Annotated[str, typer.Argument(help="Name of the assignment, for example a2-nice.")]
Root = Annotated[Path | None, typer.Option(
    help="The course folder; without it, the nearest folder upward that has nbgrader_config.py.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON for other programs.")]
Only = Annotated[list[str] | None, typer.Option(help="Only this student's id; may be given several times.")]


@contextmanager
def _one_sentence():
    """Turn an expected error into one sentence on stderr and exit code 1."""
    try:
        require_nbgrader()
        logging.getLogger("alembic").setLevel(logging.WARNING)
        yield
    except NvpkitError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"Error: {where}{error.strerror or error}. Check the folder and its permissions.", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        typer.echo("Stopped. What was graded is kept; run the command again to go on.", err=True)
        raise typer.Exit(130) from error


def _say(as_json: bool, value, lines: Callable[[], list[str]]) -> None:
    if as_json:
        value = asdict(value) if is_dataclass(value) else value
        typer.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))
    else:
        for line in lines():
            typer.echo(line)


def _show(course: Course, path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@course_app.command("release")
def release_command(
    assignment: Annotated[str | None, typer.Argument(help="Name of the assignment, for example a2-nice.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every assignment under solutions/.")] = False,
    check: Annotated[bool, typer.Option(
        "--check", help="Write nothing; fail when assignments/ differs from what solutions/ gives.")] = False,
    root: Root = None,
    as_json: AsJson = False,
):
    """Make the students' version of an assignment: solutions/ to assignments/, and a zip for an LMS.

    Solutions and hidden tests go out, the release is inspected for leaks, and the gradebook learns the assignment.
    Running it again is harmless and keeps grades.
    """
    with _one_sentence():
        from nvpkit.course import release

        course = Course.find(root)
        if bool(assignment) == all_:
            raise typer.BadParameter("give the name of one assignment, or --all")
        names = course.names() if all_ else [assignment]
        if check:
            for name in names:
                release.check(course, name)
            _say(as_json, {"checked": names}, lambda: [f"{name}: assignments/ is up to date" for name in names])
            return
        done = [release.release(course, name) for name in names]
        _say(as_json, [asdict(one) for one in done],
             lambda: [f"{one.sentence()}; for an LMS: {_show(course, one.archive)}" for one in done])


@course_app.command("collect")
def collect_command(
    paths: Annotated[list[Path], typer.Argument(help="Folders, zip files (also Moodle's and Canvas') or notebooks.")],
    assignment: Annotated[str | None, typer.Option(
        help="Name of the assignment; not needed where the course has only one.")] = None,
    student: Annotated[str | None, typer.Option(help="Whose files these are, where their names do not say it.")] = None,
    roster: Annotated[Path | None, typer.Option(
        help="CSV with id, first_name, last_name, email: the class, so that a missing submission is noticed.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Never replace a submission that is already there.")] = False,
    root: Root = None,
    as_json: AsJson = False,
):
    """Put what students handed in to submitted/<student>/<assignment>/.

    The student's id is the name of a folder, or the file's name: <student>_<assignment>.ipynb. An earlier submission
    that differs is kept under _build/course/history. The given files are never changed.
    """
    with _one_sentence():
        from nvpkit.course import collect

        course = Course.find(root)
        names = course.names()
        if assignment is None and len(names) != 1:
            raise CourseError(f"Say which assignment with --assignment: {', '.join(names) or 'the course has none'}.")
        assignment = assignment or names[0]
        if roster is not None:
            collect.read_roster(course, roster)
        result = collect.collect(course, assignment, paths, student, replace=not keep)
        _say(as_json, result, lambda: [
            *[f"{one['student']}: {', '.join(one['files'])}" + (" (the earlier one is kept in _build/course/history)"
              if one["student"] in result.replaced else "") for one in result.placed],
            *[f"not placed: {one['file']}: {one['reason']}" for one in result.unplaced],
            f"{len(result.placed)} new, {len(result.unchanged)} unchanged, {len(result.unplaced)} not placed"])


@course_app.command("grade")
def grade_command(
    assignment: Assignment,
    workers: Annotated[int | None, typer.Option(min=1, help="Submissions at a time; default: one per core.")] = None,
    only: Only = None,
    force: Annotated[bool, typer.Option("--force", help="Grade again what has not changed.")] = False,
    cell_timeout: Annotated[float, typer.Option(min=1, help="Seconds for one cell.")] = 60,
    timeout: Annotated[float, typer.Option(min=5, help="Seconds for one submission.")] = 600,
    root: Root = None,
    as_json: AsJson = False,
):
    """Grade the submissions of an assignment, each in a process of its own, and fill nbgrader's gradebook.

    Only what is new or changed is run; a run that was stopped goes on where it was. Scores and comments given by a
    person stay. Prints the gradebook.
    """
    with _one_sentence():
        from nvpkit.course.execute import Limits
        from nvpkit.course.grade import grade
        from nvpkit.course.standing import class_standing, table

        course = Course.find(root)
        limits = Limits(cell=float(cell_timeout), submission=float(timeout))
        result = grade(course, assignment, workers, only, force, limits, progress=not as_json)
        standing = class_standing(course, assignment)
        _say(as_json, result, lambda: [
            table(standing), "",
            *[f"{row.student}: {row.status}: {row.reason}" for row in standing.rows if row.reason],
            f"{result['graded']} graded, {result['reused']} as before. No sandbox held the submissions."])


@course_app.command("feedback")
def feedback_command(assignment: Assignment, only: Only = None, root: Root = None, as_json: AsJson = False):
    """Write one feedback page for each student: feedback/<student>/<assignment>/<assignment>.html."""
    with _one_sentence():
        from nvpkit.course.feedback import feedback

        course = Course.find(root)
        pages = feedback(course, assignment, only, progress=not as_json)
        _say(as_json, {"pages": pages}, lambda: [f"{len(pages)} pages under {_show(course, course.feedback)}"])


@course_app.command("report")
def report_command(assignment: Assignment, root: Root = None, as_json: AsJson = False):
    """Write the report on the class: report/<assignment>.html, and the same as JSON beside it."""
    with _one_sentence():
        from nvpkit.course.report import report

        course = Course.find(root)
        path = report(course, assignment)
        data = path.with_suffix(".json")
        _say(as_json, {"page": path, "data": data}, lambda: [f"{_show(course, path)} and {_show(course, data)}"])


@course_app.command("export")
def export_command(
    assignment: Assignment,
    out: Annotated[Path | None, typer.Option(help="Where to write; default: gradebook.csv of the course.")] = None,
    into: Annotated[Path | None, typer.Option(help="A CSV that the LMS exported: fill the points into it.")] = None,
    column: Annotated[str | None, typer.Option(help="The column of --into; default: the one named like the assignment.")
                      ] = None,
    root: Root = None,
    as_json: AsJson = False,
):
    """Write the grades as CSV, or fill them into the CSV that an LMS exported (a copy of it, named ...-filled.csv).

    Points are left empty, never 0, for work that is missing, damaged or waiting for a person.
    """
    with _one_sentence():
        from nvpkit.course import export

        course = Course.find(root)
        if into is None:
            path = export.export(course, assignment, out)
            _say(as_json, {"file": path}, lambda: [f"wrote {_show(course, path)}"])
            return
        done = export.fill(course, assignment, into, column, out)
        _say(as_json, done, lambda: [
            f"wrote {_show(course, done.path)}: {done.filled} rows have points",
            *[f"no points for {who}" for who in done.without_points],
            *[f"no student of ours for the row: {row}" for row in done.unmatched_rows],
            *[f"not in the file: {who}" for who in done.unmatched_students]])


if __name__ == "__main__":
    sys.exit(course_app())
