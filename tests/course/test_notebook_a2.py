"""The source notebook of a2-nice: its format, and that it runs for whoever opens it."""

import ast
import html
import itertools
import json
import os
import re
import resource
import sys
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions

from nvpkit import checks
from nvpkit.checks.tasks.train_nice import BUDGETS

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "solutions" / "a2-nice" / "a2-nice.ipynb"
DATA = ROOT.parent / "shared" / "data"
OBJECTS = {
    "additive_coupling": ["AdditiveCoupling"],
    "coupling_stack": ["CouplingStack"],
    "scaling": ["Scaling"],
    "base_log_prob": ["logistic_log_prob", "gaussian_log_prob"],
    "negative_log_likelihood": ["negative_log_likelihood"],
    "train_nice": ["train_nice"],
    "inpaint": ["inpaint"],
}
POINTS = {
    "additive_coupling": 10,
    "coupling_stack": 8,
    "scaling": 7,
    "base_log_prob": 6,
    "negative_log_likelihood": 4,
    "train_nice": 6,
    "inpaint": 4,
}


@pytest.fixture
def notebook():
    return nbformat.read(SOURCE, as_version=4)


def by_grade_id(notebook):
    return {c.metadata.nbgrader.grade_id: c for c in notebook.cells if "nbgrader" in c.metadata}


# ---------------------------------------------------------------- the file


def test_file_is_valid_and_written_in_one_way(notebook):
    text = SOURCE.read_text(encoding="utf-8")
    content = json.loads(text)
    nbformat.validate(notebook)
    MetadataValidator().validate_nb(notebook)
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert text == json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    assert notebook.metadata.kernelspec.name == "python3"


def test_ids_are_unique_and_made_for_people(notebook):
    ids = [cell.id for cell in notebook.cells]
    grade_ids = [c.metadata.nbgrader.grade_id for c in notebook.cells if "nbgrader" in c.metadata]
    assert len(set(ids)) == len(ids)
    assert len(set(grade_ids)) == len(grade_ids)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) for name in ids)


def test_there_are_no_outputs(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


# ---------------------------------------------------------------- tasks and points


def test_points_are_45_by_tests_and_10_by_a_person(notebook):
    graded = {name: cell for name, cell in by_grade_id(notebook).items() if cell.metadata.nbgrader.grade}
    automatic = {name: c.metadata.nbgrader.points for name, c in graded.items() if not c.metadata.nbgrader.solution}
    manual = {name: c.metadata.nbgrader.points for name, c in graded.items() if c.metadata.nbgrader.solution}
    assert automatic == {f"test_{task}": points for task, points in POINTS.items()}
    assert sum(automatic.values()) == 45
    assert manual == {"volume": 10}
    assert {name: spec.points for name, spec in checks.TASKS.items() if spec.assignment == "a2-nice"} == POINTS


def test_every_cell_of_nbgrader_has_the_flags_of_its_kind(notebook):
    for name, cell in by_grade_id(notebook).items():
        flags = tuple(cell.metadata.nbgrader[key] for key in ("grade", "solution", "locked", "task"))
        if name in POINTS:
            assert flags == (False, True, False, False), name
        elif name == "volume":
            assert flags == (True, True, False, False), name
            assert cell.cell_type == "markdown"
        elif name.removeprefix("test_") in POINTS:
            assert flags == (True, False, True, False), name
        else:
            assert flags == (False, False, True, False), name
        assert cell.metadata.nbgrader.schema_version == 3


@pytest.mark.parametrize("task", POINTS)
def test_test_cell_is_one_visible_check_then_the_hidden_line(notebook, task):
    arguments = ", ".join(OBJECTS[task])
    assert by_grade_id(notebook)[f"test_{task}"].source.split("\n") == [
        f"nvpkit.checks.{task}({arguments})",
        "### BEGIN HIDDEN TESTS",
        f'nvpkit.checks.grade("{task}", {arguments})',
        "### END HIDDEN TESTS",
    ]


def test_tests_follow_their_answers_in_the_order_of_the_tasks(notebook):
    names = [c.metadata.nbgrader.grade_id for c in notebook.cells if "nbgrader" in c.metadata]
    tasks = [name for name in names if name.removeprefix("test_") in POINTS]
    assert tasks == [name for task in POINTS for name in (task, f"test_{task}")]
    for here, following in itertools.pairwise(notebook.cells):
        name = here.metadata.get("nbgrader", {}).get("grade_id")
        if name in POINTS:
            assert following.metadata.nbgrader.grade_id == f"test_{name}"


def test_a_failed_test_does_not_stop_a_run_of_all_cells(notebook):
    for name, cell in by_grade_id(notebook).items():
        assert ("raises-exception" in cell.metadata.get("tags", [])) == name.startswith("test_")


def released(notebook):
    """The notebook without solutions and hidden tests, by nbgrader's own preprocessors."""
    resources = {}
    for preprocessor in (ClearSolutions(), ClearHiddenTests()):
        notebook, resources = preprocessor.preprocess(notebook, resources)
    return notebook


@pytest.mark.parametrize("task", POINTS)
def test_stub_defines_the_names_and_every_part_of_it_is_open(notebook, task):
    source = by_grade_id(released(notebook))[task].source
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)]
    assert [n.name for n in ast.parse(source).body] == OBJECTS[task]
    assert source.count("raise NotImplementedError()") == len(functions)
    assert all(isinstance(function.body[-1], ast.Raise) for function in functions)


