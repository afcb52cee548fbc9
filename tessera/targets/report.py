"""Tables about figures and targets, for the metadata of assets and for docs/data.md: counts, and whether levels add up.

Holds no selection and changes no figure. What agrees with what in the whole database is in `consistency`; here it is
asked of a set of targets, such as the training set, where nothing may contradict at all.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tessera.targets.figures import GEO_LEVELS

_CONCEPT = ["variable", "constraints", "reform"]
# Places that a level has to have for its sum to be the nation's.
_COMPLETE = {"national": 1, "state": 51, "district": 436}
# Type and meaning of the columns of `selection.read_targets`.
TARGET_COLUMNS = {
    "target_id": ("int", "number of the target in the database"),
    "name": ("string", "unique: place, variable, domain, source"),
    "variable": ("string", "variable of the rules engine, or a count of persons, households or units"),
    "geo_level": ("string", "national, state, district or city"),
    "geo_id": ("string", "US, CA, CA-12, NYC"),
    "constraints": ("string", "domain as a JSON list of [variable, operation, number], all of which a person meets"),
    "value": ("float", "figure to reach in the model year, in dollars or units"),
    "period": ("int", "model year"),
    "source": ("string", "publication"),
    "unit": ("string", "dollar, person, household, ..."),
    "stratum_id": ("int", "number of the stratum (place and domain) in the database"),
    "reform": ("string", "variable that is repealed; empty for the law as it is"),
    "definition_hash": ("string", "sha256 of the stratum's definition; deals it into its hold-out fold"),
}


def counts(figures: pd.DataFrame) -> pd.DataFrame:
    """Number of figures by source (rows) and level (columns national, state, district, city, total)."""
    return _by_level(figures, ["source"]).reset_index()


def counts_with_sum(figures: pd.DataFrame) -> pd.DataFrame:
    """`counts`, with a last row for all sources together."""
    table = counts(figures)
    return pd.concat([table, table.sum(numeric_only=True).to_frame().T.assign(source="all")], ignore_index=True)[
        list(table.columns)
    ].astype(dict.fromkeys(table.columns[1:], int))


def variable_counts(targets: pd.DataFrame) -> pd.DataFrame:
    """Number of targets by variable and source (rows) and level (columns)."""
    return _by_level(targets, ["variable", "source"]).reset_index()


def sources(figures: pd.DataFrame) -> pd.DataFrame:
    """One row a source: vintage, year that it describes, address."""
    table = figures.groupby("source").agg(vintage=("vintage", "first"), year=("year", "first"), url=("url", "first"))
    return table.reset_index().astype(str)


def severities(database: Path) -> pd.DataFrame:
    """How many comparisons of a database are ok, flagged, significant and critical: one row a kind of comparison."""
    from tessera.targets.reading import read_table

    names = ["ok", "flag", "significant", "critical"]
    table = read_table(database, "consistency")
    if table.empty:
        return pd.DataFrame(columns=["kind", *names])
    found = table.groupby(["kind", "severity"]).size().unstack(fill_value=0)
    return found.reindex(columns=names, fill_value=0).rename_axis(columns=None).reset_index()


def excluded_groups(database: Path) -> pd.DataFrame:
    """Targets that contradict better ones critically, by source, level and variable: number, and the first reason."""
    from tessera.targets.reading import read_excluded

    groups = read_excluded(database).groupby(["source", "geo_level", "variable"], sort=True)
    return groups.agg(targets=("name", "size"), reason=("reason", "first")).reset_index()


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
    rows = []
    for concept, group in table.groupby(_CONCEPT, sort=True):
        sums = {level: _total(group[group["geo_level"] == level], wanted) for level, wanted in _COMPLETE.items()}
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


def _by_level(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    counted = table.groupby([*keys, "geo_level"]).size().unstack(fill_value=0)
    counted = counted.reindex(columns=list(GEO_LEVELS), fill_value=0)
    return counted.assign(total=counted.sum(axis=1)).rename_axis(columns=None)


def _total(rows: pd.DataFrame, wanted: int) -> float:
    # Several sources for one concept: each place once, the first source of the order of the table.
    once = rows.drop_duplicates("geo_id")
    return float(once["value"].sum()) if len(once) == wanted else float("nan")


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
