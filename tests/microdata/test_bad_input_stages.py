"""What may go wrong between the stages of the microdata: missing values, bad weights, absent surveys, lost marks."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tessera.config import Paths, scale
from tessera.errors import FrameError, SourceError, TesseraError
from tessera.frame import Frame
from tessera.microdata.cps import build_cps
from tessera.microdata.donors import impute_donors
from tessera.microdata.extend import extend
from tessera.microdata.puf import build_puf
from tessera.microdata.stratify import stratify
from tessera.sources.reading import read_source
from tessera.sources.registry import prepare_source, sources

from . import damage

MODEL_YEAR, SEED = 2024, 1
DONORS = {"acs": "acs_pums", "sipp": "sipp", "scf": "scf", "org": "cps_org"}


@pytest.fixture(scope="module")
def cps(raw: dict[str, Any]) -> Frame:
    return build_cps(raw["cps_asec"], seed=SEED)


@pytest.fixture(scope="module")
def puf(raw: dict[str, Any]) -> Frame:
    return build_puf(raw["irs_puf"], year=MODEL_YEAR, seed=SEED)


def _with_cell(frame: Frame, entity: str, column: str, value: float, row: int = 3) -> Frame:
    table = frame.table(entity).copy()
    table[column] = table[column].astype(np.float64)
    table.loc[row, column] = value
    return replace(frame, **{entity: table})


def test_missing_value_in_tables_of_a_reader(raw: dict[str, Any]) -> None:
    survey, returns = raw["cps_asec"], raw["irs_puf"]
    person = survey.person.assign(SS_VAL=survey.person["SS_VAL"].astype(float))
    person.loc[4, "SS_VAL"] = np.nan
    with pytest.raises(SourceError, match=r"row 4 \(PH_SEQ \d+\): SS_VAL is missing.*wanted a number.*Repair"):
        build_cps(replace(survey, person=person), seed=SEED)
    household = survey.household.assign(HSUP_WGT=np.nan)
    with pytest.raises(SourceError, match=r"H_SEQ \d+\): HSUP_WGT is missing.*wanted a number.*Repair"):
        build_cps(replace(survey, household=household), seed=SEED)
    with pytest.raises(SourceError, match=r"RECID \d+.*E00200 is missing.*wanted a number.*Repair"):
        build_puf(replace(returns, table=returns.table.assign(E00200=np.nan)), year=MODEL_YEAR, seed=SEED)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("column", ["age", "taxable_interest_income"])
def test_missing_value_before_the_extension(cps: Frame, puf: Frame, column: str, value: float) -> None:
    with pytest.raises(FrameError, match=rf"row \d+.*{column}.*(missing|nan|inf)"):
        extend(cps, _with_cell(puf, "person", column, value), seed=SEED)


def test_missing_value_in_the_survey_before_the_extension(cps: Frame, puf: Frame) -> None:
    with pytest.raises(FrameError, match=r"row \d+.*age.*(missing|nan)"):
        extend(_with_cell(cps, "person", "age", np.nan), puf, seed=SEED)


@pytest.mark.parametrize(
    ("entity", "column", "value"),
    [("person", "employment_income_before_lsr", np.nan), ("household", "household_weight", np.nan),
     ("household", "household_weight", -5.0)],
)  # fmt: skip
def test_bad_value_before_stratification(cps: Frame, entity: str, column: str, value: float) -> None:
    with pytest.raises(FrameError, match=rf"row \d+.*({column} is missing|has weight -5)"):
        stratify(_with_cell(cps, entity, column, value), 40, seed=SEED)


@pytest.mark.parametrize(
    ("entity", "column", "value"),
    [("person", "employment_income_before_lsr", np.nan), ("person", "age", np.nan),
     ("household", "household_weight", -5.0)],
)  # fmt: skip
def test_bad_value_before_the_donors(cps: Frame, raw: dict[str, Any], entity: str, column: str, value: float) -> None:
    donors = {name: raw[source] for name, source in DONORS.items()}
    with pytest.raises(FrameError, match=r"missing|nan|weights|weight -5"):
        impute_donors(_with_cell(cps, entity, column, value), **donors, seed=SEED)


@pytest.mark.parametrize("name", DONORS)
def test_missing_value_in_a_donor_table(cps: Frame, raw: dict[str, Any], name: str) -> None:
    """Weights of donors that are missing are never used."""
    donors = {key: raw[source] for key, source in DONORS.items()}
    weight = {"acs": "WGTP", "sipp": "WPFINWGT", "scf": "WGT", "org": "PWORWGT"}[name]
    table = donors[name]
    if name == "acs":
        broken = replace(table, companions={"household": table.companions["household"].assign(**{weight: np.nan})})
    else:
        broken = replace(table, table=table.table.assign(**{weight: np.nan}))
    with pytest.raises(TesseraError, match=r"weight|WGT"):
        impute_donors(cps, **{**donors, name: broken}, seed=SEED)


# --- absent files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DONORS)
def test_absent_donor_survey_is_an_error_that_names_it(cps: Frame, raw: dict[str, Any], name: str) -> None:
    donors = {key: raw[source] for key, source in DONORS.items() if key != name}
    file = damage.PRIMARY[DONORS[name]]
    with pytest.raises(SourceError, match=rf"absent: {name} \({DONORS[name]}, {file}.*Get the files, or choose"):
        impute_donors(cps, **donors, seed=SEED)


@pytest.mark.parametrize("name", DONORS)
def test_absent_donor_survey_with_either_fallback(cps: Frame, raw: dict[str, Any], name: str) -> None:
    donors = {key: raw[source] for key, source in DONORS.items() if key != name}
    out = impute_donors(cps, **donors, seed=SEED, fallback="leave_out")
    zero = impute_donors(cps, **donors, seed=SEED, fallback="zero")
    assert [absent.survey for absent in out.absent] == [absent.survey for absent in zero.absent] == [name]
    for entity in ("person", "household"):
        variables = getattr(out.absent[0], entity)
        given = set(out.frame.table(entity).columns)
        for variable in variables:
            # A variable that another survey gives as well stays.
            if variable in given:
                continue
            assert (zero.frame.table(entity)[variable] == 0).all(), variable
        assert set(zero.frame.table(entity).columns) >= given | set(variables)


def test_absent_tax_file_names_what_must_be_supplied(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        prepare_source(sources()["irs_puf"], Paths(tmp_path), "official", scale("tiny"), SEED, offline=True)
    message = str(caught.value)
    assert "irs_puf: 2 of 2 official files (2015) are absent" in message
    for wanted in ("puf_2015.csv", "demographics_2015.csv", "https://www.irs.gov", "synthetic"):
        assert wanted in message


def test_synthetic_tax_file_marks_everything_made_from_it(
    files: Path, tmp_path: Path, raw: dict[str, Any], puf: Frame
) -> None:
    """Official survey files beside a synthetic tax file: the survey is not marked, what both make is."""
    with zipfile.ZipFile(files / "asecpub25csv.zip") as archive:
        held = {name: archive.read(name) for name in archive.namelist() if name != "SYNTHETIC.txt"}
    damage.rewritten(tmp_path / "asecpub25csv.zip", held)
    survey = build_cps(read_source("cps_asec", tmp_path / "asecpub25csv.zip"), seed=SEED)
    assert not survey.synthetic and puf.synthetic
    extended = extend(survey, puf, seed=SEED).frame
    chosen = stratify(extended, 40, seed=SEED)
    donors = {name: raw[source] for name, source in DONORS.items()}
    assert extended.synthetic and chosen.synthetic and impute_donors(chosen, **donors, seed=SEED).frame.synthetic


def test_synthetic_donor_marks_the_frame(files: Path, tmp_path: Path, cps: Frame, raw: dict[str, Any]) -> None:
    donors = {name: replace(raw[source], synthetic=name == "scf") for name, source in DONORS.items()}
    unmarked = replace(cps, synthetic=False)
    assert impute_donors(unmarked, **donors, seed=SEED).frame.synthetic
    official = {name: replace(table, synthetic=False) for name, table in donors.items()}
    assert not impute_donors(unmarked, **official, seed=SEED).frame.synthetic
