"""What changed between two sets of figures: two databases, two snapshots, or one of each.

A figure is the same figure if source, place, variable, domain, reform and period are; it has changed if its value is
not. Classes of AGI whose bounds have moved are other figures: one removed, one added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tessera.errors import TargetError
from tessera.targets.reading import read_figures

KEY = ("source", "geo_level", "geo_id", "variable", "constraints", "reform", "period")
# Beside the value: why it is another one. A changed URL or table alone is no change of the figure.
REASONS = ("raw_value", "uprating", "reconciliation", "vintage")
_CHANGED = (*KEY, "unit", "before", "after", "change", "because")


@dataclass(frozen=True)
class Difference:
    """Two sets of figures, compared.

    Attributes:
        added, removed: figures of the second set alone, and of the first alone; all their columns.
        changed: columns of `KEY`, unit, before, after, change (relative, infinite from zero) and because (those of
            `REASONS` that differ, joined by commas), the largest change first.
        unchanged: number of figures that are the same in both.
    """

    added: pd.DataFrame
    removed: pd.DataFrame
    changed: pd.DataFrame
    unchanged: int

    @property
    def is_empty(self) -> bool:
        """Whether both sets are the same."""
        return not (len(self.added) or len(self.removed) or len(self.changed))

    def by_source(self) -> pd.DataFrame:
        """Numbers of figures added, removed and changed, one row a source and level that has any."""
        parts = {"added": self.added, "removed": self.removed, "changed": self.changed}
        counts = {name: part.groupby(["source", "geo_level"]).size() for name, part in parts.items()}
        table = pd.DataFrame(counts).reindex(columns=list(parts)).fillna(0).astype(int)
        return table.rename_axis(index=["source", "geo_level"]).reset_index()


def compare(before: pd.DataFrame, after: pd.DataFrame, *, tolerance: float = 1e-9) -> Difference:
    """Compare two tables of figures.

    Args:
        before, after: columns of `figures.COLUMNS`.
        tolerance: relative difference of values up to which a figure counts as unchanged.

    Raises:
        TargetError: a table that has a figure twice, or a tolerance that is no number of at least 0.
    """
    if not (isinstance(tolerance, int | float) and math.isfinite(tolerance) and tolerance >= 0):
        raise TargetError(f"tolerance is {tolerance!r}; wanted a number of at least 0.")
    key = list(KEY)
    for label, table in (("first", before), ("second", after)):
        twice = table.duplicated(key, keep=False)
        if twice.any():
            row = table[twice].iloc[0]
            raise TargetError(
                f"The {label} set has the figure {row['geo_id']} {row['variable']} {row['constraints']} of "
                f"{row['source']} {int(twice.sum())} times over; wanted once. Compare sets that build_database takes."
            )
    columns = [*key, "unit", "value", *REASONS]
    both = before[columns].merge(after[columns], on=key, suffixes=("_before", "_after"))
    largest = both[["value_before", "value_after"]].abs().max(axis=1)
    differs = (both["value_after"] - both["value_before"]).abs() > tolerance * largest
    return Difference(
        added=_without(after, both, key),
        removed=_without(before, both, key),
        changed=_changed(both[differs], tolerance),
        unchanged=int((~differs).sum()),
    )


def compare_files(before: Path | None, after: Path | None, *, tolerance: float = 1e-9) -> Difference:
    """Compare two files, each a target database or a snapshot of figures; None is the packaged snapshot."""
    return compare(read_figures(before), read_figures(after), tolerance=tolerance)


def _without(table: pd.DataFrame, both: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Rows of a table whose figure is not in both."""
    common = pd.MultiIndex.from_frame(both[key])
    return table[~pd.MultiIndex.from_frame(table[key]).isin(common)].reset_index(drop=True)


def _changed(rows: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    before, after = rows["value_before"], rows["value_after"]
    ratio = (after / before.where(before != 0) - 1).where(before != 0, float("inf"))
    reasons = {name: _differs(rows[f"{name}_before"], rows[f"{name}_after"], tolerance) for name in REASONS}
    because = [", ".join(name for name in REASONS if reasons[name].iloc[position]) for position in range(len(rows))]
    table = rows[list(KEY)].assign(
        unit=rows["unit_after"], before=before, after=after, change=ratio, because=pd.Series(because, rows.index, str)
    )
    order = table["change"].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order, list(_CHANGED)].reset_index(drop=True)


def _differs(before: pd.Series, after: pd.Series, tolerance: float) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(before):
        return before != after
    return (after - before).abs() > tolerance * pd.concat([before.abs(), after.abs()], axis=1).max(axis=1)
