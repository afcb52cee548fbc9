"""ACS PUMS: reader and writer, adjustment factors, years, files that cannot be used."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.sources import acs_pums
from tessera.sources.synthetic import acs_pums as acs_writer
from tests.sources.donor_edits import Edited, members_of, replaced, zeros


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("donors")
    acs_writer.write(target, households=400, year=2024, seed=5)
    return target


def test_acs(folder: Path) -> None:
    raw = acs_pums.read(folder / "csv_pus.zip")
    person, household = raw.table, raw.companions["household"]
    assert (raw.year, raw.synthetic) == (2024, True)
    assert (household["NP"] > 0).all() and household["WGTP"].sum() == pytest.approx(132.2e6, rel=0.001)
    assert household["ADJHSG"].iloc[0] == pytest.approx(1.01)
    rented = household["TEN"] == 3
    assert household.loc[rented, "RNTP"].notna().all() and household.loc[~rented, "RNTP"].isna().all()
    assert household.loc[household["TEN"].isin((1, 2)), "TAXAMT"].notna().all()
    assert (
        person.loc[person["AGEP"] < 15, "WAGP"].isna().all() and person.loc[person["AGEP"] >= 16, "WAGP"].notna().all()
    )
    assert person.groupby("SERIALNO").size().sum() == household["NP"].sum()
    assert (household["TYPEHUGQ"] == 3).any() and household["ST"].nunique() == 51


def test_acs_amounts_are_adjusted_by_the_reader(folder: Path) -> None:
    raw = acs_pums.read(folder / "csv_pus.zip")
    with zipfile.ZipFile(folder / "csv_hus.zip") as archive:
        names = members_of(archive)
        written = pd.concat([pd.read_csv(archive.open(name)) for name in names]).query("NP > 0")
    with zipfile.ZipFile(folder / "csv_pus.zip") as archive:
        people = pd.concat([pd.read_csv(archive.open(name)) for name in members_of(archive)])
    household = raw.companions["household"]
    # Seven digits with six implied decimals: 1010000 is 1.01. Rent and taxes by ADJHSG, incomes by ADJINC, once.
    assert set(written["ADJHSG"]) == set(people["ADJINC"]) == {1_010_000}
    for name in ("RNTP", "TAXAMT", "HINCP"):
        np.testing.assert_allclose(household[name], written[name] * 1.01)
    for name in ("WAGP", "SSP", "PINCP"):
        np.testing.assert_allclose(raw.table[name], people[name] * 1.01)
    # The value of the home is never adjusted.
    np.testing.assert_array_equal(household["VALP"], written["VALP"])


def test_acs_factors_without_their_decimals(folder: Path, edited: Edited) -> None:
    edited(folder / "csv_hus.zip", lambda held: held)
    person = edited(folder / "csv_pus.zip", replaced("ADJINC", "101"))
    with pytest.raises(SourceError, match=r"line 2, ADJINC is 0\.000101; wanted a factor of 0\.8 to 1\.25"):
        acs_pums.read(person)


def test_acs_weight_below_zero(folder: Path, edited: Edited) -> None:
    edited(folder / "csv_hus.zip", replaced("WGTP", "-3"))
    with pytest.raises(SourceError, match=r"line 2, WGTP is -3; wanted 0 or more"):
        acs_pums.read(edited(folder / "csv_pus.zip", lambda held: held))


@pytest.mark.parametrize("year", [2018, 2020, 2031])
def test_acs_of_a_year_that_is_not_documented(folder: Path, edited: Edited, year: int) -> None:
    def renamed(held: dict[str, bytes]) -> dict[str, bytes]:
        return {name: text.replace(b"\n2024", f"\n{year}".encode()) for name, text in held.items()}

    edited(folder / "csv_hus.zip", renamed)
    with pytest.raises(SourceError, match=rf"is the ACS of {year} .*wanted one of 2021, 2022, 2023, 2024"):
        acs_pums.read(edited(folder / "csv_pus.zip", renamed))


def test_acs_of_two_years(folder: Path, edited: Edited) -> None:
    edited(folder / "csv_hus.zip", lambda held: {n: text.replace(b"\n2024", b"\n2023") for n, text in held.items()})
    with pytest.raises(SourceError, match=r"csv_hus\.zip: is of 2023; csv_pus\.zip is of 2024"):
        acs_pums.read(edited(folder / "csv_pus.zip", lambda held: held))


def test_acs_unit_in_two_members(folder: Path, edited: Edited) -> None:
    def doubled(held: dict[str, bytes]) -> dict[str, bytes]:
        first, second = (held[f"psam_hus{part}.csv"].split(b"\n") for part in "ab")
        return {**held, "psam_husb.csv": b"\n".join([second[0], first[1], *second[1:]])}

    edited(folder / "csv_hus.zip", doubled)
    with pytest.raises(SourceError, match=r"SERIALNO 2024HU\d+ occurs in two of its members"):
        acs_pums.read(edited(folder / "csv_pus.zip", lambda held: held))


def test_acs_accepts_the_old_name_of_the_state(folder: Path, edited: Edited, tmp_path: Path) -> None:
    edited(folder / "csv_hus.zip", lambda held: {n: text.replace(b"STATE", b"ST", 1) for n, text in held.items()})
    person = edited(folder / "csv_pus.zip", lambda held: held)
    assert acs_pums.read(person).companions["household"]["ST"].between(1, 56).all()


def test_acs_without_any_state(folder: Path, edited: Edited) -> None:
    edited(folder / "csv_hus.zip", lambda held: {n: text.replace(b"STATE", b"X", 1) for n, text in held.items()})
    with pytest.raises(SourceError, match="lacks both ST and STATE"):
        acs_pums.read(edited(folder / "csv_pus.zip", lambda held: held))


def test_acs_without_households(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "csv_pus.zip").write_bytes((folder / "csv_pus.zip").read_bytes())
    with pytest.raises(SourceError, match=r"csv_hus\.zip: source file does not exist"):
        acs_pums.read(tmp_path / "csv_pus.zip")


def test_acs_orphans(folder: Path, edited: Edited) -> None:
    edited(folder / "csv_hus.zip", lambda held: {n: text for n, text in held.items() if n != "psam_husb.csv"})
    with pytest.raises(SourceError, match="has no occupied unit"):
        acs_pums.read(edited(folder / "csv_pus.zip", lambda held: held))


def test_acs_needs_the_person_archive(folder: Path) -> None:
    with pytest.raises(SourceError, match="wanted the person archive"):
        acs_pums.read(folder / "csv_hus.zip")


def test_acs_wages_of_adults_may_not_be_blank(folder: Path, edited: Edited) -> None:
    edited(folder / "csv_hus.zip", lambda held: held)
    with pytest.raises(SourceError, match=r"line 2, WAGP is blank at age \d+; wanted a number from 16 on"):
        acs_pums.read(edited(folder / "csv_pus.zip", replaced("WAGP", "")))


@pytest.mark.parametrize("column", ["PWGTP", "PINCP"])
def test_acs_columns_ofzeros(folder: Path, edited: Edited, column: str) -> None:
    edited(folder / "csv_hus.zip", lambda held: held)
    with pytest.raises(SourceError, match=rf"column\(s\) {column} are 0 or blank in all [\d,]+ record"):
        acs_pums.read(edited(folder / "csv_pus.zip", zeros(column)))
