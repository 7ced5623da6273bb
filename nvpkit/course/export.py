"""The grades as CSV: a file of our own, or the columns that an LMS exported and wants back."""

import csv
import io
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from nvpkit.course.folders import Course, write_atomically
from nvpkit.course.standing import ClassStanding, Row, class_standing, number
from nvpkit.errors import CourseError

ID_COLUMNS = ("student_id", "sis login id", "sis user id", "id number", "id", "username", "login", "student id",
              "matriculation number", "email address", "email", "e-mail")
NAME_COLUMNS = ("student", "name", "full name", "student name")


@dataclass
class Filled:
    """What filling an LMS file did: how many rows got points, and who could not be matched."""

    path: Path
    filled: int = 0
    without_points: list[str] = field(default_factory=list)
    unmatched_rows: list[str] = field(default_factory=list)
    unmatched_students: list[str] = field(default_factory=list)


def _text(rows: list[list[str]], delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue()


def gradebook_rows(standing: ClassStanding) -> list[list[str]]:
    """Header and one row for each student; a cell is empty, never 0, where nobody gave points."""
    names = [task.name for task in standing.source.tasks]
    rows = [["student_id", "name", "email", *names, "auto", "manual", "late_penalty", "total", "max", "status",
             "reason", "submitted"]]
    for row in standing.rows:
        rows.append([row.student, row.name, row.email, *[number(task.score) for task in row.tasks], number(row.auto),
                     number(row.manual), number(row.penalty or None), number(row.total), number(row.maximum),
                     row.status, row.reason, row.timestamp])
    return rows


def export(course: Course, assignment: str, path: Path | None = None) -> Path:
    """Write gradebook.csv (or `path`) and return where it lies."""
    path = path or course.root / "gradebook.csv"
    write_atomically(path, _text(gradebook_rows(class_standing(course, assignment))))
    return path


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode() or text
    return " ".join(folded.casefold().replace(",", " ").split())


def _keys(row: Row) -> set[str]:
    keys = {_plain(row.student), _plain(row.name), _plain(row.email)} - {""}
    words = sorted(_plain(row.name).split())
    return keys | ({" ".join(words)} if words else set())


def fill(course: Course, assignment: str, lms: Path, column: str | None = None, out: Path | None = None) -> Filled:
    """Fill the points into the file that an LMS exported, keeping its columns, order and separator.

    The column is `column`, else the one whose head names the assignment; a new one is added where there is none.
    A student without points (missing, damaged, waiting) keeps what the file says.
    """
    try:
        text = lms.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise CourseError(f"There is no file {lms}: name the CSV that the LMS exported.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{lms} cannot be read as UTF-8 text ({error}): export it from the LMS again.") from error
    first = text.splitlines()[0] if text.strip() else ""
    delimiter = max(",;\t", key=first.count)
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    if len(rows) < 2:
        raise CourseError(f"{lms} has no rows below its head: it is not an export of a class.")
    head = rows[0]
    low = [_plain(name) for name in head]
    ids = [low.index(name) for name in ID_COLUMNS if name in low]
    named = [low.index(name) for name in NAME_COLUMNS if name in low]
    if "first name" in low and ("last name" in low or "surname" in low):
        named.append(-1)
    if not ids and not named:
        raise CourseError(f"{lms} has no column with an id, an email or a name: its columns are {', '.join(head)}.")
    at = _column(head, assignment, column, lms)
    standing = class_standing(course, assignment)
    people: dict[str, list[Row]] = {}
    for row in standing.rows:
        for key in _keys(row):
            people.setdefault(key, []).append(row)
    result, matched = Filled(out or lms.with_name(f"{lms.stem}-filled{lms.suffix}")), set()
    for line in rows[1:]:
        if not any(cell.strip() for cell in line):
            continue
        line += [""] * (max(len(head), at + 1) - len(line))
        person = _person(line, low, ids, named, people)
        if person is None:
            result.unmatched_rows.append(" ".join(cell for cell in line[:3] if cell))
            continue
        matched.add(person.student)
        if person.total is None:
            result.without_points.append(f"{person.student} ({person.status})")
        else:
            line[at] = number(person.total)
            result.filled += 1
    result.unmatched_students = [row.student for row in standing.rows if row.student not in matched]
    write_atomically(result.path, _text(rows, delimiter))
    return result


def _column(head: list[str], assignment: str, column: str | None, lms: Path) -> int:
    if column is not None:
        if column not in head:
            raise CourseError(f"{lms} has no column {column!r}: its columns are {', '.join(head)}.")
        return head.index(column)
    found = [at for at, name in enumerate(head) if _plain(assignment) in _plain(name)]
    if len(found) > 1:
        raise CourseError(f"{lms} has several columns for {assignment}: name one with --column.")
    if not found:
        head.append(assignment)
        return len(head) - 1
    return found[0]


def _person(line: list[str], low: list[str], ids: list[int], named: list[int],
            people: dict[str, list[Row]]) -> Row | None:
    keys = [_plain(line[at]) for at in ids]
    keys += [key.split("@")[0] for key in keys if "@" in key]
    for at in named:
        if at >= 0:
            full = _plain(line[at])
        else:
            last = low.index("last name") if "last name" in low else low.index("surname")
            full = _plain(f"{line[low.index('first name')]} {line[last]}")
        keys += [full, " ".join(sorted(full.split()))]
    for key in keys:
        found = {row.student: row for row in people.get(key, [])} if key else {}
        if len(found) == 1:
            return next(iter(found.values()))
    return None
