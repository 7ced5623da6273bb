"""The pages: what students wrote is shown, and nothing of it runs, loads or breaks out."""

import pytest
from nbformat.v4 import new_code_cell, new_output

from nvpkit.course.export import gradebook_rows
from nvpkit.course.notebooks import Source, Task
from nvpkit.course.oracle import TaskResult, outputs_for, safe
from nvpkit.course.page import markdown, outputs, render
from nvpkit.course.report import task_statistics
from nvpkit.course.standing import ClassStanding, Row, Standing, table

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.mark.parametrize("attack", [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[click](javascript:alert(1))",
    "![x](https://example.org/track.png)", "<a href='javascript:alert(1)'>x</a>", "<iframe src='https://example.org'>",
    "<style>body{display:none}</style>", "| a |\n|---|\n| <script>1</script> |",
])
def test_markdown_of_students_brings_nothing_along(attack):
    html = str(markdown(f"before {attack} after\n\n**bold** `code`"))
    for sign in ("<script", "<img", "<iframe", "<style", "href=\"javascript"):
        assert sign not in html
    assert "<strong>bold</strong>" in html


def test_values_are_escaped_in_every_page():
    assert "&lt;b&gt;" in render("{{ told }}", title="<b>", told="<b>")


def test_outputs_lose_html_and_scripts_and_keep_pictures():
    shown = safe(new_output("display_data", data={"text/html": "<script>1</script>", "text/plain": "plain",
                                                  "application/javascript": "1", "image/svg+xml": "<svg/>"}))
    assert dict(shown["data"]) == {"text/plain": "plain"}
    html = f'<img alt="a &quot;b&quot;" src="data:image/png;base64,{PIXEL}" style="max-width: 100%">'
    picture = safe(new_output("display_data", data={"text/html": html}))
    assert outputs({"outputs": [picture]}, []) == [{"picture": f"data:image/png;base64,{PIXEL}", "text": 'a "b"'}]
    broken = new_output("display_data", data={"image/png": '"><script>', "text/plain": "a figure"})
    assert outputs({"outputs": [broken]}, []) == [{"picture": "", "text": "a figure"}]


def test_hidden_lines_and_terminal_colours_do_not_get_into_feedback():
    cell = new_code_cell(outputs=[new_output("stream", name="stdout", text="\x1b[31mred\x1b[0m secret line\n")])
    assert outputs(cell, ["secret line"]) == [{"picture": "", "text": "red [hidden test]\n"}]


@pytest.mark.parametrize("score", [0.0, 0.5, 1 / 3, 3.0, 6.999999999, 7.0, None])
def test_nbgrader_reads_exactly_the_judge_s_score(score):
    from nbgrader.utils import determine_grade

    cell = new_code_cell(metadata={"nbgrader": {"grade": True, "solution": False, "points": 7, "grade_id": "t"}})
    cell.outputs = outputs_for(TaskResult("t", "test_t", 7, score, message="why"))
    assert determine_grade(cell) == (score or 0.0, 7)


@pytest.fixture
def standing():
    source = Source(None, None, [Task("scaling", "test_scaling", 7, False), Task("volume", "volume", 10, True)])

    def row(student, scores, status, message="", waiting=False):
        tasks = [Standing("scaling", 7, False, scores[0], message=message),
                 Standing("volume", 10, True, scores[1], waiting=waiting)]
        return Row(student, "", "", status, "", tasks, 17)

    return ClassStanding("a2-nice", source, [
        row("a", (7, 8), "graded"), row("b", (0, None), "needs manual grading", "got 1.5, expected 2", waiting=True),
        row("c", (3, 0), "graded", "got -7e-3, expected 9"), row("d", (None, None), "missing")])


def test_totals_are_empty_where_something_is_missing_or_waits(standing):
    assert [row.total for row in standing.rows] == [15, None, 3, None]
    assert [line[7:9] for line in gradebook_rows(standing)[1:]] == [["", "15"], ["", ""], ["", "3"], ["", ""]]
    assert table(standing).splitlines()[5].split() == ["d", "-", "-", "-", "-", "-", "missing"]


def test_messages_that_differ_in_numbers_only_are_counted_together(standing):
    scaling = task_statistics(standing)[0]
    assert (scaling["full"], scaling["partial"], scaling["zero"], scaling["ungraded"]) == (1, 1, 1, 1)
    assert [(group["count"], group["students"]) for group in scaling["messages"]] == [(2, "b, c")]
