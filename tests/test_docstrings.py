"""Every public name says what it does and shows it in an example, which pytest runs."""

import importlib
import inspect

import pytest

DOORS = [
    "applications",
    "bijections",
    "checkpoints",
    "data",
    "distributions",
    "flow",
    "metrics",
    "models",
    "nets",
    "training",
    "viz",
]


def public(door):
    module = importlib.import_module(f"nvpkit.{door}")
    for name, value in vars(module).items():
        ours = str(getattr(value, "__module__", "")).startswith("nvpkit.")
        here = value.__module__ == module.__name__ or name in getattr(module, "__all__", ()) if ours else False
        if here and not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)):
            yield name, value


@pytest.mark.parametrize("door", DOORS)
def test_every_public_name_has_a_docstring(door):
    names = dict(public(door))
    assert names
    assert [name for name, value in names.items() if not value.__doc__] == []


@pytest.mark.parametrize("door", DOORS)
def test_every_public_function_and_layer_has_an_executed_example(door):
    # Bases are there to be filled in, and a contract has no example of its own.
    abstract = {"Bijection", "Base", "StandardNormal", "StandardLogistic"}
    lacking = [name for name, value in public(door) if ">>>" not in value.__doc__ and name not in abstract]
    assert lacking == []
