"""Feedback: one page for each student, with points, messages of the checks, comments, and the student's own work."""

from pathlib import Path

import nbformat
from tqdm import tqdm

from nvpkit.course.folders import Course, write_atomically
from nvpkit.course.notebooks import Source, grade_id, kind
from nvpkit.course.page import markdown, outputs, render
from nvpkit.course.standing import Row, Standing, class_standing
from nvpkit.course.submission import MISSING, WAITING
from nvpkit.errors import CourseError

TEMPLATE = """
<header>
<h1>{{ assignment }}</h1>
<p class="soft">{{ row.name or row.student }}{% if row.timestamp %}, handed in {{ row.timestamp }} UTC{% endif %}</p>
<p><span class="points">
{% if row.total is not none %}{{ row.total | points }} of {{ row.maximum | points }} points
{% elif row.auto is not none %}{{ row.auto | points }} points so far
{% else %}no points yet{% endif %}</span>
{% if row.penalty %}<span class="soft">after {{ row.penalty | points }} points for being late</span>{% endif %}</p>
<p>{{ status }}</p>
</header>
{% if notes %}
<div class="box"><h3>What was mended in your notebook</h3>
<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>
</div>
{% endif %}
<h2>Points</h2>
<table>
<thead><tr><th scope="col">Task</th><th scope="col" class="num">Points</th><th scope="col">Result</th></tr></thead>
<tbody>
{% for task in tasks %}
<tr><td><a href="#{{ task.name }}">{{ task.name }}</a></td>
<td class="num">{{ task.score | points }} / {{ task.points | points }}</td>
<td><span class="mark {{ task.tone }}">{{ task.verdict }}</span></td></tr>
{% endfor %}
</tbody></table>
{% for task in tasks %}
<section class="task" id="{{ task.name }}">
<h2>{{ task.name }}</h2>
<p><span class="mark {{ task.tone }}">{{ task.verdict }}</span>, {{ task.score | points }} of {{ task.points | points }}
points{% if task.by_hand %}, given by a person{% endif %}</p>
{% if task.comment %}<h3>Comment</h3><blockquote class="told">{{ task.comment }}</blockquote>{% endif %}
{% if task.findings %}
<ul class="checks">
{% for finding in task.findings %}
<li><span class="mark {{ 'good' if finding.ok else 'bad' }}">{{ '✓ holds' if finding.ok else '✗ fails' }}</span>
{% if finding.part %}{{ finding.part }}: {% endif %}{{ finding.property }}
{% if finding.message and not finding.ok %}<div class="told">{{ finding.message }}</div>{% endif %}</li>
{% endfor %}
</ul>
{% elif task.message %}<p class="told">{{ task.message }}</p>{% endif %}
{% if task.code is not none %}<h3>Your answer</h3><pre>{{ task.code }}</pre>{% endif %}
{% if task.text is not none %}<h3>Your answer</h3><div>{{ task.text }}</div>{% endif %}
{{ shown(task.outputs) }}
</section>
{% endfor %}
{% if others %}
<h2>Your other cells, and what the given cells showed with your code</h2>
{% for cell in others %}
<details{% if cell.pictures %} open{% endif %}><summary>{{ cell.title }}</summary>
{% if cell.code is not none %}<pre>{{ cell.code }}</pre>{% endif %}
{% if cell.text is not none %}<div>{{ cell.text }}</div>{% endif %}
{{ shown(cell.outputs) }}
</details>
{% endfor %}
{% endif %}
"""

MACRO = """
{% macro shown(outputs) %}
{% for output in outputs %}
{% if output.picture %}<p><img src="{{ output.picture }}" alt="{{ output.text }}"></p>
{% else %}<pre>{{ output.text }}</pre>{% endif %}
{% endfor %}
{% endmacro %}
"""


