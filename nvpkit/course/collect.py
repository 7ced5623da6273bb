"""Takes what students handed in, in any wrapping, to submitted/<student>/<assignment>/; never changes the given."""

import csv
import hashlib
import io
import re
import time
import unicodedata
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from nvpkit.course.folders import Course, read_json, write_atomically, write_json
from nvpkit.errors import CourseError

SKIPPED = ("__MACOSX", ".ipynb_checkpoints", ".DS_Store", "Thumbs.db")
MOST = 500 * 2**20
# Moodle: "Ada Lovelace_1234567_assignsubmission_file_"; Canvas: "lovelaceada_4711_98765_a2-nice.ipynb".
MOODLE = re.compile(r"^(?P<student>.+?)_(?P<number>\d{3,})_assignsubmission_.*$")
CANVAS = re.compile(r"^(?P<student>[^_]+)_(?:LATE_)?\d+_\d+_.*$")


@dataclass
class Given:
    """One file of what was handed in: where it came from, its path inside, and its bytes."""

    origin: str
    path: PurePosixPath
    data: bytes


@dataclass
class Collected:
    """Whose file went where, and what could not be placed."""

    placed: list[dict] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    unplaced: list[dict] = field(default_factory=list)


def _inside(path: PurePosixPath) -> bool:
    return not path.is_absolute() and ".." not in path.parts and not any(part in SKIPPED for part in path.parts)


def _read(path: Path, result: Collected) -> list[Given]:
    if path.is_dir():
        files = [(file, PurePosixPath(file.relative_to(path).as_posix())) for file in sorted(path.rglob("*"))
                 if file.is_file() and not file.is_symlink()]
        found = []
        for file, name in files:
            if not _inside(name):
                continue
            if file.suffix.lower() == ".zip":
                found += _unzip(str(file), name.parent, file.read_bytes(), result, alone=name.with_suffix(""))
            else:
                found.append(Given(str(path), name, file.read_bytes()))
        return found
    if not path.is_file():
        raise CourseError(f"There is no file or folder {path}.")
    if path.suffix.lower() != ".zip":
        return [Given(str(path), PurePosixPath(path.name), path.read_bytes())]
    return _unzip(str(path), PurePosixPath(), path.read_bytes(), result, alone=PurePosixPath(path.stem))


def _unzip(origin: str, under: PurePosixPath, data: bytes, result: Collected, alone: PurePosixPath) -> list[Given]:
    """Files of a zip, below `under`; those that lie in no folder of the zip are below `alone`, made of its name."""
    found, room = [], MOST
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                name = PurePosixPath(info.filename.replace("\\", "/"))
                if info.is_dir() or not _inside(name):
                    continue
                room -= info.file_size
                if room < 0:
                    raise CourseError(f"{origin} holds more than {MOST // 2**20} MB: unpack it and give the folder.")
                content = archive.read(info)
                if name.suffix.lower() == ".zip":  # an LMS packs what students packed
                    found += _unzip(f"{origin}/{name}", under / name.parent, content, result,
                                    alone=under / name.with_suffix(""))
                else:
                    found.append(Given(origin, (under if len(name.parts) > 1 else alone) / name, content))
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        result.unplaced.append({"file": origin, "reason": f"it is no readable zip file ({error})"})
    return found


def _clean(name: str) -> str:
    """A student id that is safe as a folder name."""
    return unicodedata.normalize("NFC", re.sub(r"[/\\\x00-\x1f]", "", name)).strip().strip(".")


def _owner(given: Given, assignment: str, student: str | None) -> tuple[str, PurePosixPath] | None:
    """The student whose file this is, and its path inside the submission; None where nothing tells."""
    parts = given.path.parts
    if student:
        return student, PurePosixPath(parts[-1]) if len(parts) == 1 else PurePosixPath(*_below(parts, assignment))
    if assignment in parts[:-1] and parts.index(assignment) > 0:
        at = parts.index(assignment)
        top = MOODLE.match(parts[at - 1])
        return _clean(top["student"] if top else parts[at - 1]), PurePosixPath(*parts[at + 1:])
    if len(parts) > 1:
        top = MOODLE.match(parts[0])
        named = re.match(rf"^(?P<student>.+)[_-]{re.escape(assignment)}$", parts[0])
        return _clean((top or named)["student"] if top or named else parts[0]), PurePosixPath(*parts[1:])
    if parts[0] == f"{assignment}.ipynb" and Path(given.origin).is_dir():
        return _clean(Path(given.origin).resolve().name), given.path
    stem = PurePosixPath(parts[0]).stem
    for pattern in (rf"^(?P<student>.+)[_-]{re.escape(assignment)}(?:[ _-]?\(?\d*\)?)$",
                    rf"^{re.escape(assignment)}[_-](?P<student>.+)$"):
        if found := re.match(pattern, stem):
            name = found["student"]
            canvas = CANVAS.match(name + "_x")
            return _clean(canvas["student"] if canvas else name), PurePosixPath(f"{assignment}.ipynb")
    if (found := CANVAS.match(parts[0])) and parts[0].endswith(".ipynb"):
        return _clean(found["student"]), PurePosixPath(parts[0])
    return None


