"""Persons of a return: who there is, how old, of which sex, and whose the amounts are.

Holds the expansion of returns to persons in the order head, spouse, up to three dependants; amounts come in and go out
in dollars of the same year. Codes of the demographic file give ranges of ages, within which a keyed draw chooses. A
spouse's age differs from the head's as husbands' and wives' ages do (`data/spouse_age_difference.csv`). Amounts of a
couple that have one earner's name are split by rule (`data/tax_allocation.csv`); all others stand with the head, as the
tax is joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tessera.microdata.asec import BoolArray, FloatArray, IntArray, optional
from tessera.microdata.datafile import read_rows
from tessera.microdata.puf_demographics import dependents_of
from tessera.random import uniform

# Lowest age of each code, and one above the highest.
FILER_AGES = {1: (18, 26), 2: (26, 35), 3: (35, 45), 4: (45, 55), 5: (55, 65), 6: (65, 86)}
DEPENDENT_FILER_AGES = {1: (14, 18), 2: (18, 26), 3: (26, 40)}
CHILD_AGES = {1: (0, 5), 2: (5, 13), 3: (13, 17), 4: (17, 19), 5: (19, 24), 6: (24, 40)}
YOUNGEST_SPOUSE, OLDEST = 18, 85
# EARNSPLIT: the head earns three quarters or more (1), between (2), under a quarter (3), nobody earns (4); the
# spouse's share.
SPOUSE_SHARES = {1: (0.0, 0.25), 2: (0.25, 0.75), 3: (0.75, 1.0), 4: (0.0, 0.0)}
# Share of couples of one sex: an assumption of the same size as the survey's.
SAME_SEX = 0.04
EDUCATOR_LIMIT = 250.0
BENEFIT_AGE, SPOUSE_BENEFIT = 62, 0.44
HEAD, SPOUSE = 0, 1


@dataclass(frozen=True)
class Persons:
    """Persons of all returns, each array of shape (n_persons,).

    Attributes:
        unit: row of the return.
        slot: 0 head, 1 spouse, 2-4 dependants.
        age: years, whole.
        is_female: whether a woman or girl.
        recid: RECID of the return, which draws are keyed on.
    """

    unit: IntArray
    slot: IntArray
    age: FloatArray
    is_female: BoolArray
    recid: IntArray

    @property
    def role(self) -> IntArray:
        """0 head, 1 spouse, 2 dependant."""
        return np.minimum(self.slot, 2)


def expand(returns: pd.DataFrame, *, seed: int) -> Persons:
    """Persons of ordinary returns with all demographic codes.

    Args:
        returns: RECID, MARS, XTOT, DSI and the codes of the demographic file.
        seed: seed of the draws of ages and sexes.
    """
    joint = returns["MARS"].to_numpy() == 2
    size = np.stack([np.ones(len(returns), dtype=bool), joint, *(dependents_of(returns) > k for k in range(3))], axis=1)
    unit, slot = (part.astype(np.int64) for part in np.nonzero(size))
    recid = returns["RECID"].to_numpy(dtype=np.int64)[unit]
    female = _sexes(returns, unit, slot, recid, seed)
    age = _ages(returns, unit, slot, recid, seed)
    first = np.flatnonzero(slot == HEAD)
    spouse = np.flatnonzero(slot == SPOUSE)
    head_of = first[unit[spouse]]
    age[spouse] = _spouse_ages(age[head_of], female[head_of], recid[spouse], seed)
    return Persons(unit, slot, age, female, recid)


def allocate(amounts: pd.DataFrame, returns: pd.DataFrame, persons: Persons, *, seed: int) -> dict[str, FloatArray]:
    """Amounts of persons, (n_persons,) each, whose sums over a return are the return's.

    Args:
        amounts: one row a return, dollars.
        returns: EARNSPLIT, MARS and the codes of Schedule SE.
        persons: as `expand` made them.
        seed: seed of the draw of the spouse's share of earnings.
    """
    rules = {row["variable"]: row["rule"] for row in read_rows("tax_allocation")}
    shares = {
        "earnings": _earnings_share(returns, seed),
        "schedule_se": _schedule_se_share(returns),
        "retired": _retired_share(len(returns), persons),
    }
    joint = returns["MARS"].to_numpy() == 2
    result = {}
    for name in amounts.columns:
        value = amounts[name].to_numpy(dtype=np.float64)
        rule = rules.get(str(name), "head")
        if rule == "head":
            spouse = np.zeros(len(value))
        elif rule == "each":
            spouse = np.where(joint, np.maximum(value - EDUCATOR_LIMIT, 0.0), 0.0)
        else:
            spouse = np.where(joint, value * shares[rule], 0.0)
        parts = (value - spouse)[persons.unit], spouse[persons.unit]
        result[str(name)] = np.select([persons.slot == HEAD, persons.slot == SPOUSE], parts, default=0.0)
    return result


def _ages(returns: pd.DataFrame, unit: IntArray, slot: IntArray, recid: IntArray, seed: int) -> FloatArray:
    """Ages within the ranges of the codes; a spouse's is the head's, to be moved."""
    low, high = np.zeros(len(unit)), np.ones(len(unit))
    dependent_filer = returns["DSI"].to_numpy()[unit] == 1
    bands = [
        ((slot <= SPOUSE) & ~dependent_filer, "AGERANGE", FILER_AGES),
        ((slot <= SPOUSE) & dependent_filer, "AGERANGE", DEPENDENT_FILER_AGES),
        *((slot == 1 + k, f"AGEDP{k}", CHILD_AGES) for k in (1, 2, 3)),
    ]
    for mask, column, codes in bands:
        bounds = np.array([codes[min(max(code, 1), max(codes))] for code in range(max(codes) + 1)], dtype=np.float64)
        place = np.clip(returns[column].to_numpy(dtype=np.int64), 0, max(codes))[unit]
        low = np.where(mask, bounds[place, 0], low)
        high = np.where(mask, bounds[place, 1], high)
    draw = uniform(f"puf_age/{seed}", recid, np.where(slot == SPOUSE, HEAD, slot))
    return np.asarray(np.floor(low + draw * (high - low)), dtype=np.float64)


def _spouse_ages(head: FloatArray, head_is_female: BoolArray, recid: IntArray, seed: int) -> FloatArray:
    rows = read_rows("spouse_age_difference")
    low, high, share = (np.array([float(row[name]) for row in rows]) for name in ("low", "high", "share"))
    edges = np.cumsum(share) / share.sum()
    draw = uniform(f"puf_spouse_age/{seed}", recid)
    place = np.minimum(np.searchsorted(edges, draw, side="right"), len(rows) - 1)
    within = (draw - np.where(place > 0, edges[np.maximum(place - 1, 0)], 0.0)) / (share / share.sum())[place]
    # Husband's age less wife's, whole years.
    older = np.floor(low[place] + np.clip(within, 0.0, 1 - 1e-12) * (high - low + 1)[place])
    age = np.where(head_is_female, head + older, head - older)
    return np.asarray(np.clip(age, YOUNGEST_SPOUSE, OLDEST), dtype=np.float64)


def _sexes(returns: pd.DataFrame, unit: IntArray, slot: IntArray, recid: IntArray, seed: int) -> BoolArray:
    """A spouse is of the other sex but for `SAME_SEX` of couples; dependants are of either alike."""
    head = (returns["GENDER"].to_numpy() == 2)[unit]
    draw = uniform(f"puf_sex/{seed}", recid, slot)
    spouse = np.where(draw < SAME_SEX, head, ~head)
    return np.select([slot == HEAD, slot == SPOUSE], [head, spouse], default=draw < 0.5).astype(bool)


def _earnings_share(returns: pd.DataFrame, seed: int) -> FloatArray:
    """The spouse's share of a couple's earnings; none where EARNSPLIT says that there are none."""
    code = np.clip(returns["EARNSPLIT"].to_numpy(dtype=np.int64), 0, max(SPOUSE_SHARES))
    bounds = np.array([(0.0, 0.0), *(SPOUSE_SHARES[k] for k in sorted(SPOUSE_SHARES))])
    draw = uniform(f"puf_earnings/{seed}", returns["RECID"].to_numpy(dtype=np.int64))
    return np.asarray(bounds[code, 0] + draw * (bounds[code, 1] - bounds[code, 0]), dtype=np.float64)


def _schedule_se_share(returns: pd.DataFrame) -> FloatArray:
    primary, secondary = (np.abs(optional(returns, code)) for code in ("E30400", "E30500"))
    total = primary + secondary
    return np.divide(secondary, total, out=np.zeros(len(total)), where=total > 0)


def _retired_share(n: int, persons: Persons) -> FloatArray:
    """The spouse's share of a couple's Social Security."""
    head, spouse = np.zeros(n), np.zeros(n)
    for target, slot in ((head, HEAD), (spouse, SPOUSE)):
        rows = persons.slot == slot
        target[persons.unit[rows]] = persons.age[rows]
    both = (head >= BENEFIT_AGE) & (spouse >= BENEFIT_AGE)
    return np.where(both, SPOUSE_BENEFIT, np.where((spouse >= BENEFIT_AGE) & (head < BENEFIT_AGE), 1.0, 0.0))
