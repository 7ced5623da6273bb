"""Points come from values, judged here; what a test cell printed counts for nothing.

The outputs of every test cell are replaced so that nbgrader's own rule, read by formgrader and its exporters, gives
exactly the score of the judge.
"""

import html
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nbformat.v4 import new_output

from nvpkit.course.kernel import CellResult
from nvpkit.course.notebooks import Source, grade_id
from nvpkit.course.reference import Use

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# What nvpkit.notebook.show displays: a picture with its description.
PICTURE = re.compile(r'<img alt="(?P<alt>[^"]*)" src="data:(?P<kind>image/(?:png|jpeg));base64,(?P<data>[^"]*)"[^<>]*>')


@dataclass
class TaskResult:
    """The result of one task; `score` is None where nobody could give one (a person has to, or it did not run)."""

    name: str
    cell: str
    points: float
    score: float | None
    manual: bool = False
    message: str = ""
    findings: list = field(default_factory=list)
    answered: bool = True


@dataclass
class Run:
    """How the cells of one notebook ran: a result for each cell id, and why the rest did not run."""

    cells: dict[str, CellResult] = field(default_factory=dict)
    stopped: str = ""


def error_of(result: CellResult | None) -> str:
    """The exception that a cell ended with, in one line: 'NameError: name 'x' is not defined'."""
    for output in reversed(result.outputs if result else []):
        if output["output_type"] == "error":
            text = f"{output.get('ename', 'Error')}: {output.get('evalue', '')}"
            return ANSI.sub("", text).strip().rstrip(":")[:400]
    return ""


def _why_no_values(task, run: Run, limit: float) -> str:
    """The reason why a test cell left no values."""
    answer, test = run.cells.get(task.name), run.cells.get(task.cell)
    if answer is not None and answer.state == "timeout":
        return f"the answer cell was stopped after {limit:g} s: it does not come to an end"
    if answer is not None and answer.state == "error":
        return f"the answer cell stopped with {error_of(answer)}"
    if test is None or test.state in ("dead", "hung"):
        return f"not run: {run.stopped}" if run.stopped else "not run"
    if test.state == "timeout":
        return f"the test was stopped after {limit:g} s: the code takes too long or does not come to an end"
    error = error_of(test)
    if error.startswith("NameError"):
        return f"{error}: the answer cell does not define it"
    return f"the test stopped with {error}" if error else "the test gave no values"


def judge(source: Source, run: Run, values: Path, seeds: dict[str, list[int]], uses: list[Use],
          untouched: set[str], limit: float) -> list[TaskResult]:
    """The result of every task of the notebook; the judge is nvpkit.checks, fed with values only."""
    from nvpkit import checks

    results = []
    for task in source.tasks:
        if task.manual:
            answered = task.name not in untouched  # nbgrader's rule: an untouched question is worth 0 at once
            results.append(TaskResult(task.name, task.cell, task.points, None if answered else 0.0, True,
                                      "" if answered else "no answer", answered=answered))
            continue
        result = TaskResult(task.name, task.cell, task.points, 0.0, answered=task.name not in untouched)
        results.append(result)
        used = [use for use in uses if use.task == task.name]
        path = values / f"{task.name}.npz"
        if used:
            result.message = "; ".join(use.sentence() for use in used)
        elif not path.exists():
            result.message = _why_no_values(task, run, limit)
            if run.stopped and task.cell not in run.cells:
                result.score = None
        else:
            verdict = checks.judge_values(task.name, seeds[task.name], path)
            result.score = max(0.0, min(float(verdict.score), task.points))
            result.findings = [asdict(finding) for finding in verdict.findings]
            result.message = next((f.message or f.property for f in verdict.findings if not f.ok), "")
        if not result.answered and result.score == 0:
            result.message = "no answer: the cell is as it was released"
    return results


def _lines(result: TaskResult) -> str:
    lines = []
    for finding in result.findings:
        name = f"{finding['part']}: {finding['property']}" if finding["part"] else finding["property"]
        lines.append(f"{'  ok' if finding['ok'] else 'FAIL'}  {name}")
        if not finding["ok"] and finding["message"]:
            lines += [f"      {line}" for line in finding["message"].splitlines()]
    lines.append(f"{result.score or 0:g} of {result.points:g} points")
    return "\n".join(lines) + "\n"


def outputs_for(result: TaskResult) -> list:
    """Outputs of a test cell that make nbgrader's determine_grade give `result.score` (0 where it is None)."""
    told = new_output("stream", name="stdout", text=_lines(result))
    score = result.score or 0.0
    if score >= result.points:
        return [told]
    if score > 0:
        text = repr(float(score))
        return [told, new_output("execute_result", data={"text/plain": text}, execution_count=1)]
    message = result.message or "no points"
    return [told, new_output("error", ename="CheckFailed", evalue=message, traceback=[f"CheckFailed: {message}"])]


def safe(output):
    """An output without anything that a browser would run: texts and pictures stay, HTML and scripts go."""
    if "data" not in output:
        return output
    data = dict(output["data"])
    if found := PICTURE.fullmatch("".join(data.get("text/html", "")).strip()):
        data[found["kind"]] = found["data"]
        data.setdefault("text/plain", f"Figure: {html.unescape(found['alt'])}")
    output["data"] = {kind: value for kind, value in data.items() if kind in ("text/plain", "image/png", "image/jpeg")}
    return output


def write_outputs(notebook, run: Run, results: list[TaskResult]) -> None:
    """Put the outputs of the run and of the judge into the notebook; RuntimeError where nbgrader reads other points."""
    from nbgrader.utils import determine_grade

    by_cell = {result.cell: result for result in results if not result.manual}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        ran = run.cells.get(grade_id(cell) or cell.get("id", ""))
        cell.outputs = [safe(output) for output in ran.outputs] if ran else []
        cell.execution_count = ran.count if ran else None
        result = by_cell.get(grade_id(cell))
        if result is None:
            continue
        cell.outputs = outputs_for(result)
        given, _ = determine_grade(cell)
        if given != (result.score or 0.0):
            raise RuntimeError(f"nbgrader reads {given} points for {result.name}, the judge gave {result.score}")
