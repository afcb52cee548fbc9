"""Assembly: the engine inputs of any set of clones, from the base frame, their places and their take-up.

The one road to the engine. The state values of the calibration matrix and the area files are both made here, so that
what was calibrated and what is shipped cannot differ. Gathers and renumbers; draws take-up; computes nothing else.

For clones r = 0..n-1 (any subset, any order) every unit of their households is copied: unit j of household h of clone
r gets the next id; links are rebuilt from a unit's index within its household. Persons are the exception: the engine
hashes `person_id` (it places a spell of unemployment within the year), so that a person's id must not depend on which
other clones are in the file. It is  clone number * persons of the base frame + row of the person  everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.areas.dataset import AreaDataset, entity_ids
from tessera.areas.inputs import input_variables
from tessera.errors import AreaError
from tessera.frame import ENTITIES, GROUP_ENTITIES, Frame
from tessera.geography.clones import Clones
from tessera.geography.crosswalk import Crosswalk
from tessera.ragged import ranges

PROVENANCE = ("source", "source_household_id")
# Rating areas of Los Angeles County go by three-digit ZIP code; without one the engine gives no premium tax credit.
_LOS_ANGELES = "06037"
_LOS_ANGELES_ZIP = b"90001"


class TakeupDraws(Protocol):
    """What assembly needs of take-up (`tessera.rules.takeup.Takeup`): variables, their entities, and draws."""

    @property
    def entity_of(self) -> Mapping[str, str]:
        """Take-up variable -> entity."""
        ...

    def draw(
        self,
        variable: str,
        unit: npt.NDArray[np.int64],
        household_id: npt.NDArray[np.int64],
        index_in_household: npt.NDArray[np.int64],
        clone: npt.NDArray[np.int64],
        state: npt.NDArray[np.integer],
    ) -> npt.NDArray[np.bool_]:
        """Whether each unit of some clones, which are in the states of these FIPS codes, takes up."""
        ...


@dataclass(frozen=True)
class _Units:
    """Units of one entity, sorted by household. `start` has shape (n_households + 1,), the others (n_units,)."""

    start: npt.NDArray[np.int64]
    unit: npt.NDArray[np.int64]
    index_in_household: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Copies:
    """Units of one entity, copied for some clones: arrays of shape (n_copies,), `start` of shape (n_clones + 1,)."""

    start: npt.NDArray[np.int64]
    unit: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]


class Assembler:
    """Makes datasets of clones. Keeps the frame's columns as arrays and its units by household.

    Args:
        frame: the base frame.
        clones: placement of all clones.
        takeup: probabilities of the base frame's units.
        crosswalk: of the blocks that the clones were placed in, for files that say which further areas a household
            lies in. The engine computes nothing from them, so that simulations do without.
    """

    def __init__(self, frame: Frame, clones: Clones, takeup: TakeupDraws, crosswalk: Crosswalk | None = None) -> None:
        if clones.n_households != frame.count("household"):
            raise AreaError(
                f"assembly: the clones were made for {clones.n_households} households, the frame has "
                f"{frame.count('household')}. Materialise clones again."
            )
        if crosswalk is not None and int(clones.block.max(initial=-1)) >= crosswalk.n_blocks:
            raise AreaError(
                f"assembly: a clone lies in block {clones.block.max()} of a table whose crosswalk has "
                f"{crosswalk.n_blocks} blocks: they are of different tables. Materialise block_distribution and clones."
            )
        self.frame = frame
        self.clones = clones
        self.takeup = takeup
        # Layers that the table knows at all, so that every file of a run has the same ones.
        self._layers = {} if crosswalk is None else {name: crosswalk.layers()[name] for name in crosswalk.known()}
        self._units = {entity: _units_by_household(frame, entity) for entity in ENTITIES}
        self._columns = {entity: _engine_columns(frame, entity) for entity in ENTITIES}
        self._link = {
            entity: self._units[entity].index_in_household[frame.unit_of_person(entity)] for entity in GROUP_ENTITIES
        }
        self._household_id = frame.household["household_id"].to_numpy(dtype=np.int64)

    def assemble(
        self,
        records: npt.NDArray[np.integer],
        weights: npt.NDArray[np.float64] | None = None,
        takeup: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    ) -> AreaDataset:
        """Engine inputs of some clones.

        Args:
            records: rows of `Clones`, shape (n,), any order.
            weights: household weight of each, shape (n,); ones if not given.
            takeup: take-up of each copied unit, by variable, in place of the clones' own (as `takeup_bits` orders it).
        """
        rows = np.asarray(records).astype(np.int64)
        households = self.clones.household[rows].astype(np.int64)
        copies = {entity: _copy_units(self._units[entity], households) for entity in ENTITIES}
        counts = {entity: len(copies[entity].unit) for entity in ENTITIES}
        arrays: dict[str, npt.NDArray[np.generic]] = dict(entity_ids(counts))
        arrays["person_id"] = self._person_ids(copies["person"], rows)
        entity_of = {f"{entity}_id": entity for entity in ENTITIES}
        self._add_links(arrays, entity_of, copies)
        for entity in ENTITIES:
            for name, values in self._columns[entity].items():
                arrays[name] = values[copies[entity].unit]
                entity_of[name] = entity
        if takeup is None:
            self._add_takeup(arrays, entity_of, copies, rows)
        else:
            arrays.update(takeup)
            entity_of.update(self.takeup.entity_of)
        place = self._place(rows)
        place["household_weight"] = np.ones(len(rows), np.float32) if weights is None else weights.astype(np.float32)
        arrays.update(place)
        entity_of.update(dict.fromkeys(place, "household"))
        synthetic = self.frame.synthetic or self.clones.synthetic
        return AreaDataset(arrays, entity_of, counts, self.frame.year, synthetic)

    def takeup_bits(
        self, records: npt.NDArray[np.integer]
    ) -> dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
        """What the units of some clones take up: variable -> (first unit of each clone and the end, bit of each unit).

        Args:
            records: rows of `Clones`, shape (n,), any order.

        Returns:
            For each take-up variable starts of shape (n + 1,) and bits of shape (starts[-1],), unit by unit of a clone.
        """
        rows = np.asarray(records).astype(np.int64)
        households = self.clones.household[rows].astype(np.int64)
        entities = set(self.takeup.entity_of.values())
        copies = {entity: _copy_units(self._units[entity], households) for entity in sorted(entities)}
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        self._add_takeup(arrays, {}, copies, rows)
        bits = {name: arrays[name].astype(bool, copy=False) for name in self.takeup.entity_of}
        return {name: (copies[entity].start, bits[name]) for name, entity in self.takeup.entity_of.items()}

    def takeup_units(self, records: npt.NDArray[np.integer]) -> dict[str, int]:
        """How many units of some clones decide on each take-up variable."""
        households = self.clones.household[np.asarray(records)]
        size = {entity: np.diff(units.start)[households].sum() for entity, units in self._units.items()}
        return {name: int(size[entity]) for name, entity in self.takeup.entity_of.items()}

    def person_ids(self, records: npt.NDArray[np.integer], person: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Ids that persons of the base frame have as members of some clones: shape (n,), as `assemble` gives them."""
        return self.clones.clone[records].astype(np.int64) * self.frame.count("person") + person

    def _person_ids(self, copies: _Copies, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        ids = self.person_ids(rows[copies.position], copies.unit)
        if ids.size and ids.max() > np.iinfo(np.int32).max:
            raise AreaError(
                f"assembly: {self.clones.n_clones} clones of {self.frame.count('person')} persons need ids above 2^31. "
                "Lower the number of clones or of households."
            )
        return ids.astype(np.int32)

    def _add_links(
        self, arrays: dict[str, npt.NDArray[np.generic]], entity_of: dict[str, str], copies: Mapping[str, _Copies]
    ) -> None:
        person = copies["person"]
        for entity in GROUP_ENTITIES:
            link = copies[entity].start[person.position] + self._link[entity][person.unit]
            arrays[f"person_{entity}_id"] = link.astype(np.int32)
            entity_of[f"person_{entity}_id"] = "person"

    def _add_takeup(
        self,
        arrays: dict[str, npt.NDArray[np.generic]],
        entity_of: dict[str, str],
        copies: Mapping[str, _Copies],
        records: npt.NDArray[np.int64],
    ) -> None:
        clone = self.clones.clone[records].astype(np.int64)
        household_id = self._household_id[self.clones.household[records]]
        state = self.clones.district[records] // 100
        labels = {}
        for entity in sorted(set(self.takeup.entity_of.values())):
            unit, position = copies[entity].unit, copies[entity].position
            index = self._units[entity].index_in_household[unit]
            labels[entity] = (unit, household_id[position], index, clone[position], state[position])
        for variable, entity in self.takeup.entity_of.items():
            arrays[variable] = self.takeup.draw(variable, *labels[entity])
            entity_of[variable] = entity

    def _place(self, records: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.generic]]:
        """Everything that derives from a clone's block; all but the congressional district by truncating its code."""
        block = self.clones.block_geoid[records]
        county = block.astype("<U5")
        return {
            "state_fips": self.clones.state_fips[records].astype(np.int32),
            "congressional_district_geoid": self.clones.district[records].astype(np.int32),
            "county_fips": county.astype("S5"),
            "zip_code": np.where(county == _LOS_ANGELES, _LOS_ANGELES_ZIP, b"UNKNOWN").astype("S7"),
            "tract_geoid": block.astype("<U11").astype("S11"),
            "block_geoid": block.astype("S15"),
            "clone": self.clones.clone[records].astype(np.int32),
            **{name: codes[self.clones.block[records]] for name, codes in self._layers.items()},
        }


