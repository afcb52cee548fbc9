"""The tax file as a Frame: persons, every variable, aggregates gone with their totals kept, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.frame import Frame
from tessera.microdata.puf import build_puf
from tessera.microdata.puf_aggregates import AGGREGATES, disaggregate
from tessera.microdata.puf_amounts import AMOUNTS, map_amounts
from tessera.microdata.tax_variables import tax_variables

from .support import RawTable, tax_file


@pytest.fixture(scope="module")
def frame() -> Frame:
    return build_puf(tax_file(), year=2024, seed=1)


def one_return(**change: object) -> RawTable:
    table = tax_file(1, aggregates=False).table.assign(RECID=5, MARS=2, XTOT=4, DSI=0, E00200=1000.0, E02400=300.0)
    demographics = {"RECID": 5, "AGERANGE": 3, "GENDER": 2, "EARNSPLIT": 3, "AGEDP1": 1, "AGEDP2": 5, "AGEDP3": 0}
    return RawTable("irs_puf", table.assign(**change), companions={"demographics": pd.DataFrame([demographics])})


def test_every_variable_stands_on_persons_as_a_number(frame: Frame) -> None:
    for variable in tax_variables():
        column = frame.person[variable.name]
        assert column.dtype == np.float64, variable.name
        assert np.isfinite(column).all(), variable.name
        if variable.kind == "flag":
            assert set(column.unique()) <= {0.0, 1.0}, variable.name
    known = {"person_id", "age", "is_female", "tax_unit_role_input", *(f"{e}_id" for e in ("household", "family"))}
    known |= {"tax_unit_id", "spm_unit_id", "marital_unit_id", *(variable.name for variable in tax_variables())}
    assert set(frame.person.columns) == known
    # Dependants of a return have no amounts.
    amounts = [variable.name for variable in tax_variables() if variable.kind == "amount"]
    assert not frame.person.loc[frame.person["tax_unit_role_input"] == "DEPENDENT", amounts].any().any()


def test_aggregate_records_are_gone_and_their_totals_kept() -> None:
    raw = tax_file()
    built = build_puf(raw, year=2015, seed=1)
    assert not set(AGGREGATES) & set(built.household["source_household_id"])
    assert built.weights.sum() == pytest.approx(raw.table["S006"].sum(), rel=1e-12)
    weights = built.weights[built.unit_of_person("household")]
    skip = {
        "self_employment_income_before_lsr",
        "casualty_loss",
        "qualified_tuition_expenses",
        "home_mortgage_interest",
    }
    skip |= {"partnership_self_employment_net_earnings"}  # not sums of codes
    for name, (plus, minus) in AMOUNTS.items():
        if name in skip:
            continue
        wanted = sum(raw.table[c] for c in plus) - sum(
            (raw.table[c] for c in minus), start=pd.Series(0.0, raw.table.index)
        )
        found = built.person[name].to_numpy() @ weights
        assert found == pytest.approx(wanted @ raw.table["S006"], rel=1e-9), name
    own = built.person["self_employment_income_before_lsr"] + built.person["sstb_self_employment_income_before_lsr"]
    assert own @ weights == pytest.approx(raw.table["E00900"] @ raw.table["S006"], rel=1e-9)
    interest = built.person["home_mortgage_interest"] + built.person["investment_interest_expense"]
    assert interest @ weights == pytest.approx(raw.table["E19200"] @ raw.table["S006"], rel=1e-9)


def test_passive_income_is_a_part_of_the_whole() -> None:
    """On a return with passive partnerships alone, all of it is passive."""
    zero = dict.fromkeys(("E25980", "E25960", "E26190", "E26180"), 0.0)
    person = build_puf(one_return(**zero, E25940=90.0, E25920=20.0, E26170=7.0, E26160=0.0), year=2015, seed=1).person
    whole = person["partnership_income"] + person["s_corp_income"]
    assert person["passive_partnership_s_corp_income"].tolist() == whole.tolist() == [77.0, 0.0, 0.0, 0.0]


def test_persons_of_a_joint_return() -> None:
    built = build_puf(one_return(), year=2015, seed=3)
    person = built.person
    assert person["tax_unit_role_input"].tolist() == ["HEAD", "SPOUSE", "DEPENDENT", "DEPENDENT"]
    assert person["marital_unit_id"].tolist() == [0, 0, 1, 2]
    assert 35 <= person["age"][0] < 45
    assert 18 <= person["age"][1] <= 70
    assert 0 <= person["age"][2] < 5
    assert 19 <= person["age"][3] < 24
    assert person["is_female"][0]
    # EARNSPLIT 3: the head earns less than a quarter.
    wages = person["employment_income_before_lsr"]
    assert 0 <= wages[0] <= 250
    assert wages.sum() == pytest.approx(1000)
    assert person["puf_social_security"].sum() == pytest.approx(300)
    assert built.tax_unit["constructed_filing_status"].tolist() == ["JOINT"]
    assert set(built.household["source"]) == {"puf"}
    assert built.household["source_household_id"].tolist() == [5]


def test_dependent_filer_is_young_and_alone() -> None:
    built = build_puf(one_return(MARS=1, XTOT=1, DSI=1), year=2015, seed=3)
    assert 26 <= built.person["age"].tolist()[0] < 40  # code 3 of dependent filers
    assert built.count("person") == 1


@pytest.mark.parametrize(
    ("mars", "status"), [(1, "SINGLE"), (3, "SEPARATE"), (4, "HEAD_OF_HOUSEHOLD"), (5, "SURVIVING_SPOUSE")]
)
def test_filing_status(mars: int, status: str) -> None:
    built = build_puf(one_return(MARS=mars), year=2015, seed=3)
    assert built.tax_unit["constructed_filing_status"].tolist() == [status]
    assert set(built.person["tax_unit_role_input"]) == {"HEAD", "DEPENDENT"}


def test_returns_without_demographics_are_filled_and_all_is_seeded() -> None:
    raw = tax_file(200, aggregates=False)
    built = build_puf(raw, year=2015, seed=1)
    heads = built.person.loc[built.person["tax_unit_role_input"] == "HEAD"]
    assert len(heads) == 200
    assert heads["age"].between(14, 85).all()
    again = build_puf(raw, year=2015, seed=1, n_jobs=2)
    pd.testing.assert_frame_equal(built.person, again.person)
    assert not built.person["age"].equals(build_puf(raw, year=2015, seed=2).person["age"])


def test_the_files_own_rows_are_not_touched() -> None:
    raw = tax_file(60)
    before = raw.table.copy()
    build_puf(raw, year=2024, seed=1)
    pd.testing.assert_frame_equal(raw.table, before)


def test_demographics_may_stand_in_the_file_itself() -> None:
    raw = one_return()
    record = raw.companions["demographics"].iloc[0].to_dict()
    inside = RawTable("irs_puf", raw.table.assign(**record))
    pd.testing.assert_frame_equal(build_puf(inside, year=2015, seed=3).person, build_puf(raw, year=2015, seed=3).person)


def test_mark_and_year_are_handed_on(frame: Frame) -> None:
    assert frame.synthetic
    assert frame.year == 2024
    assert frame.household["source_household_id"].is_unique
    assert map_amounts(disaggregate(tax_file(40).table.assign(weight=1.0), seed=1)).notna().all().all()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (
            RawTable("irs_puf", pd.concat([one_return().table] * 2, ignore_index=True)),
            r"row 1 \(RECID 5\): RECID occurs",
        ),
        (one_return(E00300=np.nan), r"RECID 5\): E00300 is missing"),
        (one_return(E00300=np.inf), r"E00300 is missing"),
        (one_return(MARS=np.nan), r"MARS is missing"),
        (one_return(MARS=7), r"MARS is no filing status .*wanted 1 to 5"),
        (one_return(MARS=0), r"MARS is no filing status"),
        (one_return(S006=-1.0), r"weight S006 is below 0"),
        (one_return(S006=0.0), r"the weights S006 of all 1 rows are 0"),
        (RawTable("irs_puf", one_return().table), "no return has a demographic record"),
        (RawTable("irs_puf", one_return().table.iloc[:0]), "it has no rows"),
        (RawTable("irs_puf", one_return().table.drop(columns="MARS")), "MARS"),
        (RawTable("irs_puf", one_return().table, year=2011, companions=one_return().companions), "Tax file of 2011"),
    ],
)
def test_broken_files_are_refused(raw: RawTable, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        build_puf(raw, year=2024, seed=1)


def test_an_absent_required_amount_is_named() -> None:
    raw = one_return()
    without = RawTable("irs_puf", raw.table.drop(columns="E01700"), companions=raw.companions)
    with pytest.raises(SourceError, match="tax file: columns E01700 are absent"):
        build_puf(without, year=2015, seed=1)


def test_a_companion_that_is_not_whole_is_refused() -> None:
    raw = one_return()
    demographics = raw.companions["demographics"]
    for broken, words in (
        (demographics.drop(columns="GENDER"), "demographic file: columns GENDER"),
        (pd.concat([demographics] * 2), "demographic file row 1 .*RECID occurs twice"),
    ):
        with pytest.raises(SourceError, match=words):
            build_puf(RawTable("irs_puf", raw.table, companions={"demographics": broken}), year=2015, seed=1)
