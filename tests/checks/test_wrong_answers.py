"""No wrong answer passes, and each gets a message that names its mistake."""

import json

import pytest

from nvpkit import checks
from nvpkit.errors import CheckFailed
from tests.checks.corpus_cells import WRONG, expected, label, objects, task_of

QUICK = [path for path in WRONG if not checks.TASKS[task_of(path)].training]
FEW = {"train_nice__no_step", "train_nice__log_det_missing", "train_nice__not_written"}
# Trainings take seconds: a few of them go through all three doors, all of them through value mode.
THREE_DOORS = QUICK + [path for path in WRONG if path.stem in FEW]


def failed_messages(verdict):
    return [finding.message for finding in verdict.findings if not finding.ok]


def value_mode(task, answer, folder, monkeypatch):
    seeds = checks.course_seeds("a2-nice", task)
    monkeypatch.setenv("NVPKIT_VALUES", str(folder))
    monkeypatch.setenv("NVPKIT_SEEDS", json.dumps({task: seeds}))
    assert checks.grade(task, *answer) is None
    assert getattr(checks, task)(*answer) is None, "the visible check does no work in value mode"
    monkeypatch.delenv("NVPKIT_VALUES")
    return checks.judge_values(task, seeds, folder / f"{task}.npz")


def test_every_task_has_wrong_answers():
    assert {task_of(path) for path in WRONG} == set(checks.TASKS)
    assert len(WRONG) >= 100


@pytest.mark.parametrize("path", WRONG, ids=label)
def test_value_mode_takes_the_points_and_names_the_mistake(path, tmp_path, monkeypatch):
    task, (fragment, points) = task_of(path), expected(path)
    verdict = value_mode(task, objects(path), tmp_path, monkeypatch)
    assert verdict.score == points < verdict.max_score
    assert fragment in failed_messages(verdict)[0]


@pytest.mark.parametrize("path", THREE_DOORS, ids=label)
def test_visible_check_and_stock_grade_say_the_same(path, tmp_path, monkeypatch, capsys):
    task, answer, (fragment, points) = task_of(path), objects(path), expected(path)
    with pytest.raises(CheckFailed) as visible:
        getattr(checks, task)(*answer)
    assert fragment in str(visible.value)
    assert capsys.readouterr().err == ""
    if points:
        assert checks.grade(task, *answer) == points
    else:
        with pytest.raises(CheckFailed) as hidden:
            checks.grade(task, *answer)
        assert fragment in str(hidden.value)


def test_messages_give_no_answer_code():
    for path in WRONG:
        for word in ("register_buffer(\"", "return ", "lambda", ".sum(", "softplus(z) + softplus"):
            assert word not in expected(path)[0]
