"""Frame: weighted entity tables of one year, the common currency of the microdata stages.

Six tables (household, tax_unit, spm_unit, family, marital_unit, person) whose columns carry the names of the engine's
input variables, so that an area file needs no renaming. Holds the links and their checks; holds no survey knowledge.

Shapes and links: every group table has a column `{entity}_id`; `person` has `person_id` and one `{entity}_id` column
for each group. Rows of a group table are in ascending id. Only households carry weights (`household.household_weight`).
Provenance columns of `household`: `source` ("cps" or "puf") and `source_household_id`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import FrameError

GROUP_ENTITIES = ("household", "tax_unit", "spm_unit", "family", "marital_unit")
ENTITIES = (*GROUP_ENTITIES, "person")


@dataclass(frozen=True)
class Frame:
    """Entity tables of one year.

    Attributes:
        household: one row a household, with `household_id`, `household_weight`, `source`, `source_household_id`.
        tax_unit, spm_unit, family, marital_unit: one row a unit, with `{entity}_id`.
        person: one row a person, with `person_id` and the five links `{entity}_id`.
        year: the year that the amounts refer to.
        synthetic: true where any record comes from a synthetic source.
    """

    household: pd.DataFrame
    tax_unit: pd.DataFrame
    spm_unit: pd.DataFrame
    family: pd.DataFrame
    marital_unit: pd.DataFrame
    person: pd.DataFrame
    year: int
    synthetic: bool

    def table(self, entity: str) -> pd.DataFrame:
        """The table of an entity, by name."""
        if entity not in ENTITIES:
            raise FrameError(f"Unknown entity {entity!r}; wanted one of {', '.join(ENTITIES)}.")
        frame: pd.DataFrame = getattr(self, entity)
        return frame

    def count(self, entity: str) -> int:
        """Number of units of an entity."""
        return len(self.table(entity))

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """Household weights, shape (n_households,), in households."""
        return self.household["household_weight"].to_numpy(dtype=np.float64)

    def unit_of_person(self, entity: str) -> npt.NDArray[np.int64]:
        """Row of each person's unit in the table of a group entity, shape (n_persons,)."""
        ids = self.table(entity)[f"{entity}_id"].to_numpy()
        return np.searchsorted(ids, self.person[f"{entity}_id"].to_numpy()).astype(np.int64)

    def household_of(self, entity: str) -> npt.NDArray[np.int64]:
        """Row of the household of each unit of an entity, shape (n_units,)."""
        if entity == "household":
            return np.arange(self.count("household"), dtype=np.int64)
        household = self.unit_of_person("household")
        if entity == "person":
            return household
        result = np.empty(self.count(entity), dtype=np.int64)
        result[self.unit_of_person(entity)] = household
        return result

    def validate(self, where: str = "frame") -> Frame:
        """Check ids, links, weights and missing values; return the frame itself, or raise `FrameError`."""
        for entity in ENTITIES:
            _check_ids(self.table(entity), entity, where)
            _check_missing(self.table(entity), entity, where)
        for entity in GROUP_ENTITIES:
            _check_links(self, entity, where)
        weights = self.household["household_weight"].to_numpy(dtype=np.float64)
        bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
        if bad.size:
            row = int(bad[0])
            raise FrameError(
                f"{where}: household row {row} (household_id {self.household['household_id'].iloc[row]}) has weight "
                f"{weights[row]}; wanted a finite number of at least 0."
            )
        return self

    def select_households(self, rows: npt.NDArray[np.integer]) -> Frame:
        """The sub-frame of some households (rows of the household table, any order); ids are kept, order ascending."""
        keep = np.zeros(self.count("household"), dtype=bool)
        keep[np.asarray(rows)] = True
        tables = {
            entity: self.table(entity).loc[keep[self.household_of(entity)]].reset_index(drop=True)
            for entity in ENTITIES
        }
        return Frame(**tables, year=self.year, synthetic=self.synthetic)


def _check_ids(table: pd.DataFrame, entity: str, where: str) -> None:
    column = f"{entity}_id"
    if column not in table:
        raise FrameError(
            f"{where}: table {entity} has no column {column}; it has {', '.join(map(str, table.columns))}."
        )
    ids = table[column].to_numpy()
    if len(ids) == 0:
        raise FrameError(f"{where}: table {entity} is empty; wanted at least one row.")
    duplicated = table[column].duplicated().to_numpy()
    if duplicated.any():
        row = int(np.flatnonzero(duplicated)[0])
        raise FrameError(f"{where}: table {entity} row {row}: {column} {ids[row]} occurs twice; ids must be unique.")
    if entity != "person" and np.any(np.diff(ids) < 0):
        row = int(np.flatnonzero(np.diff(ids) < 0)[0]) + 1
        raise FrameError(f"{where}: table {entity} row {row}: {column} {ids[row]} is out of order; sort by {column}.")


def _check_missing(table: pd.DataFrame, entity: str, where: str) -> None:
    missing = table.isna()
    if missing.to_numpy().any():
        column = str(missing.any().idxmax())
        row = int(np.flatnonzero(missing[column].to_numpy())[0])
        raise FrameError(f"{where}: table {entity} row {row}: {column} is missing; a frame holds no missing values.")


def _check_links(frame: Frame, entity: str, where: str) -> None:
    column = f"{entity}_id"
    if column not in frame.person:
        raise FrameError(f"{where}: table person has no column {column}, the link to {entity}.")
    links = frame.person[column].to_numpy()
    ids = frame.table(entity)[column].to_numpy()
    orphan = ~np.isin(links, ids)
    if orphan.any():
        row = int(np.flatnonzero(orphan)[0])
        raise FrameError(f"{where}: person row {row} belongs to {entity} {links[row]}, which is not in its table.")
    empty = ~np.isin(ids, links)
    if empty.any():
        row = int(np.flatnonzero(empty)[0])
        raise FrameError(f"{where}: {entity} row {row} ({column} {ids[row]}) has no persons.")
    if entity != "household":
        household = frame.unit_of_person("household")
        unit = frame.unit_of_person(entity)
        first = np.full(len(ids), -1, dtype=np.int64)
        first[unit] = household
        split = np.flatnonzero(first[unit] != household)
        if split.size:
            raise FrameError(
                f"{where}: {entity} {links[split[0]]} has members in more than one household "
                f"(person row {int(split[0])}); a unit lies within one household."
            )
