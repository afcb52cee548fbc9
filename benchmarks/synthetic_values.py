"""State values of production's size and structure without an engine: made up, seeded, for benchmarks alone.

Every variable that targets need has a value for each unit of a base file of some households, most of them zero as in
surveys. In a state the clones of a household share situations by twos, which gives about half as many situations as
clones, as production has. Situations of a household differ by which programmes they take up and, in what depends on
the state, by the state; most households are entitled to little, so that many situations have equal values.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tessera.frame import GROUP_ENTITIES
from tessera.geography import areas, county_shares
from tessera.geography.blocks import synthetic_blocks
from tessera.geography.clones import Clones, assign
from tessera.random import generator, uniform
from tessera.rules.state_values import StateValues
from tessera.rules.values import EntityValues

HOUSEHOLDS_IN_DISTRICT = 300_000.0
_PERSONS = 2.5
_SHARE = 0.15  # of units with an amount
_OF_STATE = ("snap", "tanf", "aca_ptc", "medicaid", "is_aca_ptc_eligible")
_COMMON = ("employment", "adjusted_gross", "income_tax")


def synthetic_clones(households: int, clones: int, seed: int = 0) -> Clones:
    """Clones of made-up households in synthetic blocks."""
    population = pd.Series(760_000, index=list(areas.stratum_districts()))
    blocks = synthetic_blocks(county_shares.load(), population, blocks_per_district=40, seed=seed)
    weights = generator("benchmark/weights", seed).lognormal(0, 0.5, households)
    wanted = np.full(len(areas.stratum_districts()), HOUSEHOLDS_IN_DISTRICT)
    numbers = np.arange(households, dtype=np.int64)
    return assign(numbers, weights, blocks, n_clones=clones, seed=seed, district_households=wanted, synthetic=True)


class SyntheticStates(Mapping[str, StateValues]):
    """State values by postal code, each made when it is asked for and not kept.

    Args:
        clones: of all households.
        variables: table of variables with `entity` and `kind`, index their names.
        wanted: names of those that are needed.
        seed: of everything.
    """

    def __init__(self, clones: Clones, variables: pd.DataFrame, wanted: Sequence[str], seed: int = 0) -> None:
        self._clones, self._seed = clones, seed
        self._state = clones.state_fips
        self._base = _base(clones.n_households, variables, wanted, seed)
        self._keys = [areas.state_by_fips(int(fips)).usps for fips in np.unique(self._state)]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __getitem__(self, usps: str) -> StateValues:
        fips = areas.state_by_usps(usps).fips
        records = np.flatnonzero(self._state == fips)
        household = self._clones.household[records].astype(np.int64)
        order = np.argsort(household, kind="stable")
        rank = np.empty(len(records), dtype=np.int64)
        rank[order] = np.arange(len(records)) - np.searchsorted(household[order], household[order])
        key, situation = np.unique(household * 1024 + rank // 2, return_inverse=True)
        values = _of_households(self._base, key // 1024)
        changed = {
            name: _in_state(name, array, values.household_of[values.entity_of[name]], key, fips, self._seed)
            for name, array in values.values.items()
        }
        values = EntityValues(
            values.n_households, values.household_of, values.unit_of_person, changed, values.entity_of
        )
        return StateValues(
            usps, records, situation.astype(np.int32), values, "synthetic", "synthetic", self._clones.placement_sha256
        )


def _base(households: int, variables: pd.DataFrame, wanted: Sequence[str], seed: int) -> EntityValues:
    """Values of every unit of the base file."""
    rng = generator("benchmark/base", seed)
    size = 1 + rng.poisson(_PERSONS - 1, households)
    household = np.repeat(np.arange(households, dtype=np.int64), size)
    n = len(household)
    first = np.cumsum(size) - size
    own_unit = (np.arange(n) == first[household]) | (rng.random(n) < 0.2)
    tax_unit = (np.cumsum(own_unit) - 1).astype(np.int64)
    units = dict.fromkeys(GROUP_ENTITIES, household) | {"tax_unit": tax_unit}
    homes = dict.fromkeys(GROUP_ENTITIES, np.arange(households)) | {
        "tax_unit": household[own_unit],
        "person": household,
    }
    entity_of = {name: str(variables.loc[name, "entity"]) for name in wanted}
    kinds = {name: str(variables.loc[name, "kind"]) for name in wanted}
    values = {name: _made_up(name, kinds[name], len(homes[entity_of[name]]), rng) for name in wanted}
    return EntityValues(households, homes, units, values, entity_of)


def _made_up(name: str, kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    if name == "age":
        return rng.integers(0, 86, n).astype(np.float32)
    if kind == "bool":
        return rng.random(n) < 0.6
    share = 0.8 if name.startswith(_COMMON) or any(part in name for part in _COMMON) else _SHARE
    amounts = rng.lognormal(9.5, 1.2, n).astype(np.float32)
    return np.where(rng.random(n) < share, amounts, np.float32(0)).astype(np.int32 if kind == "int" else np.float32)


def _of_households(base: EntityValues, rows: np.ndarray) -> EntityValues:
    """Copies of some households, any number of each, in order."""
    taken, starts = {}, {}
    for entity, household in base.household_of.items():
        start = np.searchsorted(household, np.arange(base.n_households + 1))
        size = (start[1:] - start[:-1])[rows]
        starts[entity] = np.append(0, np.cumsum(size))
        position = np.repeat(np.arange(len(rows)), size)
        offset = np.arange(starts[entity][-1]) - starts[entity][position]
        taken[entity] = (start[rows][position] + offset, position, start)
    person, at, _ = taken["person"]
    links = {}
    for entity, unit in base.unit_of_person.items():
        home = base.household_of["person"][person]
        links[entity] = starts[entity][at] + unit[person] - taken[entity][2][home]
    return EntityValues(
        n_households=len(rows),
        household_of={entity: position for entity, (_, position, _) in taken.items()},
        unit_of_person=links,
        values={name: array[taken[base.entity_of[name]][0]] for name, array in base.values.items()},
        entity_of=base.entity_of,
    )


def _in_state(name: str, array: np.ndarray, household: np.ndarray, key: np.ndarray, fips: int, seed: int) -> np.ndarray:
    """What becomes of a variable in a state's situations: programmes are taken up or not, and depend on the state."""
    if not name.startswith(_OF_STATE):
        return array
    taken = uniform(f"benchmark/{name}/{seed}", key // 1024, fips, key % 1024)[household] < 0.7
    if array.dtype.kind == "b":
        return array & taken
    factor = np.float32(1 + 0.01 * fips + 0.001 * (zlib.crc32(name.encode()) % 7))
    return np.where(taken, array * factor, 0).astype(array.dtype)
