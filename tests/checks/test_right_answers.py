"""No right answer fails: eight styles of writing, held against fresh seeds in both modes."""

import json

import pytest

from nvpkit import checks
from nvpkit.checks import channel, grading
from tests.checks.corpus_cells import NAMES, RIGHT, label, objects, task_of

SEEDS = {task: [3 + 101 * number for number in range(5)] for task in checks.TASKS}


def test_every_task_is_answered_in_at_least_six_styles():
    styles = {task: {path.parent.name for path in RIGHT if path.stem == task} for task in NAMES}
    assert set(styles) == set(checks.TASKS)
    assert all(len(found) >= 6 for found in styles.values())


@pytest.mark.parametrize("path", RIGHT, ids=label)
def test_earns_all_points_with_every_seed(path, tmp_path):
    task, answer = task_of(path), objects(path)
    runs = {seed: grading._run(checks.TASKS[task], answer, seed, True) for seed in SEEDS[task]}
    channel.write(tmp_path / f"{task}.npz", runs)
    verdict = checks.judge_values(task, SEEDS[task], tmp_path / f"{task}.npz")
    assert [finding for finding in verdict.findings if not finding.ok] == []
    assert verdict.score == verdict.max_score == checks.TASKS[task].points


@pytest.mark.parametrize("path", [path for path in RIGHT if path.parent.name == "mask_multiply"], ids=label)
def test_visible_check_stock_grade_and_value_mode_agree(path, tmp_path, monkeypatch, capsys):
    task, answer = task_of(path), objects(path)
    assert getattr(checks, task)(*answer) is None
    shown = capsys.readouterr()
    assert "  ok  " in shown.out
    assert "FAIL" not in shown.out
    assert shown.err == ""
    assert checks.grade(task, *answer) is None
    seeds = checks.course_seeds("a2-nice", task)
    monkeypatch.setenv("NVPKIT_VALUES", str(tmp_path))
    monkeypatch.setenv("NVPKIT_SEEDS", json.dumps({task: seeds}))
    assert checks.grade(task, *answer) is None
    assert checks.judge_values(task, seeds, tmp_path / f"{task}.npz").score == checks.TASKS[task].points
