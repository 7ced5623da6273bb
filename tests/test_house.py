"""The house stands: floors, dependencies, licences, and one address."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
# A room imports only from floors below its own; rooms of one floor may use each other.
FLOORS = [
    {"errors", "files"},
    {"distributions", "nets"},
    {"bijections"},
    {"flow"},
    {"models", "data", "checkpoints"},
    {"training", "metrics"},
    {"applications", "viz", "notebook", "experiments"},
    {"checks"},
    {"course"},
    {"cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# What judges must not know the answers, and what grades must not know flows.
FLOWS = {"bijections", "models", "flow", "distributions", "nets", "training", "metrics", "viz", "data", "applications"}
FORBIDDEN = {"checks": FLOWS, "course": FLOWS}
MODULES = [path for path in sorted((ROOT / "nvpkit").rglob("*.py")) if path != ROOT / "nvpkit/__init__.py"]
CORE = {"torch", "torchvision", "numpy", "matplotlib", "seaborn", "scikit-learn", "scikit-image", "tqdm", "typer"}


def room_of(path):
    return path.relative_to(ROOT / "nvpkit").parts[0].removesuffix(".py")


def imported_rooms(path):
    """Rooms of nvpkit that a module imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "nvpkit":
            names = [f"nvpkit.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("nvpkit.") and name.split(".")[1] in FLOOR)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_room_imports_only_from_floors_below(path):
    room = room_of(path)
    for other in imported_rooms(path):
        assert FLOOR[other] <= FLOOR[room], f"{room} imports {other}, which is on a floor above"
        assert other not in FORBIDDEN.get(room, ()), f"{room} must not import {other}"


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in (ROOT / "nvpkit").rglob("*.py")} - {"__init__"}
    assert rooms <= set(FLOOR)
    assert {"bijections", "checks", "course", "flow"} <= rooms


def test_modules_are_short():
    long = {path.name: n for path in MODULES if (n := len(path.read_text(encoding="utf-8").splitlines())) > 250}
    assert long == {}


def section(name):
    """The quoted items of a list in pyproject.toml; Python 3.10 has no reader of TOML."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    body = re.search(rf"^{name} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL).group(1)
    return re.findall(r'"([^"]+)"', body)


def test_the_core_needs_what_colab_has_and_never_replaces_it():
    needed = section("dependencies")
    assert {re.split(r"[<>=!~]", item)[0] for item in needed} == CORE
    # A lower bound alone: anything else could make pip replace the torch that is there.
    assert [item for item in needed if not re.fullmatch(r"[a-z-]+>=[\d.]+", item)] == []


def test_grading_and_book_live_in_the_extras():
    assert {"nbgrader", "dask", "safetensors"} <= {re.split(r"[\[<>=]", item)[0] for item in section("course")}
    assert any(item.startswith("jupyter-book") and item.endswith("<2") for item in section("book"))


def test_the_tested_environment_is_pinned():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.match(r"^[A-Za-z0-9_.-]+==[^=]+$", pin.split(";")[0].strip())] == []
    assert {"torch==2.14.1", "torchvision==0.29.1"} <= set(pins)


def test_licences_and_citation():
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("BSD 3-Clause License")
    assert "CC BY 4.0" in (ROOT / "LICENSE-CONTENT").read_text(encoding="utf-8")
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["license"] == "BSD-3-Clause"


def test_the_address_is_written_by_hand_in_one_place():
    address = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    # Made from _config.yml, or no part of the repository.
    made = {"assignments", ".git", ".venv", "_build", "submitted", "autograded", "feedback", "report", "runs"}
    kinds = {".md", ".py", ".toml", ".yml", ".cff", ".ipynb", ".txt", ".bib"}
    found = [
        path.relative_to(ROOT).as_posix()
        for path in sorted(ROOT.rglob("*"))
        if path.suffix in kinds and path.relative_to(ROOT).parts[0] not in made and path.is_file()
        and not (path.parent == ROOT / "book" and path.suffix == ".ipynb")
        and address in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert found == ["_config.yml"]
