"""Making levels agree: districts scaled to their state, and totals added up where none is published.

A fit cannot reach targets that contradict each other. For SNAP households the state's administrative caseload rules and
the survey gives the shares of its districts. Sums of states leave out territories, which no household file has.
The factor is recorded on each figure (column `reconciliation`); a sum says so in its column `table`.
"""

from __future__ import annotations

import json

import pandas as pd

from tessera.errors import TargetError
from tessera.geography.areas import states

# (source of the districts, source of the states, variable, constraints)
_SCALED = (("census_acs_s2201", "usda_fns_snap", "household_count", '[["snap",">",0]]'),)
_DISTRICT_SUMS = (("census_acs_s2201", "household_count", "[]"),)
_NOT_SUMMED = ("census_acs_s0101",)
_KEY = ["source", "variable", "constraints", "reform"]


def reconcile(figures: pd.DataFrame) -> pd.DataFrame:
    """Figures with districts scaled, and with sums for states and the nation added.

    Raises:
        TargetError: a state without districts to scale, or districts that add up to zero.
    """
    scaled = figures.copy()
    for rule in _SCALED:
        scaled = _scale(scaled, *rule)
    with_states = pd.concat([scaled, _state_sums(scaled)], ignore_index=True)
    with_agi = pd.concat([with_states, _class_sums(with_states)], ignore_index=True)
    return pd.concat([with_agi, _national_sums(with_agi)], ignore_index=True)


def state_of(geo_id: str) -> str:
    """Postal code of a state or district."""
    return geo_id[:2]


def _scale(figures: pd.DataFrame, source: str, parent_source: str, variable: str, constraints: str) -> pd.DataFrame:
    concept = (figures["variable"] == variable) & (figures["constraints"] == constraints)
    children = concept & (figures["source"] == source) & (figures["geo_level"] == "district")
    parents = figures[concept & (figures["source"] == parent_source)].set_index("geo_id")["value"]
    state = figures.loc[children, "geo_id"].map(state_of)
    sums = figures.loc[children, "value"].groupby(state).sum()
    for usps in (entry.usps for entry in states()):
        if not sums.get(usps, 0.0) > 0 or usps not in parents:
            raise TargetError(
                f"{usps}: districts of {source} cannot be scaled to {parent_source} ({variable} {constraints})."
            )
    factor = state.map(parents / sums)
    figures.loc[children, "reconciliation"] = factor
    figures.loc[children, "value"] = figures.loc[children, "value"] * factor
    return figures


def _state_sums(figures: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for source, variable, constraints in _DISTRICT_SUMS:
        concept = (figures["source"] == source) & (figures["variable"] == variable)
        rows = figures[concept & (figures["constraints"] == constraints)]
        rows = rows.assign(geo_id=rows["geo_id"].map(state_of), geo_level="state")
        parts.append(_summed(rows, [*_KEY, "geo_level", "geo_id"], "sum of districts"))
    return pd.concat(parts, ignore_index=True)


def _class_sums(figures: pd.DataFrame) -> pd.DataFrame:
    """Returns and AGI of all classes together: the classes are disjoint and complete."""
    banded = figures["constraints"].str.contains('"adjusted_gross_income"', regex=False)
    rows = figures[banded & (figures["geo_level"] == "state")]
    rows = rows.assign(constraints=json.dumps([["tax_unit_is_filer", "==", 1]], separators=(",", ":")))
    return _summed(rows, [*_KEY, "geo_level", "geo_id"], "sum of AGI classes")


def _national_sums(figures: pd.DataFrame) -> pd.DataFrame:
    rows = figures[(figures["geo_level"] == "state") & ~figures["source"].isin(_NOT_SUMMED)]
    return _summed(rows.assign(geo_level="national", geo_id="US"), [*_KEY, "geo_level", "geo_id"], "sum of states")


def _summed(rows: pd.DataFrame, keys: list[str], note: str) -> pd.DataFrame:
    kinds = dict.fromkeys([column for column in rows.columns if column not in keys], "first")
    summed = rows.groupby(keys, sort=False).agg(kinds | {"value": "sum", "raw_value": "sum"}).reset_index()
    summed["table"] = summed["table"] + f" ({note})"
    summed["uprating"] = (summed["value"] / summed["raw_value"]).where(summed["raw_value"] != summed["value"], 1.0)
    summed["reconciliation"] = 1.0
    return summed[list(rows.columns)]
