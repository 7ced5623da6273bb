"""One look for every figure of the book."""

import matplotlib.pyplot as plt


def figure_style():
    """Letters that stay readable on a phone, white ground that stays readable on a dark page."""
    plt.rcParams.update(
        {
            "figure.figsize": (6.0, 3.2),
            "figure.dpi": 120,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "font.size": 12,
            "axes.titlesize": 12,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
