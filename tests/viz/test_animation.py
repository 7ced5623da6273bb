"""Animations: one piece of HTML that plays in a browser by keyboard, without a kernel and without a network."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from nvpkit import viz

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Whether the upper left, upper right, lower left and lower right quarters of the picture hold a mark.
MARKS = """[[62, 22], [422, 22], [62, 382], [422, 382]].map(([x, y]) => document.querySelector("canvas")
    .getContext("2d").getImageData(x, y, 356, 356).data.some(value => value < 250))"""
STATES = torch.stack([torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.5]])])


def places_of(data, *shape):
    """Coordinates as shares of the picture, 0 to 1."""
    return 3 * np.frombuffer(base64.b64decode(data["points"]), "<u2").reshape(shape).astype(float) / 65535 - 1


def data_of(animation):
    return json.loads(re.search(r"const D = (\{.*\}), \[screen\]", animation.html).group(1))


def test_points_are_where_they_were_to_a_hundredth_of_a_pixel():
    states = torch.randn(4, 50, 2)
    data = data_of(viz.animate_movement(states, "points", limits=(-5, 5)))
    assert np.allclose(places_of(data, 4, 50, 2) * 10 - 5, states, atol=10 * 3 / 65535)
    assert data["labels"] == ["start", "layer 1", "layer 2", "layer 3"]
    assert data["box"] == ["-5", "5", "-5", "5"]
    assert len(data["group"]) == 50


def test_lines_keep_their_ends():
    lines = viz.grid_lines((-1, 1), n_lines=2)
    data = data_of(viz.animate_movement(torch.stack([lines, 2 * lines]), "a grid that doubles", limits=(-3, 3)))
    assert data["line"] == 64
    drawn = places_of(data, 2, 4, 64, 2) * 6 - 3
    for end in (0, -1):
        assert np.allclose(drawn[1, :, end], 2 * lines[:, end], atol=1e-3)


def test_images_are_the_grids_of_each_frame():
    frames = torch.rand(3, 2, 1, 4, 4)
    data = data_of(viz.animate_images(frames, "noise", n_columns=2, high=1))
    for frame, png in zip(frames, data["frames"]):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))
        assert np.array_equal(pixels, np.round(viz.image_grid(frame, 2, high=1).images[0].get_array() * 255))
    assert data_of(viz.animate_images(torch.rand(3, 64), "noise"))["labels"] == ["0", "1", "2"]
    colour = data_of(viz.animate_images(torch.rand(2, 3, 4, 4), "noise"))["frames"][0]
    assert Image.open(io.BytesIO(base64.b64decode(colour))).mode == "RGB"


def test_any_drawing_function_can_be_played():
    seen = []

    def draw(ax, i):
        seen.append(i)
        ax.plot([0, i], color=viz.BLUE)

    animation = viz.animate(draw, 3, "a line that rises", labels=["low", "middle", "high"], size=(2, 2))
    assert seen == [0, 1, 2]
    frames = data_of(animation)["frames"]
    assert len(set(frames)) == 3
    assert Image.open(io.BytesIO(base64.b64decode(frames[0]))).size == (200, 200)


def test_it_is_small_asks_for_nothing_outside_and_has_a_description():
    animation = viz.animate_movement(torch.randn(7, 600, 2), 'six hundred points become "round" & <small>')
    assert len(animation.html) < 60_000
    assert "http" not in animation.html
    assert 'aria-label="six hundred points become &quot;round&quot; &amp; &lt;small&gt;"' in animation.html
    assert animation._repr_html_() == animation.html
    assert viz.animate_movement(STATES, "a").html == viz.animate_movement(STATES, "a").html


def test_a_label_cannot_end_the_script():
    animation = viz.animate_movement(STATES, "$key KEY", labels=["</script><b>", "$data"])
    assert animation.html.count("</script>") == 1
    assert data_of(animation)["labels"] == ["</script><b>", "$data"]
    assert 'aria-label="$key KEY"' in animation.html


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the player cannot be opened")
def test_it_plays_by_keyboard_without_a_network(tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: it is in nvpkit[dev]")
    viz.animate_movement(STATES, "two points", labels=["before", "after"], seconds=0.2).save(tmp_path / "points.html")
    viz.animate_images(torch.rand(3, 1, 4, 4), "noise", seconds=0.2).save(tmp_path / "images.html")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(offline=True)
        for name, last, text in (("points", "1", "after"), ("images", "2", "2")):
            tab, faults = context.new_page(), []
            tab.on("pageerror", lambda error, faults=faults: faults.append(str(error)))
            tab.on("console", lambda message, faults=faults: faults.append(message.text))
            tab.goto((tmp_path / f"{name}.html").as_uri())
            screen = tab.locator("canvas, img")
            start = screen.screenshot()
            tab.keyboard.press("Tab")
            assert tab.evaluate("document.activeElement.tagName") == "BUTTON"
            tab.keyboard.press("Space")
            tab.wait_for_function(f"document.querySelector('input').value === '{last}'")
            tab.wait_for_function("document.querySelector('button').textContent === 'Play'")
            assert tab.text_content("output") == text
            assert screen.screenshot() != start
            tab.keyboard.press("Tab")
            tab.keyboard.press("Home")
            assert screen.screenshot() == start
            assert tab.get_attribute("input", "aria-valuetext") == {"points": "before", "images": "0"}[name]
            assert faults == []
            if name == "points":
                # From (0, 0) to (1, 1) goes up: marks at the lower left and at the upper right.
                assert tab.evaluate(MARKS) == [False, True, True, False]
        browser.close()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viz.animate_movement(STATES, " "), "alt is the text"),
        (lambda: viz.animate_movement(STATES[:1], "one"), "at least 2 frames"),
        (lambda: viz.animate_movement(STATES, "two", labels=["one"]), "2 states need as many labels, got 1"),
        (lambda: viz.animate_movement(STATES, "two", seconds=0), "seconds"),
        (lambda: viz.animate_movement(torch.zeros(2, 5, 3), "three"), r"\(2, 5, 3\)"),
        (lambda: viz.animate_images(torch.zeros(4), "none"), r"\(4,\)"),
        (lambda: viz.animate_images(torch.zeros(2, 7), "none"), "square"),
        (lambda: viz.animate_images(torch.zeros(2, 64), "two", labels=["one"]), "2 frames need"),
        (lambda: viz.animate(lambda ax, i: None, 1, "one"), "at least 2 frames"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
