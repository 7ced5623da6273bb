"""The book's own machinery: cache digest, addresses, plain Markdown, numbers in text, sliders."""

import json
import re
import shutil

import pytest
import torch


@pytest.fixture
def copy(root, tmp_path):
    """A copy of what decides about the execution cache."""
    for folder in ("nvpkit", "book/pagekit"):
        shutil.copytree(root / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "requirements.txt", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "matters"),
    [
        ("nvpkit/flow.py", True),
        ("nvpkit/bijections/scaling.py", True),
        ("book/pagekit/layers.js", True),
        ("requirements.txt", True),
        ("nvpkit/course/release.py", False),
        ("nvpkit/checks/grading.py", False),
    ],
)
def test_the_cache_depends_on_what_pages_use(copy, path, matters):
    from nvp_book import code_digest

    before = code_digest(copy)
    with (copy / path).open("a", encoding="utf8") as file:
        file.write("\n# a change\n")
    assert (code_digest(copy) != before) == matters


def test_addresses_follow_the_configuration(monkeypatch):
    import site_address

    monkeypatch.setattr(
        site_address,
        "_config",
        lambda: {
            "repository": {"url": "https://github.com/someone/fork/", "branch": "dev"},
            "launch_buttons": {"colab_url": "https://colab.example"},
        },
    )
    assert site_address.repository() == ("https://github.com/someone/fork", "dev")
    assert site_address.pages("https://github.com/someone/fork") == "https://someone.github.io/fork/"
    assert site_address.colab("book/x.ipynb") == "https://colab.example/github/someone/fork/blob/dev/book/x.ipynb"


@pytest.fixture
def plain(root):
    from colab_notebooks import code_pages
    from plain_markdown import PlainMarkdown
    from references import Bibliography

    return PlainMarkdown("book/nice", root, Bibliography(root), set(code_pages()))


def test_roles_become_numbers_and_links(plain):
    source = "See {eq}`eq-coupling`, {prf:ref}`thm-cov` and {numref}`fig-masks`; {cite:t}`dinh2014nice`."
    ((kind, text),) = plain.parts(source)
    assert kind == "text"
    assert text.startswith("See (2.1), [Theorem 1.2](https://colab")
    assert "Fig. 2.2" in text
    assert "Dinh et al. ([2014](https://doi.org/" in text


def test_directives_become_plain_markdown(plain):
    source = ":::{prf:proof}\nAs $\\R$ is.\n\n$$\na = b\n$$ (eq-coupling)\n:::\n"
    ((_, text),) = plain.parts(source)
    assert text.startswith("*Proof.* As $\\mathbb{R}$ is.")
    assert "\\tag{2.1}\n$$" in text
    ((_, folded),) = plain.parts("::::{solution} ex-zeros\n:class: dropdown\n\nYes.\n::::")
    assert folded == "<details><summary>Answer</summary>\n\nYes.\n\n</details>"


def test_glued_paragraphs_become_cells(plain):
    parts = list(plain.parts("One.\n\nIt is {glue:text}`x:.2f`.\n\nTwo."))
    assert parts == [("text", "One."), ("say", "It is {glue:text}`x:.2f`."), ("text", "Two.")]


def test_an_unknown_directive_is_an_error(plain):
    with pytest.raises(ValueError, match="no plain form"):
        list(plain.parts(":::{mystery}\nbody\n:::"))


def test_glue_and_say(monkeypatch):
    from pagekit import numbers_in_text

    shown = []
    monkeypatch.setattr(numbers_in_text, "display", lambda *data, **keywords: shown.append((data, keywords)))
    numbers_in_text.glue("loss", torch.tensor(1.23456))
    assert shown[0][1]["metadata"]["scrapbook"]["name"] == "loss"
    numbers_in_text.say("It is {glue:text}`loss:.2f` nats, $e^{x}$.")
    assert shown[1][0][0].data == "It is 1.23 nats, $e^{x}$."


def _data(widget):
    return json.loads(re.search(r"D = (\{.*\});", widget.data)[1])


def test_map_slider_carries_the_exact_slope():
    from pagekit import map_slider

    data = _data(map_slider(lambda x: x**3 + x, (-1, 1), alt="a cubic map", n=21))
    x, slope = torch.tensor(data["x"]), torch.tensor(data["d1"])
    assert torch.allclose(slope, 3 * x**2 + 1, atol=2e-3)
    assert data["f0"] == data["x"]


def test_layer_slider_keeps_every_frame():
    from pagekit import layer_slider

    frames = [torch.zeros(4, 2), torch.ones(4, 2), 2 * torch.ones(4, 2)]
    lines = [torch.zeros(3, 5, 2)] * 3
    widget = layer_slider(frames, ["a", "b", "c"], alt="three frames", lines=lines)
    data = _data(widget)
    assert [frame[0] for frame in data["points"]] == [0, 1, 2]
    assert [len(stage) for stage in data["lines"]] == [3, 3, 3]
    assert len(data["lines"][0][0]) == 10
    assert 'type="range"' in widget.data
    assert 'aria-label="three frames"' in widget.data
