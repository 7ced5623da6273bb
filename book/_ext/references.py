"""The numbers and names that cross-references and citations of the book resolve to, without a Sphinx build."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import yaml

PROOFS = {"theorem", "proposition", "lemma", "corollary", "definition", "algorithm", "remark"}
_DIRECTIVE = re.compile(r"^:{3,}\{(prf:)?([\w-]+)\}\s*(.*)$")
_OPTION = re.compile(r"^:(label|name):\s*(\S+)\s*$")
_EQUATION = re.compile(r"^\$\$\s*\(([\w:-]+)\)\s*$")
_FIGURE = re.compile(r"^    name:\s*(\S+)\s*$")


def numbered_pages(root: Path) -> list[tuple[str, int | None]]:
    """Pages in the order of the table of contents, each with its chapter number or None."""
    toc = yaml.safe_load((root / "book" / "_toc.yml").read_text(encoding="utf8"))
    pages, chapter = [(toc["root"], None)], 0
    for part in toc.get("parts", []):
        for entry in part["chapters"]:
            chapter += bool(part.get("numbered"))
            pages.append((entry["file"], chapter if part.get("numbered") else None))
    return pages


@cache
def numbers(root: Path) -> dict[str, tuple[str, str, str]]:
    """label -> (kind, number, page); kinds: equation, fig, exercise, theorem and the other proof kinds."""
    table = {}
    for page, chapter in numbered_pages(root):
        source = root / f"{page}.md"
        if not source.exists():
            continue
        counts, pending = {}, None
        for line in source.read_text(encoding="utf8").splitlines():
            if match := _DIRECTIVE.match(line):
                kind = match[2]
                pending = kind if (match[1] and kind in PROOFS) or kind == "exercise" else None
                if pending:
                    counts[kind] = counts.get(kind, 0) + 1
            elif pending and (match := _OPTION.match(line)):
                table[match[2]] = (pending, _number(chapter, counts[pending]), page)
            elif match := _EQUATION.match(line) or _FIGURE.match(line):
                kind = "equation" if line.startswith("$$") else "fig"
                counts[kind] = counts.get(kind, 0) + 1
                table[match[1]] = (kind, _number(chapter, counts[kind]), page)
    return table


def _number(chapter, count):
    return f"{chapter}.{count}" if chapter else str(count)


class Bibliography:
    """Author, year and address of each entry of book/references.bib."""

    def __init__(self, root: Path):
        from pybtex.database import parse_file

        self.entries = parse_file(str(root / "book" / "references.bib")).entries

    def cite(self, key: str, textual: bool) -> str:
        """The citation as a Markdown link; textual: "Dinh et al. (2014)", else "(Dinh et al., 2014)"."""
        entry = self.entries[key]
        names = [" ".join([*p.prelast_names, *p.last_names]).replace("{", "").replace("}", "")
                 for p in entry.persons["author"]]
        who = names[0] if len(names) == 1 else f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        year, address = entry.fields["year"], f"https://doi.org/{entry.fields['doi']}"
        return f"{who} ([{year}]({address}))" if textual else f"([{who}, {year}]({address}))"


@cache
def targets(root: Path) -> dict[str, str]:
    """label -> page, for labels that stand before a page's title: (label)=."""
    found = {}
    for page, _ in numbered_pages(root):
        source = root / f"{page}.md"
        if source.exists():
            for label in re.findall(r"^\(([\w:-]+)\)=\s*$", source.read_text(encoding="utf8"), re.M):
                found[label] = page
    return found
