"""A page on a running or finished optimisation: one HTML file that loads nothing, for light and dark screens.

Holds the page; its numbers come from `plot_data`, charts are drawn by `svg`, the look is that of the report. While an
optimisation runs, the page loads itself again every few seconds; a finished one does not. Values show on hover through
SVG titles, so that it needs no script. The file is replaced whole: a browser never sees half of it.

Shapes: histories have `m` evaluations of `n` parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import ConfigError
from tessera.page.style import CSS
from tessera.page.tables import facts, tile
from tessera.pytree.optimisation.history import History
from tessera.pytree.optimisation.optimize_result import OptimizeResult
from tessera.pytree.plotting import plot_data
from tessera.pytree.plotting.palette import COLOURS, colour
from tessera.pytree.plotting.svg import Line, chart
from tessera.store import atomic_path

RELOAD = 3.0
"""Seconds after which the page of a running optimisation loads itself again."""

_MAX_ROWS = 24  # parameters of the table
_MAX_DOTS = 1_500
_MAX_BANDS = 90  # places with a text on hover, a chart
_PANEL_POINTS = 160

_STYLE = (
    CSS
    + """
svg.chart { display: block; width: 100%; height: auto; }
svg.chart text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
svg.chart .grid { stroke: var(--line); stroke-width: 1; }
svg.chart .base { stroke: var(--soft); stroke-width: 1; }
svg.chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg.chart .dots { fill: none; stroke-width: 4; stroke-linecap: round; opacity: 0.35; }
svg.chart .mark { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 4; }
svg.chart .band rect { fill: transparent; }
svg.chart .band line { stroke: var(--soft); stroke-width: 1; visibility: hidden; }
svg.chart .band:hover line { visibility: visible; }
.wide { overflow-x: auto; }
.wide svg.chart { min-width: 620px; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(350px, 100%), 1fr)); gap: 14px;
  margin: 12px 0; align-items: start; }
.panels figure h3 { overflow-wrap: anywhere; }
.legend { list-style: none; margin: 6px 0 0; padding: 0; font-size: 13px; display: grid; gap: 1px 16px;
  grid-template-columns: repeat(auto-fill, minmax(145px, 1fr)); font-variant-numeric: tabular-nums; }
.legend li { display: flex; gap: 7px; align-items: baseline; min-width: 0; }
.legend i { flex: none; width: 11px; height: 3px; border-radius: 2px; align-self: center; }
.legend span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--soft); }
.legend b { margin-left: auto; font-weight: 500; white-space: nowrap; }
.pill.run { background: var(--warn-ground); color: var(--warn); }
.below { display: grid; gap: 14px; align-items: start;
  grid-template-columns: minmax(0, 2fr) minmax(min(320px, 100%), 1fr); }
