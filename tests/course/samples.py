"""A class of sample submissions for a2-nice, made of the source notebook and of the corpus of right and wrong answers.

`python -m tests.course.samples FOLDER` writes them as students hand them in: folders, loose files and a zip.
"""

import argparse
import copy
import io
import json
import shutil
import zipfile
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).resolve().parent / "corpus"
ASSIGNMENT = "a2-nice"
WORDS = ("Every additive coupling has a Jacobian of determinant one, so a stack of them cannot change volume: it moves "
         "mass about and cannot make a peak higher. The scaling layer has log-det sum(s), which buys exactly that.")


def source_notebook():
    """The source of the assignment, with solutions."""
    return nbformat.read(ROOT / "solutions" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb", as_version=4)


def released_notebook():
    """The notebook as students get it."""
    return nbformat.read(ROOT / "assignments" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb", as_version=4)


def cell_of(notebook, grade_id):
    """The cell with a grade_id."""
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def clean(code):
    """A solution without the marks around it."""
    return "\n".join(line for line in code.splitlines() if not line.strip().startswith("### ")) + "\n"


def solutions():
    """Text of the source's answer to every task."""
    cells = [cell for cell in source_notebook().cells if cell.metadata.get("nbgrader", {}).get("solution")]
    return {cell.metadata.nbgrader.grade_id: clean(cell.source) for cell in cells if cell.cell_type == "code"}


def solution_lines():
    """Lines of the source that stand between the marks of a solution and nowhere else: no student may see them."""
    inside, solved, given = False, set(), set()
    for cell in source_notebook().cells:
        for line in map(str.strip, cell.source.splitlines()):
            inside = inside and "END SOLUTION" not in line
            (solved if inside else given).add(line)
            inside = inside or "BEGIN SOLUTION" in line
    return {line for line in solved - given if len(line) > 12}


def style(name):
    """Text of one right way to answer every task; a task without a file of its own has the source's answer."""
    return solutions() | {path.stem: path.read_text() for path in sorted((CORPUS / "right" / name).glob("*.py"))
                          if path.stem in solutions()}


def styles():
    """Names of the right styles."""
    return sorted(path.name for path in (CORPUS / "right").iterdir() if path.is_dir() and any(path.glob("*.py")))


def wrong(mistake):
    """The answers of the source with one replaced by a wrong one, `<task>__<mistake>`."""
    code = (CORPUS / "wrong" / f"{mistake}.py").read_text()
    return solutions() | {mistake.split("__")[0]: "".join(code.splitlines(keepends=True)[1:])}  # without "# expect:"


def mistakes():
    """Names of the wrong answers."""
    return sorted(path.stem for path in (CORPUS / "wrong").glob("*__*.py"))


def fill(answers, words=WORDS, pictures=True):
    """The released notebook with these answers written in; without its picture cells it runs in half the time."""
    notebook = released_notebook()
    if not pictures:
        notebook.cells = [cell for cell in notebook.cells
                          if cell.cell_type == "markdown" or "nbgrader" in cell.metadata]
    for task, code in answers.items():
        cell_of(notebook, task).source = code
    if words:
        cell_of(notebook, "volume").source = words
    return notebook


def text(notebook):
    """A notebook as a file."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def without_metadata(notebook):
    """What some editors leave of a notebook: new ids, no nbgrader metadata."""
    notebook = copy.deepcopy(notebook)
    for number, cell in enumerate(notebook.cells):
        cell.metadata, cell["id"] = nbformat.NotebookNode(), f"c{number}"
    notebook.metadata = nbformat.NotebookNode()
    return notebook


def another_assignment():
    """A notebook of another assignment, with nbgrader's marks."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    def marked(name, **marks):
        return {"nbgrader": {"schema_version": 3, "grade": False, "solution": False, "locked": False, "grade_id": name}
                | marks}

    notebook = new_notebook(cells=[
        new_markdown_cell("# A0: warm-up"),
        new_code_cell("def normal_log_prob(z):\n    return -(z ** 2) / 2",
                      metadata=marked("normal_log_prob", solution=True)),
        new_code_cell("nvpkit.checks.normal_log_prob(normal_log_prob)",
                      metadata=marked("test_normal_log_prob", grade=True, locked=True, points=4)),
        new_code_cell("def affine_log_prob(x, a, b):\n    return x",
                      metadata=marked("affine_log_prob", solution=True))])
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"warm-up-{number}"  # new ids at every call would make every call a new submission
    return notebook


NOISE = """
import sys
import warnings

warnings.warn("a warning of the student's own")
print("noise on stderr", file=sys.stderr)
"""
FOREVER = "\nwhile True:\n    pass\n"
CRASH = "\nimport os\n\nos._exit(1)\n"


def sample_class():
    """Every submission by student: what is in the file, its name, and what it is an example of."""
    right = solutions()
    names = styles()
    half = {task: right[task] for task in list(right)[:4]}
    whole = text(fill(right))
    own = f"{ASSIGNMENT}.ipynb"
    made = {
        "ada-lovelace": (text(fill(right)), own, "right"),
        "noether, emmy": (text(fill(style(names[0]))), own, f"right, {names[0]}"),
        "gödel-kurt": (text(fill(style(names[1]) | {"scaling": right["scaling"] + NOISE})), own,
                       f"right, {names[1]}, with warnings and noise on stderr"),
        "untouched": (text(released_notebook()), own, "the release, untouched"),
        "half-done": (text(fill(half)), own, "half of the tasks"),
        "crash": (text(fill(right | {"train_nice": right["train_nice"] + CRASH})), own, "kills its kernel in task 6"),
        "forever": (text(fill(right | {"inpaint": right["inpaint"] + FOREVER})), own, "loops for ever in task 7"),
        "empty-file": ("", own, "an empty file"),
        "cut-off": (whole[: len(whole) // 2], own, "a truncated file"),
        "renamed": (text(fill(wrong("scaling__log_det_of_wrong_sign"))), "Homework 2 (final).ipynb",
                    "renamed; scaling is wrong"),
        "no-metadata": (text(without_metadata(fill(right))), own, "all metadata lost"),
        "other-homework": (text(another_assignment()), own, "another assignment"),
        "wrong-coupling": (text(fill(wrong("additive_coupling__plus_in_both_directions"))), own,
                           "additive_coupling is wrong"),
        "wrong-start": (text(fill(wrong("coupling_stack__inverse_in_forward_order"))), own, "coupling_stack is wrong"),
        "wrong-loss": (text(fill(wrong("negative_log_likelihood__sum_for_mean"))), own, "the loss is wrong"),
    }
    return made


def write(folder, students=None):
    """Write the class as it is handed in; what each is an example of, by student."""
    folder = Path(folder)
    mark = folder.with_name(f".{folder.name}.sample-class")
    if folder.exists() and any(folder.iterdir()):
        # Never somebody's real submissions: only a folder that this function made is made anew.
        if not mark.is_file():
            raise SystemExit(f"{folder} holds files that are no sample class: name a new or an empty folder.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    chosen = dict(list(sample_class().items())[:students])
    for number, (student, (content, name, _)) in enumerate(chosen.items()):
        if number % 5 == 3 and name == f"{ASSIGNMENT}.ipynb":
            (folder / f"{student}_{ASSIGNMENT}.ipynb").write_text(content, encoding="utf-8")
        elif number % 5 == 4:
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w") as archive:
                archive.writestr(zipfile.ZipInfo(f"{student}/{name}", (2000, 1, 1, 0, 0, 0)), content)
            (folder / f"upload-{number}.zip").write_bytes(out.getvalue())
        else:
            (folder / student).mkdir()
            (folder / student / name).write_text(content, encoding="utf-8")
    return {student: what for student, (_, _, what) in chosen.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--students", type=int, help="how many; default: all")
    arguments = parser.parse_args()
    for who, what in write(arguments.folder, arguments.students).items():
        print(f"{who}: {what}")
