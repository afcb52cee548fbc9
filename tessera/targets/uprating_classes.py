"""Uprated classes of AGI beside the total that they are classes of: neither may grow away from the other.

Many items have no growth of their own by class and take that of all returns or of AGI of the class, which is not how
the item is spread over the classes: joint returns would grow with the classes that they are many in. So the classes of
all places together grow as the nation's total of the item does. Then the total of each place is the sum of its classes.
Holds no rules and no growth.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.geography.areas import states, stratum_districts
from tessera.targets.classes import EVERYBODY, class_links, split
from tessera.targets.growth import NOISE

_ITEM = ["source", "year", "variable", "reform", "_rest"]
# How many places of a level are the nation, the level with the best classes first.
_PLACES = {"state": len(states()), "district": len(stratum_districts()), "national": 1}
# Smaller differences of factors are those of arithmetic.
_SAME = 1e-12


def classes_as_nation(figures: pd.DataFrame) -> pd.Series:
    """Factors with which the classes of an item, of all places together, grow as the item in the nation.

    Args:
        figures: columns raw_value, uprating and those of `figures.COLUMNS` that say what they are; totals have the
            growth of the nation's item.

    Returns:
        New uprating of every row, dimensionless. It is as it was for totals, for items that no level has the totals of
        all its places of, and where the classes' growth is `NOISE` times off: gains and losses then nearly cancel.
    """
    found = [split(text) or (text, EVERYBODY) for text in figures["constraints"]]
    of_class = np.array([one[1] != EVERYBODY for one in found], dtype=np.bool_)
    keyed = figures.assign(_rest=[one[0] for one in found], _new=figures["raw_value"] * figures["uprating"])
    totals, classes = keyed[~of_class], keyed[of_class]
    sums = classes.merge(_whole_level(totals), on=[*_ITEM, "geo_level"]).groupby(_ITEM)[["_new", "raw_value"]].sum()
    wanted = totals.drop_duplicates(_ITEM)[[*_ITEM, "uprating"]].rename(columns={"uprating": "_wanted"})
    together = sums.reset_index().merge(wanted, on=_ITEM)
    ratio = together["_wanted"] * together["raw_value"] / together["_new"].where(together["_new"] != 0)
    moved = (ratio > 1 / NOISE) & (ratio < NOISE) & ((ratio - 1).abs() > _SAME)
    by_row = classes[_ITEM].merge(together[_ITEM].assign(_ratio=ratio.where(moved, 1.0)), on=_ITEM, how="left")
    uprating = figures["uprating"].to_numpy(np.float64).copy()
    uprating[of_class] *= by_row["_ratio"].fillna(1.0).to_numpy(np.float64)
    return pd.Series(uprating, index=figures.index)


def _whole_level(totals: pd.DataFrame) -> pd.DataFrame:
    """The first level of `_PLACES` at which each item has the totals of all places."""
    counts = totals.groupby([*_ITEM, "geo_level"])["geo_id"].nunique().reset_index()
    whole = counts[counts["geo_id"] == counts["geo_level"].map(_PLACES)]
    rank = whole["geo_level"].map({level: place for place, level in enumerate(_PLACES)})
    return whole.assign(_rank=rank).sort_values("_rank").drop_duplicates(_ITEM)[[*_ITEM, "geo_level"]]


def totals_as_classes(figures: pd.DataFrame) -> pd.Series:
    """Factors with which figures that are made up of others by class of AGI are their sum.

    Args:
        figures: columns of `figures.COLUMNS`.

    Returns:
        New uprating of every row, dimensionless. Where gains and losses of the classes nearly cancel, the sum is no
        measure: the classes take the factor of the total.
    """
    uprating = figures["uprating"].to_numpy(np.float64).copy()
    links = class_links(figures)
    raw = figures["raw_value"].to_numpy(np.float64)
    sums = np.bincount(links.whole, weights=raw[links.part], minlength=len(figures))
    new = np.bincount(links.whole, weights=(raw * uprating)[links.part], minlength=len(figures))
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = new / sums
    wholes = np.unique(links.whole)
    good = np.zeros(len(figures), dtype=np.bool_)
    good[wholes] = (factor[wholes] > uprating[wholes] / NOISE) & (factor[wholes] < uprating[wholes] * NOISE)
    bad = ~good[links.whole]
    of_total = uprating[links.whole[bad]]
    uprating[good] = factor[good]
    uprating[links.part[bad]] = of_total
    return pd.Series(uprating, index=figures.index)
