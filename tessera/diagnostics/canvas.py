"""The ground that every figure of the project is drawn on: size, ink, grid, legend, and the way to PNG bytes.

Holds no figure (`plots` and the notebooks in `docs/internals` do). The ground is transparent and the ink neutral, so
that a figure reads on a light and on a dark page alike.
"""

from __future__ import annotations

import io
from typing import Any

from tessera.errors import TesseraError

MAX_BYTES = 60_000
INK = "#7b8494"
GRID = "#7b849440"
COLOURS = ("#3b82c4", "#e08a3c", "#3f9e77", "#b0599f", "#c94f4f", "#8a7ec8")


def blank(
    width: float, height: float, *, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Any, tuple[Any, ...]]:
    """An empty figure and its axes, row by row.

    Args:
        width, height: inches.
        rows, columns: of axes.
        options: of `Figure.subplots`, such as sharex or height_ratios.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    for axes in grid.flat:
        axes.set_facecolor("none")
        axes.tick_params(colors=INK, labelsize=9)
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(INK)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
        axes.title.set_color(INK)
    return figure, tuple(grid.flat)


def legend(axes: Any, **options: Any) -> None:
    """A legend without a frame."""
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, **options)


def thousands() -> Any:
    """Formatter of an axis: 1,234."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{value:,.0f}")


def to_png(figure: Any) -> bytes:
    """Render, in fewer colours and then at a lower resolution if the picture is too large to travel in metadata.

    Raises:
        TesseraError: a figure that takes `MAX_BYTES` or more at the lowest resolution.
    """
    for dpi in (110, 90, 70, 50):
        buffer = io.BytesIO()
        # No Software tag: the same figure gives the same bytes whatever version wrote it down.
        figure.savefig(buffer, format="png", dpi=dpi, transparent=True, metadata={"Software": None})
        content = buffer.getvalue()
        if len(content) >= MAX_BYTES:
            content = _fewer_colours(content)
        if len(content) < MAX_BYTES:
            return content
    raise TesseraError(
        f"A figure takes {len(content):,} bytes at its lowest resolution; wanted less than {MAX_BYTES:,}. "
        "Draw fewer rows."
    )


def _fewer_colours(content: bytes) -> bytes:
    """The picture with a palette of 128 colours, a third of the size; transparency stays."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(content)) as picture:
        picture.quantize(128, method=Image.Quantize.FASTOCTREE).save(buffer, format="png", optimize=True)
    return buffer.getvalue()
