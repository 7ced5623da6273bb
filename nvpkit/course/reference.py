"""Finds answers that are nvpkit's own: an answer cell that imports or names its layers earns nothing for its task."""

import ast
import contextlib
from dataclasses import dataclass

from nvpkit.course.notebooks import Source, grade_id, kind

ROOMS = frozenset({"bijections", "models", "flow", "checks", "applications", "recipes"})
DOORS = ROOMS | {"Flow", "Bijection"}
MODULES = {"nvpkit"} | {f"nvpkit.{room}" for room in ROOMS}


@dataclass(frozen=True)
class Use:
    """One use of nvpkit's own layers: the task it belongs to and the line."""

    task: str
    line: int
    text: str

    def sentence(self) -> str:
        """What the student and the report read."""
        return (f"line {self.line} of the answer, `{self.text}`, uses nvpkit's own layers: "
                "the task asks for your own, so it earns nothing")


def _forbidden_module(name: str) -> bool:
    parts = name.split(".")
    return parts[0] == "nvpkit" and len(parts) > 1 and parts[1] in DOORS


def _chain(node) -> str:
    """'a.b.c' for an attribute chain that starts at a name, else ''."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


class _Reader(ast.NodeVisitor):
    """Collects the lines that use nvpkit's layers, and the names that stand for them."""

    def __init__(self, aliases: dict[str, str]):
        self.aliases, self.lines = dict(aliases), []

    def visit_Import(self, node):
        for name in node.names:
            if _forbidden_module(name.name):
                self.lines.append(node.lineno)
            if name.name.split(".")[0] == "nvpkit":
                self.aliases[name.asname or "nvpkit"] = name.name if name.asname else "nvpkit"

    def visit_ImportFrom(self, node):
        module = node.module or ""
        for name in node.names:
            full = f"{module}.{name.name}"
            if module == "nvpkit" and name.name == "*":
                continue
            if _forbidden_module(module) or _forbidden_module(full):
                self.lines.append(node.lineno)
            if module.split(".")[0] == "nvpkit":
                self.aliases[name.asname or name.name] = full

    def visit_Attribute(self, node):
        first, _, rest = _chain(node).partition(".")
        if first in self.aliases and _forbidden_module(f"{self.aliases[first]}.{rest}"):
            self.lines.append(node.lineno)
        else:
            self.generic_visit(node)

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load) and _forbidden_module(self.aliases.get(node.id, "")):
            self.lines.append(node.lineno)

    def visit_Constant(self, node):
        # import_module("nvpkit.bijections") and __import__ say the name in a string.
        if isinstance(node.value, str) and len(node.value) < 100 and _forbidden_module(node.value):
            self.lines.append(node.lineno)

    def visit_Assign(self, node):
        self.generic_visit(node)
        if self.lines and self.lines[-1] == node.lineno:
            for target in node.targets:
                if isinstance(target, ast.Name):
                    self.aliases[target.id] = "nvpkit.bijections"


def _read(code: str, aliases: dict[str, str]) -> _Reader:
    reader = _Reader(aliases)
    lines = [line if not line.lstrip().startswith(("%", "!")) else "" for line in code.splitlines()]
    with contextlib.suppress(SyntaxError, ValueError, RecursionError):  # such a cell will not run either
        reader.visit(ast.parse("\n".join(lines)))
    return reader


def find(source: Source, notebook) -> list[Use]:
    """Every use of nvpkit's layers in the answer cells of a repaired notebook; names that given cells bind are free."""
    stubs, released = source.released_text, {cell.source for cell in source.released.cells}
    aliases, students, uses = {}, set(), []  # what each name stands for; which of them a student's cell bound
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        what = kind(cell)
        if what in ("locked", "test") or (what == "free" and cell.source in released):
            # A test cell that reads a name which a student's cell took from nvpkit tests nvpkit, not the student.
            if what == "test":
                taken = {name for name in students & _loaded(cell.source) if _forbidden_module(aliases.get(name, ""))}
                task = grade_id(cell).removeprefix("test_")
                known = {use.task for use in uses}
                uses += [Use(task, 1, f"{name} = {aliases[name]}") for name in sorted(taken) if task not in known]
            students -= _bound(cell.source)
            modules = {name: full for name, full in _read(cell.source, {}).aliases.items() if full in MODULES}
            aliases = {name: full for name, full in aliases.items() if name in students} | modules
            continue
        reader = _read(cell.source, aliases)
        stub = {line.strip() for line in stubs.get(grade_id(cell), "").splitlines()}
        text = cell.source.splitlines()
        if what == "answer":
            for line in sorted(set(reader.lines)):
                if text[line - 1].strip() not in stub:
                    uses.append(Use(grade_id(cell), line, text[line - 1].strip()[:120]))
        fresh = {name for name, full in reader.aliases.items() if aliases.get(name) != full}
        aliases = reader.aliases
        for name in _bound(cell.source) - fresh:
            aliases.pop(name, None)
        students |= fresh
    return uses


def _bound(code: str) -> set[str]:
    """Names that a cell binds at its top level."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError):
        return set()
    names = set()
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(name.asname or name.name).split(".")[0] for name in node.names}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _loaded(code: str) -> set[str]:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
