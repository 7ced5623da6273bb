"""Course folders to grade in, and the classes that several tests look at: graded once, read by many."""

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # `pytest` alone does not put the project's folder there, `python -m pytest` does

# Answer cells, not modules: the search for docstring examples must not import them.
collect_ignore_glob = ["corpus/*"]
WORKERS = 2
# nbgrader builds a submission piece by piece inside one session; SQLAlchemy says so each time.
NOT_OURS = "ignore:Object of type <Submitted.*> not in session:sqlalchemy.exc.SAWarning"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(NOT_OURS))


def make_course(folder):
    """A course of its own: this project's configuration, address and solutions, released."""
    from nvpkit.course.folders import Course
    from nvpkit.course.release import release

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("nbgrader_config.py", "_config.yml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "solutions", folder / "solutions", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    course = Course.find(folder)
    release(course, "a2-nice")
    return course


def hand_in(course, student, notebook, name="a2-nice.ipynb"):
    """Put one submission where grading looks for it; `notebook` is a notebook or the text of a file."""
    from tests.course.samples import text

    folder = course.submitted / student / "a2-nice"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(notebook if isinstance(notebook, str) else text(notebook), encoding="utf-8")


def scores_of(result):
    """Scores by student and task of what `grade` returned."""
    return {record["student"]: {task["name"]: task["score"] for task in record["tasks"]}
            for record in result["records"]}


def records_of(result):
    """Records by student of what `grade` returned."""
    return {record["student"]: record for record in result["records"]}


@pytest.fixture(scope="session")
def empty_course(tmp_path_factory):
    """A released course without submissions: copy what you change."""
    return make_course(tmp_path_factory.mktemp("course") / "empty")


@pytest.fixture
def course(empty_course, tmp_path):
    """A released course of the test's own."""
    from nvpkit.course.folders import Course

    shutil.copytree(empty_course.root, tmp_path / "course")
    return Course.find(tmp_path / "course")
