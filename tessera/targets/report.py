"""Counts of the figures by source and level, and whether levels add up: for the report and for docs/data.md."""

from __future__ import annotations

import pandas as pd

from tessera.targets.figures import GEO_LEVELS

_CONCEPT = ["variable", "constraints", "reform"]


def counts(figures: pd.DataFrame) -> pd.DataFrame:
    """Number of figures by source (rows) and level (columns national, state, district, total)."""
    table = figures.groupby(["source", "geo_level"]).size().unstack(fill_value=0)
    table = table.reindex(columns=list(GEO_LEVELS), fill_value=0)
    return table.assign(total=table.sum(axis=1)).rename_axis(columns=None).reset_index()


def consistency(targets: pd.DataFrame) -> pd.DataFrame:
    """National values beside the sums of states and of districts of the same concept.

    Args:
        targets: columns variable, constraints, geo_level, geo_id, value and optionally reform. Where a
            place has several sources for a concept, its first row counts.

    Returns:
        One row a concept with columns variable, constraints, reform, national, states, districts (NaN where the level
        is absent or incomplete), states_error and districts_error (relative to the nation).
    """
    table = targets.assign(reform=targets.get("reform", ""))
    complete = {"national": 1, "state": 51, "district": 436}
    rows = []
    for concept, group in table.groupby(_CONCEPT, sort=True):
        sums = {level: _total(group[group["geo_level"] == level], complete[level]) for level in GEO_LEVELS}
        rows.append((*concept, sums["national"], sums["state"], sums["district"]))
    result = pd.DataFrame(rows, columns=[*_CONCEPT, "national", "states", "districts"])
    return result.assign(
        states_error=(result["states"] - result["national"]) / result["national"].abs(),
        districts_error=(result["districts"] - result["national"]) / result["national"].abs(),
    )


def largest_gap(table: pd.DataFrame) -> float:
    """The largest relative gap of a `consistency` table, 0 where no concept stands at several levels."""
    gaps = table[["states_error", "districts_error"]].abs().max().max()
    return float(gaps) if pd.notna(gaps) else 0.0


def district_gaps(targets: pd.DataFrame) -> pd.DataFrame:
    """Largest relative gap between a state and the sum of its districts, by concept that both levels have.

    Returns:
        Columns variable, constraints, state (where it is), gap.
    """
    states = targets[targets["geo_level"] == "state"]
    districts = targets[targets["geo_level"] == "district"]
    summed = (
        districts.assign(geo_id=districts["geo_id"].str[:2])
        .groupby(["variable", "constraints", "geo_id"])["value"]
        .sum()
    )
    joined = states.join(summed.rename("districts"), on=["variable", "constraints", "geo_id"], how="inner")
    joined["gap"] = (joined["districts"] / joined["value"] - 1).abs()
    worst = joined.loc[joined.groupby(["variable", "constraints"])["gap"].idxmax()]
    return worst.rename(columns={"geo_id": "state"})[["variable", "constraints", "state", "gap"]].reset_index(drop=True)


def to_markdown(table: pd.DataFrame) -> str:
    """A table in Markdown, whole numbers with thousands separators."""
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "| " + " | ".join("---" for _ in table.columns) + " |"]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


def _total(rows: pd.DataFrame, wanted: int) -> float:
    # Several sources for one concept: each place once, the first source of the order of the table.
    once = rows.drop_duplicates("geo_id")
    return float(once["value"].sum()) if len(once) == wanted else float("nan")


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
