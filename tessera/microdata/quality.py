"""Weighted national totals of a frame, beside official figures and beside the stages before and after.

Holds sums, ratios and their units in words; holds no official figure (`national_totals` does), draws nothing
(`distributions` does) and refuses nothing (`catalogue` names what is missing).

    total   sum over units of household weight times value; of a count, the weight of units with another value than 0
    ratio   total / official, both in the total's unit
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.frame import ENTITIES, Frame
from tessera.microdata.national_totals import NationalTotal, official_totals
from tessera.microdata.stratify import household_agi

FloatArray = npt.NDArray[np.float64]
# Numbers that name something and do not add up.
CODES = ("household_weight", "cps_race")
COMPARISON = ("name", "meaning", "unit", "total", "official", "ratio", "year", "source")
SUMMARY = (
    "chain", "output", "n_train", "n_receivers", "train_loss", "test_loss", "donor_zero_share", "receiver_zero_share",
    "donor_mean", "receiver_mean", "seconds",
)  # fmt: skip
# Totals within this share of the official figure are called near (wide, as nothing is calibrated yet), and what chance
# may add to it in a sample of n households, over the root of n.
NEAR = 0.3
CHANCE = 4.0


def weighted_totals(frame: Frame, official: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Weighted totals of every numeric or yes/no column of a frame.

    Args:
        frame: the microdata.
        official: official total by variable name, in the variable's unit; variables that the frame lacks get a row too.

    Returns:
        One row a variable in order of entity and name: variable, entity, total (sum of weight * value), share_nonzero
        (weighted share of units with another value than zero), official, ratio (total / official; NaN without).
        Counts of each entity come as `{entity}_count`.
    """
    figures = dict(official or {})
    rows: list[tuple[str, str, float, float]] = []
    for entity in ENTITIES:
        table = frame.table(entity)
        weights = frame.weights[frame.household_of(entity)]
        rows.append((f"{entity}_count", entity, float(weights.sum()), 1.0))
        for name in sorted(map(str, table.columns)):
            if name in CODES or name.endswith(("_id", "_fips", "_recode")) or not is_amount(table[name]):
                continue
            values = table[name].to_numpy(dtype=np.float64)
            nonzero = float(weights[values != 0].sum() / max(weights.sum(), 1e-300))
            rows.append((name, entity, float(weights @ values), nonzero))
    known = {row[0] for row in rows}
    rows += [(name, "", np.nan, np.nan) for name in figures if name not in known]
    result = pd.DataFrame(rows, columns=["variable", "entity", "total", "share_nonzero"])
    result["official"] = [figures.get(name, np.nan) for name in result["variable"]]
    result["ratio"] = result["total"] / result["official"].where(result["official"] != 0)
    return result


def national_comparison(frame: Frame, totals: Sequence[NationalTotal] | None = None) -> pd.DataFrame:
    """A frame's totals beside official ones.

    Args:
        frame: any stage of the microdata.
        totals: what to measure; by default all of `official_totals`.

    Returns:
        One row a total of which the frame has at least one column, in the order of `totals`: the columns of
        `COMPARISON`. A column that is absent counts as zero; a total of which all columns are absent has no row.
    """
    rows = []
    for one in official_totals() if totals is None else totals:
        total = measure(frame, one)
        if total is None:
            continue
        ratio = total / one.value if one.value else np.nan
        rows.append((one.name, one.meaning, one.unit, total, one.value, ratio, one.year, one.source))
    return pd.DataFrame(rows, columns=list(COMPARISON))


def measure(frame: Frame, total: NationalTotal) -> float | None:
    """A frame's own total of what an official figure is of, in the figure's unit; None where it has no such column."""
    if total.measure == "units":
        return float(frame.weights[frame.household_of(total.entity)].sum())
    if total.measure == "agi":
        return float(frame.weights @ household_agi(frame))
    # The tax file has amounts of a tax unit on its head.
    for entity in dict.fromkeys((total.entity, "person")):
        table = frame.table(entity)
        known = [term for term in total.columns if term.name.partition("==")[0] in table]
        if known:
            weights = frame.weights[frame.household_of(entity)]
            values = np.sum([term.sign * _numbers(table, term.name) for term in known], axis=0)
            return float(weights[values != 0].sum()) if total.measure == "count" else float(weights @ values)
    return None


