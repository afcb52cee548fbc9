"""Colours of plots and of the dashboard. They read on a light and on a dark ground alike."""

INK = "#7b8494"
GRID = "#7b849440"
COLOURS = ("#3b82c4", "#e08a3c", "#3f9e77", "#b0599f", "#c94f4f", "#8a7ec8", "#4aa3a8", "#9a7b4f")
MARK = "#c94f4f"


def colour(number: int) -> str:
    """The colour of the line of this number."""
    return COLOURS[number % len(COLOURS)]
