"""Reading notebooks that nobody promised to be notebooks, and the few facts of their cells that grading needs."""

import json
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

LARGEST = 100 * 2**20
MOST_CELLS = 2000


class Unreadable(Exception):
    """A submission that cannot be graded: `status` goes into the report, the text is a sentence with the remedy."""

    def __init__(self, sentence: str, status: str = "damaged"):
        super().__init__(sentence)
        self.status = status


@dataclass
class Task:
    """One cell with points: a task that the checks grade, or a question for a person."""

    name: str
    cell: str
    points: float
    manual: bool


@dataclass
class Source:
    """What the source notebook and its release say: the skeleton with hidden tests, the release, the tasks."""

    skeleton: NotebookNode
    released: NotebookNode
    tasks: list[Task] = field(default_factory=list)

    @property
    def released_text(self) -> dict[str, str]:
        """Text of each released cell by grade_id."""
        return {grade_id(cell): cell.source for cell in self.released.cells if grade_id(cell)}


def grade_id(cell) -> str:
    """The nbgrader id of a cell, or ''."""
    data = cell.get("metadata", {}).get("nbgrader", {})
    name = data.get("grade_id", "") if isinstance(data, dict) else ""
    return name if isinstance(name, str) else ""


def kind(cell) -> str:
    """'answer', 'manual', 'test', 'locked' or 'free': what nbgrader's metadata makes of a cell of the SOURCE."""
    data = cell.metadata.get("nbgrader", {})
    if data.get("solution"):
        return "manual" if data.get("grade") else "answer"
    if data.get("task"):
        return "manual"
    if data.get("grade"):
        return "test"
    return "locked" if data.get("locked") else "free"


def parse(text: str) -> NotebookNode:
    """A notebook of format 4 from JSON text of any format; ValueError or another exception where it is none."""
    data = json.loads(text)
    if not isinstance(data, dict) or ("cells" not in data and "worksheets" not in data):
        raise ValueError("it is JSON, but not a notebook")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # missing or repeated cell ids: repair gives new ones
        nb = nbformat.reads(text, as_version=4)
    for cell in nb.cells:
        _normalise(cell)
    return nb


def _normalise(cell) -> None:
    source = cell.get("source", "")
    cell["source"] = "".join(map(str, source)) if isinstance(source, list) else str(source)
    if cell.get("cell_type") not in ("code", "markdown", "raw"):
        cell["cell_type"] = "markdown"
    if not isinstance(cell.get("metadata"), dict):
        cell["metadata"] = NotebookNode()


def read_submission(path: Path) -> NotebookNode:
    """The student's notebook; Unreadable says in one sentence what is wrong with the file and what to do."""
    name = path.name
    try:
        if path.is_symlink() or not path.is_file():
            raise Unreadable(f"{name} is not a plain file: ask the student for the notebook itself.")
        if path.stat().st_size > LARGEST:
            raise Unreadable(f"{name} is larger than 100 MB: ask for the notebook with its outputs cleared.")
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"{name} cannot be read ({error.strerror}): ask the student to hand it in again.") from error
    if not data.strip():
        raise Unreadable(f"{name} is an empty file: ask the student to hand it in again.")
    try:
        nb = parse(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Unreadable(f"{name} is not a text file: ask the student for the .ipynb file itself.") from error
    except json.JSONDecodeError as error:
        cut = error.doc.lstrip().startswith("{") and not error.doc.rstrip().endswith("}")
        what = (f"is cut off at line {error.lineno}: the upload or the save stopped half-way" if cut
                else f"is not a notebook: it is no valid JSON at line {error.lineno}")
        raise Unreadable(f"{name} {what}. The file is kept; ask the student to hand it in again.") from error
    except Exception as error:
        raise Unreadable(f"{name} is not a notebook ({error}): ask the student for the .ipynb file.") from error
    if len(nb.cells) > MOST_CELLS:
        raise Unreadable(f"{name} has {len(nb.cells)} cells: ask the student for one without the endless copies.")
    if not any(cell.source.strip() for cell in nb.cells):
        raise Unreadable(f"{name} is a notebook without any text: ask the student to hand it in again.")
    return nb


def read_source(source: Path, released: Path, root: Path) -> Source:
    """The skeleton, the release and the list of tasks of one assignment."""
    from nbgrader.utils import compute_checksum

    from nvpkit.course.release import fill_repository

    skeleton, release = nbformat.read(source, as_version=4), nbformat.read(released, as_version=4)
    fill_repository(skeleton, root)
    stubs = {grade_id(cell): cell for cell in release.cells if grade_id(cell)}
    tasks = []
    for cell in skeleton.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        what = kind(cell)
        if what in ("answer", "manual"):
            # The stub's checksum: nbgrader says "no response" where an answer still has it.
            cell.metadata.nbgrader.checksum = stubs[grade_id(cell)].metadata.nbgrader.checksum
        elif what in ("test", "locked"):
            cell.metadata.nbgrader.checksum = compute_checksum(cell)
        if what in ("test", "manual"):
            points = float(cell.metadata.nbgrader.points)
            name = re.sub(r"^test_", "", grade_id(cell))
            tasks.append(Task(name, grade_id(cell), points, manual=what == "manual"))
    return Source(skeleton, release, tasks)