def compare_stages(frames: Mapping[str, Frame]) -> pd.DataFrame:
    """What each stage makes of the totals.

    Args:
        frames: stage by name, in the order of the stages.

    Returns:
        One row a total: name, unit, official, and for every stage its ratio to the official figure (NaN where the
        stage has no such column).
    """
    parts = {stage: national_comparison(frame).set_index("name") for stage, frame in frames.items()}
    result = pd.DataFrame({total.name: (total.unit, total.value) for total in official_totals()}).T
    result.columns = pd.Index(["unit", "official"])
    for stage, part in parts.items():
        result[stage] = part["ratio"].reindex(result.index)
    kept = result[list(parts)].notna().any(axis=1)
    return result[kept].rename_axis("name").reset_index()


def changes(before: Frame, after: Frame) -> pd.DataFrame:
    """Totals of two stages that follow each other: what the later one changed.

    Returns:
        One row a total that both have: name, unit, before, after, change (after / before - 1; NaN from zero).
    """
    first, second = (national_comparison(frame).set_index("name") for frame in (before, after))
    both = [name for name in first.index if name in second.index]
    table = pd.DataFrame({"unit": first.loc[both, "unit"], "before": first.loc[both, "total"]})
    table["after"] = second.loc[both, "total"]
    table["change"] = table["after"] / table["before"].where(table["before"] != 0) - 1
    return table.rename_axis("name").reset_index()


def far_from_official(comparison: pd.DataFrame, names: Sequence[str], households: int) -> pd.DataFrame:
    """Rows of a comparison, of some totals, that are further from the official figure than `tolerance` allows.

    Args:
        comparison: `national_comparison`.
        names: of the totals to look at; those that the comparison lacks are passed over.
        households: of the frame.
    """
    own = comparison[comparison["name"].isin(list(names))]
    allowed = tolerance(households)
    return own[~own["ratio"].between(1 - allowed, 1 + allowed)]


def tolerance(households: int) -> float:
    """How far a total of a sample of households may be from the official figure, as a share of it."""
    return NEAR + CHANCE / float(np.sqrt(max(households, 1)))


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """A table for people: amounts by the column `unit` in trillions, billions or millions, ratios in two decimals.

    The columns total, official, before and after take the unit of their row; ratio, change and columns of stages are
    shares. NaN becomes empty.
    """
    shown = table.copy()
    amounts = [name for name in ("total", "official", "before", "after") if name in shown]
    for name in shown.columns:
        if name in amounts:
            units = table["unit"] if "unit" in table else [""] * len(table)
            shown[name] = [in_words(value, str(unit)) for value, unit in zip(table[name], units, strict=True)]
        elif pd.api.types.is_float_dtype(table[name]):
            sign = "+" if name == "change" else ""
            shown[name] = [f"{value:{sign}.1%}" if name == "change" else f"{value:,.2f}" for value in table[name]]
            shown[name] = shown[name].mask(table[name].isna(), "")
    return shown


def in_words(value: float, unit: str) -> str:
    """A number with its unit: `10.83 trn $`, `340.1 m persons`."""
    number = float(value)
    if not np.isfinite(number):
        return ""
    label = "$" if unit == "dollar" else {"spm_unit": "SPM units"}.get(unit, f"{unit}s" if unit else "")
    size = abs(number)
    for bound, name, digits in ((1e12, "trn", 2), (1e9, "bn", 1), (1e6, "m", 1)):
        if size >= bound:
            return f"{number / bound:,.{digits}f} {name} {label}".rstrip()
    return f"{number:,.0f} {label}".rstrip()


def write_quality(table: pd.DataFrame, path: Path) -> Path:
    """Write an imputation's table of quality as CSV, whole or not at all."""
    from tessera.store import write_bytes

    return write_bytes(path, table.to_csv(index=False, lineterminator="\n", float_format="%.10g").encode("utf-8"))


def quality_summary(quality: pd.DataFrame) -> pd.DataFrame:
    """The columns of a table of quality that people look at first."""
    return quality[[name for name in SUMMARY if name in quality]].reset_index(drop=True)


def read_quality(path: Path) -> pd.DataFrame:
    """The table that `write_quality` wrote."""
    return pd.read_csv(path, dtype={"chain": "str", "output": "str"})


def is_amount(column: pd.Series) -> bool:
    """Whether a column holds numbers or yes and no."""
    return bool(pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def _numbers(table: pd.DataFrame, name: str) -> FloatArray:
    """A column as numbers; of "column==VALUE", 1 in the rows that have the value."""
    column, _, wanted = name.partition("==")
    if wanted:
        return np.asarray((table[column].astype(str) == wanted).to_numpy(), dtype=np.float64)
    return table[column].to_numpy(dtype=np.float64)
