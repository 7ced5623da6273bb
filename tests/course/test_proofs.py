"""The grader grades: right work in any style scores full, each mistake costs exactly its task and is named."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from nvpkit import checks
from nvpkit.course.execute import Limits
from nvpkit.course.feedback import feedback
from nvpkit.course.grade import grade
from nvpkit.course.standing import class_standing
from tests.course.conftest import WORKERS, hand_in, make_course, records_of, scores_of
from tests.course.samples import (
    CORPUS,
    fill,
    released_notebook,
    solution_lines,
    solutions,
    source_notebook,
    style,
    wrong,
)

POINTS = {"additive_coupling": 10, "coupling_stack": 8, "scaling": 7, "base_log_prob": 6, "negative_log_likelihood": 4,
          "train_nice": 6, "inpaint": 4}
STYLES = ["split_cat", "mask_multiply", "slices", "functional", "float64_inside", "einsum", "where_loops",
          "distributions"]
MISTAKES = [
    "additive_coupling__wrong_sign", "additive_coupling__plus_in_both_directions",
    "additive_coupling__log_det_missing", "coupling_stack__inverse_in_forward_order",
    "coupling_stack__splits_exchanged", "scaling__log_det_of_wrong_sign",
    "scaling__exp_missing", "scaling__mean_for_sum", "scaling__sum_over_the_batch", "base_log_prob__means_for_sums",
    "base_log_prob__logistic_overflows_at_100", "negative_log_likelihood__log_det_missing",
    "negative_log_likelihood__sum_for_mean", "train_nice__no_zero_grad", "train_nice__same_batch", "inpaint__descent",
]
SECRETS = ["one", "two", "three", "four", "five"]


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Source, release and one notebook for each mistake, graded together, with feedback."""
    course = make_course(tmp_path_factory.mktemp("proofs") / "course")
    hand_in(course, "source", source_notebook())
    hand_in(course, "released", released_notebook())
    for mistake in MISTAKES:
        hand_in(course, mistake, fill(wrong(mistake), pictures=False))
    result = grade(course, "a2-nice", workers=WORKERS, limits=Limits(cell=120), progress=False)
    feedback(course, "a2-nice", progress=False)
    return course, result


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """Every right style, each under the seeds of five course secrets; the training under one."""
    course = make_course(tmp_path_factory.mktemp("right") / "course")
    for name in STYLES:
        hand_in(course, name, fill(style(name), pictures=False))
    seeds_of = checks.course_seeds

    def many(assignment, task, secret=None):
        secrets = SECRETS if not checks.TASKS[task].training else SECRETS[:1]
        return [seeds_of(assignment, task, one)[0] for one in secrets]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "course_seeds", many)
        return grade(course, "a2-nice", workers=WORKERS, limits=Limits(cell=120), progress=False)


def test_the_source_scores_every_automatic_point(graded):
    assert scores_of(graded[1])["source"] == POINTS | {"volume": None}
    assert sum(POINTS.values()) == 45


def test_the_untouched_release_scores_nothing(graded):
    assert scores_of(graded[1])["released"] == dict.fromkeys([*POINTS, "volume"], 0.0)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_costs_exactly_its_task_and_is_named(graded, mistake):
    task = mistake.split("__")[0]
    record = records_of(graded[1])[mistake]
    scores = {one["name"]: one["score"] for one in record["tasks"]}
    earned = scores.pop(task)
    # base_log_prob has two functions of 3 points: a mistake in one of them leaves the other its points.
    assert earned == (3 if "__logistic" in mistake else 0)
    assert scores == {name: points for name, points in POINTS.items() if name != task} | {"volume": None}
    expected = re.match(r"# expect: (.*)", (CORPUS / "wrong" / f"{mistake}.py").read_text())[1].strip()
    message = next(one["message"] for one in record["tasks"] if one["name"] == task)
    findings = next(one["findings"] for one in record["tasks"] if one["name"] == task)
    assert expected in message + "".join(finding["message"] for finding in findings)


def test_there_are_at_least_fifteen_mistakes_and_every_task_has_one():
    assert len(MISTAKES) >= 15
    assert {mistake.split("__")[0] for mistake in MISTAKES} == set(POINTS)


@pytest.mark.parametrize("name", STYLES)
def test_every_right_style_scores_full_over_five_seeds(right, name):
    record = records_of(right)[name]
    assert {one["name"]: (one["score"], one["message"]) for one in record["tasks"] if not one["manual"]} == {
        task: (points, "") for task, points in POINTS.items()}


def test_at_least_six_styles_answer_every_task_in_their_own_way():
    whole = [name for name in STYLES if {path.stem for path in (CORPUS / "right" / name).glob("*.py")} >= set(POINTS)]
    assert len(whole) >= 6
    for name in whole:
        assert not any(style(name)[task].strip() == code.strip() for task, code in solutions().items())


def test_neither_solutions_nor_hidden_tests_are_in_the_feedback(graded):
    course, result = graded
    hidden = [line.strip() for cell in source_notebook().cells if "HIDDEN" in cell.source
              for line in cell.source.splitlines() if "checks.grade(" in line]
    assert len(hidden) == len(POINTS)
    page = (course.feedback / "released" / "a2-nice" / "a2-nice.html").read_text()
    assert not [line for line in solution_lines() if line in page]
    for student in records_of(result):
        page = (course.feedback / student / "a2-nice" / "a2-nice.html").read_text()
        assert not [line for line in hidden if line in page or line.replace('"', "&#34;") in page]
        assert "HIDDEN TESTS" not in page


def test_nbgrader_reads_the_same_points_from_gradebook_and_notebook(graded):
    from nbgrader.utils import determine_grade, is_grade

    course, result = graded
    with course.gradebook() as gradebook:
        for student, scores in scores_of(result).items():
            notebook = nbformat.read(course.autograded / student / "a2-nice" / "a2-nice.ipynb", 4)
            for cell in notebook.cells:
                if is_grade(cell):
                    name = cell.metadata.nbgrader.grade_id
                    stored = gradebook.find_grade(name, "a2-nice", "a2-nice", student).auto_score
                    assert stored == determine_grade(cell)[0] == scores[name.removeprefix("test_")]


def test_stock_nbgrader_gives_the_same_points(graded, tmp_path):
    students = ["base_log_prob__logistic_overflows_at_100", "scaling__exp_missing"]
    course = make_course(tmp_path / "stock")
    for student in students:
        shutil.copytree(graded[0].submitted / student, course.submitted / student)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run([sys.executable, "-m", "nbgrader", "autograde", "a2-nice"], cwd=course.root, text=True,
                          env=os.environ | {"PATH": path, "NVPKIT_GRADING": "1"}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with course.gradebook() as gradebook:
        for student in students:
            for task, score in scores_of(graded[1])[student].items():
                cell = task if task == "volume" else f"test_{task}"
                assert (task, gradebook.find_grade(cell, "a2-nice", "a2-nice", student).auto_score) == (task, score)


def test_totals_wait_for_the_person_who_grades_the_question(graded):
    rows = {row.student: row for row in class_standing(graded[0], "a2-nice").rows}
    assert (rows["source"].auto, rows["source"].total, rows["source"].status) == (45, None, "needs manual grading")
    assert (rows["released"].total, rows["released"].status) == (0, "graded")


def test_records_say_how_long_everything_took(graded):
    course, result = graded
    assert all(record["seconds"] > 0 for record in result["records"])
    assert json.loads((course.build / "a2-nice" / "run.json").read_text())["graded"] == len(MISTAKES) + 2
