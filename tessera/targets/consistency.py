"""Which figures agree that should: levels with each other, classes of AGI with their total, sources with each other.

Comparisons, each at one place and for one concept (variable, constraints, reform):

- states to nation, districts to nation, districts to state: the figure of the place, and the sum of all its parts in
  the same source (in another one, where the source of the parts has no larger places);
- classes to total: the figure of a domain or class of AGI, and the sum of the finest classes that make it up in the
  same source;
- sources: the figures of two sources. The first is that of the source with the concept at more places, then the one
  that describes the model year itself, then the first by name.

gap = other / value - 1. Its size is ok below 1 %, a flag below 5 %, significant below 15 %, critical beyond. Published
numbers are rounded each by itself, so that a sum may be off by half a unit of publication a part: such gaps are ok.

A critical contradiction sets aside the finer side (the parts, the classes, the second source) from fits, and says why.
Holds no database and changes no figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.geography.areas import stratum_districts
from tessera.targets.classes import class_links, rounding
from tessera.targets.figures import MODEL_YEAR, records

SEVERITIES = ("ok", "flag", "significant", "critical")
LIMITS = (0.01, 0.05, 0.15)
KINDS = ("states to nation", "districts to nation", "districts to state", "classes to total", "sources")
SUMMARY = ("kind", "variable", "constraints", "reform", "geo_level", "source", "other_source", "places",
           "critical_places", "geo_id", "value", "other", "gap", "severity")  # fmt: skip
_CONCEPT = ["source", "variable", "constraints", "reform"]
_PAIR = ["kind", "variable", "constraints", "reform", "geo_level", "source", "other_source"]


def compare(figures: pd.DataFrame) -> pd.DataFrame:
    """Every comparison that the figures allow.

    Args:
        figures: columns of `figures.COLUMNS`; their index names the rows.

    Returns:
        One row a comparison and place: kind, variable, constraints, reform, geo_level, source, other_source, geo_id,
        value, other, gap, severity, and `rows`, the index labels of the finer side (an array).
    """
    tables = [*_levels(figures), _classes(figures), _sources(figures)]
    found = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    value, other = found["value"].to_numpy(np.float64), found["other"].to_numpy(np.float64)
    gap = relative_gap(value, other)
    rounded = np.abs(other - value) <= found["slack"].to_numpy(np.float64)
    return found.assign(gap=gap, severity=severity(np.where(rounded, 0.0, gap))).drop(columns="slack")


def relative_gap(value: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """other / value - 1, relative to the size of the value; 0 where both are zero, infinite where only the value is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = (other - value) / np.abs(value)
    return np.where(other == value, 0.0, gap)


