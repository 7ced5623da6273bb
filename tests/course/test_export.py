"""Filling the file that an LMS exported: its columns, order and separator stay, only points we have are written."""

import csv
import io

import pytest

from nvpkit.course.export import fill
from nvpkit.course.standing import ClassStanding, Row, Standing
from nvpkit.errors import CourseError


@pytest.fixture
def lms(course, monkeypatch, tmp_path):
    """A function that fills a text as if it were the LMS's file, for a class of four."""

    def row(student, name, email, score, status="graded"):
        tasks = [Standing("scaling", 7, False, score, waiting=score is None)]
        return Row(student, name, email, status, "", tasks, 7)

    rows = [row("ada", "Ada Lovelace", "ada@x.org", 7), row("emmy", "Emmy Noether", "", 0),
            row("kurt", "Kurt Gödel", "k@x.org", None, "damaged"), row("twin1", "Jo Li", "", 3),
            row("twin2", "Jo Li", "", 4)]
    monkeypatch.setattr("nvpkit.course.export.class_standing", lambda *_: ClassStanding("a2-nice", None, rows))

    def run(text, **options):
        path = tmp_path / "lms.csv"
        path.write_text(text, encoding="utf-8-sig")
        result = fill(course, "a2-nice", path, **options)
        assert path.read_text(encoding="utf-8-sig") == text
        filled = result.path.read_text(encoding="utf-8")
        delimiter = ";" if ";" in text.splitlines()[0] else ","
        return result, list(csv.reader(io.StringIO(filled), delimiter=delimiter))

    return run


def test_points_go_into_the_column_of_the_assignment(lms):
    result, rows = lms('Student,ID,SIS Login ID,a2-nice (12345),Other\n'
                       '"Lovelace, Ada",1,ada,,9\n"Noether, Emmy",2,emmy,,8\n')
    assert rows[0] == ["Student", "ID", "SIS Login ID", "a2-nice (12345)", "Other"]
    assert rows[1:] == [["Lovelace, Ada", "1", "ada", "7", "9"], ["Noether, Emmy", "2", "emmy", "0", "8"]]
    assert (result.filled, result.unmatched_rows) == (2, [])


def test_who_has_no_points_keeps_what_the_file_says(lms):
    result, rows = lms("Email address;a2-nice\nk@x.org;old\n")
    assert rows[1] == ["k@x.org", "old"]
    assert result.without_points == ["kurt (damaged)"]


def test_names_match_in_any_order_with_and_without_accents(lms):
    _, rows = lms("First name,Last name\nAda,Lovelace\nKurt,Godel\n")
    assert rows == [["First name", "Last name", "a2-nice"], ["Ada", "Lovelace", "7"], ["Kurt", "Godel", ""]]


def test_two_of_one_name_are_not_guessed_and_strangers_are_named(lms):
    result, rows = lms("Name\nJo Li\nSomebody Else\n")
    assert [row[1] for row in rows[1:]] == ["", ""]
    assert result.unmatched_rows == ["Jo Li", "Somebody Else"]
    assert set(result.unmatched_students) == {"ada", "emmy", "kurt", "twin1", "twin2"}


@pytest.mark.parametrize(("text", "options", "said"), [
    ("a,b\n1,2\n", {}, "no column with an id, an email or a name"),
    ("id\n", {}, "no rows below its head"),
    ("id,a2-nice,a2-nice late\nada,,\n", {}, "name one with --column"),
    ("id\nada\n", {"column": "Points"}, "has no column 'Points'"),
])
def test_a_file_that_does_not_fit_gets_one_sentence(lms, text, options, said):
    with pytest.raises(CourseError, match=said):
        lms(text, **options)
