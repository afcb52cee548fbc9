"""Figures of a run as PNG bytes: for the report, and inline in the metadata of an asset.

Holds drawing only: every number comes in as a table or an array. Each function returns the bytes of one PNG of less
than `canvas.MAX_BYTES`, on the ground of `canvas`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.diagnostics.canvas import COLOURS, INK, blank, legend, thousands, to_png
from tessera.diagnostics.targets import LEVELS
from tessera.diagnostics.tiles import district_cells, grid_shape, state_positions
from tessera.errors import TesseraError
from tessera.geography.areas import district_key

_WITHIN = (("share_within_1", "within 1 %", "#1f6f54"), ("share_within_5", "within 5 %", "#3f9e77"),
           ("share_within_10", "within 10 %", "#93cdb4"))  # fmt: skip
_MISS = "#c94f4f"


def as_markdown_image(png: bytes, text: str = "figure") -> str:
    """A Markdown image whose address is the PNG itself (a data URI)."""
    return f"![{text}]({as_data_uri(png)})"


def as_data_uri(png: bytes) -> str:
    """`data:image/png;base64,...` of a PNG."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def loss_curve(histories: Mapping[str, pd.DataFrame]) -> bytes:
    """Loss by epoch on a log scale, and the number of records kept, one line a fit.

    Args:
        histories: name of the fit -> its history, a table with `epoch`, `loss` and `nonzero`, one row an epoch;
            further columns that start with `loss_` (by geographic level, say) are drawn thin and dashed.
    """
    figure, (above, below) = blank(7.2, 4.6, rows=2, height_ratios=(3, 2), sharex=True)
    for position, (name, history) in enumerate(histories.items()):
        colour = COLOURS[position % len(COLOURS)]
        above.plot(history["epoch"], history["loss"], color=colour, label=name, linewidth=2)
        for part in [column for column in history if str(column).startswith("loss_")]:
            label = f"{name}: {str(part).removeprefix('loss_')}"
            above.plot(history["epoch"], history[part], linestyle="--", linewidth=1, alpha=0.75, label=label)
        below.plot(history["epoch"], history["nonzero"], color=colour, linewidth=2)
    above.set_yscale("log")
    above.set_ylabel("loss")
    below.set_ylabel("records kept")
    below.set_xlabel("epoch")
    below.set_ylim(bottom=0)
    below.yaxis.set_major_formatter(thousands())
    if histories:
        legend(above)
    return to_png(figure)


