"""Notebooks for Colab: book/<page>.ipynb beside each book/<page>.md that has code, made from it, never edited.

Colab does not open .md files and shows MyST directives as code. So each page is turned into a plain notebook:
directives become headings and folded answers, cross-references become numbers and links, numbers that the book's
builder fills into the text become small cells that print the sentence. The code cells stay what they are.

    python book/_ext/colab_notebooks.py           write the notebooks
    python book/_ext/colab_notebooks.py --check   say which ones differ from their pages; exit status 1 if any does
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import site_address
from plain_markdown import PlainMarkdown
from references import Bibliography, numbered_pages

ROOT = Path(__file__).resolve().parents[2]

SETUP = '''\
# On Colab this cell fetches the course and installs nvpkit. Anywhere else it does nothing.
import subprocess
import sys
from pathlib import Path

if "google.colab" in sys.modules:
    course = Path("/content/course")
    if not course.exists():
        subprocess.run(["git", "clone", "--depth", "1", "--branch", "{branch}", "{url}", str(course)], check=True)
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", str(course)], check=True)
    sys.path.insert(0, str(course / "book"))
'''


def code_pages(root: Path = ROOT) -> list[str]:
    """Pages of the table of contents, in order, whose source holds code cells; paths relative to root, no suffix."""
    pages = [page for page, _ in numbered_pages(root)]
    return [p for p in pages if (root / f"{p}.md").exists() and "{code-cell}" in _read(root, p)]


def notebook(page: str, root: Path = ROOT) -> str:
    """The text of the notebook for one page."""
    import jupytext

    text = _read(root, page)
    plain = PlainMarkdown(page, root, Bibliography(root), set(code_pages(root)))
    url, branch = site_address.repository()
    published = f"{site_address.pages(url)}{page}.html"
    note = f"*This notebook is made from [a page of the book]({published}). Its code cells are the page's code cells.*"
    cells = [_code(SETUP.format(url=url, branch=branch).rstrip(), ["hide-input"])]
    for cell in jupytext.reads(text, fmt="md:myst").cells:
        if cell.cell_type == "code":
            cells.append(_code(cell.source, cell.metadata.get("tags", [])))
            caption = plain.caption(cell.metadata)
            if caption:
                cells.append(_markdown(caption))
        else:
            for kind, part in plain.parts(cell.source):
                cells.append(_markdown(part) if kind == "text" else _code(_say(part), ["remove-input"]))
    # The title comes first, then the cell that installs.
    first = next(i for i, cell in enumerate(cells) if cell["cell_type"] == "markdown")
    cells[0], cells[first] = cells[first], cells[0]
    cells.insert(1, _markdown(note))
    for number, cell in enumerate(cells):
        cell["id"] = f"{Path(page).name}-{number:03d}"
    book = {
        "cells": [dict(sorted(cell.items())) for cell in cells],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"


def _read(root, page):
    return (root / f"{page}.md").read_text(encoding="utf8")


def _say(paragraph):
    return f'from pagekit import say\n\nsay(r"""\n{paragraph}\n""")'


def _markdown(text):
    return {"cell_type": "markdown", "metadata": {}, "source": text.strip().splitlines(keepends=True)}


def _code(source, tags):
    metadata = {"tags": sorted(tags)} if tags else {}
    if {"hide-input", "remove-input", "remove-cell"} & set(tags):
        # Both hide the source and keep the output: the first is Colab's word for it, the second JupyterLab's.
        metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}
    lines = source.splitlines(keepends=True)
    return {"cell_type": "code", "execution_count": None, "metadata": metadata, "outputs": [], "source": lines}


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit status 1 if a notebook differs")
    check = parser.parse_args(arguments).check
    stale = []
    for page in code_pages():
        path, wanted = ROOT / f"{page}.ipynb", notebook(page)
        if path.exists() and path.read_text(encoding="utf8") == wanted:
            continue
        stale.append(path.relative_to(ROOT).as_posix())
        if not check:
            path.write_text(wanted, encoding="utf8")
    for name in stale:
        print(f"{name} differs from its page: run python book/_ext/colab_notebooks.py" if check else f"wrote {name}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