def hidden_lines(source: Source) -> list[str]:
    """Lines of the test cells that students never get to see."""
    released = {line.strip() for cell in source.released.cells for line in cell.source.splitlines()}
    tests = [cell.source for cell in source.skeleton.cells if kind(cell) == "test"]
    lines = {line.strip() for text in tests for line in text.splitlines()}
    return sorted(lines - released - {""}, key=len, reverse=True)


def _verdict(task: Standing) -> tuple[str, str]:
    if task.waiting and task.score is None:
        return ("waits for a person", "half") if task.manual else ("not graded", "half")
    if task.score is None:
        return "not graded", "half"
    if task.score >= task.points:
        return "full points", "good"
    return ("part of the points", "half") if task.score > 0 else ("no points", "bad")


def _title(cell, given: bool) -> str:
    first = next((line.strip() for line in cell.source.splitlines() if line.strip()), "empty cell")
    first = first if len(first) <= 70 else first[:69] + "…"
    return f"{'given' if given else 'yours'}: {first}"


def page(assignment: str, source: Source, row: Row, notebook) -> str:
    """The feedback of one student as HTML; `notebook` is the graded one, or None."""
    hidden, released = hidden_lines(source), {cell.get("id"): cell.source for cell in source.released.cells}
    cells = notebook.cells if notebook is not None else []
    answers = {grade_id(cell): cell for cell in cells if kind(cell) in ("answer", "manual")}
    tasks = []
    for task in row.tasks:
        verdict, tone = _verdict(task)
        cell, code, text, shown = answers.get(task.name), None, None, []
        if cell is not None and cell.cell_type == "code":
            code, shown = cell.source, outputs(cell, hidden)
        elif cell is not None:
            text = markdown(cell.source)
        tasks.append(vars(task) | {"verdict": verdict, "tone": tone, "code": code, "text": text, "outputs": shown})
    others = []
    for cell in cells:
        if kind(cell) in ("answer", "manual", "test") or cell.get("id") == "nvpkit-notice":
            continue
        given = kind(cell) == "locked" or released.get(cell.get("id")) == cell.source
        shown = outputs(cell, hidden)
        if given and not any(one["picture"] for one in shown):
            continue
        is_code = cell.cell_type == "code"
        others.append({"title": _title(cell, given), "code": cell.source if is_code and not given else None,
                       "text": None if is_code or given else markdown(cell.source), "outputs": shown,
                       "pictures": any(one["picture"] for one in shown)})
    record = row.record
    waiting = ", ".join(task.name for task in row.tasks if task.waiting)
    status = f"Graded by the checks; a person still grades {waiting}." if row.status == WAITING else (
        f"Status: {row.status}. {row.reason[:1].upper()}{row.reason[1:].rstrip('.')}." if row.reason
        else f"Status: {row.status}.")
    return render(MACRO + TEMPLATE, title=f"{assignment}: {row.student}", assignment=assignment, row=row, tasks=tasks,
                  others=others, status=status, notes=record.notes if record else [])


def feedback(course: Course, assignment: str, only: list[str] | None = None, progress: bool = True) -> list[Path]:
    """Write feedback/<student>/<assignment>/<assignment>.html for everybody who handed something in."""
    standing = class_standing(course, assignment)
    rows = [row for row in standing.rows if row.record is not None and row.status != MISSING]
    unknown = sorted(set(only or []) - {row.student for row in rows})
    if unknown or not rows:
        who = f"by {', '.join(unknown)} " if unknown else ""
        raise CourseError(f"No graded submission {who}of {assignment}: run `nvpkit course grade {assignment}` first.")
    written = []
    for row in tqdm([row for row in rows if not only or row.student in only], desc=f"feedback {assignment}",
                    unit="page", disable=not progress, dynamic_ncols=True):
        graded = course.workplace(assignment, row.student) / "graded.ipynb"
        notebook = nbformat.read(graded, as_version=4) if graded.is_file() else None
        path = course.feedback / row.student / assignment / f"{assignment}.html"
        write_atomically(path, page(assignment, standing.source, row, notebook))
        written.append(path)
    return written
