"""Runs a repaired notebook cell by cell in one kernel, within its limits, and says what did not run and why."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from nvpkit.course.kernel import Kernel
from nvpkit.course.notebooks import grade_id
from nvpkit.course.oracle import Run

LARGEST_COMPANION = 50 * 2**20
MOST_OUTPUT = 40_000_000  # characters of all cells together


@dataclass(frozen=True)
class Limits:
    """Seconds for a cell and for a submission, bytes of memory and of any one file."""

    cell: float = 60.0
    submission: float = 600.0
    memory: int = 6 * 2**30
    file_size: int = 256 * 2**20


def copy_companions(folder: Path, work: Path, notebook: Path) -> None:
    """Copy what the student handed in beside the notebook into the working folder: plain files, 50 MB in all."""
    room = LARGEST_COMPANION
    for path in sorted(folder.rglob("*")):
        if path == notebook or path.is_symlink() or not path.is_file() or path.suffix == ".ipynb":
            continue
        room -= path.stat().st_size
        if room < 0:
            return
        target = work / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def run_notebook(notebook, scratch: Path, work: Path, env: dict[str, str], limits: Limits) -> Run:
    """Run every code cell of a notebook, in order, with `work` as the working folder."""
    run, begun, shown = Run(), time.monotonic(), 0
    cells = [(number, cell) for number, cell in enumerate(notebook.cells, 1) if cell.cell_type == "code"]
    kernel = Kernel(scratch, work, env, limits.memory, limits.file_size)
    try:
        for number, cell in cells:
            if not cell.source.strip():
                continue
            name = grade_id(cell) or cell.get("id", "")
            where = f"cell {number}" + (f" ({grade_id(cell)})" if grade_id(cell) else "")
            left = limits.submission - (time.monotonic() - begun)
            if left <= 0:
                run.stopped = f"the submission used up its {limits.submission:g} s before {where}"
                break
            result = kernel.run(cell.source, min(limits.cell, left))
            shown += sum(len(str(output)) for output in result.outputs)
            if shown > MOST_OUTPUT:
                result.outputs = []
            run.cells[name] = result
            if result.state == "dead":
                run.stopped = f"the kernel died in {where}{_signal(kernel)}"
                break
            if result.state == "hung":
                run.stopped = f"{where} did not end within {limits.cell:g} s and could not be interrupted"
                break
    finally:
        kernel.close()
    return run


def _signal(kernel: Kernel) -> str:
    code = kernel.process.returncode
    if code == -9:
        return " (killed, most likely for too much memory)"
    return f" (exit code {code})" if code is not None and code >= 0 else f" (signal {-code})" if code else ""
