"""Release: nothing of the solutions goes out, the same source gives the same bytes, drift is noticed, grades stay."""

import json
import zipfile

import nbformat
import pytest
from typer.testing import CliRunner

from nvpkit.course.commands import course_app
from nvpkit.course.folders import Course
from nvpkit.course.release import TOKEN, check, release, repository_url
from nvpkit.errors import CourseError
from tests.course.conftest import ROOT
from tests.course.samples import cell_of, solution_lines

SOURCE = "solutions/a2-nice/a2-nice.ipynb"
RELEASED = "assignments/a2-nice/a2-nice.ipynb"


def test_the_committed_release_is_what_the_source_gives():
    check(Course.find(ROOT), "a2-nice")


def test_nothing_of_the_solutions_or_hidden_tests_is_in_the_release(course):
    assert len(solution_lines()) > 15
    released = nbformat.read(course.released("a2-nice"), 4)
    assert not solution_lines() & {line.strip() for cell in released.cells for line in cell.source.splitlines()}
    text = course.released("a2-nice").read_text()
    for leak in ("SOLUTION", "HIDDEN", "checks.grade(", TOKEN):
        assert leak not in text
    with zipfile.ZipFile(course.build / "release" / "a2-nice.zip") as archive:
        assert archive.read("a2-nice/a2-nice.ipynb").decode() == text


def test_the_release_has_no_outputs_and_every_task_keeps_its_check(course):
    notebook = nbformat.read(course.released("a2-nice"), 4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if name.startswith("test_"):
            assert f"nvpkit.checks.{name.removeprefix('test_')}(" in cell.source


def test_the_address_comes_from_the_configuration(course):
    (course.root / "_config.yml").write_text("title: x\nrepository:\n  url: https://example.org/fork/  # ours\n")
    assert repository_url(course.root) == "https://example.org/fork"
    release(course, "a2-nice")
    assert "https://example.org/fork" in cell_of(nbformat.read(course.released("a2-nice"), 4), "setup").source


def test_a_configuration_without_address_is_one_sentence(course):
    (course.root / "_config.yml").write_text("title: x\n")
    with pytest.raises(CourseError, match=r"_config\.yml has no repository\.url"):
        release(course, "a2-nice")


def test_a_second_release_changes_no_byte(course):
    before = course.released("a2-nice").read_bytes(), (course.build / "release" / "a2-nice.zip").read_bytes()
    assert release(course, "a2-nice").changed == []
    assert before == (course.released("a2-nice").read_bytes(), (course.build / "release/a2-nice.zip").read_bytes())


def test_an_edited_release_is_noticed_and_mended(course):
    path = course.root / RELEASED
    path.write_text(path.read_text().replace("NICE", "NASTY", 1))
    result = CliRunner().invoke(course_app, ["release", "--all", "--check", "--root", str(course.root)])
    assert result.exit_code == 1
    assert "edit solutions/ only" in result.output
    release(course, "a2-nice")
    assert CliRunner().invoke(course_app, ["release", "--all", "--check", "--root", str(course.root)]).exit_code == 0


@pytest.mark.parametrize(("grade_id", "addition", "said"), [
    ("imports", "### BEGIN SOLUTION", "Solution region detected|no end solution"),
    ("imports", 'nvpkit.checks.grade("scaling", None)', "a line of the hidden tests"),
])
def test_a_source_that_would_leak_is_refused_and_nothing_changes(course, grade_id, addition, said):
    before = course.released("a2-nice").read_bytes()
    notebook = nbformat.read(course.root / SOURCE, 4)
    cell_of(notebook, grade_id).source += f"\n{addition}"
    nbformat.write(notebook, course.root / SOURCE)
    with pytest.raises(CourseError, match=said):
        release(course, "a2-nice")
    assert course.released("a2-nice").read_bytes() == before


def test_a_source_without_nbgrader_marks_is_refused(course):
    notebook = nbformat.read(course.root / SOURCE, 4)
    del cell_of(notebook, "scaling").metadata["nbgrader"]
    nbformat.write(notebook, course.root / SOURCE)
    with pytest.raises(CourseError, match="Solution region detected in a non-solution cell"):
        release(course, "a2-nice")


def test_releasing_again_keeps_grades(course):
    with course.gradebook() as gradebook:
        gradebook.update_or_create_student("ada")
        gradebook.update_or_create_submission("a2-nice", "ada")
        grade = gradebook.find_grade("volume", "a2-nice", "a2-nice", "ada")
        grade.manual_score = 7.5
        gradebook.db.commit()
    release(course, "a2-nice")
    with course.gradebook() as gradebook:
        assert gradebook.find_grade("volume", "a2-nice", "a2-nice", "ada").manual_score == 7.5


def test_another_set_of_cells_is_refused_once_there_are_submissions(course):
    with course.gradebook() as gradebook:
        gradebook.update_or_create_student("ada")
        gradebook.update_or_create_submission("a2-nice", "ada")
    notebook = nbformat.read(course.root / SOURCE, 4)
    notebook.cells.remove(cell_of(notebook, "test_scaling"))
    nbformat.write(notebook, course.root / SOURCE)
    with pytest.raises(CourseError, match="already has submissions"):
        release(course, "a2-nice")


def test_unknown_assignment_and_missing_course_folder_get_one_sentence(course, tmp_path):
    for arguments, said in [
        (["release", "a9", "--root", str(course.root)], "No assignment 'a9'"),
        (["release", "a2-nice", "--root", str(tmp_path / "nowhere")], "There is no course folder"),
        (["release", "a2-nice", "--root", str(tmp_path)], "is not a course folder"),
        (["grade", "a2-nice", "--root", str(course.root)], "There are no submissions of a2-nice"),
        (["feedback", "a2-nice", "--root", str(course.root)], "No graded submission"),
    ]:
        result = CliRunner().invoke(course_app, arguments)
        assert result.exit_code == 1
        assert said in result.output
        assert result.output.count("\n") == 1


def test_json_output_is_json(course):
    result = CliRunner().invoke(course_app, ["release", "a2-nice", "--json", "--root", str(course.root)])
    assert json.loads(result.output)[0]["assignment"] == "a2-nice"
