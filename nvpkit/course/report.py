"""The report on a class: who stands where, what went wrong and how often, and who needs a person."""

import base64
import io
import os
import platform
import re
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from nvpkit.course.folders import Course, read_json, write_atomically, write_json
from nvpkit.course.page import render
from nvpkit.course.standing import ClassStanding, class_standing
from nvpkit.course.submission import GRADED, MISSING, WAITING

TEMPLATE = """
<header><h1>{{ assignment }}: report on the class</h1>
<p class="soft">{{ rows | length }} students, {{ summary.with_points }} with points, {{ summary.finished }} finished</p>
</header>
<h2>Status</h2>
<table><thead><tr><th scope="col">Status</th><th scope="col" class="num">Students</th></tr></thead><tbody>
{% for status, count in summary.status.items() %}
<tr><td>{{ status }}</td><td class="num">{{ count }}</td></tr>
{% endfor %}
</tbody></table>
<h2>Points</h2>
{% if picture %}<p><img src="{{ picture }}" alt="{{ alt }}"></p>
{% else %}<p>Nobody has points yet.</p>{% endif %}
<h2>Who needs attention</h2>
{% if attention %}
<ul>{% for line in attention %}<li><strong>{{ line.student }}</strong> ({{ line.status }}): {{ line.reason }}</li>
{% endfor %}</ul>
{% else %}<p>Nobody.</p>{% endif %}
<h2>Tasks</h2>
<div class="wide"><table>
<thead><tr><th scope="col">Task</th><th scope="col" class="num">Points</th><th scope="col" class="num">Full</th>
<th scope="col" class="num">Part</th><th scope="col" class="num">None</th><th scope="col" class="num">Not graded</th>
<th scope="col" class="num">Mean</th></tr></thead><tbody>
{% for task in tasks %}
<tr><td>{{ loop.index }}. {{ task.name }}{% if task.manual %} (by a person){% endif %}</td>
<td class="num">{{ task.points | points }}</td>
<td class="num">{{ task.full }}</td><td class="num">{{ task.partial }}</td><td class="num">{{ task.zero }}</td>
<td class="num">{{ task.ungraded }}</td><td class="num">{{ task.mean | points }}</td></tr>
{% endfor %}
</tbody></table></div>
<h2>What the checks said most often</h2>
{% for task in tasks if task.messages %}
<section class="task"><h2>{{ task.name }}</h2><ul>
{% for group in task.messages %}
<li><strong>{{ group.count }} ×</strong> {{ group.message }} <span class="soft">({{ group.students }})</span></li>
{% endfor %}
</ul></section>
{% else %}<p>Nothing: every graded task has full points.</p>{% endfor %}
<h2>Students</h2>
<p class="soft">The columns 1 to {{ tasks | length }} are the tasks by their number above.</p>
<div class="wide"><table>
<thead><tr><th scope="col">Student</th>
{% for task in tasks %}<th scope="col" class="num" title="{{ task.name }}">{{ loop.index }}</th>{% endfor %}
<th scope="col" class="num">Auto</th><th scope="col" class="num">Total</th><th scope="col">Status</th></tr></thead>
<tbody>
{% for row in rows %}
<tr><td>{{ row.student }}</td>{% for task in row.tasks %}<td class="num">{{ task.score | points }}</td>{% endfor %}
<td class="num">{{ row.auto | points }}</td><td class="num">{{ row.total | points }}</td><td>{{ row.status }}</td></tr>
{% endfor %}
</tbody></table></div>
<h2>How it was graded</h2>
<ul>{% for line in machine %}<li>{{ line }}</li>{% endfor %}</ul>
<p><strong>No sandbox held the submissions.</strong> Each ran in its own process and scratch folder with limits on time
and memory, but with the rights of the person who started the grading: it could read and change that person's files.</p>
"""


def _group(message: str) -> str:
    """What two messages have in common: numbers do not count, nor what follows the first sentence."""
    first = next((line for line in message.splitlines() if line.strip()), "")
    return re.sub(r"[-+]?\d[\d.e+-]*", "#", first)[:160]


def task_statistics(standing: ClassStanding) -> list[dict]:
    """For each task: how many have full, part or no points, the mean, and the messages by how often they came."""
    result = []
    for at, task in enumerate(standing.source.tasks):
        cells = [(row.student, row.tasks[at]) for row in standing.rows]
        scores = [cell.score for _, cell in cells if cell.score is not None]
        groups: dict[str, list[tuple[str, str]]] = {}
        for student, cell in cells:
            if cell.score is not None and cell.score < cell.points and cell.message and not task.manual:
                groups.setdefault(_group(cell.message), []).append((student, cell.message))
        ordered = sorted(groups.values(), key=lambda group: (-len(group), group[0]))
        full = sum(score >= task.points for score in scores)
        zero = sum(score <= 0 for score in scores)
        result.append({
            "name": task.name, "points": task.points, "manual": task.manual, "full": full, "zero": zero,
            "partial": len(scores) - full - zero, "ungraded": len(cells) - len(scores),
            "mean": round(sum(scores) / len(scores), 2) if scores else None,
            "messages": [{"count": len(group), "message": group[0][1], "students": ", ".join(who for who, _ in group)}
                         for group in ordered[:6]]})
    return result