def _below(parts: tuple[str, ...], assignment: str) -> tuple[str, ...]:
    return parts[parts.index(assignment) + 1:] if assignment in parts[:-1] else parts


def collect(course: Course, assignment: str, paths: list[Path], student: str | None = None,
            replace: bool = True) -> Collected:
    """Place the files of `paths` under submitted/; an earlier submission that differs is kept under _build/.

    With `replace=False` a student who has a submission keeps it, and the new one is named as not placed.
    """
    course.source(assignment)
    result, files = Collected(), {}
    for path in paths:
        for given in _read(Path(path), result):
            owner = _owner(given, assignment, student)
            if owner is None or not owner[0]:
                hint = f"name it <student>_{assignment}.ipynb, or put it into a folder with the student's id"
                result.unplaced.append({"file": f"{given.origin}: {given.path}" if given.origin != str(given.path)
                                        else given.origin, "reason": f"nothing tells whose it is: {hint}"})
                continue
            who, inner = owner
            kept = files.setdefault(who, {})
            if inner in kept and kept[inner].data != given.data:
                result.unplaced.append({"file": f"{given.origin}: {given.path}",
                                        "reason": f"{who} has two different files {inner}: the first one was taken"})
                continue
            kept[inner] = given
    for who, kept in sorted(files.items()):
        _place(course, assignment, who, kept, replace, result)
    log = course.build / "collect" / f"{assignment}.json"
    write_json(log, [*(read_json(log) or []), {"time": time.strftime("%Y-%m-%d %H:%M:%S"), **asdict(result)}])
    return result


def _place(course: Course, assignment: str, who: str, kept: dict[PurePosixPath, Given], replace: bool,
           result: Collected) -> None:
    target = course.submitted / who / assignment
    new = {str(inner): given.data for inner, given in kept.items()}
    old = {path.relative_to(target).as_posix(): path.read_bytes() for path in sorted(target.rglob("*"))
           if path.is_file()} if target.is_dir() else {}
    if old == new:
        result.unchanged.append(who)
        return
    if old and not replace:
        reason = f"{who} already has a submission, and --keep was given"
        result.unplaced += [{"file": f"{given.origin}: {given.path}", "reason": reason} for given in kept.values()]
        return
    if old:
        digest = hashlib.sha256(repr(sorted(old.items())).encode()).hexdigest()[:8]
        history = course.build / "history" / assignment / who / f"{time.strftime('%Y%m%d-%H%M%S')}-{digest}"
        for name, data in old.items():
            write_atomically(history / name, data)
        for name in old.keys() - new.keys():
            (target / name).unlink()
        result.replaced.append(who)
    for name, data in new.items():
        write_atomically(target / name, data)
    result.placed.append({"student": who, "files": sorted(new), "from": sorted({g.origin for g in kept.values()})})


def read_roster(course: Course, path: Path) -> int:
    """Write the students of a CSV with the column id (and first_name, last_name, email) into the gradebook."""
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"The list of students {path} cannot be read: {error}.") from error
    if not rows or not any(key in rows[0] for key in ("id", "student_id")):
        raise CourseError(f"{path} needs a head with the column id (and, if known, first_name, last_name, email).")
    with course.gradebook() as gradebook:
        for row in rows:
            name = (row.get("id") or row.get("student_id") or "").strip()
            known = {key: row[key].strip() for key in ("first_name", "last_name", "email") if row.get(key)}
            if name:
                gradebook.update_or_create_student(name, **known)
    return len(rows)
