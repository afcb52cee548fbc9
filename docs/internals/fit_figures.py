"""Figures of fit.ipynb, as PNG bytes. Holds drawing only: every number comes in as a table or an array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.diagnostics.canvas import COLOURS, INK, blank, legend, thousands, to_png

FloatArray = npt.NDArray[np.float64]
_MISS = COLOURS[4]


def gates(draws: Mapping[float, FloatArray], curve: pd.DataFrame) -> bytes:
    """What a gate does.

    Args:
        draws: gate parameter alpha -> sampled gates.
        curve: columns alpha, open (probability), final (gate), spread (standard deviation of the sampled gate).
    """
    figure, (left, right) = blank(7.2, 3.0, columns=2)
    for colour, (alpha, drawn) in zip(COLOURS, draws.items(), strict=False):
        share = np.arange(1, len(drawn) + 1) / len(drawn)
        # The jumps at 0 and 1 are the chances of a gate that is exactly closed and exactly open.
        x, y = np.r_[-0.1, 0, np.sort(drawn), 1.1], np.r_[0, 0, share, 1]
        left.plot(x, y, color=colour, linewidth=2, label=f"alpha = {alpha:g}")
    left.set_xlabel("sampled gate z")
    left.set_ylabel("share of draws at or below")
    legend(left, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    for colour, column, label in zip(
        COLOURS, ("open", "final", "spread"), ("P(z > 0)", "final gate", "standard deviation of z"), strict=False
    ):
        right.plot(curve["alpha"], curve[column], color=colour, linewidth=2, label=label)
    right.set_xlabel("alpha")
    legend(right, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return to_png(figure)


def planted(truth: FloatArray, found: Mapping[str, FloatArray]) -> bytes:
    """Weights found beside the planted ones, one strip a method; records in order of planted weight, then number."""
    order = np.argsort(-truth, kind="stable")
    place = np.arange(len(truth))
    figure, rows = blank(7.2, 1.35 * len(found) + 0.4, rows=len(found), sharex=True, sharey=True)
    for axes, (name, weights) in zip(rows, found.items(), strict=True):
        kept = np.abs(weights[order]) > 1e-4
        false = kept & (truth[order] == 0)
        axes.bar(place[kept & ~false], weights[order][kept & ~false], 0.8, color=COLOURS[0], label="found, planted")
        axes.bar(place[false], weights[order][false], 0.8, color=_MISS, label="found, not planted")
        there = truth[order] > 0
        axes.scatter(place[there], truth[order][there], marker="_", s=60, color=INK, label="planted", zorder=3)
        axes.set_title(name, fontsize=9, loc="left", color=INK)
        axes.grid(axis="x", visible=False)
    rows[0].set_xlim(-1, len(truth))
    rows[-1].set_xlabel("record")
    rows[len(rows) // 2].set_ylabel("weight, households")
    legend(rows[0], ncols=3, loc="upper right")
    return to_png(figure)


def prices(histories: Mapping[str, pd.DataFrame], n_records: int) -> bytes:
    """Records kept by epoch, a line a price, and what is expected to be kept, dashed."""
    figure, (axes,) = blank(7.2, 3.4)
    for colour, (name, history) in zip(COLOURS, histories.items(), strict=False):
        axes.plot(history["epoch"], history["nonzero"], color=colour, linewidth=2, label=name)
        axes.plot(history["epoch"], history["l0"], color=colour, linewidth=1, linestyle="--")
    axes.set_yscale("log")
    ticks = [n_records / factor for factor in (1, 2, 5, 10, 20)]
    axes.set_yticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("epoch (solid: records whose final gate is open; dashed: expected number of open gates)")
    axes.set_ylabel("records")
    legend(axes, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0), columnspacing=1.2)
    return to_png(figure)


def additions(runs: Mapping[str, tuple[pd.DataFrame, pd.Series]]) -> bytes:
    """Loss by step of the recipe and of what we add, at the gates drawn (thin) and at the final gates (thick).

    Args:
        runs: name -> history of the fit, loss at the final gates by epoch.
    """
    figure, (axes,) = blank(7.2, 3.4)
    for colour, (name, (history, final)) in zip(COLOURS, runs.items(), strict=False):
        axes.plot(history["epoch"], history["loss"], color=colour, linewidth=0.8, alpha=0.55)
        axes.plot(final.index, final, color=colour, linewidth=2, label=name)
    axes.set_yscale("log")
    axes.set_xlabel("step (thin: loss at the gates drawn; thick: at the final gates)")
    axes.set_ylabel("loss")
    legend(axes)
    return to_png(figure)


def distances(u: FloatArray, curves: Mapping[str, FloatArray], ratios: Mapping[str, FloatArray]) -> bytes:
    """F of each distance, and the ratios of calibrated to design weights.

    Args:
        u: what the duals say to a record, shape (n,).
        curves: name -> ratio of its weight to its design weight, shape (n,).
        ratios: name -> ratios of all records of a calibration.
    """
    figure, (left, right) = blank(7.2, 3.0, columns=2)
    for colour, (name, values) in zip(COLOURS, curves.items(), strict=False):
        left.plot(u, values, color=colour, linewidth=2, label=name)
    left.set_xlabel("u, what the targets ask of a record")
    left.set_ylabel("F(u) = w / d")
    legend(left, loc="upper left")
    edges = np.logspace(-2, 1, 61)
    for colour, (name, values) in zip(COLOURS, ratios.items(), strict=False):
        right.hist(values, bins=edges.tolist(), histtype="step", color=colour, linewidth=1.5, label=name)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("w / d at the solution")
    right.set_ylabel("records (colours as on the left)")
    return to_png(figure)


def system(as_given: npt.NDArray[np.bool_], by_level: npt.NDArray[np.int64], names: tuple[str, ...]) -> bytes:
    """The pattern of the Newton system.

    Args:
        as_given: non-zero entries in the order of the target table, shape (n, n).
        by_level: the same in the order of elimination: 0 for none, else 1 + the higher level of row and column.
        names: of the levels, lowest first.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    figure, (left, right) = blank(7.2, 4.2, columns=2)
    left.imshow(as_given, cmap=ListedColormap(["none", INK]), interpolation="nearest")
    left.set_title("in the order of the target table", fontsize=9, color=INK)
    right.imshow(by_level, cmap=ListedColormap(["none", *COLOURS[: len(names)]]), vmin=0, vmax=len(names),
                 interpolation="nearest")  # fmt: skip
    right.set_title("in the order of elimination", fontsize=9, color=INK)
    for axes in (left, right):
        axes.grid(visible=False)
        axes.set_xlabel("target")
    left.set_ylabel("target")
    handles = [Patch(color=colour, label=name) for colour, name in zip(COLOURS, names, strict=False)]
    figure.legend(handles=handles, frameon=False, fontsize=8, labelcolor=INK, ncols=3, loc="outside lower center")
    return to_png(figure)


