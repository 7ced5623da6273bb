"""Who stands where: records of grading joined with the gradebook, one row for each student."""

from dataclasses import dataclass, field

from nvpkit.course.folders import Course
from nvpkit.course.grade import course_source, load_record
from nvpkit.course.gradebook import require_assignment
from nvpkit.course.notebooks import Source
from nvpkit.course.submission import GRADED, MISSING, UNSCORED, WAITING, Record


@dataclass
class Standing:
    """One task of one student: its score (None where nobody gave one) and what a person said."""

    name: str
    points: float
    manual: bool
    score: float | None
    by_hand: bool = False
    waiting: bool = False
    message: str = ""
    findings: list = field(default_factory=list)
    comment: str = ""


@dataclass
class Row:
    """One student of the class. Points are None, never 0, where there is nothing that could have earned any."""

    student: str
    name: str
    email: str
    status: str
    reason: str
    tasks: list[Standing]
    maximum: float
    penalty: float = 0.0
    timestamp: str = ""
    record: Record | None = None

    def _sum(self, manual: bool) -> float | None:
        scores = [task.score for task in self.tasks if task.manual == manual and task.score is not None]
        return sum(scores) if scores else None

    @property
    def auto(self) -> float | None:
        """Points of the tasks that the checks grade."""
        return self._sum(manual=False)

    @property
    def manual(self) -> float | None:
        """Points of the questions that a person grades, None while one of them waits."""
        return None if any(task.waiting for task in self.tasks if task.manual) else self._sum(manual=True)

    @property
    def total(self) -> float | None:
        """All points less the late penalty; None while anything waits for a person."""
        if self.auto is None or any(task.waiting for task in self.tasks):
            return None
        return max(0.0, self.auto + (self.manual or 0.0) - self.penalty)


@dataclass
class ClassStanding:
    """All rows of one assignment, and the tasks that it has."""

    assignment: str
    source: Source
    rows: list[Row]


def class_standing(course: Course, assignment: str) -> ClassStanding:
    """One row for every student in the gradebook or with a submission, sorted by id."""
    source = course_source(course, assignment)
    with course.gradebook() as gradebook:
        require_assignment(course, gradebook, assignment)
        people = {student.id: student for student in gradebook.students}
        rows = []
        for student in sorted(people.keys() | set(course.students(assignment))):
            person = people.get(student)
            name = " ".join(part for part in (getattr(person, "first_name", None), getattr(person, "last_name", None))
                            if part)
            rows.append(_row(course, gradebook, source, assignment, student, name, getattr(person, "email", "") or ""))
    return ClassStanding(assignment, source, rows)


def _row(course: Course, gradebook, source: Source, assignment: str, student: str, name: str, email: str) -> Row:
    from nbgrader.api import MissingEntry

    record = load_record(course, assignment, student)
    maximum = sum(task.points for task in source.tasks)
    try:
        submission = gradebook.find_submission(assignment, student)
    except MissingEntry:
        submission = None
    if record is None or submission is None:
        tasks = [Standing(task.name, task.points, task.manual, None) for task in source.tasks]
        handed_in = (course.submitted / student / assignment).is_dir()
        reason = (f"not graded yet: run `nvpkit course grade {assignment}`" if handed_in
                  else f"no submission of {assignment}")
        return Row(student, name, email, "not graded" if handed_in else MISSING, reason, tasks, maximum)
    told = {task["cell"]: task for task in record.tasks}
    tasks = []
    for task in source.tasks:
        grade = gradebook.find_grade(task.cell, assignment, assignment, student)
        score = grade.auto_score if grade.manual_score is None else grade.manual_score
        if score is not None:
            score += grade.extra_credit or 0.0
        data = told.get(task.cell, {})
        standing = Standing(task.name, task.points, task.manual, score, grade.manual_score is not None,
                            bool(grade.needs_manual_grade), data.get("message", ""), data.get("findings", []))
        if task.manual:
            standing.comment = gradebook.find_comment(task.cell, assignment, assignment, student).comment or ""
        else:
            standing.comment = _answer_comment(gradebook, task.name, assignment, student)
        tasks.append(standing)
    status, reason = record.status, record.reason
    if status == GRADED and any(task.waiting for task in tasks):
        waiting = ", ".join(task.name for task in tasks if task.waiting)
        status, reason = WAITING, f"{waiting}: grade it in nbgrader's formgrader"
    elif status in UNSCORED and tasks and not any(task.waiting for task in tasks):
        status, reason = GRADED, f"graded by hand ({record.status}: {record.reason})"
    timestamp = submission.timestamp.isoformat(sep=" ") if submission.timestamp else ""
    return Row(student, name, email, status, reason, tasks, maximum, submission.late_submission_penalty or 0.0,
               timestamp, record)


def _answer_comment(gradebook, task: str, assignment: str, student: str) -> str:
    from nbgrader.api import MissingEntry

    try:
        comment = gradebook.find_comment(task, assignment, assignment, student)
    except MissingEntry:
        return ""
    return comment.manual_comment or ""


def number(value: float | None) -> str:
    """Points as people write them; '' for None."""
    return "" if value is None else f"{value:g}"


def table(standing: ClassStanding) -> str:
    """The gradebook as text, one line for each student, with a legend of the columns."""
    names = [task.name for task in standing.source.tasks]
    heads = ["student", *[str(at) for at in range(1, len(names) + 1)], "auto", "manual", "total", "status"]
    rows = [[row.student, *[number(task.score) or "-" for task in row.tasks], number(row.auto) or "-",
             number(row.manual) or "-", number(row.total) or "-", row.status] for row in standing.rows]
    widths = [max(len(line[at]) for line in [heads, *rows]) for at in range(len(heads))]
    left = {0, len(heads) - 1}
    lines = ["  ".join(text.ljust(widths[at]) if at in left else text.rjust(widths[at]) for at, text in enumerate(line))
             for line in [heads, ["-" * width for width in widths], *rows]]
    legend = "   ".join(f"{at} {task.name} ({task.points:g})" for at, task in enumerate(standing.source.tasks, 1))
    return "\n".join(line.rstrip() for line in lines) + f"\n\n{legend}"
