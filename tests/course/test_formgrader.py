"""A person grades in nbgrader's formgrader, in a real JupyterLab and browser, and the kit keeps what was given."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from nvpkit.course.execute import Limits
from nvpkit.course.feedback import feedback
from nvpkit.course.grade import grade
from nvpkit.course.standing import class_standing
from tests.course.conftest import hand_in
from tests.course.samples import fill, solutions

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ATTACK = "Scaling buys volume. <script>window.attacked = true</script><img src=x onerror='window.attacked = true'>"


@pytest.fixture
def lab(course, tmp_path):
    """JupyterLab on a graded course; its address."""
    hand_in(course, "ada", fill({"scaling": solutions()["scaling"]}, ATTACK, pictures=False))
    grade(course, "a2-nice", workers=1, limits=Limits(cell=120), progress=False)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"HOME": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    with open(tmp_path / "lab.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
             "--ServerApp.token=", "--ServerApp.password=", f"--ServerApp.root_dir={course.root}"],
            cwd=course.root, env=env, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "lab.log").read_text()[-2000:]
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine to open formgrader in")
def test_a_score_given_in_formgrader_is_kept_by_the_kit(course, lab):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{lab}/lab")
        page.get_by_role("menuitem", name="Nbgrader").click()
        page.get_by_text("Formgrader", exact=True).first.click()
        frame = page.frame_locator("iframe")
        frame.get_by_role("link", name="a2-nice").first.wait_for()
        page.goto(f"{lab}/formgrader/gradebook/a2-nice/a2-nice")
        page.get_by_role("link", name="Submission #1").click()
        page.wait_for_function("typeof formgrader !== 'undefined' && formgrader.grades?.loaded"
                               " && formgrader.comments?.loaded")
        assert "Scaling buys volume." in page.content()
        assert page.evaluate("window.attacked") is None
        page.fill("#volume", "6.5")
        with page.expect_response(lambda answer: "/api/grade/" in answer.url and answer.request.method == "PUT"):
            page.press("#volume", "Tab")
        page.fill("#volume-comment", "Say why the determinant is one.")
        with page.expect_response(lambda answer: "/api/comment/" in answer.url and answer.request.method == "PUT"):
            page.locator("#volume-comment").blur()
        browser.close()

    with course.gradebook() as gradebook:
        given = gradebook.find_grade("volume", "a2-nice", "a2-nice", "ada")
        assert (given.manual_score, given.needs_manual_grade) == (6.5, False)
    grade(course, "a2-nice", workers=1, limits=Limits(cell=120), force=True, progress=False)
    (row,) = class_standing(course, "a2-nice").rows
    assert (row.auto, row.manual, row.total, row.status) == (7, 6.5, 13.5, "graded")
    feedback(course, "a2-nice", progress=False)
    html = (course.feedback / "ada" / "a2-nice" / "a2-nice.html").read_text()
    assert "Say why the determinant is one." in html
    assert "13.5 of 55 points" in html
    assert "<script" not in html
    assert "onerror=" not in html.replace("&lt;img src=x onerror=", "")
