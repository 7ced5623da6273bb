"""Figures with a description, and picture cells that wait for a task."""

import re

import matplotlib
import matplotlib.pyplot as plt
import pytest

from nvpkit.notebook import picture, show


@pytest.fixture(autouse=True)
def quiet_backend():
    before = matplotlib.get_backend()
    matplotlib.use("agg")
    yield
    plt.close("all")
    matplotlib.use(before)


@pytest.fixture
def displayed(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    return shown


def test_a_figure_goes_out_as_an_image_with_its_description_as_alt_text(displayed):
    figure, axis = plt.subplots()
    axis.plot([0, 1])
    show(figure, 'A line, "steep" & short')
    [bundle] = displayed
    assert 'alt="A line, &quot;steep&quot; &amp; short"' in bundle["text/html"]
    assert re.search(r'src="data:image/png;base64,iVBORw0KGgo', bundle["text/html"])
    assert bundle["text/plain"] == 'Figure: A line, "steep" & short'
    assert plt.get_fignums() == []


def test_code_that_works_is_left_alone(capsys):
    with picture("scaling"):
        print("drawn")
    assert capsys.readouterr().out == "drawn\n"


def test_missing_code_gives_one_line_and_no_half_figure(capsys):
    with picture("scaling"):
        plt.subplots()
        Scaling(2)  # noqa: F821
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "Finish the task `scaling`" in out
    assert "NameError: name 'Scaling' is not defined" in out
    assert plt.get_fignums() == []


def test_a_student_can_still_interrupt_a_long_picture():
    with pytest.raises(KeyboardInterrupt), picture("train_nice"):
        raise KeyboardInterrupt
