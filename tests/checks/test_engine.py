"""The machinery between a student's object and the points."""

import ast
import random
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import nvpkit.checks
from nvpkit import checks
from nvpkit.checks import diagnosis, grading, parts, recorder, toys, values
from nvpkit.checks.findings import Finding, Judge, Wrong, add_up, merge
from nvpkit.errors import CheckFailed
from tests.checks.corpus_cells import CORPUS, objects

FOLDER = Path(nvpkit.checks.__file__).parent


def right(task):
    return objects(CORPUS / "right" / "mask_multiply" / f"{task}.py")


def test_tasks_and_points_are_those_of_the_assignment():
    points = {name: spec.points for name, spec in checks.TASKS.items() if spec.assignment == "a2-nice"}
    assert points == {"additive_coupling": 10, "coupling_stack": 8, "scaling": 7, "base_log_prob": 6,
                      "negative_log_likelihood": 4, "train_nice": 6, "inpaint": 4}
    assert checks.TASKS["base_log_prob"].parts == {"logistic": 3, "gaussian": 3}
    assert all(sum(spec.parts.values()) == spec.points for spec in checks.TASKS.values())
    assert all(getattr(checks, name).__doc__ and name in checks.__all__ for name in checks.TASKS)


def test_checks_import_nothing_of_the_package_but_errors_and_files():
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                allowed = ("nvpkit.checks", "nvpkit.errors", "nvpkit.files")
                assert not name.startswith("nvpkit") or name.startswith(allowed), path


def test_seeds_depend_on_secret_assignment_and_task_and_on_nothing_else(monkeypatch):
    monkeypatch.delenv("NVPKIT_COURSE_SECRET", raising=False)
    seeds = checks.course_seeds("a2-nice", "scaling")
    assert seeds == checks.course_seeds("a2-nice", "scaling")
    assert len(set(seeds)) == 3
    assert len(checks.course_seeds("a2-nice", "train_nice")) == 1
    others = [checks.course_seeds("a2-nice", "inpaint"), checks.course_seeds("a9", "scaling"),
              checks.course_seeds("a2-nice", "scaling", secret="mine")]
    assert all(not set(seeds) & set(other) for other in others)
    monkeypatch.setenv("NVPKIT_COURSE_SECRET", "mine")
    assert checks.course_seeds("a2-nice", "scaling") == others[2]


def test_inputs_are_the_same_in_every_process_that_has_the_seed():
    for spec in checks.TASKS.values():
        torch.manual_seed(random.randrange(10**6))
        first, second = spec.module.inputs(11), spec.module.inputs(11)
        for one, two in zip(first["cases"], second["cases"]):
            assert one.keys() == two.keys()
            for key in one:
                same = torch.equal(one[key], two[key]) if isinstance(one[key], torch.Tensor) else one[key] == two[key]
                assert same, (spec.name, key)


def test_nothing_reaches_stderr_and_no_random_state_changes(capsys):
    class Noisy(right("scaling")[0]):
        def forward(self, x):
            warnings.warn("torch emits some of these", stacklevel=1)
            print("a bar", file=sys.stderr)
            torch.manual_seed(1), random.seed(1), np.random.seed(1)
            return super().forward(x)

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    assert checks.grade("scaling", Noisy) is None
    checks.scaling(Noisy)
    assert capsys.readouterr().err == ""
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert (np.random.get_state()[1] == before[2]).all()


