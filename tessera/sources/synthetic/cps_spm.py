"""SPM columns of a synthetic CPS person record: units of the supplemental poverty measure with what it counts.

One unit a household, but room-mates (not partners) are units of their own with their children. Equivalence scale as the
Census Bureau's: one adult 1, two adults 1.41, lone parents (1 + 0.8 + 0.5 (children - 1)) ** 0.7, all others
(adults + 0.5 children) ** 0.7, over that of two adults and two children, 3 ** 0.7. All arrays have shape (n_persons,).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.sources.synthetic import tables
from tessera.sources.synthetic.draws import Floats, Integers
from tessera.sources.synthetic.people import ROOMMATE, ROOMMATE_CHILD
from tessera.sources.synthetic.population import Population

_THRESHOLDS = {1: "threshold_owner_with_mortgage", 2: "threshold_owner", 3: "threshold_renter"}
_TAXES, _FREE, _FREE_CHILD = 0.21, 13_000, 7_000  # of cash income above what each adult and child has free
Columns = dict[str, npt.NDArray[np.generic]]


def spm_columns(population: Population, sequence: Integers, table: pd.DataFrame) -> pd.DataFrame:
    """SPM columns in official names, the same for all members of a unit but SPM_HEAD.

    Args:
        population: persons and households.
        sequence: H_SEQ of each household, (n_households,).
        table: the person record so far: A_AGE, amounts and WICYN.
    """
    person, home = population.person, population.household
    household, line, role = (person[name].to_numpy() for name in ("household", "line", "role"))
    number = np.where(role == ROOMMATE, line, np.where(role == ROOMMATE_CHILD, person["parent1"].to_numpy(), 1))
    unit = sequence[household] * 1000 + number
    _, index = np.unique(unit, return_inverse=True)
    adult = (person["age"].to_numpy() >= 18) | (line == number) | (person["spouse"].to_numpy() > 0)
    adults = np.bincount(index, weights=adult)[index].astype(np.int64)
    size = np.bincount(index)[index]
    main = number == 1
    tenure = np.where(home["tenure"] == 1, np.where(home["mortgage"] == 1, 1, 2), 3)[household]
    tenure = np.where(main, tenure, 3)
    scale, price = equivalence(adults, size - adults), home["price_level"].to_numpy()[household].round(4)
    threshold = np.select([tenure == code for code in _THRESHOLDS], [tables.spm_value(v) for v in _THRESHOLDS.values()])
    weight = home["weight"].to_numpy()[household]
    return pd.DataFrame({
        "SPM_ID": unit, "SPM_WEIGHT": np.round(weight * 100).astype(np.int64),
        "SPM_HEAD": (line == number).astype(np.int64), "SPM_NUMADULTS": adults, "SPM_NUMKIDS": size - adults,
        "SPM_NUMPER": size, "SPM_TENMORTSTATUS": tenure, "SPM_GEOADJ": price, "SPM_EQUIVSCALE": scale.round(4),
        "SPM_POVTHRESHOLD": np.round(threshold * scale * price).astype(np.int64),
        **_resources(population, table, index, main),
    })  # fmt: skip


def equivalence(adults: Integers, children: Integers) -> Floats:
    """The three-parameter equivalence scale, 1 for two adults and two children."""
    raw = np.select(
        [(children == 0) & (adults == 1), (children == 0) & (adults == 2), (adults == 1)],
        [1.0, 1.41, (1.8 + 0.5 * (children - 1)) ** 0.7],
        (adults + 0.5 * children) ** 0.7,
    )
    return np.asarray(raw / 3**0.7, dtype=np.float64)


def _resources(population: Population, table: pd.DataFrame, index: Integers, main: npt.NDArray[np.bool_]) -> Columns:
    person, home = population.person, population.household
    household, age = person["household"].to_numpy(), person["age"].to_numpy()

    def total(values: npt.NDArray[np.generic]) -> Integers:
        return np.round(np.bincount(index, weights=values)[index]).astype(np.int64)

    def of_home(name: str) -> Integers:
        return np.where(main, home[name].to_numpy()[household], 0)

    def valued(item: str, count: Integers) -> Integers:
        return np.round(tables.spm_value(item) * count).astype(np.int64)

    lunches, pupils = home["lunches"].to_numpy()[household], total((age >= 5) & (age <= 17))
    wic = total(table["WICYN"].to_numpy() == 1) > 0
    cash, earners = total(table["PTOTVAL"].to_numpy()), total(person["weeks"].to_numpy())
    care = total(person["childcare"].to_numpy())
    earned = total(np.maximum(table["PEARNVAL"].to_numpy(), 0))
    benefits = {
        "SPM_SNAPSUB": of_home("snap"), "SPM_ENGVAL": of_home("energy"),
        "SPM_SCHLUNCH": np.where(lunches == 2, valued("lunch_free", pupils),
                                 np.where(lunches == 1, valued("lunch_full", pupils), 0)),
        "SPM_WICVAL": np.where(wic, valued("wic", total(age < 5)), 0),
        "SPM_CAPHOUSESUB": valued("housing_subsidy", of_home("subsidised")),
        "SPM_BBSUBVAL": valued("broadband_subsidy", of_home("internet")),
    }  # fmt: skip
    capped = np.minimum(care, earned) + valued("weekly_work_expense", earners)
    medical = total(table["MOOP"].to_numpy() + table["PEMCPREM"].to_numpy())
    adults = total(age >= 18)
    free = _FREE * adults + _FREE_CHILD * (np.bincount(index)[index] - adults)
    taxes = np.round(_TAXES * np.maximum(cash - free, 0)).astype(np.int64)
    in_kind = np.sum(list(benefits.values()), axis=0)
    return {
        "SPM_TOTVAL": cash, **benefits, "SPM_CHILDCAREXPNS": care, "SPM_CAPWKCCXPNS": capped, "SPM_MEDXPNS": medical,
        "SPM_RESOURCES": cash - taxes + in_kind - capped - medical,
    }  # fmt: skip
