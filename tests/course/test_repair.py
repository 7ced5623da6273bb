"""Repair: whatever happened to the cells, the answers are the student's and everything locked is the source's."""

import copy
import json

import nbformat
import pytest
from nbgrader.nbgraderformat import MetadataValidator

from nvpkit.course.notebooks import Unreadable, kind, parse, read_source, read_submission
from nvpkit.course.repair import repair
from tests.course.samples import (
    WORDS,
    another_assignment,
    cell_of,
    fill,
    released_notebook,
    solutions,
    text,
    without_metadata,
)


@pytest.fixture(scope="module")
def source(empty_course):
    course = empty_course
    return read_source(course.source("a2-nice"), course.released("a2-nice"), course.root)


def mend(source, notebook):
    return repair(source, parse(text(notebook)), "a2-nice")


def answers_of(repaired):
    return {cell.metadata.nbgrader.grade_id: cell.source for cell in repaired.notebook.cells
            if kind(cell) in ("answer", "manual")}


def assert_graded_as_if_honest(source, repaired):
    """The marks and the tests are the source's, and nbgrader accepts the notebook."""
    MetadataValidator().validate_nb(repaired.notebook)
    for cell in source.skeleton.cells:
        if kind(cell) in ("test", "locked"):
            assert cell_of(repaired.notebook, cell.metadata.nbgrader.grade_id).source == cell.source


@pytest.fixture
def honest():
    return fill(solutions())


def assert_all_answers(repaired):
    found = answers_of(repaired)
    for task, code in solutions().items():
        assert found[task].strip() == code.strip()
    assert found["volume"] == WORDS


def test_an_honest_notebook_needs_no_word(source, honest):
    repaired = mend(source, honest)
    assert repaired.notes == []
    assert repaired.untouched == set()
    assert_all_answers(repaired)
    assert_graded_as_if_honest(source, repaired)


def test_the_untouched_release_is_known_as_untouched(source):
    repaired = mend(source, released_notebook())
    assert repaired.notes == []
    assert repaired.untouched == {*solutions(), "volume"}


def test_the_answers_of_the_source_never_reach_a_submission(source):
    notebook = released_notebook()
    notebook.cells.remove(cell_of(notebook, "scaling"))
    repaired = mend(source, notebook)
    assert "The answer cell scaling was missing: it was put back as released." in repaired.notes
    assert "NotImplementedError" in answers_of(repaired)["scaling"]


def test_metadata_all_lost(source, honest):
    repaired = mend(source, without_metadata(honest))
    assert "had lost their nbgrader metadata" in repaired.notes[0]
    assert_all_answers(repaired)
    assert_graded_as_if_honest(source, repaired)


def test_metadata_lost_and_answers_renamed_are_found_between_their_neighbours(source, honest):
    cell_of(honest, "scaling").source = "Stretch = None"
    assert answers_of(mend(source, without_metadata(honest)))["scaling"] == "Stretch = None"


def test_a_split_answer_is_joined(source, honest):
    at = honest.cells.index(cell_of(honest, "scaling"))
    first, second = copy.deepcopy(honest.cells[at]), copy.deepcopy(honest.cells[at])
    lines = honest.cells[at].source.splitlines()
    first.source, second.source, second["id"] = "\n".join(lines[:7]), "\n".join(lines[7:]), "split"
    honest.cells[at:at + 1] = [first, second]
    repaired = mend(source, honest)
    joined = [line for line in answers_of(repaired)["scaling"].splitlines() if line.strip()]
    assert joined == [line for line in solutions()["scaling"].splitlines() if line.strip()]
    compile(answers_of(repaired)["scaling"], "scaling", "exec")
    assert any("2 cells claimed to be the answer scaling" in note for note in repaired.notes)
    assert_graded_as_if_honest(source, repaired)


def test_a_duplicated_answer_with_the_stub_left_in_counts(source, honest):
    stub = copy.deepcopy(cell_of(released_notebook(), "scaling"))
    stub["id"] = "copy"
    honest.cells.append(stub)
    assert_all_answers(mend(source, honest))


def test_duplicated_tests_do_not_stop_the_class(source, honest):
    twin = copy.deepcopy(cell_of(honest, "test_scaling"))
    twin["id"], twin.source = "twin", "pass"
    honest.cells.insert(3, twin)
    repaired = mend(source, honest)
    assert_all_answers(repaired)
    assert_graded_as_if_honest(source, repaired)


