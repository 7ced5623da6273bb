"""What the book's pages share: numbers that go from cells into the text, and sliders that need no kernel."""

from pagekit.figures import figure_style
from pagekit.numbers_in_text import glue, say
from pagekit.sliders import layer_slider, map_slider

__all__ = ["figure_style", "glue", "layer_slider", "map_slider", "say"]
