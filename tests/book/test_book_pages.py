"""What holds for every page of the built book."""

import re
import subprocess
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

FETCHED = {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "modulepreload"}
EXTERNAL = re.compile(r"^(https?:)?//")


@pytest.fixture(scope="module")
def soups(site, pages):
    return {page: BeautifulSoup((site / f"{page}.html").read_text(encoding="utf8"), "html.parser") for page in pages}


def test_every_page_of_the_contents_is_there(site, pages):
    for page in pages:
        assert (site / f"{page}.html").stat().st_size > 5_000, page
    assert (site / "index.html").exists()


def test_the_assignment_is_a_page_and_was_not_executed(soups):
    page = soups["assignments/a2-nice/a2-nice"]
    assert "NotImplementedError" in page.text
    assert not page.select("div.cell_output")


def test_images_say_what_they_show(soups):
    for page, soup in soups.items():
        for image in soup.select("img"):
            alt = image.get("alt", "")
            assert alt, (page, image)
            assert not re.search(r"[0-9a-f]{16}|\.(png|svg)$", alt), (page, image)
        for image in soup.select("main div.cell_output img"):
            assert len(image["alt"]) > 30, (page, image["alt"])
        for drawing in soup.select('svg[role="img"]'):
            assert len(drawing["aria-label"]) > 30, page


def test_figures_are_numbered_and_captioned(soups, chapters):
    for page in chapters:
        figures = soups[page].select("main figure")
        inside = [f for f in figures if f.select("img, svg")]
        loose = [i for i in soups[page].select("main div.cell_output img") if i.find_parent("figure") is None]
        assert len(inside) >= 5, page
        assert not loose, page
        for figure in inside:
            assert re.match(r"Fig\. \d+\.\d+", figure.figcaption.text.strip()), (page, figure.figcaption)


def test_nothing_is_fetched_from_elsewhere(site, soups):
    for page, soup in soups.items():
        for tag in soup.select("script[src], img[src], iframe, video, source, embed, object"):
            assert not EXTERNAL.match(tag.get("src") or ""), (page, tag)
        for tag in soup.select("link[href]"):
            if set(tag.get("rel", [])) & FETCHED:
                assert not EXTERNAL.match(tag["href"]), (page, tag)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(https?:)?//", sheet.read_text(encoding="utf8")), sheet


def test_mathjax_comes_with_the_site_and_only_what_is_used(site, soups):
    folder = site / "_static" / "mathjax"
    assert (folder / "tex-chtml.js").stat().st_size > 500_000
    assert {p.suffix for p in folder.rglob("*") if p.is_file()} == {".js", ".woff"}
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 2_500_000
    for page, soup in soups.items():
        if soup.select(".math"):
            assert any("mathjax/tex-chtml.js" in s["src"] for s in soup.select("script[src]")), page


def test_internal_links_resolve(site, soups):
    for page, soup in soups.items():
        here = site / f"{page}.html"
        for link in soup.select("a[href]"):
            parts = urlsplit(link["href"])
            if parts.scheme or parts.netloc:
                continue
            target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
            assert target.exists(), (page, link["href"])
            if parts.fragment and target.suffix == ".html":
                text = target.read_text(encoding="utf8")
                assert f'id="{unquote(parts.fragment)}"' in text, (page, link["href"])


def test_citations_are_in_the_bibliography(root, soups):
    from pybtex.database import parse_file

    entries = parse_file(str(root / "book" / "references.bib")).entries
    cited = set()
    for source in (root / "book").glob("*.md"):
        cited |= set(re.findall(r"\{cite:[tp]\}`([^`]+)`", source.read_text(encoding="utf8")))
    assert cited <= set(entries)
    for entry in entries.values():
        assert re.fullmatch(r"\d{4}\.\d{5}|\d{4}\.\d{4}", entry.fields["eprint"])
        assert entry.fields["doi"] == f"10.48550/arXiv.{entry.fields['eprint']}"
    listed = soups["book/bibliography"].text
    for entry in entries.values():
        assert entry.fields["eprint"] in listed
    for page, soup in soups.items():
        assert "[?]" not in soup.select_one("main").text, page


def test_colab_buttons_open_notebooks_of_the_repository(root, soups, pages):
    import site_address
    from colab_notebooks import code_pages

    start, with_code = site_address.colab(""), code_pages(root)
    assert {"book/nice", "book/notation"} <= set(with_code)
    for page, soup in soups.items():
        links = [a["href"] for a in soup.select('a[href*="colab"]')]
        if page not in with_code and not page.startswith("assignments/"):
            assert links == [], f"{page} has no code, and nothing to open in Colab"
            continue
        assert links, f"{page} has no Colab link"
        assert links[0] == f"{start}{page}.ipynb"
        for link in links:
            path = link.removeprefix(start)
            assert (root / path).is_file(), (page, link)
            if (root / ".git").exists():
                subprocess.run(["git", "ls-files", "--error-unmatch", path], cwd=root, check=True, capture_output=True)


def test_the_address_stands_in_one_place(root):
    import site_address

    url, _ = site_address.repository()
    name = url.split("//")[1]
    sources = [root / "_config.yml"]
    for pattern in ("*.md", "*.yml", "*.bib", "_ext/*.py", "pagekit/*", "_static/*"):
        sources += [p for p in (root / "book").glob(pattern) if p.is_file()]
    holders = {p.name: p.read_bytes().count(name.encode()) for p in sources}
    assert {n: count for n, count in holders.items() if count} == {"_config.yml": 1}


def test_chapters_keep_the_standard(root, soups, chapters):
    for page in chapters:
        main = soups[page].select_one("main")
        headings = {h.get_text().rstrip("#").strip() for h in main.select("h2")}
        assert {"A picture first", "Exercises", "Summary", "References"} <= headings, (page, headings)
        assert main.select(".admonition.objectives"), page
        assert main.select(".admonition.predict details"), page
        exercises = main.select("div.exercise")
        assert 4 <= len(exercises) <= 6, page
        assert len(main.select("div.solution.dropdown")) == len(exercises), page
        assert main.select(".nvp-slider input[type=range]"), page
        assert len(main.select(".eqno")) >= 5, page


def test_random_numbers_are_seeded(root):
    drawing = re.compile(r"torch\.(rand|randn|randperm|randint)\(|nn\.Linear\(|\bMLP\(|\.sample\(|\bnice\(")
    for source in (root / "book").glob("*.md"):
        text = "\n".join(re.findall(r"```\{code-cell\}.*?\n(.*?)```", source.read_text(encoding="utf8"), re.S))
        first = drawing.search(text)
        seed = text.find("manual_seed")
        assert first is None or 0 <= seed < first.end() + 120, f"{source.name} draws before it seeds"