def share_within_bars(by_level: pd.DataFrame) -> bytes:
    """Shares of targets within 1, 5 and 10 %, three bars a geographic level (`TargetSummary.by_level`)."""
    figure, (axes,) = blank(7.2, 3.0)
    positions = np.arange(len(by_level))
    for offset, (column, label, colour) in enumerate(_WITHIN):
        values = 100 * by_level[column].to_numpy(dtype=np.float64)
        bars = axes.bar(positions + (offset - 1) * 0.26, values, 0.24, color=colour, label=label)
        axes.bar_label(bars, fmt="%.0f", color=INK, fontsize=8, padding=1)
    labels = [f"{row.geo_level}\n{row.n_targets:,} targets" for row in by_level.itertuples()]
    axes.set_xticks(positions, labels)
    axes.set_ylim(0, 112)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("% of targets")
    axes.grid(axis="x", visible=False)
    legend(axes, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    return to_png(figure)


def error_histogram(table: pd.DataFrame) -> bytes:
    """Histogram of the targets' relative errors in %, clipped at +-100 %, stacked by geographic level."""
    figure, (axes,) = blank(7.2, 3.0)
    edges = np.linspace(-100, 100, 81)
    parts, labels = [], []
    for level in LEVELS:
        errors = 100 * table.loc[table["geo_level"] == level, "rel_error"].to_numpy(dtype=np.float64)
        errors = errors[np.isfinite(errors)]
        if errors.size:
            parts.append(np.clip(errors, -100, 100))
            labels.append(level)
    axes.axvspan(-10, 10, color="#3f9e77", alpha=0.13, linewidth=0)
    if parts:
        axes.hist(parts, bins=edges.tolist(), stacked=True, color=list(COLOURS[: len(parts)]), label=labels)
        axes.set_yscale("symlog", linthresh=10)
        legend(axes)
    axes.set_xlabel("relative error, % (shaded: within 10 %; ends: 100 % or more)")
    axes.set_ylabel("targets")
    return to_png(figure)


def weights_histogram(weights: Mapping[str, npt.NDArray[np.floating]]) -> bytes:
    """Histograms of the positive weights on a log scale, one outline a fit, with counts of weights above zero."""
    figure, (axes,) = blank(7.2, 3.0)
    positive = {name: np.asarray(values)[np.asarray(values) > 0] for name, values in weights.items()}
    largest = max((values.max() for values in positive.values() if values.size), default=1.0)
    smallest = min((values.min() for values in positive.values() if values.size), default=0.1)
    smallest = max(smallest, largest * 1e-9)
    edges = np.logspace(np.log10(smallest), np.log10(largest * 1.0001), 61)
    for position, (name, values) in enumerate(positive.items()):
        label = f"{name}: {values.size:,} of {len(weights[name]):,} above zero"
        colour = COLOURS[position % len(COLOURS)]
        axes.hist(np.clip(values, smallest, None), bins=edges.tolist(), histtype="stepfilled", alpha=0.45, color=colour)
        axes.hist(np.clip(values, smallest, None), bins=edges.tolist(), histtype="step", color=colour, label=label)
    axes.set_xscale("log")
    axes.set_xlabel("weight, households a record")
    axes.set_ylabel("records")
    axes.yaxis.set_major_formatter(thousands())
    if positive:
        legend(axes)
    return to_png(figure)


def hit_rate_by_variable(by_variable: pd.DataFrame, n: int = 24) -> bytes:
    """Shares within 1, 5, 10 % of the `n` least met variables, one bar a variable (`TargetSummary.by_variable`)."""
    chosen = by_variable.nsmallest(n, "share_within_10", keep="first").iloc[::-1]
    figure, (axes,) = blank(7.2, 1.2 + 0.24 * max(len(chosen), 1))
    positions = np.arange(len(chosen))
    axes.barh(positions, 100.0, 0.7, color=_MISS, alpha=0.35, label="further off")
    for column, label, colour in reversed(_WITHIN):
        axes.barh(positions, 100 * chosen[column].to_numpy(dtype=np.float64), 0.7, color=colour, label=label)
    axes.set_yticks(positions, [f"{row.variable} ({row.n_targets:,})" for row in chosen.itertuples()], fontsize=8)
    axes.set_xlim(0, 100)
    axes.set_ylim(-0.6, max(len(chosen), 1) - 0.4)
    axes.set_xlabel("% of the variable's targets")
    axes.grid(axis="y", visible=False)
    legend(axes, ncols=4, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    return to_png(figure)


def error_heat_map(heat_map: pd.DataFrame) -> bytes:
    """Mean absolute relative error by variable and geographic level (`TargetSummary.heat_map`), capped at 50 %."""
    levels = [level for level in LEVELS if level in set(heat_map["geo_level"])]
    grid = heat_map.pivot(index="variable", columns="geo_level", values="mean_abs_rel_error")[levels]
    figure, (axes,) = blank(7.2, 1.2 + 0.26 * max(len(grid), 1))
    values = 100 * grid.to_numpy(dtype=np.float64)
    image = axes.imshow(values, aspect="auto", cmap=_ramp("error"), vmin=0, vmax=50)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "#ffffff" if value > 25 else "#1c2430"
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(levels)), levels)
    axes.set_yticks(range(len(grid)), grid.index.tolist(), fontsize=8)
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02)
    _colour_bar(bar, "mean absolute error, %")
    return to_png(figure)