def convergence(newton: Mapping[str, pd.DataFrame], descent: pd.DataFrame) -> bytes:
    """Largest residual of the conditions by Newton step, and the loss by step beside that of the recipe.

    Args:
        newton: name -> history of a calibration.
        descent: history of a fit in mode recipe.
    """
    figure, (left, right) = blank(7.2, 3.0, columns=2)
    for colour, (name, history) in zip(COLOURS, newton.items(), strict=False):
        left.plot(history["iteration"], history["dual_gradient"], "o-", color=colour, markersize=3.5, label=name)
        right.plot(history["iteration"] + 1, history["loss"], "o-", color=colour, markersize=3.5)
    left.set_yscale("log")
    left.set_xlabel("Newton step")
    left.set_ylabel("dual gradient")
    legend(left)
    right.plot(descent["epoch"] + 1, descent["loss"], color=INK, linewidth=1.2, label="recipe, Adam")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("step, the first being the start")
    right.set_ylabel("loss")
    legend(right)
    return to_png(figure)


def trade_off(table: pd.DataFrame) -> bytes:
    """Every mode by the records that it keeps: what it does to fitted targets, to others, and to the sample.

    Args:
        table: columns mode, records, within 1 %, within 10 %, held out (median absolute error of the state and
            national targets held out), effective (sample size).
    """
    figure, grid = blank(7.2, 5.4, rows=2, columns=2, sharex=True)
    measures = (
        ("% of fitted targets within 1 %", 100 * table["within 1 %"]),
        ("% of fitted targets within 10 %", 100 * table["within 10 %"]),
        ("median error held out, %", 100 * table["held out"]),
        ("effective sample size / records", table["effective"] / table["records"]),
    )
    for axes, (label, values) in zip(grid, measures, strict=True):
        for number, (mode, rows) in enumerate(table.groupby("mode", sort=False)):
            ordered = rows.sort_values("records")
            style: dict[str, Any] = {"color": COLOURS[number], "marker": "osD^vP"[number], "markersize": 4.5}
            axes.plot(ordered["records"], values[ordered.index], label=mode, linewidth=1.5, **style)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(thousands())
        axes.set_title(label, fontsize=9, loc="left", color=INK)
    for axes in grid[2:]:
        axes.set_xlabel("records kept")
    grid[3].set_ylim(0, 1.05)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, labelcolor=INK, ncols=3, loc="outside lower center")
    return to_png(figure)
