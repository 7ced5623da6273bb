"""From solutions/ to assignments/: nbgrader's own release, then a look at what really goes out."""

import hashlib
import logging
import os
import re
import shutil
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from nvpkit.course.folders import Course, require_nbgrader
from nvpkit.errors import CourseError

require_nbgrader()

from nbgrader.preprocessors import NbGraderPreprocessor  # noqa: E402

TOKEN = "@repository@"
LEAKS = (
    (re.compile(r"BEGIN SOLUTION|END SOLUTION"), "a solution mark"),
    (re.compile(r"BEGIN HIDDEN TESTS|END HIDDEN TESTS"), "a mark of hidden tests"),
    (re.compile(r"\bchecks\.grade\s*\(|^\s*grade\s*\(", re.MULTILINE), "a line of the hidden tests"),
    (re.compile(re.escape(TOKEN)), f"the token {TOKEN}"),
)


def repository_url(root: Path) -> str | None:
    """`repository.url` of the course's _config.yml, or None where the file does not say it."""
    path = root / "_config.yml"
    if not path.is_file():
        return None
    inside = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if re.match(r"repository\s*:", line):
            inside = True
        elif inside and (found := re.match(r"\s+url\s*:\s*[\"']?([^\s\"'#]+)", line)):
            return found.group(1).rstrip("/")
        elif inside and line.strip() and not line[0].isspace() and not line.startswith("#"):
            inside = False
    return None


class FillRepository(NbGraderPreprocessor):
    """Puts the address of the repository where the source notebook says `@repository@`."""

    def preprocess(self, nb, resources):
        """Fill the token in all cells; CourseError where _config.yml does not know the address."""
        fill_repository(nb, Path.cwd())  # nbgrader converts in the course's root
        return nb, resources


def fill_repository(nb, root: Path) -> None:
    """Replace the token in every cell of a notebook, in place."""
    if not any(TOKEN in cell.source for cell in nb.cells):
        return
    url = repository_url(root)
    if url is None:
        raise CourseError(f"The notebook names {TOKEN}, but {root / '_config.yml'} has no repository.url.")
    for cell in nb.cells:
        cell.source = cell.source.replace(TOKEN, url)


@dataclass
class Release:
    """What one release did."""

    assignment: str
    changed: list[str] = field(default_factory=list)
    folder: Path | None = None
    archive: Path | None = None

    def sentence(self) -> str:
        """The result in words."""
        what = f"wrote {', '.join(self.changed)}" if self.changed else "is up to date"
        return f"{self.assignment}: {what}"


class _Errors(logging.Handler):
    """Keeps nbgrader's error messages: it logs the cause and raises only 'there was an error'."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())

    def cause(self) -> str:
        lines = [line for text in self.messages for line in text.strip().splitlines()]
        errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Invalid\w*|Failed)\b.*:", line)]
        return (errors or lines or ["nbgrader gives no reason"])[-1]


def _convert(course: Course, assignment: str, folder: str, database: bool) -> Path:
    """Run nbgrader's GenerateAssignment into `folder` (a name below the root); the folder of the assignment."""
    from nbgrader.converters import GenerateAssignment
    from nbgrader.converters.base import NbGraderException

    config = course.config()
    config.CourseDirectory.release_directory = folder
    config.SaveCells.enabled = database
    config.GenerateAssignment.no_database = not database
    directory = course.directory(config)
    directory.assignment_id = assignment
    log = logging.getLogger(f"nvpkit.release.{assignment}")
    log.propagate, log.handlers, kept = False, [], _Errors()
    log.addHandler(kept)
    converter = GenerateAssignment(coursedir=directory, config=config, log=log)
    try:
        converter.start()
    except (NbGraderException, SystemExit) as error:
        cause = kept.cause()
        if "Cannot add or remove cells" in cause or "Cannot modify existing assignment" in cause:
            raise CourseError(
                f"{assignment} already has submissions in gradebook.db, and its graded cells were added or removed: "
                "keep the set of cells, or give the new version a new name."
            ) from error
        raise CourseError(f"nbgrader cannot release {course.source(assignment)}: {cause}") from error
    return course.root / folder / assignment


def _files(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        return {}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".ipynb_checkpoints" not in path.parts
    }


def inspect(folder: Path) -> None:
    """Raise CourseError where a released folder holds outputs, solutions, hidden tests or an empty test cell."""
    import nbformat

    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        if path.suffix != ".ipynb":
            text = path.read_bytes().decode(errors="replace")
            cells = [(path.name, text)]
        else:
            nb = nbformat.read(path, as_version=4)
            cells = [(f"cell {number} of {path.name}", cell.source) for number, cell in enumerate(nb.cells, 1)]
            for number, cell in enumerate(nb.cells, 1):
                if cell.get("outputs") or cell.get("execution_count"):
                    raise CourseError(f"The release would show outputs: cell {number} of {path.name}.")
                if cell.metadata.get("nbgrader", {}).get("grade") and not cell.source.strip():
                    raise CourseError(f"Cell {number} of {path.name} would be empty: leave one visible check in it.")
        for place, text in cells:
            for pattern, what in LEAKS:
                if pattern.search(text):
                    raise CourseError(f"The release would show {what}: {place}.")


def make(course: Course, assignment: str, database: bool) -> dict[str, bytes]:
    """The files of the release, made in a scratch folder and inspected."""
    course.source(assignment)
    course.build.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="release-", dir=course.build))
    try:
        folder = _convert(course, assignment, str(scratch.relative_to(course.root)), database)
        inspect(folder)
        return _files(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def check(course: Course, assignment: str) -> None:
    """Raise CourseError where assignments/ differs from what solutions/ gives."""
    made, there = make(course, assignment, database=False), _files(course.assignments / assignment)
    different = sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
    if different:
        raise CourseError(
            f"assignments/{assignment} differs from what solutions/{assignment} gives ({', '.join(different)}): "
            f"edit solutions/ only, then run `nvpkit course release {assignment}`."
        )


def release(course: Course, assignment: str) -> Release:
    """Make assignments/<assignment> and its zip, and write it into the gradebook; harmless when repeated."""
    first = make(course, assignment, database=False)
    # The second pass fills the gradebook; that it gives the same bytes is the proof that a release can be repeated.
    if make(course, assignment, database=True) != first:
        raise CourseError(f"Two releases of {assignment} differ: something in its source changes from run to run.")
    target = course.assignments / assignment
    old = _files(target)
    result = Release(assignment, folder=target)
    result.changed = [f"assignments/{assignment}/{name}" for name in sorted(first) if old.get(name) != first[name]]
    if first != old:
        _replace(target, first)
        result.changed += [f"(removed {name})" for name in sorted(old.keys() - first.keys())]
    result.archive = _archive(course, assignment, first)
    return result


def _replace(target: Path, files: dict[str, bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    for name, data in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    os.chmod(fresh, 0o755)
    if target.exists():
        old = fresh.with_name(fresh.name + "-old")
        target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old)
    else:
        fresh.rename(target)


def _archive(course: Course, assignment: str, files: dict[str, bytes]) -> Path:
    """A zip for an LMS, with fixed dates so that the same release is the same file."""
    digest = hashlib.sha256(b"".join(name.encode() + data for name, data in sorted(files.items()))).hexdigest()
    path = course.build / "release" / f"{assignment}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{digest[:8]}")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(f"{assignment}/{name}", (2000, 1, 1, 0, 0, 0)), data)
    os.replace(part, path)
    return path
