"""The folders of one course, and the way to nbgrader's configuration of them."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from nvpkit import files
from nvpkit.errors import CourseError

CONFIG = "nbgrader_config.py"


def require_nbgrader() -> None:
    """Raise CourseError with the remedy where nbgrader is not installed."""
    try:
        import nbgrader  # noqa: F401
    except ImportError as error:
        raise CourseError(
            f'The course commands need nbgrader ({error}): pip install "nvpkit[course]"'
        ) from error
    if shutil.which("alembic") is None:
        # nbgrader runs the command `alembic` when it makes a gradebook: it lies beside this Python, maybe off the PATH.
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


@dataclass(frozen=True)
class Course:
    """One course folder: the one that holds nbgrader_config.py."""

    root: Path

    @classmethod
    def find(cls, root: str | os.PathLike | None = None) -> "Course":
        """The course at `root`, else at the nearest folder upward; CourseError where there is none."""
        if root is not None:
            folder = Path(root).expanduser().resolve()
            if not folder.is_dir():
                raise CourseError(f"There is no course folder {folder}: give an existing one with --root.")
            if not (folder / CONFIG).is_file():
                raise CourseError(f"{folder} is not a course folder: it has no {CONFIG}.")
            return cls(folder)
        here = Path.cwd().resolve()
        for folder in (here, *here.parents):
            if (folder / CONFIG).is_file():
                return cls(folder)
        raise CourseError(f"No {CONFIG} in {here} or above: go to the course folder, or name it with --root.")

    @property
    def solutions(self) -> Path:
        return self.root / "solutions"

    @property
    def assignments(self) -> Path:
        return self.root / "assignments"

    @property
    def submitted(self) -> Path:
        return self.root / "submitted"

    @property
    def autograded(self) -> Path:
        return self.root / "autograded"

    @property
    def feedback(self) -> Path:
        return self.root / "feedback"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def build(self) -> Path:
        return self.root / "_build" / "course"

    @property
    def db_url(self) -> str:
        return f"sqlite:///{self.root / 'gradebook.db'}"

    def source(self, assignment: str) -> Path:
        """The source notebook; CourseError names the assignments that exist where this one does not."""
        path = self.solutions / assignment / f"{assignment}.ipynb"
        if not path.is_file():
            known = ", ".join(self.names()) or "none"
            raise CourseError(f"No assignment {assignment!r}: {path} does not exist (assignments here: {known}).")
        return path

    def released(self, assignment: str) -> Path:
        """The released notebook; CourseError says how to make it."""
        path = self.assignments / assignment / f"{assignment}.ipynb"
        if not path.is_file():
            raise CourseError(f"{path} does not exist: run `nvpkit course release {assignment}` first.")
        return path

    def names(self) -> list[str]:
        """Names of all assignments that have a source notebook."""
        return sorted(path.parent.name for path in self.solutions.glob("*/*.ipynb") if path.stem == path.parent.name)

    def workplace(self, assignment: str, student: str) -> Path:
        """The folder where grading keeps what it knows of one submission."""
        return self.build / assignment / student

    def students(self, assignment: str) -> list[str]:
        """Students with a folder for this assignment under submitted/."""
        return sorted(path.parent.name for path in self.submitted.glob(f"*/{assignment}") if path.is_dir())

    def config(self):
        """nbgrader's configuration of this course, as traitlets reads it."""
        require_nbgrader()
        from traitlets.config.loader import PyFileConfigLoader

        try:
            return PyFileConfigLoader(CONFIG, path=str(self.root)).load_config()
        except Exception as error:
            raise CourseError(f"{self.root / CONFIG} cannot be read: {type(error).__name__}: {error}") from error

    def directory(self, config=None):
        """nbgrader's own CourseDirectory for this course."""
        from nbgrader.coursedir import CourseDirectory

        return CourseDirectory(config=config if config is not None else self.config(), root=str(self.root))

    def gradebook(self):
        """An open nbgrader Gradebook: use it in a `with` statement."""
        require_nbgrader()
        from nbgrader.api import Gradebook

        return Gradebook(self.db_url, self.directory().course_id)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, or a run killed half-way, sees the old content or the new one."""
    data = content.encode() if isinstance(content, str) else content
    files.write_atomically(path, lambda draft: draft.write_bytes(data))


def write_json(path: Path, value) -> None:
    """Write JSON atomically, readable by people too."""
    write_atomically(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path):
    """What a JSON file holds, or None where there is none or it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
