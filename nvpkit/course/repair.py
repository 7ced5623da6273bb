"""Mends a submission against the release: answers are the student's, everything locked is the source's.

The skeleton is the source notebook. A student's cell finds its place by grade_id, else by cell id, else by what it
defines, by likeness or by its neighbours. What has no place in the skeleton is the student's own and stays there.
"""

import ast
import copy
import difflib
from dataclasses import dataclass, field

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from nvpkit.course.notebooks import Source, Unreadable, grade_id, kind


@dataclass
class Repaired:
    """A notebook that can be run and graded, and what had to be done for it, in words."""

    notebook: NotebookNode
    notes: list[str] = field(default_factory=list)
    extra: set[str] = field(default_factory=set)
    untouched: set[str] = field(default_factory=set)


def _same(left: str, right: str) -> bool:
    clean = [[line.rstrip() for line in text.strip().splitlines()] for text in (left, right)]
    return clean[0] == clean[1]


def _likeness(left: str, right: str) -> float:
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    return matcher.ratio() if matcher.quick_ratio() > 0.5 else 0.0


def _names(code: str) -> set[str]:
    """Names of the classes and functions that a cell defines at its top level; by eye where it does not parse."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError):
        words = [line.split() for line in code.splitlines() if line.startswith(("class ", "def "))]
        return {word[1].split("(")[0].rstrip(":") for word in words if len(word) > 1}
    return {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def _match(source: Source, cells: list) -> tuple[dict[int, int], set[int]]:
    """Place of each student cell in the skeleton, and which places were found without metadata."""
    skeleton, released = source.skeleton.cells, source.released.cells
    by_grade = {grade_id(cell): at for at, cell in enumerate(skeleton) if grade_id(cell)}
    by_id = {cell.get("id"): at for at, cell in enumerate(skeleton) if cell.get("id")}
    place, guessed = {}, set()
    for number, cell in enumerate(cells):
        if grade_id(cell) in by_grade:
            place[number] = by_grade[grade_id(cell)]
    for number, cell in enumerate(cells):
        at = by_id.get(cell.get("id"))
        # A cell id alone is weak: the text, or at least the type, has to agree with the place.
        if number not in place and at is not None and at not in place.values() \
                and cell.cell_type == released[at].cell_type:
            place[number] = at
    taken = set(place.values())
    for at, given in enumerate(released):
        if at in taken:
            continue
        best = _best(given, [(number, cells[number]) for number in range(len(cells)) if number not in place])
        if best is not None:
            place[best] = at
            taken.add(at)
            if kind(skeleton[at]) != "free":
                guessed.add(best)
    for number in _between(skeleton, cells, place):
        place[number[0]] = number[1]
        guessed.add(number[0])
    return place, guessed


def _best(given, candidates: list) -> int | None:
    """The student's cell that is this released cell with its metadata lost, or None."""
    wanted = _names(given.source) if kind(given) == "answer" else set()
    if wanted:
        for number, cell in candidates:
            if cell.cell_type == "code" and wanted & _names(cell.source):
                return number
        return None
    for number, cell in candidates:
        if _same(cell.source, given.source):
            return number
    if kind(given) in ("test", "locked") and len(given.source) > 20:
        scored = [(_likeness(cell.source, given.source), number) for number, cell in candidates]
        score, number = max(scored, default=(0.0, None))
        return number if score > 0.85 else None
    return None


def _between(skeleton, cells, place) -> list[tuple[int, int]]:
    """Answers still without a cell: the one student cell of their type that stands where they should stand."""
    found = []
    if not any(kind(skeleton[at]) != "free" for at in place.values()):
        return found  # no neighbours to go by: most likely another notebook
    for at, cell in enumerate(skeleton):
        if kind(cell) not in ("answer", "manual") or at in place.values():
            continue
        before = max((n for n, p in place.items() if p < at), default=-1)
        after = min((n for n, p in place.items() if p > at), default=len(cells))
        free = [n for n in range(before + 1, after)
                if n not in place and cells[n].cell_type == cell.cell_type and cells[n].source.strip()]
        if len(free) == 1:
            found.append((free[0], at))
    return found


