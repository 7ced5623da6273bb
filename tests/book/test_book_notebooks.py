"""The notebooks that Colab opens: made from the pages, equal to them, and running."""

import re
import subprocess
import sys
import types

import nbformat
import pytest
from bs4 import BeautifulSoup


@pytest.fixture(scope="module")
def notebooks(root):
    from colab_notebooks import code_pages

    return {page: nbformat.read(root / f"{page}.ipynb", as_version=4) for page in code_pages()}


def _made_here(cell):
    return "google.colab" in cell.source or cell.source.startswith("from pagekit import say\n\nsay(")


def test_every_page_with_code_has_its_notebook_up_to_date(root):
    from colab_notebooks import code_pages, notebook

    pages = code_pages()
    assert {"book/change-of-variables", "book/nice"} <= set(pages)
    for page in pages:
        stored = (root / f"{page}.ipynb").read_text(encoding="utf8")
        assert stored == notebook(page), f"{page}.ipynb is stale: run python book/_ext/colab_notebooks.py"


def test_the_command_reports_drift(root, tmp_path, monkeypatch, capsys):
    import colab_notebooks

    assert colab_notebooks.main(["--check"]) == 0
    monkeypatch.setattr(colab_notebooks, "notebook", lambda page: "something else")
    before = (root / "book" / "nice.ipynb").read_bytes()
    assert colab_notebooks.main(["--check"]) == 1
    assert "book/nice.ipynb differs from its page" in capsys.readouterr().out
    assert (root / "book" / "nice.ipynb").read_bytes() == before


def test_notebooks_are_valid_and_without_outputs(notebooks):
    for page, book in notebooks.items():
        nbformat.validate(book)
        assert len({cell.id for cell in book.cells}) == len(book.cells)
        assert all(not cell.get("outputs") for cell in book.cells), page


def test_code_cells_are_those_of_the_page_that_the_build_executes(root, notebooks):
    import jupytext

    for page, book in notebooks.items():
        source = jupytext.read(root / f"{page}.md", fmt="md:myst")
        wanted = [cell.source for cell in source.cells if cell.cell_type == "code"]
        assert [c.source for c in book.cells if c.cell_type == "code" and not _made_here(c)] == wanted


def test_no_directive_or_role_is_left(notebooks):
    for page, book in notebooks.items():
        for cell in book.cells:
            if cell.cell_type == "markdown":
                prose = re.sub(r"```.*?```", "", cell.source, flags=re.S)
                assert not re.search(r"\{[\w:-]+\}`|^:{3,}|^\(\S+\)=|^:\w+:", prose, re.M), (page, prose)
                assert not re.search(r"\\(R|E|N)(?![a-zA-Z])", prose), (page, prose)
                assert "](" not in prose or not re.search(r"\]\((?!https://)", prose), (page, prose)


def test_numbers_are_those_of_the_site(root, site):
    from references import numbers

    table = numbers(root)
    for page in {page for _, _, page in table.values()}:
        soup = BeautifulSoup((site / f"{page}.html").read_text(encoding="utf8"), "html.parser")
        shown = [span.text.strip() for span in soup.select("main .caption-number")]
        equations = [span.get_text().strip("()\u00b6#") for span in soup.select("main .eqno")]
        mine = [(kind, number) for kind, number, where in table.values() if where == page]
        labels = {f"{'Fig.' if kind == 'fig' else kind.capitalize()} {n}" for kind, n in mine if kind != "equation"}
        assert labels == set(shown), page
        assert [n for kind, n in mine if kind == "equation"] == equations, page


def test_a_notebook_runs_from_top_to_bottom(root, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.delenv("MPLBACKEND", raising=False)  # Jupyter draws inline
    book = nbformat.read(root / "book" / "change-of-variables.ipynb", as_version=4)
    NotebookClient(book, timeout=180, resources={"metadata": {"path": str(root / "book")}}).execute()
    said = pictures = 0
    for cell in book.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.text
            data = output.get("data", {})
            assert "{glue" not in data.get("text/markdown", "")
            said += "text/markdown" in data
            pictures += "image/png" in data
    assert said >= 3
    assert pictures >= 3


def test_the_first_cell_acts_on_colab_only(notebooks, monkeypatch):
    import site_address

    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: calls.append(command))
    monkeypatch.setattr(sys, "path", list(sys.path))
    for page, book in notebooks.items():
        cell = next(c for c in book.cells if c.cell_type == "code")
        calls.clear()
        exec(cell.source, {})
        assert calls == [], page
        with monkeypatch.context() as colab:
            colab.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
            exec(cell.source, {})
        assert calls[0][:2] == ["git", "clone"]
        assert site_address.repository()[0] in calls[0]
        assert calls[1][1:4] == ["-m", "pip", "install"]
