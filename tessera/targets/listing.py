"""Figures, differences and inconsistencies as lines of text, for a terminal. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from tessera.targets.database import target_name
from tessera.targets.diff import KEY, Difference
from tessera.targets.figures import GEO_LEVELS, records


def figure_lines(figures: pd.DataFrame, limit: int) -> list[str]:
    """One line a figure: name, value, unit, and what it came from.

    Args:
        figures: columns of `figures.COLUMNS`.
        limit: lines at most, 0 for all; what is left out is said.
    """
    shown = figures if limit == 0 else figures.head(limit)
    names = _names(shown)
    cells = [
        (name.rsplit("@", 1)[0], number(row["value"]), row["unit"], row["source"], str(row["year"]), _origin(row))
        for name, row in zip(names, records(shown), strict=True)
    ]
    lines = aligned(("figure", "value", "unit", "source", "year", "published, and what was done to it"), cells)
    return lines + _rest(len(figures) - len(shown), "figures")


def difference_lines(difference: Difference, limit: int) -> list[str]:
    """Numbers by source, then what was changed, removed and added; `limit` figures of each at most, 0 for all."""
    found = difference
    lines = [
        f"{len(found.added):,} added, {len(found.removed):,} removed, {len(found.changed):,} changed, "
        f"{found.unchanged:,} unchanged"
    ]
    if found.is_empty:
        return lines
    table = found.by_source()
    lines += aligned(tuple(table.columns), [[_cell(cell) for cell in row] for row in table.itertuples(index=False)])
    lines += _changed_lines(found.changed, limit)
    for label, part in (("removed", found.removed), ("added", found.added)):
        if len(part):
            shown = part if limit == 0 else part.head(limit)
            cells = [(name, number(value)) for name, value in zip(_names(shown), shown["value"], strict=True)]
            lines += ["", *aligned((label, "value"), cells), *_rest(len(part) - len(shown), f"{label} figures")]
    return lines


def severity_lines(severities: pd.DataFrame) -> list[str]:
    """How many comparisons of each kind are of which severity (`report.severities`)."""
    if severities.empty:
        return ["no concept stands at two levels, in classes or in two sources"]
    return aligned(
        tuple(severities.columns), [[_cell(cell) for cell in row] for row in severities.itertuples(index=False)]
    )


def gap_lines(consistency: pd.DataFrame, limit: int) -> list[str]:
    """The comparisons that are not ok, the widest gap first.

    Args:
        consistency: the database's table of that name.
        limit: lines at most, 0 for all.
    """
    if consistency.empty:
        return []
    bad = consistency[consistency["severity"] != "ok"]
    bad = bad.assign(_width=bad["gap"].abs()).sort_values("_width", ascending=False, kind="stable")
    shown = bad if limit == 0 else bad.head(limit)
    cells = []
    for row in records(shown):
        one, other = row["source"], row["other_source"]
        place = target_name(row["geo_id"], row["variable"], row["constraints"], row["reform"], one).rsplit("@", 1)[0]
        named = one if one == other else f"{one} / {other}"
        numbers = number(row["value"]), number(row["other"])
        cells.append((row["severity"], f"{row['gap']:+.1%}", row["kind"], place, named, *numbers))
    if not cells:
        return []
    header = ("severity", "gap", "comparison", "where it is widest", "source", "value", "other")
    return aligned(header, cells) + _rest(len(bad) - len(shown), "comparisons that are not ok")


def excluded_lines(groups: pd.DataFrame, limit: int) -> list[str]:
    """Targets set aside, a line a group, the largest first (`report.excluded_groups`); 0 for all of them."""
    if groups.empty:
        return []
    table = groups.sort_values("targets", ascending=False, kind="stable")
    shown = table if limit == 0 else table.head(limit)
    cells = [
        (f"{row['targets']:,}", row["source"], row["geo_level"], row["variable"], row["reason"])
        for row in records(shown)
    ]
    header = ("targets", "source", "level", "variable", "the first of the reasons")
    return aligned(header, cells) + _rest(len(table) - len(shown), "groups")


def difference_csv(difference: Difference) -> list[str]:
    """All differences as lines of CSV: what (removed, added, changed), the key, before, after, change, because."""
    key = [*KEY, "unit"]
    added = difference.added[key].assign(before=float("nan"), after=difference.added["value"])
    removed = difference.removed[key].assign(before=difference.removed["value"], after=float("nan"))
    parts = {"removed": removed, "added": added, "changed": difference.changed}
    table = pd.concat([part.assign(what=what) for what, part in parts.items() if len(part)] or [added.assign(what="")])
    columns = ["what", *key, "before", "after", "change", "because"]
    return table.reindex(columns=columns).to_csv(index=False, lineterminator="\n").splitlines()


def level_counts(figures: pd.DataFrame) -> str:
    """`18 national, 918 state, ...` of figures with the column geo_level."""
    counts = figures["geo_level"].value_counts()
    return ", ".join(f"{int(counts[level]):,} {level}" for level in GEO_LEVELS if level in counts)


def aligned(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table, columns of numbers to the right, the last column as long as it is."""
    table = [tuple(map(str, header)), *(tuple(map(str, row)) for row in rows)]
    columns = list(zip(*table, strict=True))
    right = [all(_is_number(cell) for cell in column[1:]) and len(column) > 1 for column in columns]
    widths = [max(map(len, column)) for column in columns]
    widths[-1] = widths[-1] if right[-1] else 0
    return ["  ".join(_padded(*cell) for cell in zip(row, widths, right, strict=True)).rstrip() for row in table]


def number(value: float) -> str:
    """A number with thousands separators; digits behind the point only below 1,000."""
    value = float(value)
    return f"{value:,.0f}" if abs(value) >= 1000 or value.is_integer() else f"{value:,.4g}"


def _changed_lines(changed: pd.DataFrame, limit: int) -> list[str]:
    if changed.empty:
        return []
    shown = changed if limit == 0 else changed.head(limit)
    cells = [
        (name, number(row["before"]), number(row["after"]), f"{row['change']:+.2%}", row["because"] or "value")
        for name, row in zip(_names(shown), records(shown), strict=True)
    ]
    lines = aligned(("changed", "before", "after", "change", "because"), cells)
    return ["", *lines, *_rest(len(changed) - len(shown), "changed figures")]


def _names(figures: pd.DataFrame) -> list[str]:
    columns = ["geo_id", "variable", "constraints", "reform", "source"]
    return [target_name(*row) for row in figures[columns].itertuples(index=False)]


def _origin(row: dict[str, Any]) -> str:
    """The figure as published and the factors that are not 1."""
    steps = "".join(f" x {kind} {row[kind]:.4f}" for kind in ("uprating", "reconciliation") if row[kind] != 1)
    return f"{number(row['raw_value'])}{steps} ({row['table']}, {row['vintage']})"


def _cell(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _rest(count: int, what: str) -> list[str]:
    return [f"... and {count:,} more {what}; --limit 0 shows all, --csv all columns"] if count else []


def _is_number(cell: str) -> bool:
    return bool(cell) and set(cell) <= set("0123456789,.+-%einf")


def _padded(cell: str, width: int, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)