def test_reordered_cells_go_back(source, honest):
    honest.cells = honest.cells[::-1]
    repaired = mend(source, honest)
    assert any("back into the order of the release" in note for note in repaired.notes)
    order = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in repaired.notebook.cells
             if kind(cell) != "free"]
    assert order == [cell.metadata.nbgrader.grade_id for cell in source.skeleton.cells if kind(cell) != "free"]
    assert_all_answers(repaired)


def test_deleted_and_changed_locked_cells_are_the_source_s_again(source, honest):
    honest.cells.remove(cell_of(honest, "imports"))
    cell_of(honest, "test_scaling").source = "print('10 points')"
    repaired = mend(source, honest)
    assert "The locked cell imports was missing: it was put back." in repaired.notes
    assert "The locked cell test_scaling had been changed: the original was used." in repaired.notes
    assert_graded_as_if_honest(source, repaired)


@pytest.mark.parametrize("version", [0, 1, 2, 4, "3", None])
def test_a_wrong_schema_version_is_mended(source, honest, version):
    cell_of(honest, "scaling").metadata.nbgrader["schema_version"] = version
    repaired = mend(source, honest)
    assert_all_answers(repaired)
    assert_graded_as_if_honest(source, repaired)


def test_changed_points_ids_and_types_are_mended(source, honest):
    cell_of(honest, "test_scaling").metadata.nbgrader["points"] = 1000
    cell_of(honest, "coupling_stack").metadata.nbgrader["grade_id"] = "mine"
    volume = cell_of(honest, "volume")
    volume.cell_type, volume["outputs"], volume["execution_count"] = "code", [], None
    repaired = mend(source, honest)
    assert_all_answers(repaired)
    assert_graded_as_if_honest(source, repaired)
    assert any("volume had become a code cell" in note for note in repaired.notes)


def test_a_student_s_own_cells_stay_where_they_were(source, honest):
    mine = nbformat.v4.new_code_cell("helper = 1")
    honest.cells.insert(honest.cells.index(cell_of(honest, "scaling")), mine)
    cells = mend(source, honest).notebook.cells
    at = next(number for number, cell in enumerate(cells) if cell.source == "helper = 1")
    after = next(cell for cell in cells[at + 1:] if kind(cell) != "free")
    assert after.metadata.nbgrader.grade_id == "scaling"


def test_colab_s_additions_change_nothing(source, honest):
    for number, cell in enumerate(honest.cells):
        cell.metadata["id"], cell.metadata["outputId"] = f"x{number}", "y"
    honest.metadata["colab"] = {"provenance": []}
    data = json.loads(text(honest))
    data["cells"].insert(0, {"cell_type": "markdown", "metadata": {"colab_type": "text", "id": "view-in-github"},
                             "source": ['<a href="https://colab.research.google.com/x">Open</a>']})
    repaired = repair(source, parse(json.dumps(data)), "a2-nice")
    assert repaired.notes == []
    assert_all_answers(repaired)


def test_an_old_notebook_format_is_read(source, honest):
    data = json.loads(text(honest))
    for cell in data["cells"]:
        cell.pop("id")
    data["nbformat_minor"] = 4
    assert_all_answers(repair(source, parse(json.dumps(data)), "a2-nice"))


def test_another_assignment_is_named_as_such(source):
    with pytest.raises(Unreadable, match=r"not a2-nice: it holds 0 of its .* normal_log_prob") as caught:
        mend(source, another_assignment())
    assert caught.value.status == "wrong assignment"


@pytest.mark.parametrize(("content", "said"), [
    (b"", "is an empty file"),
    (b"  \n", "is an empty file"),
    (b'{"cells": [{"cell_type": "code", "sour', "is cut off at line 1"),
    (b"PK\x03\x04\xff\xfe", "is not a text file"),
    (b"Dear professor,\nsee attachment", "is not a notebook: it is no valid JSON at line 1"),
    (b"[1, 2]", "is JSON, but not a notebook"),
    (b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "without any text"),
    (b'{"cells": 7, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "is not a notebook"),
    (b'{"cells": [7], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "is not a notebook"),
])
def test_what_is_no_notebook_gets_one_sentence(tmp_path, content, said):
    path = tmp_path / "a2-nice.ipynb"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=said) as caught:
        read_submission(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content
