"""Census resident population of the nation by single year of age and sex, 1 July 2024 (vintage 2024).

Reads `nc-est2024-agesex-res.csv`: one row a sex (SEX 0 both, 1 male, 2 female) and age (AGE 0 to 99, 100 for 100 and
over, 999 for all ages), one column a year. Figures, in persons: person_count by age (age >= a and age < a + 1; the last
without an upper bound), by sex, by both, and in all. Residents of institutions are counted, as in the ACS.

Surveys top-code age in the eighties, so microdata do not reach the single years from there on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import Constraint, Figure, Provenance, records, to_frame
from tessera.targets.loaders.common import number, read_csv, require_columns, require_each_once

YEAR = 2024
SOURCE = "census_pep_age_sex"
_URL = "https://www2.census.gov/programs-surveys/popest/datasets/2020-2024/national/asrh/nc-est2024-agesex-res.csv"
_COLUMN = f"POPESTIMATE{YEAR}"
_SEXES: dict[str, tuple[Constraint, ...]] = {
    "0": (),
    "1": (("is_female", "==", 0),),
    "2": (("is_female", "==", 1),),
}
_TOP, _ALL_AGES = 100, 999


def load(path: Path) -> pd.DataFrame:
    """306 figures: 101 ages and their total, for both sexes, males and females.

    Raises:
        SourceError: a missing column, another vintage, a missing, unknown or repeated sex and age, ages or sexes that
            do not add up.
    """
    people = read_population(path)
    provenance = Provenance(SOURCE, "NC-EST2024-AGESEX-RES", _URL, f"Vintage {YEAR}, 1 July {YEAR}", YEAR)
    return to_frame(_figures(people), provenance)


def read_population(path: Path) -> pd.DataFrame:
    """Residents of 2024 by age (rows 0 to 100, and 999 for all ages) and sex (columns `0`, `1`, `2`), checked."""
    frame = read_csv(path)
    require_columns(frame, ["SEX", "AGE", _COLUMN], path)
    if frame.columns[-1] != _COLUMN:
        raise SourceError(
            f"{path}: the last column is {frame.columns[-1]}; wanted {_COLUMN}, the last of vintage {YEAR}. "
            f"Fetch {_URL}."
        )
    ages = [*range(_TOP + 1), _ALL_AGES]
    keys = [(str(row["SEX"]), str(row["AGE"])) for row in records(frame)]
    require_each_once(keys, [(sex, str(age)) for sex in _SEXES for age in ages], path, "sex and age")
    cells = zip(keys, frame[_COLUMN], strict=True)
    counts = {(sex, int(age)): number(cell, path, f"sex {sex}, age {age}", minimum=0) for (sex, age), cell in cells}
    people = pd.DataFrame({sex: [counts[sex, age] for age in ages] for sex in _SEXES}, index=ages)
    _check(people, path)
    return people


def _figures(people: pd.DataFrame) -> Iterator[Figure]:
    for sex, constraints in _SEXES.items():
        for age, value in people[sex].items():
            yield Figure("national", "US", "person_count", value, "person", (*_bounds(int(str(age))), *constraints))


def _bounds(age: int) -> tuple[Constraint, ...]:
    if age == _ALL_AGES:
        return ()
    return (("age", ">=", age),) if age == _TOP else (("age", ">=", age), ("age", "<", age + 1))


def _check(people: pd.DataFrame, path: Path) -> None:
    for sex in _SEXES:
        counts = people[sex].to_dict()
        total = counts.pop(_ALL_AGES)
        if sum(counts.values()) != total:
            raise SourceError(
                f"{path}: sex {sex}: the ages add up to {sum(counts.values()):.0f}, all ages (999) are {total:.0f}."
            )
    unequal = people[people["1"] + people["2"] != people["0"]]
    if len(unequal):
        raise SourceError(
            f"{path}: age {next(iter(unequal.index))}: males and females do not add up to both sexes "
            f"({len(unequal)} such ages); fetch the file again."
        )