def _check_assignment(source: Source, cells: list, place: dict[int, int], name: str) -> None:
    own = {at for at, cell in enumerate(source.skeleton.cells) if kind(cell) in ("answer", "manual", "test")}
    found = own & set(place.values())
    known = {grade_id(cell) for cell in source.skeleton.cells}
    foreign = {grade_id(cell) for cell in cells if grade_id(cell)} - known
    if len(found) * 4 >= len(own) and len(found) >= len(foreign):
        return
    if found and not foreign:
        return
    seen = f" (it has the cells {', '.join(sorted(foreign)[:4])})" if foreign else ""
    raise Unreadable(
        f"The notebook is not {name}: it holds {len(found)} of its {len(own)} tasks{seen}. "
        "Ask the student for the right one.", "wrong assignment")


def _answer(at_cell, stub: str, parts: list[str], name: str, notes: list[str]) -> str:
    """The student's text for one answer cell, from one cell or several that claim to be it."""
    texts = list(dict.fromkeys(text.strip("\n") for text in parts))
    if len(texts) > 1:
        texts = [text for text in texts if not _same(text, stub) and text.strip()] or [stub]
    if len(parts) > 1:
        notes.append(f"{len(parts)} cells claimed to be the answer {name}: they were taken together, in their order.")
    joined = "\n\n".join(texts)
    if at_cell.cell_type == "code" and len(texts) > 1 and not _parses(joined):
        alone = "\n".join(texts)
        working = [text for text in texts if _parses(text)]
        joined = alone if _parses(alone) or not working else working[-1]
    return joined


def repair(source: Source, submission: NotebookNode, assignment: str) -> Repaired:
    """Rebuild the submission on the skeleton; Unreadable (status 'wrong assignment') where it is another notebook."""
    cells, skeleton, released = submission.cells, source.skeleton.cells, source.released.cells
    place, guessed = _match(source, cells)
    _check_assignment(source, cells, place, assignment)
    result = Repaired(copy.deepcopy(source.skeleton))
    notes, texts, extra, last = result.notes, {}, {}, -1
    for number, cell in enumerate(cells):
        at = place.get(number)
        if at is None:
            if cell.source.strip():
                extra.setdefault(last, []).append(cell)
            continue
        texts.setdefault(at, []).append(cell)
        last = at
    order = [place[number] for number in sorted(place) if kind(skeleton[place[number]]) != "free"]
    if order != sorted(order):
        notes.append("Cells stood in another order: they were put back into the order of the release.")
    if guessed:
        notes.append(f"{len(guessed)} cells had lost their nbgrader metadata: they were found by what they contain.")
    built = []
    for at, cell in enumerate(result.notebook.cells):
        own = texts.get(at, [])
        if at == 0:
            built += _extras(extra.get(-1, []), len(built), result)
        if own or kind(skeleton[at]) != "free":
            built.append(_fill(cell, kind(skeleton[at]), released[at], own, result))
        built += _extras(extra.get(at, []), len(built), result)
    result.notebook.cells = built
    return result


def _fill(cell, what: str, given, own: list, result: Repaired):
    name, notes = grade_id(cell), result.notes
    if what in ("answer", "manual"):
        if not own:
            cell.source = given.source
            notes.append(f"The answer cell {name} was missing: it was put back as released.")
        else:
            cell.source = _answer(cell, given.source, [one.source for one in own], name, notes)
            if any(one.cell_type != cell.cell_type for one in own):
                notes.append(f"The answer cell {name} had become a {own[0].cell_type} cell: its type was restored.")
            versions = {one.metadata.get("nbgrader", {}).get("schema_version") for one in own if grade_id(one)}
            if versions - {3}:
                notes.append(f"The nbgrader metadata of {name} was damaged: it was taken from the release.")
        if _same(cell.source, given.source):
            result.untouched.add(name)
    elif what in ("test", "locked"):
        if not own:
            notes.append(f"The locked cell {name} was missing: it was put back.")
        elif not any(_same(one.source, text) for one in own for text in (given.source, cell.source)):
            notes.append(f"The locked cell {name} had been changed: the original was used.")
    else:
        # A cell without nbgrader's mark may be changed as the student likes, and thrown away.
        result.extra.add(cell.get("id", ""))
        return _own_cell(own[0], cell.get("id", ""))
    return cell


def _own_cell(cell, name: str):
    new = new_code_cell(cell.source) if cell.cell_type == "code" else new_markdown_cell(cell.source)
    new["id"] = name
    return new


def _extras(cells: list, number: int, result: Repaired) -> list:
    made = [_own_cell(cell, f"extra-{number + offset}") for offset, cell in enumerate(cells)]
    result.extra.update(cell["id"] for cell in made)
    return made