def test_release_shows_neither_solutions_nor_the_rubric(notebook):
    cells = by_grade_id(released(notebook))
    text = "\n".join(cell.source for cell in cells.values())
    assert cells["volume"].source.strip() == "YOUR ANSWER HERE"
    for secret in ("softplus", "checks.grade", "Rubric", "register_buffer", "Sample answer"):
        assert secret not in text


def test_manual_question_has_a_rubric_of_ten_points_and_two_graded_answers(notebook):
    source = by_grade_id(notebook)["volume"].source
    assert sum(int(points) for points in re.findall(r"^\| (\d+) \|", source, re.MULTILINE)) == 10
    assert re.findall(r"Sample answer [AB]: (\d+) of 10", source) == ["9", "4"]


# ---------------------------------------------------------------- setup and reading


def test_only_the_setup_cell_installs(notebook):
    assert [c.id for c in notebook.cells if re.search(r"\bpip\b", c.source)] == ["setup"]
    setup = next(c for c in notebook.cells if c.id == "setup")
    assert "git+@repository@" in setup.source


@pytest.mark.parametrize("on_colab", [False, True])
def test_setup_cell_acts_on_colab_alone(notebook, monkeypatch, on_colab):
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    if on_colab:
        monkeypatch.setitem(sys.modules, "google.colab", object())
    calls = []

    class Shell:
        def run_line_magic(self, *arguments):
            calls.append(arguments)

    source = next(c.source for c in notebook.cells if c.id == "setup")
    exec(TransformerManager().transform_cell(source), {"get_ipython": Shell})
    if on_colab:
        [(magic, line)] = calls
        assert magic == "pip"
        assert "--quiet" in line
        assert '"nvpkit @ git+' in line
    else:
        assert calls == []


def test_no_machine_is_named(notebook):
    text = "\n".join(cell.source for cell in notebook.cells)
    assert not re.search(r"/tmp|/work|/root|/home|\.\./shared", text)


def test_top_says_what_it_takes_and_every_task_has_an_equation_and_a_hint(notebook):
    cells = {cell.id: cell.source for cell in notebook.cells}
    for words in ("you will be able to", "CPU", "hours", "book/nice.md", "book/change-of-variables.md"):
        assert words in cells["title"]
    assert "Save a copy in Drive" in cells["how-it-works"]
    for number in range(1, 8):
        text = cells[f"task-{number}"]
        assert "$$" in text
        assert text.count("<details>") == text.count("</details>") >= 1
        assert f"picture-{number}" in cells


def test_the_budgets_of_the_training_check_are_stated(notebook):
    text = next(cell.source for cell in notebook.cells if cell.id == "task-6")
    rows = [[part.strip() for part in line.split("|")[1:-1]] for line in text.split("\n") if "| the check |" in line]
    stated = {
        row[1].split(",")[0]: (row[2], {"normal": "gaussian"}.get(row[3], row[3]), *map(float, row[4:])) for row in rows
    }
    assert stated == {
        name: (f"{b['n_layers']}, width {b['hidden']}", b["base"], b["steps"], b["batch_size"], b["lr"])
        for name, b in BUDGETS.items()
    }


