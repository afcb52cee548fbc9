"""Weighted national totals of a frame beside official ones: the first look at any microdata stage.

Holds sums and ratios; holds no official figure (they are passed in) and refuses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tessera.frame import ENTITIES, Frame

# Numbers that name something and do not add up.
CODES = ("household_weight", "cps_race")


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
            if name in CODES or name.endswith(("_id", "_fips", "_recode")) or not _is_amount(table[name]):
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


def _is_amount(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))
