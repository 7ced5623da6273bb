"""A class with everything that goes wrong: each submission gets its sentence, and nobody else loses a point."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from nvpkit import checks
from nvpkit.course.execute import Limits
from nvpkit.course.export import export
from nvpkit.course.feedback import feedback
from nvpkit.course.grade import grade, load_record
from nvpkit.course.report import report
from nvpkit.course.standing import class_standing, table
from tests.course.conftest import WORKERS, hand_in, make_course, records_of, scores_of
from tests.course.samples import (
    CRASH,
    FOREVER,
    NOISE,
    another_assignment,
    cell_of,
    fill,
    released_notebook,
    solutions,
    text,
    without_metadata,
)

# Two quick tasks are enough here: what the others are worth is proved elsewhere.
QUICK = ("scaling", "base_log_prob")
SWALLOWS = "\nimport time\nwhile True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        pass\n"
KILLS = "\nimport os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n"
SECRET = "\nimport os\nprint('SECRET', os.environ.get('NVPKIT_COURSE_SECRET'), os.getcwd(), sorted(os.listdir()))\n"
FLOOD = "\nfor _ in range(40_000):\n    print('flood ' * 10)\n"
LITTER = ("\nopen('litter.txt', 'w').write('mine')\nimport subprocess\n"
          "subprocess.Popen(['sleep', '987654'], start_new_session=True)\n")


def quick(words="because", **added):
    """The release with two tasks solved, text added to an answer, and the cells that take time thrown away."""
    answers = {task: solutions()[task] + added.pop(task, "") for task in QUICK}
    return fill(answers | added, words, pictures=False)


@pytest.fixture(scope="module")
def wild(tmp_path_factory):
    """The class, graded once with a secret in the instructor's environment."""
    course = make_course(tmp_path_factory.mktemp("wild") / "course")
    whole = text(quick())
    hand_in(course, "honest", quick())
    hand_in(course, "noether, emmy", quick())
    hand_in(course, "crash", quick(base_log_prob=CRASH))
    hand_in(course, "forever", quick(scaling=FOREVER))
    hand_in(course, "swallows", quick(base_log_prob=SWALLOWS))
    hand_in(course, "kills-grader", quick(scaling=KILLS))
    hand_in(course, "noisy", quick(scaling=NOISE + SECRET, base_log_prob=FLOOD))
    hand_in(course, "litter", quick(scaling=LITTER))
    hand_in(course, "own-layer", quick(words="", scaling="\nfrom nvpkit.bijections import Scaling"))
    hand_in(course, "empty", "")
    hand_in(course, "cut", whole[: len(whole) // 2])
    hand_in(course, "renamed", quick(), "Homework (final).ipynb")
    hand_in(course, "stripped", without_metadata(quick()))
    hand_in(course, "other", another_assignment())
    (course.submitted / "nothing" / "a2-nice").mkdir(parents=True)
    with course.gradebook() as gradebook:
        gradebook.update_or_create_student("absent", first_name="Anna", last_name="Maier, geb. Öz")
    before = {path: path.read_bytes() for path in course.submitted.rglob("*") if path.is_file()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NVPKIT_COURSE_SECRET", "a-secret-of-the-instructor")
        result = grade(course, "a2-nice", workers=WORKERS, limits=Limits(cell=25), progress=False)
    assert before == {path: path.read_bytes() for path in course.submitted.rglob("*") if path.is_file()}
    return course, result


FULL = {"scaling": 7, "base_log_prob": 6}


@pytest.mark.parametrize("student", ["honest", "noether, emmy", "noisy", "litter", "renamed", "stripped"])
def test_honest_work_keeps_its_points_whatever_the_others_do(wild, student):
    record = records_of(wild[1])[student]
    scores = {name: score for name, score in scores_of(wild[1])[student].items() if name in FULL}
    assert (record["status"], scores) == ("graded", FULL)


@pytest.mark.parametrize(("student", "status", "said"), [
    ("crash", "crashed", r"the kernel died in cell \d+ \(base_log_prob\) \(exit code 1\); what ran before is graded"),
    ("forever", "timed out", r"stopped after 25 s in scaling; everything else was run and graded"),
    ("swallows", "timed out", r"\(base_log_prob\) did not end within 25 s and could not be interrupted"),
    ("kills-grader", "grader error", r"the grading process was killed from outside"),
    ("empty", "damaged", r"a2-nice\.ipynb is an empty file: ask the student to hand it in again"),
    ("cut", "damaged", r"a2-nice\.ipynb is cut off at line \d+"),
    ("other", "wrong assignment", r"The notebook is not a2-nice"),
    ("nothing", "damaged", r"The folder is empty: there is no notebook in it"),
])
def test_each_trouble_gets_its_status_and_one_sentence(wild, student, status, said):
    record = records_of(wild[1])[student]
    assert record["status"] == status
    assert re.search(said, record["reason"])
    assert "\n" not in record["reason"]


def test_what_ran_before_a_dead_kernel_is_graded_and_the_rest_is_not_zero(wild):
    for student in ("crash", "swallows"):
        scores = scores_of(wild[1])[student]
        assert scores["scaling"] == 7
        assert scores["train_nice"] is None
        message = next(task["message"] for task in records_of(wild[1])[student]["tasks"] if task["name"] == "inpaint")
        assert message.startswith("not run: ")


def test_a_loop_costs_no_other_task(wild):
    scores = scores_of(wild[1])["forever"]
    # The class stands above the loop: it was defined, and it is right.
    assert (scores["scaling"], scores["base_log_prob"]) == (7, 6)


def test_nvpkit_s_own_layer_earns_nothing_for_that_task_alone(wild):
    record = records_of(wild[1])["own-layer"]
    scores = scores_of(wild[1])["own-layer"]
    assert (scores["scaling"], scores["base_log_prob"]) == (0, 6)
    assert "from nvpkit.bijections import Scaling" in record["reference"][0]


def test_repairs_are_told(wild):
    records = records_of(wild[1])
    assert records["renamed"]["notes"] == [
        "The notebook was called Homework (final).ipynb: it was recognised by its contents."]
    assert "had lost their nbgrader metadata" in records["stripped"]["notes"][0]
    assert records["honest"]["notes"] == []


def test_a_submission_sees_no_secret_and_leaves_nothing_behind(wild):
    course, _ = wild
    graded = nbformat.read(course.workplace("a2-nice", "noisy") / "graded.ipynb", 4)
    printed = "".join(output.get("text", "") for output in cell_of(graded, "scaling").outputs)
    assert "SECRET None" in printed
    assert str(course.root) not in printed
    assert not list(course.root.rglob("litter.txt"))
    assert "987654" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_a_flood_of_output_is_cut(wild):
    graded = nbformat.read(wild[0].workplace("a2-nice", "noisy") / "graded.ipynb", 4)
    assert len(str(cell_of(graded, "base_log_prob").outputs)) < 10**6


def test_the_gradebook_tells_waiting_and_failed_work_from_zero(wild):
    course, _ = wild
    with course.gradebook() as gradebook:
        for student in ("empty", "cut", "other", "nothing", "kills-grader"):
            grade_ = gradebook.find_grade("test_scaling", "a2-nice", "a2-nice", student)
            assert (grade_.auto_score, grade_.needs_manual_grade) == (None, True)
        zero = gradebook.find_grade("test_inpaint", "a2-nice", "a2-nice", "honest")
        assert (zero.auto_score, zero.needs_manual_grade) == (0, False)
    rows = {row.student: row for row in class_standing(course, "a2-nice").rows}
    assert rows["absent"].status == "missing"
    assert {rows[who].total for who in ("absent", "empty", "cut", "other", "crash")} == {None}
    assert "noether, emmy" in table(class_standing(course, "a2-nice"))


def test_formgrader_finds_a_notebook_for_everybody_who_handed_in(wild):
    course, result = wild
    for student in records_of(result):
        notebook = nbformat.read(course.autograded / student / "a2-nice" / "a2-nice.ipynb", 4)
        assert cell_of(notebook, "volume")
    assert "**damaged**" in nbformat.read(course.autograded / "cut" / "a2-nice" / "a2-nice.ipynb", 4).cells[0].source


def test_a_csv_with_commas_and_letters_stays_in_its_columns(wild, tmp_path):
    import csv

    with open(export(wild[0], "a2-nice", tmp_path / "grades.csv"), newline="", encoding="utf-8") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert rows["absent"]["name"] == "Anna Maier, geb. Öz"
    assert (rows["absent"]["total"], rows["absent"]["status"]) == ("", "missing")
    assert (rows["noether, emmy"]["scaling"], rows["noether, emmy"]["max"]) == ("7", "55")
    assert rows["noether, emmy"]["status"] == "needs manual grading"
    assert (rows["empty"]["scaling"], rows["empty"]["total"], rows["empty"]["status"]) == ("", "", "damaged")
    assert (rows["crash"]["scaling"], rows["crash"]["inpaint"], rows["crash"]["status"]) == ("7", "", "crashed")
    assert all(None not in row and None not in row.values() for row in rows.values())


def test_the_report_names_who_needs_attention(wild):
    course, _ = wild
    page = report(course, "a2-nice")
    data = json.loads(page.with_suffix(".json").read_text())
    named = {entry["student"] for entry in data["attention"]}
    assert {"crash", "forever", "swallows", "kills-grader", "empty", "cut", "other", "absent", "own-layer"} <= named
    assert "honest" not in named
    assert data["summary"]["status"]["damaged"] == 3
    html = page.read_text()
    assert "No sandbox held the submissions" in html
    assert 'alt="Histogram of the automatic points' in html
    assert not re.search(r'(?:src|href)="(?!data:|#)', html)


def test_feedback_is_one_page_without_requests_or_scripts(wild):
    course, result = wild
    pages = feedback(course, "a2-nice", progress=False)
    assert len(pages) == len(result["records"])
    for page in pages:
        html = page.read_text()
        assert "<script" not in html
        assert not re.search(r'(?:src|href)="(?!data:|#)', html)
    assert "was recognised by its contents" in (course.feedback / "renamed/a2-nice/a2-nice.html").read_text()
    assert "is cut off at line" in (course.feedback / "cut/a2-nice/a2-nice.html").read_text()


def test_a_second_run_reuses_what_is_there_but_tries_a_grader_error_again(wild):
    course, first = wild
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NVPKIT_COURSE_SECRET", "a-secret-of-the-instructor")
        again = grade(course, "a2-nice", workers=WORKERS, limits=Limits(cell=25), progress=False)
    assert (again["graded"], again["reused"]) == (1, len(first["records"]) - 1)
    assert scores_of(again)["honest"] == scores_of(first)["honest"]


def test_seeds_follow_the_secret():
    assert checks.course_seeds("a2-nice", "scaling", "one") != checks.course_seeds("a2-nice", "scaling", "two")


def test_manual_scores_and_comments_survive_a_regrade_and_reach_the_feedback(course):
    hand_in(course, "ada", quick())
    grade(course, "a2-nice", workers=1, limits=Limits(cell=60), progress=False)
    with course.gradebook() as gradebook:
        given = gradebook.find_grade("volume", "a2-nice", "a2-nice", "ada")
        given.manual_score, given.extra_credit, given.needs_manual_grade = 8.5, 0.5, False
        gradebook.find_comment("volume", "a2-nice", "a2-nice", "ada").manual_comment = "Well argued & <b>short</b>."
        gradebook.db.commit()
    hand_in(course, "ada", quick(scaling="\n# another version"))
    result = grade(course, "a2-nice", workers=1, limits=Limits(cell=60), progress=False)
    assert result["graded"] == 1
    (row,) = class_standing(course, "a2-nice").rows
    assert (row.status, row.auto, row.manual, row.total) == ("graded", 13, 9, 22)
    feedback(course, "a2-nice", progress=False)
    html = (course.feedback / "ada/a2-nice/a2-nice.html").read_text()
    assert "Well argued &amp; &lt;b&gt;short&lt;/b&gt;." in html
    assert "22 of 55 points" in html


def test_a_new_answer_to_the_question_asks_for_a_second_look(course):
    hand_in(course, "ada", released_notebook())
    cell_only = {"limits": Limits(cell=60), "workers": 1, "progress": False}
    grade(course, "a2-nice", **cell_only)
    with course.gradebook() as gradebook:
        given = gradebook.find_grade("volume", "a2-nice", "a2-nice", "ada")
        given.manual_score, given.needs_manual_grade = 3, False
        gradebook.db.commit()
    hand_in(course, "ada", fill({}, "now I know why", pictures=False))
    grade(course, "a2-nice", **cell_only)
    (row,) = class_standing(course, "a2-nice").rows
    assert (row.status, row.manual, row.tasks[-1].score) == ("needs manual grading", None, 3)


def test_lateness_is_nbgrader_s(course):
    config = course.root / "nbgrader_config.py"
    config.write_text(config.read_text() + '\nc.LateSubmissionPlugin.penalty_method = "zero"\n')
    hand_in(course, "ada", "")
    hand_in(course, "emmy", "")
    (course.submitted / "ada" / "a2-nice" / "timestamp.txt").write_text("2026-03-02 10:00:00 UTC")
    with course.gradebook() as gradebook:
        gradebook.update_or_create_assignment("a2-nice", duedate="2026-03-01 10:00:00 UTC")
    grade(course, "a2-nice", workers=1, progress=False)
    with course.gradebook() as gradebook:
        assert gradebook.find_submission("a2-nice", "ada").total_seconds_late == 24 * 3600
        assert gradebook.find_submission("a2-nice", "emmy").total_seconds_late == 0
        given = gradebook.find_grade("volume", "a2-nice", "a2-nice", "ada")
        given.manual_score, given.needs_manual_grade = 8, False
        gradebook.db.commit()
    grade(course, "a2-nice", workers=1, progress=False)
    rows = {row.student: row for row in class_standing(course, "a2-nice").rows}
    assert rows["ada"].timestamp == "2026-03-02 10:00:00"
    assert (rows["ada"].penalty, rows["emmy"].penalty) == (8, 0)


def test_a_run_that_is_killed_loses_nothing(course):
    for number in range(3):
        hand_in(course, f"student-{number}", quick())
    command = [sys.executable, "-c",
               "from nvpkit.course.commands import course_app; course_app(['grade', 'a2-nice', '--workers', '1'])"]
    process = subprocess.Popen(command, cwd=course.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=os.environ | {"OMP_NUM_THREADS": "1"})
    first = course.workplace("a2-nice", "student-0") / "record.json"
    deadline = time.monotonic() + 240
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert load_record(course, "a2-nice", "student-0").status == "graded"
    result = grade(course, "a2-nice", workers=WORKERS, progress=False)
    assert result["reused"] >= 1
    assert {scores["scaling"] for scores in scores_of(result).values()} == {7}
    with course.gradebook() as gradebook:
        stored = [gradebook.find_grade("test_scaling", "a2-nice", "a2-nice", f"student-{number}").auto_score
                  for number in range(3)]
    assert stored == [7, 7, 7]