def _units_by_household(frame: Frame, entity: str) -> _Units:
    household = frame.household_of(entity)
    unit = np.argsort(household, kind="stable")
    start = np.searchsorted(household[unit], np.arange(frame.count("household") + 1)).astype(np.int64)
    index = np.empty(len(unit), dtype=np.int64)
    index[unit] = np.arange(len(unit)) - start[household[unit]]
    return _Units(start, unit, index)


def _copy_units(units: _Units, households: npt.NDArray[np.int64]) -> _Copies:
    first = units.start[households]
    size = units.start[households + 1] - first
    start = np.append(0, np.cumsum(size))
    return _Copies(start, units.unit[ranges(first, size)], np.repeat(np.arange(len(households)), size))


def _engine_columns(frame: Frame, entity: str) -> dict[str, npt.NDArray[np.generic]]:
    """Columns that the engine takes as inputs, and provenance, as arrays of the types that area files hold."""
    known = input_variables()
    table = frame.table(entity)
    links = {f"{other}_id" for other in ENTITIES}
    result: dict[str, npt.NDArray[np.generic]] = {}
    for name in table.columns:
        is_input = known.get(str(name)) == entity
        if name in links or name == "household_weight" or not (is_input or name in PROVENANCE):
            continue
        result[str(name)] = _stored(table[name], f"{entity}.{name}")
    return result


def _stored(column: pd.Series, where: str) -> npt.NDArray[np.generic]:
    if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(column):
        text = column.astype(str).to_numpy(dtype=np.str_)
        try:
            return text.astype("S")
        except UnicodeEncodeError as error:
            raise AreaError(f"{where}: {error.object[:40]!r} is not ASCII, which the engine cannot read.") from error
    if pd.api.types.is_bool_dtype(column):
        return column.to_numpy(dtype=bool)
    if pd.api.types.is_integer_dtype(column):
        return column.to_numpy(dtype=np.int64 if column.name == "source_household_id" else np.int32)
    return column.to_numpy(dtype=np.float32)
