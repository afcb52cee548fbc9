"""Plots of an optimisation, a function and a set of values (EEP-01, "Compatibility with plotting functions").

Each draws what a function of `plot_data` or `slices` returns, and nothing else: for another plotting library, call that
one. Figures use none of the global state of matplotlib, and a notebook shows them. A panel has at most eight lines,
in the groups of `parameter_groups`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tessera.errors import ConfigError
from tessera.pytree.plotting import plot_data, slices
from tessera.pytree.plotting.grouping import ParameterGroup, parameter_groups
from tessera.pytree.plotting.palette import COLOURS, INK, MARK, colour
from tessera.pytree.plotting.plot_data import MAX_PARAMETERS, Selector
from tessera.pytree.plotting.plot_style import legend, note, panels, shorten, title
from tessera.pytree.registry import Registry

__all__ = [
    "ParameterGroup",
    "convergence_plot",
    "criterion_plot",
    "derivative_plot",
    "lollipop_plot",
    "parameter_groups",
    "params_plot",
    "slice_plot",
]

MAX_PANELS = 40
MAX_STEMS = 60
_AXES = {"evaluation": "evaluation", "seconds": "seconds"}


def criterion_plot(
    results: Any, *, against: Literal["evaluation", "seconds"] = "evaluation", log: bool | None = None
) -> Figure:
    """Criterion by evaluation: the best so far as a line, and for a single run every evaluation as a dot.

    Args:
        results: an `OptimizeResult` or `History`, a list of them, or a mapping of name -> one.
        against: horizontal axis.
        log: log scale; by default where all values are positive and fall by a factor of 100.
    """
    _check_axis(against)
    table = plot_data.criterion_data(results)
    figure, (axes,) = panels(1, width=7.2, height=3.4)
    runs = list(dict.fromkeys(table["run"]))
    for number, run in enumerate(runs):
        part = table[table["run"] == run]
        if len(runs) == 1:
            rows = part.iloc[plot_data.thin(len(part), 2_000)]
            axes.scatter(rows[against], rows["value"], s=9, color=colour(number), alpha=0.35, label="each evaluation")
        name = "best so far" if len(runs) == 1 else run
        rows = part.iloc[plot_data.thin(len(part), 2_000)]
        axes.plot(
            rows[against], rows["best"], color=colour(number), linewidth=2, drawstyle="steps-post", label=shorten(name)
        )
    _scale_criterion(axes, table, log)
    _name_axis(axes, against)
    axes.set_ylabel("criterion")
    legend(axes)
    return figure


def _scale_criterion(axes: Any, table: pd.DataFrame, log: bool | None) -> None:
    scale = plot_data.criterion_scale(table["value"].to_numpy(np.float64), table["best"].to_numpy(np.float64), log)
    if scale is None:
        return
    if scale.log:
        axes.set_yscale("log")
    elif scale.high > scale.low:
        room = 0.05 * (scale.high - scale.low)
        axes.set_ylim(scale.low - room, scale.high + room)


def params_plot(
    result: Any, *, selector: Selector | None = None, max_parameters: int = MAX_PARAMETERS, max_size: int = 8
) -> Figure:
    """Paths of the parameters over the evaluations, a panel a group; a dotted line marks the best evaluation.

    Args:
        result: an `OptimizeResult` or `History`.
        selector: function of the tree of parameters that returns those to show.
        max_parameters: without a selector, show this many at most: those that moved most.
        max_size: most lines of a panel.

    Raises:
        ConfigError: a selection of so many parameters that there would be more than 40 panels.
    """
    table = plot_data.params_data(result, selector=selector, max_parameters=max_parameters, max_size=max_size)
    history = plot_data.history_of(result)
    groups = list(table.groupby("group", sort=True))
    _check_panels(len(groups), "params_plot", "Select fewer parameters.")
    figure, grid = panels(len(groups), sharex=True)
    best = int(plot_data.best_evaluation(history)[-1])
    for axes, (_, group) in zip(grid, groups, strict=True):
        for number, (_, line) in enumerate(group.groupby("position", sort=True)):
            label = shorten(str(line["label"].iloc[0]))
            axes.plot(line["evaluation"], line["value"], color=colour(number), linewidth=1.6, label=label)
        axes.axvline(best, color=INK, linewidth=1, linestyle=":")
        title(axes, str(group["title"].iloc[0]))
        legend(axes)
    for axes in grid[-min(len(grid), 3) :]:  # the last of every column; a panel above a gap keeps its numbers
        _name_axis(axes, "evaluation")
        axes.tick_params(labelbottom=True)
    shown = table["position"].nunique()
    if shown < history.spec.size and selector is None:
        note(figure, f"{shown:,} of {history.spec.size:,} parameters: those that moved most relative to their start")
    return figure


def convergence_plot(
    results: Any,
    *,
    optimum: Any = None,
    measure: Literal["criterion", "params"] = "criterion",
    normalize: bool = True,
    against: Literal["evaluation", "seconds"] = "evaluation",
) -> Figure:
    """Distance from the optimum of the best point so far, on a log scale, a line a run.

    Args:
        results: as for `criterion_plot`.
        optimum: criterion (or, for `measure="params"`, tree of parameters) at the optimum; by default the best found.
        measure: "criterion" or "params".
        normalize: begin every run at 1.
        against: horizontal axis.
    """
    _check_axis(against)
    table = plot_data.convergence_data(results, optimum=optimum, measure=measure, normalize=normalize)
    figure, (axes,) = panels(1, width=7.2, height=3.4)
    for number, (run, part) in enumerate(table.groupby("run", sort=False)):
        rows = part.iloc[plot_data.thin(len(part), 2_000)]
        # A log scale has no zero: the line ends where the optimum is reached, with a dot.
        above = rows[rows["distance"] > 0]
        axes.plot(
            above[against], above["distance"], color=colour(number), linewidth=2, drawstyle="steps-post",
            label=shorten(str(run)),
        )  # fmt: skip
        if 0 < len(above) < len(rows):
            axes.scatter(above[against].iloc[-1:], above["distance"].iloc[-1:], color=colour(number), s=22, zorder=3)
    if (table["distance"] > 0).any():
        axes.set_yscale("log")
    _name_axis(axes, against)
    what = "criterion" if measure == "criterion" else "parameters"
    axes.set_ylabel(f"distance of the {what}\nfrom the optimum{', start = 1' if normalize else ''}", fontsize=8.5)
    legend(axes)
    return figure


def slice_plot(func: Callable[..., Any], params: Any, **options: Any) -> Figure:
    """A criterion along each parameter with all others as they are, a panel a parameter, on one vertical scale.

    This is the EEP's `plot_univariate_effects`. A dot marks the parameters themselves.

    Args:
        func: criterion.
        params: tree of parameters.
        **options: as for `plotting.slices.slice_data`: `func_kwargs`, `selector`, `bounds`, `lower_bounds`,
            `upper_bounds`, `width`, `n_points`, `unpacker`, `registry`, `is_leaf`.
    """
    table = slices.slice_data(func, params, **options)
    groups = list(table.groupby("position", sort=True))
    figure, grid = panels(len(groups), width=2.9, height=2.2, columns=4, sharey=True)
    for axes, (_, line) in zip(grid, groups, strict=True):
        axes.plot(line["x"], line["value"], color=COLOURS[0], linewidth=2)
        at_params = line[line["is_params"]]
        axes.scatter(at_params["x"], at_params["value"], color=MARK, s=26, zorder=3)
        title(axes, str(line["name"].iloc[0]))
    for axes in grid[::4]:
        axes.set_ylabel("criterion")
    return figure


def derivative_plot(func: Callable[..., Any], params: Any, *, derivative: Any = None, **options: Any) -> Figure:
    """A function near its parameters, and the tangents by a derivative: a wrong derivative shows at once.

    Args:
        func: returns any tree of numbers.
        params: tree of parameters.
        derivative: what to look at; by default the numerical derivative (see `plotting.slices`).
        **options: `func_kwargs`, `selector`, `output_selector`, `bounds`, `lower_bounds`, `upper_bounds`, `width`,
            `n_points`, `unpacker`, `registry`, `is_leaf`.
    """
    table = slices.derivative_data(func, params, derivative=derivative, **options)
    groups = list(table.groupby(["position", "output"], sort=False))
    figure, grid = panels(len(groups), width=2.9, height=2.2, columns=4)
    for axes, (_, line) in zip(grid, groups, strict=True):
        axes.plot(line["x"], line["value"], color=COLOURS[0], linewidth=2.2, label="function")
        axes.plot(line["x"], line["tangent"], color=COLOURS[1], linewidth=1.6, linestyle="--", label="by derivative")
        at_params = line[line["is_params"]]
        axes.scatter(at_params["x"], at_params["value"], color=MARK, s=24, zorder=3)
        output = str(line["output"].iloc[0])
        title(axes, str(line["name"].iloc[0]) if output == "value" else f"{output} by {line['name'].iloc[0]}")
        slope = float(line["derivative"].iloc[0])
        # In the upper corner that a line of this slope leaves free.
        place, side = (0.96, "right") if slope < 0 else (0.04, "left")
        axes.text(
            place, 0.95, f"slope {slope:.4g}", transform=axes.transAxes, ha=side, va="top", fontsize=8, color=INK
        )  # fmt: skip
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2, frameon=False, fontsize=8, labelcolor=INK)
    return figure


def lollipop_plot(
    data: Any,
    *,
    reference: Any = None,
    selector: Selector | None = None,
    share_x: bool | None = None,
    registry: Registry | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Figure:
    """Values as stems with a head: of the columns of a table, or of the groups of a tree.

    Args:
        data: a table without a `value` column, an `OptimizeResult`, or any tree (see `plot_data.lollipop_data`).
        reference: tree of values at which the stems begin; zero without it.
        selector: function of the tree that returns what to show.
        share_x: one horizontal scale for all panels; by default for tables only.
        registry: containers, in pybaum's format.
        is_leaf: ends the descent into containers where it is true.

    Raises:
        ConfigError: more than 40 panels, or more than 60 stems in one.
    """
    rules: dict[str, Any] = {"registry": registry, "is_leaf": is_leaf}
    table = plot_data.lollipop_data(data, reference=reference, selector=selector, **rules)
    groups = list(table.groupby("panel", sort=False))
    _check_panels(len(groups), "lollipop_plot", "Pass selector=, or a part of the table.")
    most = max(len(stems) for _, stems in groups)
    if most > MAX_STEMS:
        raise ConfigError(
            f"lollipop_plot: a panel would have {most:,} stems; wanted at most {MAX_STEMS}. Pass the rows that matter, "
            "such as table.loc[table.abs().max(axis=1).nlargest(20).index]."
        )
    is_table = isinstance(data, pd.DataFrame) and "value" not in data.columns
    figure, grid = panels(
        len(groups), width=3.4, height=0.9 + 0.21 * most, sharex=is_table if share_x is None else share_x
    )
    for axes, (panel, stems) in zip(grid, groups, strict=True):
        rows = np.arange(len(stems))
        axes.hlines(rows, stems["reference"], stems["value"], color=COLOURS[0], linewidth=1.8, alpha=0.7)
        axes.scatter(stems["value"], rows, color=COLOURS[0], s=30, zorder=3)
        if (stems["reference"] == 0).all():
            axes.axvline(0, color=INK, linewidth=1)
        else:
            axes.scatter(stems["reference"], rows, facecolors="none", edgecolors=INK, s=26, zorder=2)
        axes.set_yticks(rows, [shorten(label) for label in stems["label"]])
        axes.set_ylim(most - 0.4 if is_table else len(stems) - 0.4, -0.6)
        axes.margins(x=0.08)
        axes.grid(axis="y", visible=False)
        title(axes, str(panel))
    return figure


def _name_axis(axes: Any, against: str) -> None:
    """Name the horizontal axis; evaluations are counted, so their ticks are whole numbers."""
    axes.set_xlabel(_AXES[against])
    if against == "evaluation":
        axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))


def _check_axis(against: str) -> None:
    if against not in _AXES:
        raise ConfigError(f"against is {against!r}; wanted {' or '.join(map(repr, _AXES))}.")


def _check_panels(n: int, what: str, way_out: str) -> None:
    if n > MAX_PANELS:
        raise ConfigError(f"{what}: {n:,} panels; wanted at most {MAX_PANELS}. {way_out}")