def _attention(standing: ClassStanding) -> list[dict]:
    lines = []
    for row in standing.rows:
        if row.status not in (GRADED, WAITING):
            lines.append({"student": row.student, "status": row.status, "reason": row.reason})
        for sentence in row.record.reference if row.record else []:
            lines.append({"student": row.student, "status": "uses nvpkit", "reason": sentence})
    return lines


def _picture(standing: ClassStanding) -> tuple[str, str]:
    """A histogram of the automatic points as a data URL, and the same in words."""
    from matplotlib.figure import Figure

    scores = [row.auto for row in standing.rows if row.auto is not None]
    if not scores:
        return "", ""
    most = sum(task.points for task in standing.source.tasks if not task.manual)
    width = max(1, round(most / 9))
    edges = [at * width for at in range(int(most // width) + 2)]
    figure = Figure(figsize=(7, 2.8), layout="constrained", facecolor="white")
    axes = figure.subplots()
    counts, *_ = axes.hist(scores, bins=edges, color="#0072b2", edgecolor="white")
    axes.set(xlabel=f"automatic points (of {most:g})", ylabel="students", xlim=(0, edges[-1]))
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120)
    words = "; ".join(f"{int(count)} with {low:g} up to {high:g}" for count, low, high in zip(counts, edges, edges[1:])
                      if count)
    mean = sum(scores) / len(scores)
    return (f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}",
            f"Histogram of the automatic points of {len(scores)} students, mean {mean:.1f}: {words}.")


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _machine(course: Course, standing: ClassStanding) -> tuple[list[str], dict]:
    from importlib.metadata import version

    run = read_json(course.build / standing.assignment / "run.json") or {}
    seconds = sorted(row.record.seconds for row in standing.rows if row.record and row.record.seconds)
    facts = {"processor": _processor(), "cores": os.cpu_count(), "system": platform.platform(),
             "python": sys.version.split()[0], "torch": version("torch"), "nbgrader": version("nbgrader"),
             "sandbox": False, "last_run": run, "seconds_per_submission": {}}
    lines = [f"{facts['processor']}, {facts['cores']} cores, {facts['system']}",
             f"Python {facts['python']}, torch {facts['torch']}, nbgrader {facts['nbgrader']}"]
    if run:
        lines.append(f"Last run: {run['graded']} submissions in {run['seconds']:g} s with {run['workers']} workers, "
                     f"started {run['started']} UTC, {run['limits']['cell']:g} s for a cell")
    if seconds:
        facts["seconds_per_submission"] = {"median": seconds[len(seconds) // 2], "longest": seconds[-1]}
        lines.append(f"One submission: {seconds[len(seconds) // 2]:g} s (median), {seconds[-1]:g} s (longest)")
    return lines, facts


def report(course: Course, assignment: str) -> Path:
    """Write report/<assignment>.html and the same as JSON beside it; the path of the page."""
    standing = class_standing(course, assignment)
    tasks, attention = task_statistics(standing), _attention(standing)
    picture, alt = _picture(standing)
    lines, facts = _machine(course, standing)
    status = dict(Counter(row.status for row in standing.rows).most_common())
    summary = {"students": len(standing.rows), "status": status,
               "with_points": sum(row.auto is not None for row in standing.rows),
               "finished": sum(row.total is not None for row in standing.rows),
               "missing": status.get(MISSING, 0)}
    path = course.report / f"{assignment}.html"
    write_atomically(path, render(TEMPLATE, title=f"{assignment}: report", assignment=assignment, rows=standing.rows,
                                  tasks=tasks, attention=attention, picture=picture, alt=alt, machine=lines,
                                  summary=summary))
    students = [{"student": row.student, "status": row.status, "reason": row.reason, "auto": row.auto,
                 "manual": row.manual, "total": row.total, "max": row.maximum,
                 "tasks": [asdict(task) for task in row.tasks], "notes": row.record.notes if row.record else []}
                for row in standing.rows]
    write_json(path.with_suffix(".json"), {"assignment": assignment, "summary": summary, "tasks": tasks,
                                           "attention": attention, "run": facts, "students": students})
    return path
