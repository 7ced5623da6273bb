"""One row of a benchmark: what was measured, on which machine, with which versions, at what cost."""

import contextlib
import importlib.metadata
import json
import platform
import resource
import sys
import time
from pathlib import Path

import torch

from nvpkit.files import write_atomically

LIBRARIES = ("torch", "torchvision", "numpy", "nvpkit")
RESULTS = Path(__file__).parent / "results"  # what README and book show; committed
BUILD = Path("_build/benchmarks")  # what a run leaves; not committed


def row(what, value, *, standard_error=None, goal=None, cpu_seconds=None, wall_seconds=None, libraries=(), **more):
    """Return the row as a dictionary; ``goal`` is text ("at most .005"), ``more`` holds what only some rows have.

    Peak memory is the whole process's so far, in MiB: measure a row in a process of its own where that matters.
    """
    return {
        "what": what,
        "value": value,
        "standard_error": standard_error,
        "goal": goal,
        "cpu_seconds": _rounded(cpu_seconds),
        "wall_seconds": _rounded(wall_seconds),
        "peak_memory_mib": peak_memory_mib(),
        **more,
        "hardware": hardware(),
        "versions": versions(*libraries),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


@contextlib.contextmanager
def stopwatch():
    """Yield a dictionary that holds cpu_seconds and wall_seconds when the block has ended."""
    taken, cpu, wall = {}, time.process_time(), time.perf_counter()
    try:
        yield taken
    finally:
        taken.update(cpu_seconds=time.process_time() - cpu, wall_seconds=time.perf_counter() - wall)


def peak_memory_mib():
    """Return the largest resident size of this process so far, in MiB; on a GPU run, ask torch.cuda beside it."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return round(peak / (1024**2 if sys.platform == "darwin" else 1024))


def hardware():
    """Return the processor's name, the threads that torch uses, and the GPU where there is one."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {torch.get_num_threads()} thread(s){gpu}"


def versions(*libraries):
    """Return the versions of Python, of what every row needs, and of the named libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in (*LIBRARIES, *libraries):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def read(path):
    """Return the rows of a file of JSON lines, none where it is not there; a cut last line counts as not written."""
    rows = []
    if Path(path).exists():
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                rows.append(json.loads(line))
    return rows


def append(path, new):
    """Add a row to a file of JSON lines, whole or not at all: a stopped run resumes from what is there."""
    text = "".join(json.dumps(old) + "\n" for old in [*read(path), new])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda partial: Path(partial).write_text(text, encoding="utf-8"))


def _rounded(seconds):
    return None if seconds is None else round(seconds, 2)
