"""An answer that is nvpkit's own layer is found, with its line; what given cells import may be used."""

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from nvpkit.course.notebooks import Source
from nvpkit.course.reference import find


def marked(code, name, **marks):
    data = {"schema_version": 3, "grade": False, "solution": False, "locked": False, "grade_id": name} | marks
    return new_code_cell(code, metadata={"nbgrader": data})


GIVEN = "import nvpkit\nfrom nvpkit.bijections import MaskedAdditiveCoupling as GivenCoupling\nfrom nvpkit import data"


def uses(answer, before="", after=""):
    cells = [marked(GIVEN, "imports", locked=True), marked(answer, "scaling", solution=True),
             marked("nvpkit.checks.scaling(Scaling)", "test_scaling", locked=True, grade=True, points=7)]
    released = new_notebook(cells=[cells[0], marked("class Scaling:\n    pass", "scaling", solution=True), cells[2]])
    extra = [new_code_cell(before)] if before else []
    late = [new_code_cell(after)] if after else []
    notebook = new_notebook(cells=[cells[0], *extra, cells[1], *late, cells[2]])
    return find(Source(released, released), notebook)


@pytest.mark.parametrize(("answer", "line"), [
    ("from nvpkit.bijections import Scaling", 1),
    ("import nvpkit.bijections as nb\nclass Scaling(nb.Scaling):\n    pass", 1),
    ("class Scaling(nvpkit.bijections.Scaling):\n    pass", 1),
    ("\nScaling = nvpkit.bijections.scaling.Scaling", 2),
    ("from nvpkit import bijections\nScaling = bijections.Scaling", 1),
    ("from nvpkit import Flow", 1),
    ("import importlib\nScaling = importlib.import_module('nvpkit.bijections').Scaling", 2),
    ("def make(dim):\n    from nvpkit.models import nice\n    return nice(dim)", 2),
    ("def f():\n    return nvpkit.checks.parts", 2),
])
def test_its_use_in_an_answer_is_reported_with_the_line(answer, line):
    found = uses(answer)
    assert {use.task for use in found} == {"scaling"}
    assert found[0].line == line
    assert f"line {line} of the answer" in found[0].sentence()


@pytest.mark.parametrize("answer", [
    "class Scaling:\n    def forward(self, x):\n        return GivenCoupling",
    "points = data.moons()",
    "# from nvpkit.bijections import Scaling\nclass Scaling:\n    pass",
    "class Scaling:\n    '''Like nvpkit.bijections.Scaling.'''",
    "this is no python",
    "models = 3\nflow = models",
])
def test_given_names_comments_and_likenesses_are_free(answer):
    assert uses(answer) == []


def test_a_detour_over_a_cell_of_one_s_own_is_found():
    assert uses("Scaling = Ready", before="from nvpkit.bijections import Scaling as Ready")[0].line == 1
    assert uses("class Scaling(Ready):\n    pass", before="import nvpkit as kit\nReady = kit.bijections.Scaling")
    assert uses("pass", after="from nvpkit.bijections import Scaling")[0].task == "scaling"


def test_looking_at_nvpkit_in_a_cell_of_one_s_own_costs_nothing():
    looked = "from nvpkit.bijections import Scaling as theirs\nprint(theirs)"
    assert uses("class Scaling:\n    pass", before=looked) == []
