"""Loaders of the Census estimates by age and of the CDC's births: on real and small files, and on altered ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.loaders import acs_age, cdc_births, census_population
from tessera.targets.loaders.common import number, read_csv


@pytest.fixture(scope="session")
def census(shared_data: Path) -> Path:
    return shared_data / "official" / "census"


def _written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _pep_path(census: Path) -> Path:
    return census / "pep_2024_age_sex" / "nc-est2024-agesex-res.csv"


def test_residents_by_single_year_of_age_and_sex(census: Path) -> None:
    table = census_population.load(_pep_path(census))
    assert len(table) == 3 * 102
    assert not table.duplicated(["geo_id", "variable", "constraints"]).any()
    value = table.set_index("constraints")["value"]
    assert value["[]"] == 340_110_988
    assert value['[["age","<",1],["age",">=",0]]'] == 3_615_598
    # The survey is controlled to these estimates: a sum of five years is what it has for the group.
    women = [value[f'[["age","<",{age + 1}],["age",">=",{age}],["is_female","==",1]]'] for age in range(30, 35)]
    survey = acs_age.load(census / "acs_s0101_national_2024" / "acs_S0101_national_2024.json", "national")
    group = survey.set_index("constraints")["value"]['[["age","<",35],["age",">=",30],["is_female","==",1]]']
    assert sum(women) == pytest.approx(group, rel=0.01)


def test_residents_agree_with_the_projections_for_2024(census: Path) -> None:
    people = census_population.read_population(_pep_path(census))
    path = census / "population_projections_2023" / "np2023_d5_mid.csv"
    table = read_csv(path)
    # All origins; natives and foreign-born are apart.
    year = table[(table["YEAR"] == "2024") & (table["RACE_HISP"] == "0")]
    for sex in ("0", "1", "2"):
        rows = year[year["SEX"] == sex]
        assert list(rows["NATIVITY"]) == ["1", "2"]

        def projected(column: str, rows: pd.DataFrame = rows) -> float:
            return sum(number(cell, path, column) for cell in rows[column])

        # Projected from 2022, so without most of the immigration of 2023 and 2024, and with more of the very old.
        residents = float(people[sex].to_dict()[999])
        assert projected("TOTAL_POP") == pytest.approx(residents, rel=0.02)
        assert projected("TOTAL_POP") < residents
        for low, high in ((0, 18), (18, 30), (30, 45), (45, 65), (65, 85)):
            added = sum(projected(f"POP_{age}") for age in range(low, high))
            assert added == pytest.approx(people.loc[low : high - 1, sex].sum(), rel=0.03)


def _edited(source: Path, target: Path, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    edit(read_csv(source)).to_csv(target, index=False)
    return target


def _set(frame: pd.DataFrame, row: int, column: str, value: str) -> pd.DataFrame:
    frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda frame: frame.drop(columns="POPESTIMATE2024"), "POPESTIMATE2024"),
        (lambda frame: frame.assign(POPESTIMATE2025="1"), "last column is POPESTIMATE2025"),
        (lambda frame: frame.drop(index=7), "sex and age .* is missing"),
        (lambda frame: pd.concat([frame, frame.head(1)]), "is there twice"),
        (lambda frame: _set(frame, 3, "AGE", "101"), "is missing"),
        (lambda frame: _set(frame, 3, "POPESTIMATE2024", ""), "suppressed or blank"),
        (lambda frame: _set(frame, 3, "POPESTIMATE2024", "-3"), "out of range"),
        (lambda frame: _set(frame, 3, "POPESTIMATE2024", "3"), "the ages add up to"),
    ],
)
def test_altered_population_tables_are_refused(
    census: Path, tmp_path: Path, edit: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        census_population.load(_edited(_pep_path(census), tmp_path / "pep.csv", edit))


def test_males_and_females_of_an_age_must_add_up(census: Path, tmp_path: Path) -> None:
    def move_one(frame: pd.DataFrame) -> pd.DataFrame:
        females = frame.index[frame["SEX"] == "2"][:2]
        for row, by in zip(females, (1, -1), strict=True):
            frame.loc[row, "POPESTIMATE2024"] = str(int(frame.loc[row, "POPESTIMATE2024"]) + by)
        return frame

    with pytest.raises(SourceError, match="age 0: males and females"):
        census_population.load(_edited(_pep_path(census), tmp_path / "pep.csv", move_one))


def _births(state: str, month: str, births: int, period: str = "Monthly") -> dict[str, str]:
    return {
        "state": state, "year": "2023", "month": month, "period": period, "indicator": "Number of Live Births",
        "data_value": str(births),
    }  # fmt: skip


@pytest.fixture
def answer() -> list[dict[str, str]]:
    """A small answer in the published format: place number n of the catalogue has 100 x n births every month."""
    rows = []
    for position, state in enumerate(states(), start=1):
        name = state.name.upper()
        rows += [_births(name, month, 100 * position) for month in cdc_births.MONTHS]
        rows.append(_births(name, "December", 1200 * position, "12 Month-ending"))
        rows.append(_births(name, "June", 1, "12 Month-ending"))
    whole = sum(range(1, 52))
    rows += [_births("UNITED STATES", month, 100 * whole) for month in cdc_births.MONTHS]
    rows.append(_births("PUERTO RICO", "May", 1500))
    deaths = _births("ALABAMA", "May", 5000) | {"indicator": "Number of Deaths"}
    return [*rows, deaths, _births("ALABAMA", "May", 1) | {"year": "2022"}]


def test_births_are_pregnancies_under_way(answer: list[dict[str, str]], tmp_path: Path) -> None:
    table = cdc_births.load(_written(tmp_path / "births.json", answer))
    value = table.set_index("geo_id")["value"]
    assert len(value) == 52
    assert value["AL"] == 1200 * 39 / 52
    assert value["WY"] == 51 * 1200 * 39 / 52
    assert value["US"] == sum(range(1, 52)) * 900
    assert set(table["constraints"]) == {'[["is_pregnant","==",1]]'}
    assert set(table.loc[table["geo_id"] == "US", "geo_level"]) == {"national"}


def _without(rows: list[dict[str, str]], key: str) -> list[dict[str, str]]:
    return [{name: cell for name, cell in row.items() if name != key} for row in rows]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1:], "'ALABAMA', 'January'.* is missing"),
        (lambda rows: [*rows, rows[0]], "is there twice"),
        (lambda rows: [*rows, _births("ATLANTIS", "May", 1)], "ATLANTIS is unknown"),
        (lambda rows: [row for row in rows if row["state"] != "UNITED STATES"], "UNITED STATES is missing"),
        (lambda rows: [*_without(rows[:1], "data_value"), *rows[1:]], "ALABAMA, January 2023 .* suppressed or blank"),
        (lambda rows: [rows[0] | {"data_value": "-100"}, *rows[1:]], "out of range"),
        (lambda rows: [rows[0] | {"data_value": "1,000"}, *rows[1:]], "the twelve months to December 1200"),
        (lambda rows: _without(rows, "indicator"), "'indicator' is missing"),
        (lambda rows: [row | {"year": "2022"} for row in rows], "no row of 2023"),
        (lambda rows: [], "wanted a list of rows"),
        (
            lambda rows: [row | ({"data_value": "9"} if row["state"] == "UNITED STATES" else {}) for row in rows],
            "the nation 108",
        ),
    ],
)
def test_altered_births_are_refused(
    answer: list[dict[str, str]], tmp_path: Path, change: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        cdc_births.load(_written(tmp_path / "births.json", change(answer)))


def test_births_in_a_page_instead_of_json(tmp_path: Path) -> None:
    page = tmp_path / "births.json"
    page.write_text("<html></html>", encoding="utf-8")
    with pytest.raises(SourceError, match="not JSON"):
        cdc_births.load(page)
