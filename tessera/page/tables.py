"""HTML of the report's parts: tables with typed columns, pills, tiles, lists of facts. Everything is escaped here.

Holds no page and no numbers of its own. A column is shown by a format: text, code, count, decimal, percent or amount;
numbers carry their full value in `data-value`, by which the page sorts. A number that is not finite shows as a dash.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

import pandas as pd

Style = Literal["text", "tight", "code", "count", "decimal", "percent", "amount", "passed"]
_NUMBERS = ("count", "decimal", "percent", "amount")


@dataclass(frozen=True)
class Column:
    """A column of a table: its name in the frame, its heading and how it is shown."""

    name: str
    heading: str
    style: Style = "text"


def table(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    identity: str = "",
    kind: str = "",
    empty: str = "There is none.",
) -> str:
    """HTML table of a frame's columns, sortable in the page.

    Args:
        frame: rows in the order in which they show first.
        columns: which to show, and how.
        identity: id of the table, for a filter.
        kind: column whose value each row carries as `data-kind`, for a filter.
        empty: what to say instead of a table without rows.
    """
    if frame.empty:
        return f'<p class="soft">{escape(empty)}</p>'
    heads = "".join(
        f'<th scope="col" class="{"number" if column.style in _NUMBERS else ""}">{escape(column.heading)}</th>'
        for column in columns
    )
    series = [frame[column.name].tolist() for column in columns]
    kinds = frame[kind].astype(str).tolist() if kind else [""] * len(frame)
    rows = []
    for position, row_kind in enumerate(kinds):
        cells = "".join(_cell(values[position], column.style) for values, column in zip(series, columns, strict=True))
        mark = f' data-kind="{escape(row_kind)}"' if kind else ""
        rows.append(f"<tr{mark}>{cells}</tr>")
    named = f' id="{escape(identity)}"' if identity else ""
    return f'<table class="sortable"{named}><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def heat_table(heat_map: pd.DataFrame, levels: Sequence[str]) -> str:
    """Variable x geographic level, mean absolute error in %, each cell tinted by its value (full at 30 %)."""
    if heat_map.empty:
        return '<p class="soft">No target was fitted.</p>'
    present = [level for level in levels if level in set(heat_map["geo_level"])]
    errors = heat_map.pivot(index="variable", columns="geo_level", values="mean_abs_rel_error")[present]
    counts = heat_map.pivot(index="variable", columns="geo_level", values="n_targets")[present]
    heads = "".join(f'<th scope="col" class="number">{escape(level)}</th>' for level in present)
    rows = []
    for variable in errors.index:
        cells = [_heat_cell(errors.at[variable, level], counts.at[variable, level]) for level in present]
        rows.append(f'<tr><td class="text"><code>{escape(str(variable))}</code></td>{"".join(cells)}</tr>')
    head = f'<thead><tr><th scope="col">Variable</th>{heads}</tr></thead>'
    return f'<table class="sortable">{head}<tbody>{"".join(rows)}</tbody></table>'


def tile(value: str, label: str, state: Literal["", "good", "bad"] = "") -> str:
    """A headline number with its label."""
    return f'<div class="tile {state}"><b>{escape(value)}</b><span>{escape(label)}</span></div>'


def pill(passed: bool | None) -> str:
    """Passed, failed, or not evaluated."""
    if passed is None:
        return '<span class="pill none">not evaluated</span>'
    return '<span class="pill good">passed</span>' if passed else '<span class="pill bad">failed</span>'


def facts(items: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """A list of names and values."""
    pairs = items.items() if isinstance(items, Mapping) else items
    body = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f'<dl class="facts">{body}</dl>'


def shown(value: object, style: Style) -> str:
    """A value as text in a style."""
    if style not in _NUMBERS:
        return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)
    number = float(str(value)) if value is not None and not pd.isna(value) else math.nan  # type: ignore[call-overload]
    if not math.isfinite(number):
        return "–" if math.isnan(number) else ("∞" if number > 0 else "−∞")
    if style == "percent":
        return f"{100 * number:,.1f} %"
    if style == "count":
        return f"{number:,.0f}"
    return f"{number:,.2f}" if style == "decimal" else amount(number)


def amount(number: float) -> str:
    """A large number with a letter for thousands, millions, billions or trillions, four digits at most."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            return f"{number / (1e3 if letter == 'k' else size):,.4g} {letter}"
    return f"{number:,.4g}" if abs(number) < 1000 else f"{number:,.0f}"


def _cell(value: object, style: Style) -> str:
    if style == "passed":
        return f"<td>{pill(bool(value))}</td>"
    text = escape(shown(value, style))
    if style in _NUMBERS:
        number = float(str(value)) if value is not None and not pd.isna(value) else math.nan  # type: ignore[call-overload]
        raw = "" if math.isnan(number) else repr(number).replace("inf", "Infinity")
        return f'<td class="number" data-value="{raw}">{text}</td>'
    if style == "code":
        return f'<td class="code"><code>{text}</code></td>'
    return f'<td class="{style}">{text}</td>'


def _heat_cell(error: object, count: object) -> str:
    value = float(str(error))
    if not math.isfinite(value):
        return '<td class="number" data-value="">–</td>'
    tint = round(min(1.0, value / 0.30) * 62)
    style = f"background: color-mix(in srgb, #d0473f {tint}%, transparent)"
    title = f"{shown(count, 'count')} targets"
    return f'<td class="number" data-value="{value!r}" style="{style}" title="{title}">{100 * value:.1f} %</td>'