def district_map(values: Mapping[Any, float], *, label: str, percent: bool = False, kind: str = "error") -> bytes:
    """Tile map of the districts, a cell a district inside its state's tile.

    Args:
        values: district key (`CA-12`, `DC-01`) or, for a state of one district, the state's key -> value. Districts
            without a finite value are left hollow.
        label: of the colour bar.
        percent: show the values as percentages.
        kind: "error" (light is good) or "ess" (dark is more).
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    figure, (axes,) = blank(7.6, 5.2)
    cells = district_cells()
    keys = [district_key(cell.code) for cell in cells]
    found = [values.get(key, values.get("DC", np.nan) if key == "DC-01" else np.nan) for key in keys]
    numbers = np.array(found, dtype=np.float64) * (100 if percent else 1)
    has = np.isfinite(numbers)
    top = float(np.quantile(numbers[has], 0.98)) if has.any() else 1.0
    patches = [Rectangle((cell.x, cell.y), cell.width, cell.height) for cell in cells]
    hollow = [patch for patch, full in zip(patches, has, strict=True) if not full]
    axes.add_collection(PatchCollection(hollow, facecolor="none", edgecolor=INK, linewidth=0.4))
    filled = PatchCollection([patch for patch, full in zip(patches, has, strict=True) if full], cmap=_ramp(kind))
    filled.set_array(numbers[has])
    filled.set_clim(0, top or 1.0)
    filled.set_edgecolor("#ffffff88")
    filled.set_linewidth(0.4)
    axes.add_collection(filled)
    _state_names(axes)
    _colour_bar(figure.colorbar(filled, ax=axes, fraction=0.025, pad=0.01, extend="max"), label)
    return to_png(figure)


def sum_of_areas_plot(sums: pd.DataFrame, n: int = 20) -> bytes:
    """Sum of the state and of the district estimates over the national one, a dot a quantity (`sum_of_areas`)."""
    names = list(dict.fromkeys(sums["quantity"]))[:n]
    figure, (axes,) = blank(7.2, 1.2 + 0.26 * max(len(names), 1))
    axes.axvspan(90, 110, color="#3f9e77", alpha=0.13, linewidth=0)
    axes.axvline(100, color=INK, linewidth=1)
    for colour, level in zip(COLOURS, ("state", "district"), strict=False):
        part = sums[(sums["geo_level"] == level) & sums["quantity"].isin(names)]
        rows = [names.index(quantity) for quantity in part["quantity"]]
        label = f"sum of {level}s"
        axes.scatter(100 * part["estimate_ratio"], rows, color=colour, label=label, zorder=3)
        axes.scatter(100 * part["target_ratio"], rows, facecolors="none", edgecolors=colour, s=70, zorder=2)
    axes.set_yticks(range(len(names)), [name if len(name) < 44 else name[:41] + "..." for name in names], fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("% of the national figure (filled: estimates; hollow: targets; shaded: within 10 %)")
    if names:
        legend(axes, ncols=2, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    return to_png(figure)


def _state_names(axes: Any) -> None:
    columns, rows = grid_shape()
    for usps, (column, row) in state_positions().items():
        axes.text(column + 0.05, row + 0.22, usps, ha="left", va="bottom", fontsize=7.5, fontweight="bold", color=INK)
    axes.set_xlim(-0.05, columns + 0.05)
    axes.set_ylim(rows + 0.05, -0.05)
    axes.set_aspect("equal")
    axes.axis("off")


def _colour_bar(bar: Any, label: str) -> None:
    bar.outline.set_visible(False)
    bar.set_label(label, color=INK, fontsize=9)
    bar.ax.tick_params(colors=INK, labelsize=8)


def _ramp(kind: str) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    stops = {
        "error": ("#e9efe4", "#f0c987", "#dd7a4a", "#9c2f38", "#4d1026"),
        "ess": ("#e8edf3", "#a9c6df", "#5a97c9", "#2a649f", "#10305c"),
    }
    if kind not in stops:
        raise TesseraError(f"Unknown kind of map {kind!r}; wanted one of {', '.join(stops)}.")
    return LinearSegmentedColormap.from_list(kind, stops[kind])
