"""What every picture does with the axes that it is given, or not given."""

import matplotlib.pyplot as plt


def drawn_on_axes_given_and_on_new_ones(draw):
    """Check that ``draw(ax)`` draws there and opens no figure, and that ``draw(None)`` makes a white one; return it."""
    _, ax = plt.subplots()
    before = plt.get_fignums()
    assert draw(ax) is ax
    assert plt.get_fignums() == before
    new = draw(None)
    assert new is not ax
    assert new.figure.get_facecolor() == (1, 1, 1, 1)
    new.figure.canvas.draw()
    return new