def test_a_students_default_dtype_and_grad_mode_do_not_matter():
    quick = [task for task, spec in checks.TASKS.items() if not spec.training]
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            assert all(checks.grade(task, *right(task)) is None for task in quick)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("value", [None, 3.0, (), "text", torch.zeros(2), (torch.zeros(2),) * 3, [None, None]])
def test_whatever_comes_back_is_a_failed_property(value):
    class Odd(torch.nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.s = torch.nn.Parameter(torch.zeros(dim))

        def forward(self, x):
            return value

        inverse = forward

    with pytest.raises(CheckFailed, match="runs without an error"):
        checks.scaling(Odd)


@pytest.mark.parametrize("student", [None, 3, torch.nn.Linear, lambda *a: None, torch.nn.Module, object])
def test_whatever_is_handed_over_is_a_failed_property(student):
    for task, spec in checks.TASKS.items():
        objects = [student] * (2 if task == "base_log_prob" else 1)
        with pytest.raises(CheckFailed):
            checks.grade(task, *objects)
        assert spec.points > 0


def test_exit_in_a_students_code_is_an_error_like_others_and_an_interrupt_is_none():
    def leaves(flow, base_log_prob, x):
        sys.exit(0)

    def interrupted(flow, base_log_prob, x):
        raise KeyboardInterrupt

    with pytest.raises(CheckFailed, match="SystemExit"):
        checks.grade("negative_log_likelihood", leaves)
    with pytest.raises(KeyboardInterrupt):
        checks.grade("negative_log_likelihood", interrupted)


def test_an_error_names_the_students_own_line(tmp_path):
    path = tmp_path / "negative_log_likelihood__x.py"
    path.write_text("def negative_log_likelihood(flow, base_log_prob, x):\n    return flow(x[:, :0])\n")
    with pytest.raises(CheckFailed, match=r"line 2: `return flow\(x\[:, :0\]\)`"):
        checks.negative_log_likelihood(*objects(path))


def test_wrong_number_of_objects():
    with pytest.raises(TypeError, match="logistic_log_prob, gaussian_log_prob"):
        checks.base_log_prob(*right("base_log_prob")[:1])
    with pytest.raises(KeyError, match="scaling"):
        checks.grade("scalling", object)


def test_training_budget(monkeypatch):
    monkeypatch.delenv("NVPKIT_GRADING", raising=False)
    assert checks.training_budget(full=500, graded=20) == 500
    monkeypatch.setenv("NVPKIT_GRADING", "1")
    assert checks.training_budget(full=500, graded=20) == 20


def test_progress_counts_what_passed(monkeypatch, capsys):
    monkeypatch.setattr(grading, "_earned", {})
    logistic, _ = right("base_log_prob")
    checks.scaling(*right("scaling"))
    with pytest.raises(CheckFailed, match="gaussian"):
        checks.base_log_prob(logistic, logistic)
    capsys.readouterr()
    checks.progress("a2-nice")
    shown = capsys.readouterr().out
    assert "10 of 45" in shown
    assert "3 of 6" in shown
    assert "train_nice" in shown
    assert "scaling" not in shown
    with pytest.raises(KeyError, match="a2-nice"):
        checks.progress("a2")


def test_errors_of_nan_and_of_other_shapes_are_infinite():
    nan = torch.tensor([float("nan")])
    assert values.error_of(nan, torch.zeros(1)) == float("inf")
    assert values.error_of(torch.zeros(1), nan) == float("inf")
    assert values.error_of(torch.zeros(2), torch.zeros(1)) == float("inf")
    assert values.error_of(torch.tensor([2.0 + 3e-6]), torch.tensor([2.0])) < 2e-6


def test_diagnosis_names_a_mistake_only_where_it_can_be_told_from_the_right_value():
    right = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert diagnosis.likely(-right, right, {"sign": -right}) == "sign"
    assert diagnosis.likely(-right, right, {"half": right / 2}) == diagnosis.NO_MATCH
    assert diagnosis.likely(0 * right, 0 * right, {"sign": -0 * right}) == diagnosis.NO_MATCH
    assert "NaN" in diagnosis.likely(right / 0, right, {"sign": -right})


def test_a_judge_that_stumbles_over_values_answers_with_a_failed_finding():
    judge = Judge()

    @judge.property("holds")
    def holds(inputs, values):
        return "well"

    @judge.property("stumbles")
    def stumbles(inputs, values):
        raise RuntimeError("inner secret")

    @judge.property("is wrong")
    def is_wrong(inputs, values):
        raise Wrong("because")

    found = judge({}, {})
    assert [finding.ok for finding in found] == [True, False, False]
    assert "secret" not in found[1].message
    assert [finding.property for finding in judge({}, {"error": "stopped"})] == ["runs without an error"]
    assert len(judge({}, "no dict")) == 3


def test_points_need_findings_and_all_of_them():
    ok, bad = Finding("p", True, part="a"), Finding("q", False, part="b")
    assert add_up([ok, bad], {"a": 2, "b": 3}).score == 2
    assert add_up([], {"a": 2}).score == 0
    assert add_up([ok], {"a": 2, "b": 3}).score == 2
    merged = merge([[Finding("p", True)], [Finding("p", False, "second")], [Finding("p", False, "third")]])
    assert merged == [Finding("p", False, "second")]


def test_own_parts_are_flows():
    gen = parts.generator(2)
    pixel_flow = checks.TASKS["inpaint"].module.PixelFlow
    for flow in (parts.TinyFlow(5, gen), parts.TinyNice(5, 4, 8, gen), pixel_flow(gen), pixel_flow(gen, bent=True)):
        flow = flow.double()
        with torch.no_grad():
            x = parts.randn(4, 16 if hasattr(flow, "centre") else 5, gen=gen)
            z, log_det = flow(x)
            back, back_log_det = flow.inverse(z)
        assert torch.allclose(back, x)
        assert torch.allclose(log_det, -back_log_det)
        exact = torch.stack([torch.autograd.functional.jacobian(lambda row: flow(row[None])[0][0], row) for row in x])  # noqa: B023
        assert torch.allclose(torch.linalg.slogdet(exact)[1], log_det)
        with torch.no_grad():
            around = flow(parts.difference_points(x))[0]
        assert torch.allclose(parts.difference_jacobian(around, 4), exact, atol=1e-6)


BOXES = {"parabola": ((-4.5, -2), (4.5, 20)), "moons": ((-1.6, -1.1), (2.6, 1.6))}


@pytest.mark.parametrize("name", BOXES)
def test_own_toys_have_the_density_that_they_are_drawn_from(name):
    sample, log_prob = getattr(toys, name), getattr(toys, f"{name}_log_prob")
    axes = [torch.linspace(a, b, 200, dtype=torch.float64) for a, b in zip(*BOXES[name])]
    cell = (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])
    mass, mean = 0.0, 0.0
    for first in axes[0].split(40):
        grid = torch.cartesian_prod(first, axes[1])
        density = log_prob(grid).exp() * cell
        mass, mean = mass + density.sum(), mean + (density[:, None] * grid).sum(0)
    assert abs(mass - 1) < 2e-3
    points = sample(20_000, parts.generator(1)).double()
    assert (points.mean(0) - mean).abs().max() < 0.04


def test_descriptions_of_errors_stay_short():
    assert len(recorder.describe(ValueError("x" * 10_000))) <= values.LONGEST_TEXT + 10
