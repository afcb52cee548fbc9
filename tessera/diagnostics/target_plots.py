"""Pictures of the target database: how many targets each source has at each level, and how far levels are apart.

Holds drawing only, like `plots`; the tables come from `tessera.targets.report`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.diagnostics.canvas import COLOURS, INK, blank, legend, to_png
from tessera.errors import TesseraError
from tessera.targets.figures import GEO_LEVELS

# A source may have one national figure and another one 8,000 of districts: colour goes by the logarithm.
_GROUND = ("#e8edf3", "#a9c6df", "#5a97c9", "#2a649f", "#10305c")


def targets_by_source(counts: pd.DataFrame) -> bytes:
    """Number of targets by source and level, a row a source; the number is written in the tile.

    Args:
        counts: columns source, a column each of the levels, total (`report.counts`).
    """
    from matplotlib.colors import LinearSegmentedColormap

    if counts.empty:
        raise TesseraError("There are no targets to draw; build the target database first.")
    levels = [level for level in GEO_LEVELS if level in counts]
    table = counts.sort_values(["total", "source"], ascending=[False, True], ignore_index=True)
    numbers = table[levels].to_numpy(dtype=np.float64)
    figure, (axes,) = blank(7.2, 1.0 + 0.25 * len(table))
    shade = np.where(numbers > 0, np.log10(np.maximum(numbers, 1)), np.nan)
    ramp = LinearSegmentedColormap.from_list("counts", _GROUND)
    axes.imshow(shade, aspect="auto", cmap=ramp, vmin=0, vmax=max(4.0, float(np.nanmax(shade))))
    for (row, column), number in np.ndenumerate(numbers):
        if number > 0:
            colour = "#ffffff" if shade[row, column] > 2.2 else "#1c2430"
            axes.text(column, row, f"{number:,.0f}", ha="center", va="center", fontsize=7.5, color=colour)
    totals = [f"{level}\n{int(total):,}" for level, total in zip(levels, numbers.sum(axis=0), strict=True)]
    axes.set_xticks(range(len(levels)), totals)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_yticks(range(len(table)), table["source"].tolist(), fontsize=8)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return to_png(figure)


def fitted_by_level(fitted: pd.DataFrame, everything: pd.DataFrame) -> bytes:
    """Targets in the training set beside all of the database, two bars a level, on a log scale.

    Args:
        fitted, everything: one row a target, with the column geo_level.
    """
    figure, (axes,) = blank(7.2, 2.6)
    levels = [level for level in GEO_LEVELS if (everything["geo_level"] == level).any()]
    positions = np.arange(len(levels))
    parts = (("in the database", everything, COLOURS[0]), ("in the training set", fitted, COLOURS[2]))
    for offset, (label, table, colour) in enumerate(parts):
        counts = [int((table["geo_level"] == level).sum()) for level in levels]
        bars = axes.bar(positions + (offset - 0.5) * 0.38, [max(count, 0.5) for count in counts], 0.36,
                        color=colour, label=label)  # fmt: skip
        axes.bar_label(bars, labels=[f"{count:,}" for count in counts], color=INK, fontsize=8, padding=1)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5)
    axes.set_xticks(positions, levels)
    axes.set_ylabel("targets")
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.15)
    legend(axes, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 1.2))
    return to_png(figure)
