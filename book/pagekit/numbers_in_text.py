"""Numbers that a cell computes and the text around it quotes."""

import re

from IPython.display import Markdown, display

_VALUES = {}
_ROLE = re.compile(r"\{glue:text\}`([^`:]+)(?::([^`]*))?`")


def glue(name, value):
    """Keep `value` (a number or a string) under `name`, for the text of the page.

    The record that is shown is the one that the book's builder looks for; elsewhere it prints nothing.
    """
    value = value.item() if hasattr(value, "item") else value
    _VALUES[name] = value
    display(
        {"application/papermill.record/text/plain": repr(value)},
        raw=True,
        metadata={"scrapbook": {"name": name, "mime_prefix": "application/papermill.record/"}},
    )


def say(text):
    """Show `text` as Markdown with its glued numbers filled in: what a notebook does where the book has prose."""
    display(Markdown(_ROLE.sub(lambda m: format(_VALUES[m[1]], m[2] or ""), text)))
