"""Answer cells of the corpus as objects, with the names that the notebook's given cells define."""

import linecache
import math
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from nvpkit.bijections import MaskedAdditiveCoupling, alternating_mask, half_mask

CORPUS = Path(__file__).resolve().parents[1] / "course" / "corpus"
NAMES = {
    "additive_coupling": ["AdditiveCoupling"],
    "coupling_stack": ["CouplingStack"],
    "scaling": ["Scaling"],
    "base_log_prob": ["logistic_log_prob", "gaussian_log_prob"],
    "negative_log_likelihood": ["negative_log_likelihood"],
    "train_nice": ["train_nice"],
    "inpaint": ["inpaint"],
}
RIGHT = sorted(CORPUS.glob("right/*/*.py"))
WRONG = sorted(CORPUS.glob("wrong/*.py"))


def task_of(path: Path) -> str:
    return path.stem.split("__")[0]


def label(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def objects(path: Path) -> tuple:
    """Run an answer cell as a notebook would and return what the task's test cell hands over."""
    source, name = path.read_text(), f"<cell {path.name}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    given = {"torch": torch, "nn": nn, "F": F, "math": math, "GivenCoupling": MaskedAdditiveCoupling,
             "half_mask": half_mask, "alternating_mask": alternating_mask}
    exec(compile(source, name, "exec"), given)
    return tuple(given[name] for name in NAMES[task_of(path)])


def expected(path: Path) -> tuple[str, float]:
    """Return the fragment of the message and the points that remain, from the first lines of a wrong cell."""
    lines = path.read_text().splitlines()
    points = float(lines[1].removeprefix("# points: ")) if lines[1].startswith("# points: ") else 0.0
    return lines[0].removeprefix("# expect: "), points
