"""Collect: whose file is whose, in any wrapping; nothing is overwritten without a copy, nothing given is changed."""

import io
import unicodedata
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nvpkit.course.collect import collect, read_roster
from nvpkit.course.commands import course_app
from nvpkit.errors import CourseError
from tests.course.samples import sample_class, write

OWN = "a2-nice.ipynb"


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def put(path, content="{}"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def zipped(path, files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    path.write_bytes(out.getvalue())
    return path


def there(course):
    return {path.relative_to(course.submitted).as_posix(): path.read_text()
            for path in sorted(course.submitted.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(("name", "student"), [
    ("ada/a2-nice.ipynb", "ada"),
    ("ada/a2-nice/a2-nice.ipynb", "ada"),
    ("submitted/ada/a2-nice/a2-nice.ipynb", "ada"),
    ("ada_a2-nice.ipynb", "ada"),
    ("ada-l-a2-nice.ipynb", "ada-l"),
    ("a2-nice_ada.ipynb", "ada"),
    ("noether, emmy/a2-nice.ipynb", "noether, emmy"),
    ("gödel_a2-nice.ipynb", "gödel"),
    ("Ada Lovelace_1234567_assignsubmission_file_/a2-nice.ipynb", "Ada Lovelace"),
    ("lovelaceada_4711_98765_a2-nice.ipynb", "lovelaceada"),
    ("lovelaceada_LATE_4711_98765_a2-nice.ipynb", "lovelaceada"),
])
def test_the_student_is_read_from_the_name(course, inbox, name, student):
    put(inbox / name, "mine")
    result = collect(course, "a2-nice", [inbox])
    assert there(course) == {f"{student}/a2-nice/{OWN}": "mine"}
    assert result.unplaced == []


def test_zips_in_zips_and_files_beside_the_notebook(course, inbox):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a2-nice/a2-nice.ipynb", "inner")
        archive.writestr("__MACOSX/a2-nice/._a2-nice.ipynb", "junk")
    path = zipped(inbox / "all.zip", {"bo_123456_assignsubmission_file_/work.zip": inner.getvalue(),
                                      "ada/a2-nice.ipynb": "hers", "ada/data.csv": "1,2"})
    collect(course, "a2-nice", [path])
    assert there(course) == {f"ada/a2-nice/{OWN}": "hers", "ada/a2-nice/data.csv": "1,2",
                             f"bo/a2-nice/{OWN}": "inner"}


def test_a_zip_of_one_student_is_called_after_him(course, inbox):
    collect(course, "a2-nice", [zipped(inbox / "ada_a2-nice.zip", {OWN: "hers"})])
    assert there(course) == {f"ada/a2-nice/{OWN}": "hers"}


def test_a_file_of_nobody_is_named_and_left(course, inbox):
    put(inbox / "homework.ipynb")
    result = collect(course, "a2-nice", [inbox])
    assert there(course) == {}
    assert "homework.ipynb" in result.unplaced[0]["file"]
    assert "name it <student>_a2-nice.ipynb" in result.unplaced[0]["reason"]
    collect(course, "a2-nice", [inbox / "homework.ipynb"], student="ada")
    assert list(there(course)) == ["ada/a2-nice/homework.ipynb"]


def test_no_zip_writes_outside(course, inbox):
    zipped(inbox / "evil.zip", {"../../evil/a2-nice.ipynb": "x", "/abs/a2-nice.ipynb": "x", "ok/a2-nice.ipynb": "fine"})
    collect(course, "a2-nice", [inbox])
    assert there(course) == {f"ok/a2-nice/{OWN}": "fine"}


def test_a_damaged_zip_is_named_and_the_others_are_taken(course, inbox):
    put(inbox / "broken.zip", "no zip")
    put(inbox / "ada_a2-nice.ipynb", "hers")
    result = collect(course, "a2-nice", [inbox])
    assert "broken.zip" in result.unplaced[0]["file"]
    assert "no readable zip" in result.unplaced[0]["reason"]
    assert there(course) == {f"ada/a2-nice/{OWN}": "hers"}


def test_an_earlier_submission_is_kept_beside(course, inbox):
    first = put(inbox / "ada_a2-nice.ipynb", "first")
    collect(course, "a2-nice", [inbox])
    assert collect(course, "a2-nice", [inbox]).unchanged == ["ada"]
    first.write_text("second")
    assert collect(course, "a2-nice", [inbox]).replaced == ["ada"]
    assert there(course) == {f"ada/a2-nice/{OWN}": "second"}
    kept = list((course.build / "history" / "a2-nice" / "ada").rglob(OWN))
    assert [path.read_text() for path in kept] == ["first"]
    first.write_text("third")
    result = collect(course, "a2-nice", [inbox], replace=False)
    assert "already has a submission" in result.unplaced[0]["reason"]
    assert there(course) == {f"ada/a2-nice/{OWN}": "second"}


def test_the_given_files_are_not_touched(course, inbox):
    write(inbox)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in inbox.rglob("*") if path.is_file()}
    collect(course, "a2-nice", [inbox])
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in inbox.rglob("*") if path.is_file()}


def test_the_sample_class_is_placed_whole(course, inbox):
    expected = sample_class()
    assert len(expected) >= 12
    assert any("," in name for name in expected)
    assert not all(name.isascii() for name in expected)
    write(inbox)
    result = collect(course, "a2-nice", [inbox])
    assert result.unplaced == []
    assert {unicodedata.normalize("NFC", one["student"]) for one in result.placed} == set(expected)


def test_the_command_says_what_went_where(course, inbox):
    put(inbox / "ada_a2-nice.ipynb")
    put(inbox / "homework.ipynb")
    result = CliRunner().invoke(course_app, ["collect", str(inbox), "--root", str(course.root)])
    assert result.exit_code == 0
    assert "ada: a2-nice.ipynb" in result.output
    assert "not placed: " in result.output
    assert "1 new, 0 unchanged, 1 not placed" in result.output
    gone = CliRunner().invoke(course_app, ["collect", str(inbox / "gone"), "--root", str(course.root)])
    assert gone.exit_code == 1
    assert "There is no file or folder" in gone.output


def test_a_class_list_names_the_students(course, tmp_path):
    path = put(tmp_path / "class.csv", "\ufeffid,first_name,last_name,email\nada,Ada,\"Lovelace, Countess\",a@x.org\n")
    assert read_roster(course, path) == 1
    with course.gradebook() as gradebook:
        assert gradebook.find_student("ada").last_name == "Lovelace, Countess"
    with pytest.raises(CourseError, match="needs a head with the column id"):
        read_roster(course, put(tmp_path / "bad.csv", "who\nada\n"))
    with pytest.raises(CourseError, match=r"gone\.csv cannot be read"):
        read_roster(course, Path(tmp_path / "gone.csv"))