.below .card { margin: 0; }
@media (max-width: 860px) { .below { grid-template-columns: minmax(0, 1fr); } }
h1 .pill { font-size: 13px; vertical-align: middle; margin-left: 6px; letter-spacing: 0; }
"""
)

State = Literal["running", "stopped", "converged", "not converged"]
_PILLS = {"running": "run", "stopped": "none", "converged": "good", "not converged": "bad"}


@dataclass(frozen=True)
class _Run:
    """What the page shows of a result or a history."""

    history: History
    result: OptimizeResult | None
    state: State

    @property
    def best(self) -> int:
        """Number of the best evaluation; -1 where there is none."""
        return self.history.best_evaluation

    def points(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        """The flat start and best parameters, (n,) each; None where they were not kept."""
        if self.result is not None:
            return self.result.start_x, self.result.x
        kept = self.history.evaluations
        if not kept.size:
            return None
        best = self.best if self.best in kept else int(kept[-1])
        return self.history.x_at(int(kept[0])), self.history.x_at(best)


def write_dashboard(
    result_or_history: OptimizeResult | History,
    path: str | Path,
    *,
    title: str | None = None,
    refresh: float | None = None,
) -> None:
    """Write the page of an optimisation; what is at `path` is replaced in one step.

    Args:
        result_or_history: an `OptimizeResult` for a finished optimisation; the `History` of one that runs.
        path: of the HTML file; its folder is made where there is none.
        title: heading. Default: the direction and, where known, the algorithm.
        refresh: seconds after which the page loads itself again. Default: 3 for a history, never for a result. 0 says
            that a history will grow no more.

    Raises:
        ConfigError: neither a result nor a history, or a `refresh` that is negative or not finite.
        StorageError: the file cannot be written.
    """
    if refresh is not None and not (math.isfinite(refresh) and refresh >= 0):
        raise ConfigError(f"write_dashboard: refresh is {refresh!r}; wanted seconds, or 0 for a page that stays as is.")
    run, seconds = _run_of(result_or_history, refresh)
    page = _page(run, title or _title(run), seconds)
    # While it runs the next page follows soon, so there is no need to wait for the disk.
    with atomic_path(Path(path), durable=run.state != "running") as temporary:
        temporary.write_bytes(page.encode("utf-8", "xmlcharrefreplace"))


def _run_of(given: Any, refresh: float | None) -> tuple[_Run, float]:
    if isinstance(given, OptimizeResult):
        return _Run(given.history, given, "converged" if given.success else "not converged"), refresh or 0.0
    if isinstance(given, History):
        seconds = RELOAD if refresh is None else refresh
        return _Run(given, None, "running" if seconds else "stopped"), seconds
    raise ConfigError(
        f"write_dashboard: this is a {type(given).__name__}; wanted what minimize or maximize returns, or the history "
        "of it. minimize(..., dashboard=path) writes the page by itself."
    )


def _title(run: _Run) -> str:
    algorithm = run.result.algorithm if run.result is not None else run.history.algorithm
    return f"{run.history.direction.capitalize()}{f' with {algorithm}' if algorithm else ''}"


def _page(run: _Run, title: str, seconds: float) -> str:
    reload = f'<meta http-equiv="refresh" content="{seconds:g}">' if seconds else ""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    body = [_tiles(run)]
    if run.history.n_evals:
        body += [_criterion(run), _params(run), f'<div class="below">{_table(run)}{_facts(run)}</div>']
    else:
        body += ['<p class="card soft">No evaluation has ended yet.</p>']
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        # Nothing is loaded and nothing is run, whatever the names of parameters hold.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f'{reload}<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f'<style>{_STYLE}</style></head><body data-state="{run.state}"><main>'
        f'<h1>{escape(title)} <span class="pill {_PILLS[run.state]}">{run.state}</span></h1>'
        f"{''.join(body)}<footer>Written {now}.{_reload_note(seconds)}</footer></main></body></html>\n"
    )


def _reload_note(seconds: float) -> str:
    return f" The page loads itself again every {seconds:g} seconds." if seconds else ""


def _tiles(run: _Run) -> str:
    history = run.history
    best, start = _value(run), history.value[:1]
    since = history.n_evals - 1 - run.best if run.best >= 0 else 0
    tiles = [
        tile(_text(best), "best value"),
        tile(_text(float(start[0]) if start.size else math.nan), "value at the start"),
        tile(f"{history.n_evals:,}", "evaluations"),
        tile(f"{since:,}", "evaluations since the best"),
        tile(_duration(float(history.seconds[-1]) if history.n_evals else 0.0), "time"),
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _value(run: _Run) -> float:
    if run.result is not None:
        return float(run.result.fun)
    return float(run.history.value[run.best]) if run.best >= 0 else math.nan


def _criterion(run: _Run) -> str:
    table = plot_data.criterion_data(run.history)
    value, best, seconds = (table[name].to_numpy(dtype=np.float64) for name in ("value", "best", "seconds"))
    rows = plot_data.thin(len(table), _MAX_DOTS, keep=[max(run.best, 0)])
    places = rows.astype(np.float64)
    hover = [
        (
            float(k),
            f"evaluation {k:,}\nvalue {_text(value[k])}\nbest so far {_text(best[k])}\nafter {_duration(seconds[k])}",
        )
        for k in plot_data.thin(len(table), _MAX_BANDS, keep=[max(run.best, 0)]).tolist()
    ]
    scale = plot_data.criterion_scale(value, best)
    drawn = chart(
        [Line(places, value[rows], COLOURS[0], "dots"), Line(places, best[rows], COLOURS[0], "step")],
        name="criterion by evaluation", width=1150, height=330, scale=scale, x_label="evaluation", hover=hover,
    )  # fmt: skip
    on = " The scale is logarithmic." if scale is not None and scale.log else ""
    return (
        f'<figure><h3>Criterion</h3><div class="wide">{drawn}</div><figcaption>The line is the best value so far, '
        f"a dot is one evaluation.{on}</figcaption></figure>"
    )


def _params(run: _Run) -> str:
    if not run.history.evaluations.size:
        return '<h2>Parameters</h2><p class="soft">The history kept no parameters, so there are no paths to draw.</p>'
    if not run.history.spec.size:
        return ""
    table = plot_data.params_data(run.history, max_points=_PANEL_POINTS)
    panels = "".join(_panel(group, run.best) for _, group in table.groupby("group", sort=True))
    shown, size = table["position"].nunique(), run.history.spec.size
    note = "The dotted line marks the best evaluation, whose values stand below."
    if shown < size:
        note = f"{shown:,} of {size:,}: those that moved most relative to their start. {note}"
    return f'<h2>Parameters</h2><p class="soft">{note}</p><div class="panels">{panels}</div>'


def _panel(group: pd.DataFrame, best: int) -> str:
    paths = [path for _, path in group.groupby("position", sort=True)]
    places = paths[0]["evaluation"].to_numpy(dtype=np.float64)
    values = [path["value"].to_numpy(dtype=np.float64) for path in paths]
    labels = [str(path["label"].iloc[0]) for path in paths]
    rows = plot_data.thin(len(places), _MAX_BANDS // 2)
    hover = [
        (
            float(places[row]),
            "\n".join([f"evaluation {int(places[row]):,}"]
                      + [f"{label} {_text(value[row])}" for label, value in zip(labels, values, strict=True)]),
        )
        for row in rows.tolist()
    ]  # fmt: skip
    title = str(group["title"].iloc[0])
    drawn = chart(
        [Line(places, value, colour(number)) for number, value in enumerate(values)],
        name=f"paths of {title}", width=370, height=210, mark=float(best) if best >= 0 else None, hover=hover,
    )  # fmt: skip
    at = int(np.flatnonzero(places == best)[0]) if best in places else len(places) - 1
    keys = "".join(
        f'<li title="{escape(str(path["name"].iloc[0]))}"><i style="background:{colour(number)}"></i>'
        f"<span>{escape(label)}</span><b>{_text(value[at], 4)}</b></li>"
        for number, (path, label, value) in enumerate(zip(paths, labels, values, strict=True))
    )
    return f'<figure><h3>{escape(title)}</h3>{drawn}<ul class="legend">{keys}</ul></figure>'


def _table(run: _Run) -> str:
    points = run.points()
    if points is None or not points[0].size:
        return '<div class="card"><h3>Best parameters</h3><p class="soft">None were kept.</p></div>'
    start, best = points
    chosen = plot_data.moved_most(np.stack(points), _MAX_ROWS)
    names = run.history.spec.index("flat")
    rows = "".join(
        f'<tr><td class="text"><code>{escape(str(names[k]))}</code></td><td class="number">{_text(start[k])}</td>'
        f'<td class="number">{_text(best[k])}</td>'
        f'<td class="number">{_text(best[k] - start[k], 3, signed=True)}</td></tr>'
        for k in chosen.tolist()
    )
    heading = "Best parameters"
    if len(chosen) < len(start):
        heading = f"Best parameters: the {len(chosen)} of {len(start):,} that moved most"
    heads = "".join(f'<th scope="col" class="number">{name}</th>' for name in ("start", "best", "change"))
    return (
        f'<div class="card"><h3>{heading}</h3><table><thead><tr><th scope="col">parameter</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _facts(run: _Run) -> str:
    return f'<div class="card"><h3>Run</h3>{facts(_fact_rows(run))}</div>'


def _fact_rows(run: _Run) -> Iterable[tuple[str, str]]:
    history, result = run.history, run.result
    yield "Status", run.state
    if result is not None:
        yield "Message", result.message.strip() or "–"
    yield "Algorithm", (result.algorithm if result is not None else history.algorithm) or "–"
    yield "Direction", history.direction
    yield "Best value", f"{_text(_value(run), 12)}{f' at evaluation {run.best:,}' if run.best >= 0 else ''}"
    if result is None:
        yield "Parameters", f"{history.spec.size:,}"
        yield "Evaluations", f"{history.n_evals:,}"
    else:
        yield "Parameters", f"{result.space.n_external:,}, {result.space.n_internal:,} of them free"
        yield "Calls of the criterion", f"{result.n_fun_evals:,}"
        yield "Derivatives", f"{result.n_jac_evals:,}"
        if result.n_iterations is not None:
            yield "Iterations", f"{result.n_iterations:,}"
    failed = int((~np.isfinite(history.value)).sum())
    if failed:
        yield "Failed evaluations", f"{failed:,}"
    yield "Time", _duration(float(history.seconds[-1]))
    yield "Time an evaluation", _duration(float(history.seconds[-1]) / history.n_evals)


def _text(value: float, digits: int = 6, *, signed: bool = False) -> str:
    """A number with a true minus sign; a dash where there is none."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:{'+' if signed and value else ''}.{digits}g}".replace("-", "−")


def _duration(seconds: float) -> str:
    if seconds >= 3600:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
    if seconds >= 60:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
