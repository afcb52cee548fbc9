"""The look of the plots of this package: a figure that notebooks show by themselves, its panels, colours and legends.

Holds no data. Figures use none of the global state of matplotlib; their ground is transparent and their ink neutral, so
that they read on a light and on a dark page alike.
"""

from __future__ import annotations

import io
import math
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tessera.pytree.plotting.palette import GRID, INK

_LONGEST = 44


class PlotFigure(Figure):
    """A matplotlib figure with a canvas of its own; a notebook shows it as a picture."""

    def _repr_png_(self) -> bytes:
        return as_png(self)


def as_png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as PNG; equal figures give equal bytes."""
    buffer = io.BytesIO()
    # No Software tag: the picture does not change with the version that drew it.
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def panels(
    n: int, *, width: float = 4.3, height: float = 2.6, columns: int = 3, **options: Any
) -> tuple[Figure, list[Any]]:
    """A figure with `n` panels of the given inches in rows of at most `columns`; `options` go to `subplots`."""
    columns = min(n, columns)
    rows = math.ceil(n / columns)
    figure = PlotFigure(figsize=(width * columns, height * rows + 0.2), layout="constrained", facecolor="none")
    FigureCanvasAgg(figure)
    grid = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for axes in grid[n:]:
        axes.remove()
    for axes in grid[:n]:
        axes.set_facecolor("none")
        axes.tick_params(colors=INK, labelsize=8.5)
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.margins(x=0.02)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(INK)
        for text in (axes.xaxis.label, axes.yaxis.label):
            text.set_color(INK)
            text.set_fontsize(9)
    return figure, grid[:n]


def title(axes: Any, text: str) -> None:
    """The heading of a panel, at its left edge."""
    axes.set_title(shorten(text), loc="left", fontsize=10, fontweight="bold", color=INK)


def note(figure: Figure, text: str) -> None:
    """A line above all panels."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=9, color=INK)


def legend(axes: Any, **options: Any) -> None:
    """The names of the lines, right of the panel."""
    place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "borderaxespad": 0.2, **options}
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, handlelength=1.2, handletextpad=0.5, **place)


def shorten(text: str) -> str:
    """A text cut in its middle where it is too long for a panel."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST // 2 - 2]} … {text[-_LONGEST // 2 + 1 :]}"