def severity(gap: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    """Names of sizes of gaps: ok, flag, significant, critical."""
    return np.array(SEVERITIES)[np.searchsorted(LIMITS, np.abs(gap), side="right")]


def summary(compared: pd.DataFrame) -> pd.DataFrame:
    """One row a kind, concept, level and pair of sources: how many places, how many critical, and the widest gap.

    Args:
        compared: what `compare` gave.
    """
    if compared.empty:
        return pd.DataFrame(columns=list(SUMMARY))
    order = {name: position for position, name in enumerate(SEVERITIES)}
    keyed = compared.assign(_size=compared["severity"].map(order), _gap=compared["gap"].abs())
    keyed = keyed.sort_values(["_size", "_gap", "geo_id"], ascending=[False, False, True], kind="stable")
    grouped = keyed.groupby(_PAIR, sort=True)
    worst = grouped[["geo_id", "value", "other", "gap", "severity"]].first()
    critical = (keyed["severity"] == "critical").groupby([keyed[column] for column in _PAIR]).sum()
    worst = worst.assign(places=grouped.size(), critical_places=critical).reset_index()
    return worst[list(SUMMARY)].assign(gap=worst["gap"].clip(-1e9, 1e9))


def set_aside(compared: pd.DataFrame) -> pd.Series:
    """Why figures leave a fit: the finer sides of critical contradictions, by index label of the figures.

    A figure that several contradictions concern has the reason of the widest. Of two sources, the one with the concept
    at more places goes before the other, then the one of the model year.
    """
    critical = compared[compared["severity"] == "critical"]
    critical = critical.iloc[np.argsort(-critical["gap"].abs().to_numpy(), kind="stable")]
    reasons: dict[int, str] = {}
    for row in records(critical):
        reason = _reason(row)
        for label in row["rows"]:
            reasons.setdefault(int(label), reason)
    return pd.Series(reasons, dtype="str").sort_index()


def _reason(row: dict[str, Any]) -> str:
    said, wanted = _number(row["other"]), _number(row["value"])
    gap = f"{abs(row['gap']):.1%} {'more' if row['gap'] > 0 else 'less'}" if np.isfinite(row["gap"]) else "more"
    if row["kind"] == "sources":
        return (
            f"{row['other_source']} says {said} for {row['geo_id']}: {gap} than the {wanted} of {row['source']}, which "
            "goes before it"
        )
    parts = "classes of AGI" if row["kind"].startswith("classes") else row["kind"].split(" to ")[0]
    return (
        f"the {parts} of {row['other_source']} add up to {said}: {gap} than the {wanted} of {row['source']} for "
        f"{row['geo_id']} as a whole"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _levels(figures: pd.DataFrame) -> Iterator[pd.DataFrame]:
    of_level = {level: figures[figures["geo_level"] == level] for level in ("national", "state", "district")}
    states, districts = of_level["state"], of_level["district"]
    yield _parts("states to nation", of_level["national"], states.assign(within="US"), {"US": 51})
    yield _parts("districts to nation", of_level["national"], districts.assign(within="US"), {"US": 436})
    sizes = pd.Series([code // 100 for code in stratum_districts()]).value_counts()
    counts = {_usps(fips): int(count) for fips, count in sizes.items()}
    yield _parts("districts to state", states, districts.assign(within=districts["geo_id"].str[:2]), counts)


def _usps(fips: object) -> str:
    from tessera.geography.areas import state_by_fips

    return state_by_fips(int(str(fips))).usps


def _parts(kind: str, whole: pd.DataFrame, parts: pd.DataFrame, counts: dict[str, int]) -> pd.DataFrame:
    """Each figure of a larger place beside the sum of its parts, where all of them are there.

    Parts of a source without figures of the larger places are compared with those of the first source that has them.
    """
    keys = [*_CONCEPT, "within"]
    summed = parts.groupby(keys, sort=False)["value"].agg(["sum", "size"]).reset_index()
    summed = summed[summed["size"] == summed["within"].map(counts)].rename(columns={"source": "other_source"})
    wholes = whole.rename(columns={"geo_id": "within"})
    own = pd.MultiIndex.from_frame(summed[["other_source", *_CONCEPT[1:]]]).isin(
        pd.MultiIndex.from_frame(whole[_CONCEPT])
    )
    first = wholes.sort_values("source", kind="stable").drop_duplicates(keys[1:])
    joined = pd.concat(
        [
            wholes.assign(other_source=wholes["source"]).merge(summed[own], on=["other_source", *keys[1:]]),
            first.merge(summed[~own], on=keys[1:]),
        ],
        ignore_index=True,
    )
    rows = _labels(parts.rename(columns={"source": "other_source"}), ["other_source", *keys[1:]], joined)
    joined = joined.assign(geo_id=joined["within"], other=joined["sum"], rows=_cells(rows, joined))
    return _comparison(kind, joined, joined["size"], joined["other_source"])


def _classes(figures: pd.DataFrame) -> pd.DataFrame:
    """Each figure beside the sum of the classes of AGI that make it up."""
    links = class_links(figures)
    if not len(links.whole):
        return pd.DataFrame()
    starts = np.flatnonzero(np.concatenate([[True], links.whole[1:] != links.whole[:-1]]))
    values = figures["value"].to_numpy(np.float64)
    wholes = figures.iloc[links.whole[starts]]
    rows = np.split(figures.index.to_numpy()[links.part], starts[1:])
    sums = np.add.reduceat(values[links.part], starts)
    sizes = pd.Series(np.diff([*starts, len(links.whole)]), index=wholes.index)
    return _comparison("classes to total", wholes.assign(other=sums, rows=_cells(rows, wholes)), sizes)


def _sources(figures: pd.DataFrame) -> pd.DataFrame:
    """Each figure of a second source beside that of the first one that has the concept at the place."""
    place = ["variable", "constraints", "reform", "geo_level", "geo_id"]
    rows = figures[figures.duplicated(place, keep=False)]
    if rows.empty:
        return pd.DataFrame()
    places = figures.groupby(_CONCEPT, sort=False).size().rename("_places")
    ranked = rows.assign(_row=rows.index, _other_year=rows["year"] != MODEL_YEAR).join(places, on=_CONCEPT)
    ranked = ranked.sort_values(["_places", "_other_year", "source"], ascending=[False, True, True], kind="stable")
    first = ranked.drop_duplicates(place)
    second = ranked.drop(index=first.index)[[*place, "source", "value", "_row"]]
    second = second.rename(columns={"source": "other_source", "value": "other"})
    joined = first.drop(columns="_row").merge(second, on=place)
    joined["rows"] = _cells([np.array([label]) for label in joined["_row"]], joined)
    return _comparison("sources", joined, pd.Series(0, index=joined.index), joined["other_source"])


def _labels(parts: pd.DataFrame, keys: list[str], wanted: pd.DataFrame) -> list[npt.NDArray[np.int64]]:
    """Index labels of the parts of each wanted key."""
    groups = parts.groupby(keys, sort=False).indices
    labels = parts.index.to_numpy()
    return [labels[groups[key]] for key in wanted[keys].itertuples(index=False, name=None)]


def _cells(rows: Sequence[npt.NDArray[np.int64]], table: pd.DataFrame) -> pd.Series:
    """Arrays as the cells of a column."""
    return pd.Series(list(rows), index=table.index, dtype=object)


def _comparison(
    kind: str, joined: pd.DataFrame, n_parts: pd.Series, other_source: pd.Series | None = None
) -> pd.DataFrame:
    named = joined["source"] if other_source is None else other_source
    columns = ["variable", "constraints", "reform", "geo_level", "source", "geo_id", "value", "other", "rows"]
    # The total is rounded too.
    slack = rounding(joined["unit"]) * (n_parts + 1).where(n_parts > 0, 0)
    return joined[columns].assign(kind=kind, other_source=named, slack=slack)
