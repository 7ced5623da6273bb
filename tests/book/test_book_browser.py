"""The pages in a real browser: no request leaves the site, no error, sliders by keyboard, equations drawn."""

import functools
import http.server
import shutil
import threading
from urllib.parse import urlsplit

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'nvpkit[dev]'")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the pages cannot be opened")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address(site, tmp_path_factory):
    """The site under the path that it has on its public host: the page for missing addresses counts on that."""
    import site_address

    place = urlsplit(site_address.pages(site_address.repository()[0])).path.strip("/")
    top = tmp_path_factory.mktemp("host")
    (top / place).symlink_to(site, target_is_directory=True)
    handler = functools.partial(Quiet, directory=str(top))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{place}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def visit(browser, address, page, width, scheme):
    """Open a page; return it with the requests that left the site, the failed ones and the console's errors."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    tab = context.new_page()
    faults = []
    tab.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else faults.append(r.url))
    tab.on("requestfailed", lambda r: faults.append(f"failed: {r.url}"))
    tab.on("response", lambda r: faults.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
    tab.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.goto(f"{address}{page}.html", wait_until="load")
    if tab.locator(".math").count():
        tab.wait_for_function("window.MathJax?.startup?.promise?.then(() => true)")
    return tab, faults


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pages_are_quiet_local_and_fit(browser, address, pages, width, scheme):
    for page in [*pages, "search", "genindex", "404"]:
        tab, faults = visit(browser, address, page, width, scheme)
        assert faults == [], page
        assert tab.evaluate("document.documentElement.dataset.theme") == scheme
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, f"{page} scrolls sideways"
        formulas = tab.locator(".math").count()
        assert tab.locator("mjx-container").count() >= formulas, page
        assert tab.locator("mjx-merror").count() == 0, page
        tab.context.close()


def test_equations_are_many_where_they_should_be(browser, address, chapters):
    for page in chapters:
        tab, _ = visit(browser, address, page, 1280, "light")
        assert tab.locator("mjx-container").count() > 50, page
        box = tab.locator("mjx-container[display=true]").first.bounding_box()
        assert box["height"] > 10, page
        tab.context.close()


def test_sliders_move_by_keyboard(browser, address, chapters):
    moved = 0
    for page in chapters:
        tab, faults = visit(browser, address, page, 1280, "dark")
        for slider in tab.locator(".nvp-slider").all():
            handle, drawing = slider.locator("input"), slider.locator("svg")
            before, said = drawing.inner_html(), handle.get_attribute("aria-valuetext")
            handle.focus()
            for _ in range(30):
                handle.press("ArrowRight")
            assert drawing.inner_html() != before, page
            assert handle.get_attribute("aria-valuetext") != said, page
            assert slider.locator("label").inner_text().strip(), page
            handle.press("Home")
            assert float(handle.input_value()) == 0
            moved += 1
        assert faults == [], page
        tab.context.close()
    assert moved >= 3


def test_slider_follows_the_theme(browser, address):
    colours = []
    for scheme in ("light", "dark"):
        tab, _ = visit(browser, address, "book/nice", 1280, scheme)
        drawing = tab.locator(".nvp-slider svg").first
        colours.append(drawing.evaluate("node => getComputedStyle(node).color"))
        tab.context.close()
    assert colours[0] != colours[1]


def test_answers_unfold(browser, address):
    tab, _ = visit(browser, address, "book/change-of-variables", 390, "light")
    answer = tab.locator("div.solution").first
    text = answer.locator("section, p").last
    assert not text.is_visible()
    answer.locator("button, summary, .toggle-button").first.click()
    text.wait_for(state="visible", timeout=3000)
    tab.context.close()