def test_markdown_needs_no_pictures(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "![" not in text
    assert "<img" not in text


def test_what_a_student_wrote_is_used_only_where_its_absence_does_no_harm(notebook):
    names = {name for objects in OBJECTS.values() for name in objects}
    graded = [*POINTS, *(f"test_{task}" for task in POINTS)]
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.id == "setup":
            continue
        if cell.metadata.get("nbgrader", {}).get("grade_id") in graded:
            continue
        for statement in ast.parse(cell.source).body:
            # A function may name it: what counts is where the function is called, which the run of the release shows.
            guarded = isinstance(statement, ast.With) and ast.unparse(statement.items[0]).startswith("picture(")
            if not guarded and not isinstance(statement, ast.FunctionDef):
                used = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
                assert not used & names, f"{cell.id}: {ast.unparse(statement)[:80]}"


# ---------------------------------------------------------------- runs

OFFLINE = """
import socket

def _refuse(*arguments, **keywords):
    raise OSError("this test has no network")

socket.socket.connect = socket.getaddrinfo = _refuse
"""


def run(notebook, folder, monkeypatch, data=None, graded=False, allow_errors=False):
    """Run in a kernel with one thread, an empty home for data and no network; return CPU seconds."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    for name in ("NVPKIT_DATA", "NVPKIT_GRADING", "NVPKIT_VALUES", "NVPKIT_SEEDS", "NVPKIT_COURSE_SECRET"):
        monkeypatch.delenv(name, raising=False)
    if data is not None:
        monkeypatch.setenv("NVPKIT_DATA", str(data))
    if graded:
        monkeypatch.setenv("NVPKIT_GRADING", "1")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(OFFLINE))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=180, allow_errors=allow_errors, resources=resources).execute()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def text_of(cell):
    return "".join(o.text for o in cell.get("outputs", []) if o.output_type == "stream" and o.name == "stdout")


def assert_quiet_and_described(notebook):
    figures = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert (output.output_type, output.get("name")) != ("stream", "stderr"), f"{cell.id}: {output.get('text')}"
            shown = output.get("data", {})
            assert not any(kind.startswith("image/") for kind in shown), f"{cell.id} shows an image without alt text"
            for image in re.findall(r"<img[^>]*>", shown.get("text/html", "")):
                description = html.unescape(re.search(r'alt="([^"]*)"', image).group(1))
                assert len(description.split()) >= 8, f"{cell.id}: {description!r}"
                assert shown["text/plain"] == f"Figure: {description}"
                figures += 1
    return figures


@pytest.mark.slow
def test_solved_it_runs_from_top_to_bottom_in_two_minutes(notebook, tmp_path, monkeypatch):
    data = Path(os.environ.get("NVPKIT_DATA") or DATA)
    seconds = run(notebook, tmp_path, monkeypatch, data=data)
    assert seconds < 120
    assert assert_quiet_and_described(notebook) >= 15
    assert "45 of 45" in text_of(notebook.cells[-1])
    assert all("Finish the task" not in text_of(cell) for cell in notebook.cells)


@pytest.mark.slow
def test_without_mnist_it_takes_the_small_digits_and_says_so(notebook, tmp_path, monkeypatch):
    seconds = run(notebook, tmp_path, monkeypatch, graded=True)
    assert seconds < 60
    said = text_of(next(cell for cell in notebook.cells if cell.id == "digits-data"))
    assert "MNIST is not on this machine" in said
    assert "8x8 digits" in said
    assert assert_quiet_and_described(notebook) >= 15
    assert "45 of 45" in text_of(notebook.cells[-1])


@pytest.mark.slow
def test_untouched_release_runs_on_and_only_its_tests_fail(notebook, tmp_path, monkeypatch):
    notebook = released(notebook)
    run(notebook, tmp_path, monkeypatch, graded=True, allow_errors=True)
    failed = [c.id for c in notebook.cells if any(o.output_type == "error" for o in c.get("outputs", []))]
    assert failed == [f"test-{task.replace('_', '-')}" for task in POINTS]
    pictures = [cell for cell in notebook.cells if re.fullmatch(r"picture-\d", cell.id) and cell.cell_type == "code"]
    assert all("Finish the task" in text_of(cell) for cell in pictures)
    assert "0 of 45" in text_of(notebook.cells[-1])
