"""ACS subject table S0101: persons by age and sex, of the nation, the states and the districts.

Reads the JSON answer of the Census API (`acs/acs1/subject?get=group(S0101)`). Columns `S0101_Ccc_rrrE`: cc is 01 for
all persons, 03 for males, 05 for females; row 001 is the total, rows 002 to 019 are the 18 five-year groups. Figures,
in persons: person_count by group (age >= lo and age < hi; the top group, 85 and over, has no upper bound), by sex, and
by group and sex; and the totals.

The selected age categories below the groups (rows 020 to 031: under 18, 62 and over, ...) are not loaded: they overlap
the groups. Those that are sums of groups (15 to 44, 60 and over, ...) are held against them, as totals are against
groups and both sexes against all; a suppressed cell is therefore an error. Medians and ratios are no counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import GeographyError, SourceError
from tessera.targets.figures import Constraint, Figure, GeoLevel, Provenance, records, to_frame
from tessera.targets.loaders.acs_places import read_places
from tessera.targets.loaders.common import number

YEAR = 2024
SOURCE = "census_acs_s0101"
_URL = "https://api.census.gov/data/2024/acs/acs1/subject?get=group(S0101)"
_URL_FOR: dict[GeoLevel, str] = {
    "national": "us:*",
    "state": "state:*",
    "district": "congressional%20district:*&in=state:*",
}
_SEXES: dict[str, tuple[Constraint, ...]] = {
    "01": (),
    "03": (("is_female", "==", 0),),
    "05": (("is_female", "==", 1),),
}
_GROUPS = 18
# Row of a selected category -> positions of its first group and of the first group above it.
_SUMS = {20: (1, 3), 24: (3, 9), 28: (12, 18), 30: (13, 18), 31: (15, 18)}


def age_bins() -> tuple[tuple[int, int | None], ...]:
    """The 18 groups as (lowest age, first age above); the last has no upper bound."""
    return (*((low, low + 5) for low in range(0, 85, 5)), (85, None))


def age_constraints(position: int) -> tuple[Constraint, ...]:
    """Constraints of group number `position` (0 to 17)."""
    low, high = age_bins()[position]
    return (("age", ">=", low),) if high is None else (("age", ">=", low), ("age", "<", high))


def column(sex: str, row: int) -> str:
    """Column of an estimate: sex `01`, `03` or `05`, and row of the table (1: total; 2 to 19: groups)."""
    return f"S0101_C{sex}_{row:03d}E"


def group_columns(sex: str) -> list[str]:
    """Columns of the total and of the 18 groups of a sex."""
    return [column(sex, row) for row in range(1, _GROUPS + 2)]


def load(path: Path, level: GeoLevel) -> pd.DataFrame:
    """Age figures of one level.

    Args:
        path: the API's JSON answer.
        level: which of the three files it is.

    Returns:
        57 figures (3 totals and 54 groups) for each of 1, 51 or 436 places.

    Raises:
        SourceError: a missing column, a missing or repeated place, another Congress, a suppressed cell, groups that do
            not add up, sexes that do not add up.
    """
    if level not in _URL_FOR:
        raise GeographyError(f"Table S0101 is not read for the level {level!r}; wanted one of {', '.join(_URL_FOR)}.")
    columns = [name for sex in _SEXES for name in (*group_columns(sex), *(column(sex, row) for row in _SUMS))]
    frame = read_places(path, level, columns, YEAR)
    url = f"{_URL}&for={_URL_FOR[level]}"
    provenance = Provenance(SOURCE, f"S0101 {level}", url, "ACS 2024 1-year, 119th Congress", YEAR)
    return to_frame(_figures(frame, level, path), provenance)


def groups_of(row: dict[str, str], place: str, path: Path, sex: str = "01") -> tuple[float, list[float]]:
    """Total and 18 groups of a place, which must add up to it.

    Args:
        row: the place's cells by column, with those of `group_columns`.
        place: its key, for messages.
        path: the file, for messages.
        sex: `01`, `03` or `05`.

    Raises:
        SourceError: a suppressed or negative cell, groups that do not add up.
    """
    total, *groups = (number(row[name], path, f"{place}, {name}", minimum=0) for name in group_columns(sex))
    if sum(groups) != total:
        raise SourceError(
            f"{path}: {place}: the age groups add up to {sum(groups):.0f}, the total {column(sex, 1)} is {total:.0f}."
        )
    return total, groups


def _figures(frame: pd.DataFrame, level: GeoLevel, path: Path) -> Iterator[Figure]:
    for row in records(frame):
        place = str(row["geo_id"])
        counts: dict[str, list[float]] = {}
        for sex, constraints in _SEXES.items():
            total, groups = groups_of(row, place, path, sex)
            _check_sums(row, place, path, (sex, groups))
            counts[sex] = [total, *groups]
            yield Figure(level, place, "person_count", total, "person", constraints)
            for position, value in enumerate(groups):
                yield Figure(level, place, "person_count", value, "person", (*age_constraints(position), *constraints))
        _check_sexes(counts, place, path)


def _check_sums(row: dict[str, str], place: str, path: Path, of_sex: tuple[str, list[float]]) -> None:
    sex, groups = of_sex
    for number_of_row, (first, end) in _SUMS.items():
        name = column(sex, number_of_row)
        published, added = number(row[name], path, f"{place}, {name}", minimum=0), sum(groups[first:end])
        if published != added:
            raise SourceError(
                f"{path}: {place}: {name} is {published:.0f}, its age groups add up to {added:.0f}; the rows of the "
                "table may have moved: fetch S0101 of 2024."
            )


def _check_sexes(counts: dict[str, list[float]], place: str, path: Path) -> None:
    for row, (both, males, females) in enumerate(zip(counts["01"], counts["03"], counts["05"], strict=True), start=1):
        if males + females != both:
            raise SourceError(
                f"{path}: {place}, row {row:03d}: {males:.0f} males and {females:.0f} females of {both:.0f} persons."
            )
