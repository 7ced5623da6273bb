"""Writes results into nbgrader's own gradebook and autograded/ folder; only the parent process of a run does that."""

import logging
import shutil
from contextlib import suppress
from pathlib import Path

import nbformat

from nvpkit.course.folders import Course, write_atomically
from nvpkit.course.submission import UNSCORED, Record
from nvpkit.errors import CourseError


def require_assignment(course: Course, gradebook, assignment: str) -> None:
    """Raise CourseError with the remedy where the gradebook does not know the assignment or its notebook."""
    from nbgrader.api import MissingEntry

    try:
        gradebook.find_notebook(assignment, assignment)
    except MissingEntry as error:
        raise CourseError(
            f"The gradebook of {course.root} does not know {assignment}: run `nvpkit course release {assignment}`."
        ) from error


def publish(course: Course, gradebook, record: Record, notebook: Path) -> None:
    """Put one graded submission into the gradebook, in one transaction, and its notebook into autograded/.

    Manual scores, extra credit and comments stay. A score given by a person asks for a second look only where the
    automatic score or the answer has changed under it.
    """
    from nbgrader import utils

    nb = nbformat.read(notebook, as_version=4)
    target = course.autograded / record.student / record.assignment
    before = _published(target / f"{record.assignment}.ipynb")
    stamp = course.submitted / record.student / record.assignment / "timestamp.txt"
    gradebook.update_or_create_student(record.student)
    timestamp = _timestamp(course, stamp.parent)
    with gradebook.db.no_autoflush:  # nbgrader builds the submission piece by piece: half of it must not be flushed
        submission = gradebook.update_or_create_submission(
            record.assignment, record.student, **({"timestamp": timestamp} if timestamp else {}))
    scores = {task["cell"]: task["score"] for task in record.tasks}
    where = (record.assignment, record.assignment, record.student)
    try:
        for cell in nb.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
            if utils.is_grade(cell):
                grade = gradebook.find_grade(name, *where)
                auto, _ = utils.determine_grade(cell)
                if record.status in UNSCORED or (scores.get(name) is None and not utils.is_solution(cell)):
                    auto = None  # nobody has graded it: a person decides, a plain 0 would look like a result
                changed = grade.auto_score != auto or (utils.is_solution(cell) and before.get(name) != cell.source)
                if grade.manual_score is None:
                    grade.needs_manual_grade = auto is None
                elif changed:
                    grade.needs_manual_grade = True
                grade.auto_score = auto
            if utils.is_solution(cell):
                comment = gradebook.find_comment(name, *where)
                untouched = cell.metadata.nbgrader.get("checksum") == utils.compute_checksum(cell)
                comment.auto_comment = "No response." if untouched else None
        gradebook.db.commit()
    except BaseException:
        gradebook.db.rollback()
        raise
    write_atomically(target / f"{record.assignment}.ipynb", notebook.read_bytes())
    if stamp.is_file():
        shutil.copyfile(stamp, target / "timestamp.txt")
    if submission.total_seconds_late > 0 or submission.late_submission_penalty:
        _penalty(course, record, nb)


def _published(path: Path) -> dict[str, str]:
    """Source of each marked cell in the notebook that was published before."""
    with suppress(OSError, ValueError, AttributeError):
        cells = nbformat.read(path, as_version=4).cells
        return {cell.metadata.get("nbgrader", {}).get("grade_id", ""): cell.source for cell in cells}
    return {}


def _timestamp(course: Course, folder: Path):
    if not (folder / "timestamp.txt").is_file():
        return None
    directory = course.directory()
    with suppress(Exception):  # an unreadable timestamp is no reason to lose a grade
        return directory.get_existing_timestamp(str(folder))
    return None


def _penalty(course: Course, record: Record, nb) -> None:
    """nbgrader's own late penalty, by the plugin that nbgrader_config.py names."""
    from nbgrader.preprocessors import AssignLatePenalties

    log = logging.getLogger("nvpkit.late")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    data = {"notebook": record.assignment, "assignment": record.assignment, "student": record.student,
            "db_url": course.db_url}
    AssignLatePenalties(config=course.config(), log=log).preprocess(nb, {"nbgrader": data})
