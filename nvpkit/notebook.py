"""What the picture cells of the assignments need: figures with a description, and cells that wait for a task."""

import base64
import contextlib
import html
import io

import matplotlib.pyplot as plt


def show(figure, description):
    """Display a matplotlib figure as an image with ``description`` as its alt text, and close it.

    Jupyter and Colab drop the alt text of their own image outputs, so the image goes out as HTML. A reader without
    images, or a terminal, gets the description.
    """
    from IPython.display import display

    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=90, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    source = base64.b64encode(png.getvalue()).decode()
    image = f'<img alt="{html.escape(description)}" src="data:image/png;base64,{source}" style="max-width: 100%">'
    display({"text/html": image, "text/plain": f"Figure: {description}"}, raw=True)


@contextlib.contextmanager
def picture(task):
    """Run a cell's drawing code; where the code of ``task`` is missing or wrong, say so in one line and go on.

    >>> with picture("scaling"):
    ...     raise NotImplementedError
    Finish the task `scaling` to see this picture. (It stopped with NotImplementedError.)
    """
    try:
        yield
    except Exception as error:
        # A half-drawn figure would be shown at the end of the cell.
        plt.close("all")
        first = str(error).strip().split("\n")[0]
        reason = f"{type(error).__name__}: {first}" if first else type(error).__name__
        print(f"Finish the task `{task}` to see this picture. (It stopped with {reason}.)")
