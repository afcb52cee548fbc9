"""The table of take-up rates: one row a variable and group, with its source; what is packaged, and what is refused.

Columns: variable (the engine's input), entity, group_by, group, rate, anchor, source. `group_by` is empty or one of

- children: group 0, 1, 2, ... is the number of children in the tax unit, the last one that number or more;
- wic_category: every category of WIC, as the engine names them;
- state: group is a postal code; an empty group is the rate of all states without a row of their own.

`anchor` is `table.column` of a receipt that the survey reports, or empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

import numpy as np
import pandas as pd

from tessera.errors import RulesError
from tessera.frame import ENTITIES, GROUP_ENTITIES
from tessera.geography.areas import states

WIC_CATEGORIES = ("BREASTFEEDING", "CHILD", "INFANT", "NONE", "POSTPARTUM", "PREGNANT")
_COLUMNS = ["variable", "entity", "group_by", "group", "rate", "anchor", "source"]
_SAME_OF_A_VARIABLE = ("entity", "group_by", "anchor")


def published_rates() -> pd.DataFrame:
    """Published rates, one row a (variable, group)."""
    with resources.files("tessera.rules").joinpath("takeup_rates.csv").open(encoding="utf-8") as handle:
        return check_rates(pd.read_csv(handle, dtype={"group": "string"}, keep_default_na=False))


def check_rates(rates: pd.DataFrame) -> pd.DataFrame:
    """The table itself if it is usable, else `RulesError` naming the row."""
    problem = next(_problems(rates), None)
    if problem is not None:
        raise RulesError(f"take-up rates{problem}")
    return rates


def _problems(rates: pd.DataFrame) -> Iterator[str]:
    """What is wrong with the table, the first thing first."""
    missing = [column for column in _COLUMNS if column not in rates]
    if missing:
        yield f": no column {', '.join(missing)}; wanted {', '.join(_COLUMNS)}."
        return
    rate = pd.to_numeric(rates["rate"], errors="coerce").to_numpy(dtype=np.float64)
    for row in np.flatnonzero(~((rate >= 0) & (rate <= 1))):
        found = rates.iloc[int(row)]
        yield f" row {row}: {found['variable']} has rate {found['rate']}; wanted 0 to 1. Correct the rate."
    for row in np.flatnonzero(rates.duplicated(["variable", "group"]).to_numpy()):
        found = rates.iloc[int(row)]
        yield f": {found['variable']} has two rates for group {found['group']!r}; keep one."
    for variable, rows in rates.groupby("variable", sort=True):
        yield from (f": {variable} {problem}" for problem in _problems_of_variable(rows))


def _problems_of_variable(rows: pd.DataFrame) -> Iterator[str]:
    for column in _SAME_OF_A_VARIABLE:
        if rows[column].nunique() != 1:
            yield f"has {column} {sorted(set(rows[column].astype(str)))}; wanted the same in all its rows."
    entity = str(rows["entity"].iloc[0])
    if entity not in ENTITIES:
        yield f"is of entity {entity!r}; wanted one of {', '.join(ENTITIES)}."
    group_by, groups = str(rows["group_by"].iloc[0]), rows["group"].astype(str).to_list()
    if group_by == "state":
        yield from _problems_of_states(groups)
    elif group_by == "children":
        if groups != [str(number) for number in range(len(groups))]:
            yield f"has groups {groups}; wanted 0, 1, 2, ... in order."
        if entity not in GROUP_ENTITIES:
            yield f"is of entity {entity!r} and grouped by children; wanted one of {', '.join(GROUP_ENTITIES)}."
    elif group_by == "wic_category":
        if sorted(groups) != list(WIC_CATEGORIES) or entity != "person":
            yield f"has groups {groups} of {entity}; wanted each of {', '.join(WIC_CATEGORIES)} once, of person."
    elif group_by:
        yield f"is grouped by {group_by!r}; known: children, state, wic_category."
    elif groups != [""]:
        yield f"has groups {groups} of nothing; name what they are groups of in group_by, or leave one row without any."


def _problems_of_states(groups: list[str]) -> Iterator[str]:
    known = [state.usps for state in states()]
    unknown = [group for group in groups if group and group not in known]
    absent = [usps for usps in known if usps not in groups]
    if unknown:
        yield f"has a rate for state {unknown[0]!r}; wanted postal codes of the states and DC, or nothing."
    if absent and "" not in groups:
        yield f"has no rate for {', '.join(absent)}; add them, or a row with an empty group for all other states."
