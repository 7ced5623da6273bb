"""Runs a student's code and writes down what it returned: values and errors, never an exception."""

from __future__ import annotations

import contextlib
import io
import linecache
import random
import sys
import sysconfig
import warnings
from pathlib import Path

import numpy as np
import torch

from nvpkit.checks.values import LONGEST_TEXT, clean_text, dtype_text, shape_text

_PACKAGE = str(Path(__file__).resolve().parent.parent)
_LIBRARIES = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), str(Path(torch.__file__).parent)})
MOST_ENTRIES = 1_000_000


class Malformed(Exception):
    """A student's function returned something of another form than its signature says."""


class Recorder(dict):
    """A flat dict of outputs with helpers that name what is wrong with a returned value."""

    @contextlib.contextmanager
    def part(self, name: str = ""):
        """Run a part of a task: an error in it becomes the text `<part>/error` and ends this part alone."""
        key = f"{name}/error" if name else "error"
        try:
            yield
        except Malformed as malformed:
            self[key] = clean_text(str(malformed))
        except (Exception, SystemExit) as error:
            self[key] = describe(error)

    def put(self, name: str, value, shape, dtype: torch.dtype, what: str) -> torch.Tensor:
        """Write down a tensor and return it; Malformed where it is no tensor of this shape and dtype."""
        self[name] = as_tensor(value, shape, dtype, what).detach().clone()
        return value

    def pair(self, name: str, value, x: torch.Tensor, call: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Write down `(z, log_det)` as `<name>` and `<name>.log_det`, and return both.

        z has the shape and dtype of x, log_det the shape (B,) and the dtype of x.
        """
        z, log_det = as_pair(value, call)
        self.put(name, z, x.shape, x.dtype, f"the first result of {call}")
        self[f"{name}.log_det"] = as_log_det(log_det, x, call).detach().clone()
        return z, log_det

    def both_ways(self, name: str, layer, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Call a layer forward on x and inverse on y, then each way back; write down results and inputs, return z."""
        z, _ = self.pair(f"{name}.z", layer(x), x, "forward(x)")
        self.kept(f"{name}.x", x)
        x_at_y, _ = self.pair(f"{name}.x_at_y", layer.inverse(y), y, "inverse(z)")
        self.kept(f"{name}.y", y)
        self.pair(f"{name}.back", layer.inverse(z.detach()), x, "inverse(z)")
        self.pair(f"{name}.forth", layer(x_at_y.detach()), y, "forward(x)")
        return z.detach()

    def kept(self, name: str, given: torch.Tensor) -> None:
        """Write down an input after the call: the judge compares it with what was given."""
        self[f"{name}.kept"] = given.detach().clone()
        self[f"{name}.requires_grad"] = int(given.requires_grad)
        self[f"{name}.has_grad"] = int(given.is_leaf and given.grad is not None)


def as_tensor(value, shape, dtype: torch.dtype, what: str) -> torch.Tensor:
    """Return the value where it is a tensor of this shape and dtype, else raise Malformed naming both."""
    if value is None:
        raise Malformed(f"Not written yet: {what} is None. Does the function end with a `return`?")
    if not isinstance(value, torch.Tensor):
        raise Malformed(f"Expected a tensor as {what}, but got {_kind(value)}.")
    if value.numel() > MOST_ENTRIES or value.layout != torch.strided:
        raise Malformed(f"Expected a tensor of shape {shape_text(shape)} as {what}, got one of "
                        f"shape {shape_text(value.shape)}.")
    if tuple(value.shape) != tuple(shape):
        raise Malformed(f"Expected shape {shape_text(shape)} for {what}, got {shape_text(value.shape)}."
                        f"{_shape_hint(tuple(value.shape), tuple(shape))}")
    if value.dtype != dtype:
        raise Malformed(f"Expected dtype {dtype_text(dtype)}, that of the input, for {what}; got "
                        f"{dtype_text(value.dtype)}. Look for a tensor that is made with a fixed dtype.")
    return value


def as_pair(value, call: str) -> tuple:
    """Return (z, log_det) where a call returned two things, else raise Malformed."""
    if value is None:
        raise Malformed(f"Not written yet: {call} returned None. Does it end with a `return`?")
    if isinstance(value, torch.Tensor):
        raise Malformed(f"{call} returned one tensor alone: the log-det is missing. Every layer returns a pair, "
                        "the mapped points and log_det, in both directions.")
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Malformed(f"Expected a pair (tensor, log_det) from {call}, got {_kind(value)}.")
    return tuple(value)


def as_log_det(value, x: torch.Tensor, call: str) -> torch.Tensor:
    """Return log_det where it is a tensor (B,) of x's dtype, else raise Malformed naming the likely mistake."""
    n, shape = x.shape[0], tuple(getattr(value, "shape", ()))
    start = f"Expected log_det of shape ({n},) from {call}: one number for each point of the batch."
    if value is None:
        raise Malformed(f"The log-det is missing: {call} returned None in its place. {start}")
    if isinstance(value, int | float):
        raise Malformed(f"{start} Got the Python number {value!r}. Make a tensor that has the batch's length and the "
                        "input's dtype.")
    if isinstance(value, torch.Tensor) and shape != (n,):
        if shape == ():
            raise Malformed(f"{start} Got a scalar tensor, one number for the whole batch. Was it summed or averaged "
                            "over the batch, or never repeated for each row?")
        if shape == (n, 1) or shape == (1, n):
            raise Malformed(f"{start} Got {shape_text(shape)}: drop the axis of length 1.")
        if shape == tuple(x.shape):
            raise Malformed(f"{start} Got {shape_text(shape)}: the terms of the dimensions are not summed.")
        if x.ndim > 1 and shape == tuple(x.shape[1:]):
            raise Malformed(f"{start} Got {shape_text(shape)}: was it summed over the batch instead of over the "
                            "dimensions?")
    return as_tensor(value, (n,), x.dtype, f"the log_det of {call}")


def _shape_hint(got: tuple, expected: tuple) -> str:
    if len(got) < len(expected) and 1 in expected and [n for n in expected if n != 1] == [n for n in got if n != 1]:
        return " An axis of length 1 was lost: `squeeze()` without an axis drops the batch axis of a single point."
    if len(expected) == 1 and got == ():
        return " One number came for the whole batch: which axis was summed or averaged?"
    if len(expected) == 1 and len(got) == 2 and got[0] == expected[0]:
        return " There is one axis too many: sum over the dimensions, so that each point keeps one number."
    return ""


def _kind(value) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"an object of type {type(value).__name__}"


def describe(error: BaseException) -> str:
    """Return an error as one text: type, message, and the line of the student's code where it happened."""
    line = student_line(error)
    where = f" It happened at {line}." if line else " It happened when the check called your code."
    if isinstance(error, NotImplementedError):
        return clean_text("Not written yet: NotImplementedError was raised." + where)
    text = " ".join(str(error).split())[: LONGEST_TEXT // 2]
    hint = ""
    if "leaf Variable that requires grad" in text or "modified by an inplace operation" in text:
        hint = " An input or a value that autograd still needs was changed in place: make a new tensor instead."
    elif isinstance(error, NameError):
        hint = " A name is used before it is defined: has the cell that defines it run?"
    return clean_text(f"Your code stopped with {type(error).__name__}: {text}{hint}{where}")


def student_line(error: BaseException) -> str:
    """Return `line 12: code` for the last frame of the traceback that is the student's own, or nothing."""
    found, trace = "", error.__traceback__
    while trace is not None:
        name, number = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        if not (name.startswith((_PACKAGE, *_LIBRARIES, "<frozen")) or name == contextlib.__file__):
            code = linecache.getline(name, number).strip()
            found = f"line {number}: `{code}`" if code else f"line {number}"
        trace = trace.tb_next
    return found


@contextlib.contextmanager
def quiet_room(seed: int, stdout: bool = False):
    """Run code with its own random state, no warnings, and nothing on stderr (nor stdout where asked).

    A warning or a progress bar on stderr would cost points in nbgrader, and the student's draws must neither depend
    on what ran before nor change what runs later.
    """
    states = random.getstate(), np.random.get_state(), torch.get_default_dtype()
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        if stdout:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(torch.enable_grad())
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_default_dtype(states[2])
            sys.stdout.flush()


def as_module(value, call: str):
    """Return the value where it is an nn.Module, else raise Malformed."""
    if not isinstance(value, torch.nn.Module):
        raise Malformed(f"Expected {call} to be an nn.Module, got {_kind(value)}. Does the class derive from "
                        "nn.Module, and does its __init__ call super().__init__()?")
    return value


def gradients(value: torch.Tensor, sources: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return the gradient of a scalar with respect to each source: zeros where none flows."""
    if not value.requires_grad or not sources:
        return [torch.zeros_like(source) for source in sources]
    # Kept, because z and log_det may share a part of the graph, and both are asked.
    found = torch.autograd.grad(value, sources, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(source) if grad is None else grad for source, grad in zip(sources, found)]
