"""Bringing figures of another year to the model year: each by the rule of its source, with the growth that is measured.

The factor is recorded on each figure (column `uprating`), and its period becomes the model year. Classes of AGI move
with their bounds (see `growth`). Where a rule goes by class of AGI, the classes of all places together grow as the
item in the nation, and a total whose classes are all among the figures of its place is their sum, so that the mix of
incomes of a state or district decides how it grows (`uprating_classes`).

Figures of the model year are left as published, and so are those with the rule `none`. Holds no rules and reads no
file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tessera.errors import TargetError
from tessera.targets.catalogue import COUNTS
from tessera.targets.classes import EVERYBODY, moved, split
from tessera.targets.figures import MODEL_YEAR, constraints_from_json
from tessera.targets.growth import SOI_YEAR, Growth
from tessera.targets.uprating_classes import classes_as_nation, totals_as_classes
from tessera.targets.uprating_rules import UpratingRule, UpratingRules

__all__ = ["MODEL_YEAR", "applied_factors", "uprate"]
_Key = tuple[str, str, str, int]
_KEY = ["source", "variable", "constraints", "year"]
# Rules under which the bounds of classes of AGI move: those that follow incomes.
_INCOMES = ("agi_class", "soi", "soi_returns", "cbo", "marketplace")
# Rules that measure classes of AGI by themselves.
_BY_CLASS = ("agi_class", "soi", "soi_returns")
FACTORS = (*_KEY, "follows", "factor")
DERIVED = " (sum of "


def uprate(figures: pd.DataFrame, growth: Growth, rules: UpratingRules | None = None) -> pd.DataFrame:
    """Figures with value, uprating, period and constraints of the model year.

    Args:
        figures: as the loaders give them, columns of `figures.COLUMNS`.
        growth: measured from the official files.
        rules: the packaged ones by default.

    Raises:
        TargetError: a figure of another year that no rule is for, or whose rule has no factor for it.
    """
    rules = rules or UpratingRules.packaged()
    old = figures[figures["year"] != MODEL_YEAR]
    keys = old[_KEY].drop_duplicates()
    found = {key: _Found.of(key, growth, rules) for key in _keys(keys)}
    of_rows = [found[key] for key in _keys(old)]
    uprated = figures.copy()
    if of_rows:
        places = [_state(level, place) for level, place in zip(old["geo_level"], old["geo_id"], strict=True)]
        uprated.loc[old.index, "uprating"] = [one.factor(place) for one, place in zip(of_rows, places, strict=True)]
        uprated.loc[old.index, "constraints"] = [one.constraints for one in of_rows]
        by_class = old.index[[one.rule.follows.partition(":")[0] in _BY_CLASS for one in of_rows]]
        uprated.loc[by_class, "uprating"] = classes_as_nation(uprated.loc[by_class])
        uprated.loc[by_class, "uprating"] = totals_as_classes(uprated.loc[by_class])
    return _valued(uprated).assign(period=MODEL_YEAR)


def applied_factors(figures: pd.DataFrame, rules: UpratingRules | None = None) -> pd.DataFrame:
    """The factors that figures of other years have.

    Args:
        figures: after `uprate`.
        rules: the packaged ones by default; `follows` is empty where they have none for a figure.

    Returns:
        Columns of `FACTORS`, one row a source, variable, domain (with the bounds that classes have in the model year)
        and year. Where places differ, as totals do that are sums of their classes, it is the mean, weighted by size.
    """
    rules = rules or UpratingRules.packaged()
    own = figures[(figures["year"] != MODEL_YEAR) & ~figures["table"].str.contains(DERIVED, regex=False)]
    if own.empty:
        return pd.DataFrame(columns=list(FACTORS))
    grouped = own.assign(_new=own["raw_value"].abs() * own["uprating"], _raw=own["raw_value"].abs()).groupby(
        _KEY, sort=True
    )
    table = grouped.agg(
        factor=("uprating", "first"),
        lowest=("uprating", "min"),
        highest=("uprating", "max"),
        new=("_new", "sum"),
        raw=("_raw", "sum"),
    ).reset_index()
    differ = (table["lowest"] != table["highest"]) & (table["raw"] != 0)
    table["factor"] = table["factor"].where(~differ, table["new"] / table["raw"].where(table["raw"] != 0, 1.0))
    rule = [rules.find(source, variable, _domain(text), year) for source, variable, text, year in _keys(table)]
    return table.assign(follows=["" if one is None else one.follows for one in rule])[list(FACTORS)]


@dataclass(frozen=True)
class _Found:
    """What a rule gives for figures with one source, variable, domain and year.

    Attributes:
        rule: that is for them.
        constraints: of the model year.
        everywhere: the factor, of the nation where it is by state.
        by_state: whether the factor is the state's.
        growth: that it was measured with.
    """

    rule: UpratingRule
    constraints: str
    everywhere: float
    by_state: bool
    growth: Growth

    @classmethod
    def of(cls, key: _Key, growth: Growth, rules: UpratingRules) -> _Found:
        source, variable, constraints, year = key
        where = f"{source}: {variable} {constraints} of {year}"
        rule = rules.find(source, variable, _domain(constraints), year)
        if rule is None:
            raise TargetError(
                f"{where}: no rule brings it to {MODEL_YEAR}; add a line for {source}, {variable} (or *), {year} to "
                "tessera/targets/uprating_rules.csv."
            )
        parts = split(constraints)
        interval = parts[1] if parts else EVERYBODY
        try:
            factor = growth.factor(rule.follows, year, is_count=variable in COUNTS, interval=interval)
        except TargetError as error:
            raise TargetError(f"{where}, rule {rule.follows!r}: {error}") from error
        if not (np.isfinite(factor) and factor > 0):
            raise TargetError(f"{where}, rule {rule.follows!r}: the factor is {factor:.6g}, wanted a positive number.")
        text = constraints if interval == EVERYBODY else _moved(constraints, rule, growth, where)
        return cls(rule, text, factor, rule.follows.startswith("marketplace:"), growth)

    def factor(self, state: str) -> float:
        """The factor in a state, or in the nation (US)."""
        if not self.by_state:
            return self.everywhere
        return self.growth.factor(self.rule.follows, self.rule.year, is_count=False, place=state)


def _moved(constraints: str, rule: UpratingRule, growth: Growth, where: str) -> str:
    if rule.follows == "none":
        return constraints
    if rule.follows.partition(":")[0] not in _INCOMES or rule.year > SOI_YEAR:
        raise TargetError(
            f"{where}: a class of AGI cannot follow {rule.follows!r}, which moves no incomes; "
            f"wanted one of {', '.join(_INCOMES)}, or none."
        )
    return moved(constraints, growth.bound_shift())


def _valued(figures: pd.DataFrame) -> pd.DataFrame:
    return figures.assign(value=figures["raw_value"] * figures["uprating"] * figures["reconciliation"])


def _keys(figures: pd.DataFrame) -> list[_Key]:
    """Source, variable, constraints and year of each row."""
    columns = (figures[name].tolist() for name in _KEY)
    return list(zip(*columns, strict=True))


def _domain(constraints: str) -> set[str]:
    return {variable for variable, _, _ in constraints_from_json(constraints)}


def _state(geo_level: str, geo_id: str) -> str:
    """Postal code of the state of a place; US for the nation, the place itself for a city."""
    return geo_id[:2] if geo_level in ("state", "district") else geo_id
