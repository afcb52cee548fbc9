"""The tax file: growth applied once, aggregate records taken apart exactly, persons of returns, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import SourceError
from tessera.microdata.puf import AMOUNTS, build_puf, map_amounts
from tessera.microdata.puf_aggregates import AGGREGATES, disaggregate
from tessera.microdata.puf_uprating import growth, returns_growth, total_growth, uprate

from .support import RawTable, tax_file


def weighted(frame_table: pd.DataFrame, weights: np.ndarray) -> pd.Series:
    return frame_table[list(AMOUNTS)].mul(weights, axis=0).sum()


def test_totals_grow_by_the_documented_factor_once() -> None:
    raw = tax_file(aggregates=False)
    before = build_puf(raw, year=2015, seed=1)
    after = build_puf(raw, year=2024, seed=1)
    w0, w1 = (f.weights[f.unit_of_person("household")] for f in (before, after))
    assert after.weights.sum() == pytest.approx(before.weights.sum() * returns_growth(), rel=1e-12)
    for name in AMOUNTS:
        values = before.person[name].to_numpy()
        grown = np.maximum(values, 0) * total_growth(name, "positive") + np.minimum(values, 0) * total_growth(
            name, "negative"
        )
        assert after.person[name].to_numpy() @ w1 == pytest.approx(grown @ w0, rel=1e-9), name


def test_the_year_is_of_the_frame_and_no_growth_is_applied_twice() -> None:
    amounts = pd.DataFrame({"self_employment_income_before_lsr": [100.0, -100.0], "partnership_income": [10.0, -10.0]})
    once, factor = uprate(amounts, 2015, 2024)
    again, one = uprate(once, 2024, 2024)
    pd.testing.assert_frame_equal(again, once)
    assert (factor, one) == (returns_growth(), 1.0)
    own = growth("self_employment_income_before_lsr")
    assert once["self_employment_income_before_lsr"].tolist() == [100 * own.positive, -100 * own.negative]
    # The reference left partnership income at its 2015 level; it grew by more than half.
    assert (once["partnership_income"].abs() > 15).all()
    with pytest.raises(SourceError, match="growth to 2030"):
        uprate(amounts, 2015, 2030)
    with pytest.raises(SourceError, match="No growth factor for nonsense"):
        uprate(amounts.assign(nonsense=1.0), 2015, 2024)


def test_factors_come_from_the_published_tables(shared_data: Path) -> None:
    soi = pd.read_csv(shared_data / "official" / "soi_targets.csv")
    whole = np.isinf(soi["AGI lower bound"]) & np.isinf(soi["AGI upper bound"]) & ~soi["Taxable only"]
    soi = soi[whole & (soi["Filing status"] == "All")].drop_duplicates(["Variable", "Year", "Count"])
    total = soi[~soi["Count"]].set_index(["Variable", "Year"])["Value"]
    count = soi[soi["Count"]].set_index(["Variable", "Year"])["Value"]
    folder = shared_data / "official" / "cbo" / "revenue_projections_income_by_source_2026_02"
    cbo = pd.read_csv(next(folder.glob("*.csv"))).set_index("source_concept_id")

    def expected(variable: str, concept: str) -> float:
        growth_2023 = total[variable, 2023] / total[variable, 2015]
        return float(growth_2023 * cbo.loc[concept, "year_2024"] / cbo.loc[concept, "year_2023"])

    for name, sign, variable, concept in (
        ("employment_income_before_lsr", "positive", "employment_income", "wages_and_salaries"),
        ("self_employment_income_before_lsr", "positive", "business_net_profits", "net_business_income"),
        ("self_employment_income_before_lsr", "negative", "business_net_losses", "net_business_income"),
        ("long_term_capital_gains_before_response", "positive", "capital_gains_gross", "net_capital_gain"),
        ("qualified_dividend_income", "positive", "qualified_dividends", "qualified_dividend_income"),
        ("s_corp_income", "positive", "partnership_and_s_corp_income", "net_business_income"),
    ):
        assert total_growth(name, sign) == pytest.approx(expected(variable, concept), rel=1e-12)
    assert returns_growth() == pytest.approx((count["count", 2023] / count["count", 2015]) ** (9 / 8), rel=1e-12)


def test_every_amount_has_a_factor() -> None:
    for name in AMOUNTS:
        for sign in ("positive", "negative"):
            assert 0.5 < total_growth(name, sign) < 5, name


def test_aggregate_records_are_gone_and_their_totals_kept() -> None:
    raw = tax_file()
    frame = build_puf(raw, year=2015, seed=1)
    assert not set(AGGREGATES) & set(frame.household["source_household_id"])
    assert frame.weights.sum() == pytest.approx(raw.table["S006"].sum(), rel=1e-12)
    wanted = map_amounts(raw.table).mul(raw.table["S006"].to_numpy(), axis=0).sum()
    found = weighted(frame.person, frame.weights[frame.unit_of_person("household")])
    np.testing.assert_allclose(found[wanted.index], wanted, rtol=1e-9, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20), copies=st.integers(1, 30), n=st.integers(8, 60))
def test_every_bucket_keeps_weight_and_amounts(seed: int, copies: int, n: int) -> None:
    table = tax_file(n).table
    returns = table.assign(weight=table["S006"])
    amounts = map_amounts(table)
    new, values = disaggregate(returns, amounts, seed=seed, copies=copies)
    assert not new["RECID"].duplicated().any()
    assert not new["RECID"].isin(AGGREGATES).any()
    each = min(copies, n - 4)
    assert len(new) == len(values) == n - 4 + 4 * each
    for place in range(4):
        part = slice(n - 4 + place * each, n - 4 + (place + 1) * each)
        row = n - 4 + place
        assert new["weight"].iloc[part].sum() == pytest.approx(table["S006"].iloc[row])
        held = values.iloc[part].mul(new["weight"].iloc[part].to_numpy(), axis=0).sum()
        np.testing.assert_allclose(held, amounts.iloc[row] * table["S006"].iloc[row], rtol=1e-9, atol=1e-6)
    assert (new["MARS"] > 0).all()


def test_a_file_of_aggregates_only_is_refused() -> None:
    table = tax_file(20).table.iloc[-4:]
    with pytest.raises(SourceError, match="aggregate records only"):
        disaggregate(table.assign(weight=1.0), map_amounts(table), seed=1)


def one_return(**change: object) -> RawTable:
    table = tax_file(1, aggregates=False).table.assign(RECID=5, MARS=2, XTOT=4, DSI=0, E00200=1000.0, E02400=300.0)
    demographics = {"RECID": 5, "AGERANGE": 3, "GENDER": 2, "EARNSPLIT": 3, "AGEDP1": 1, "AGEDP2": 5, "AGEDP3": 0}
    return RawTable("irs_puf", table.assign(**change), companions={"demographics": pd.DataFrame([demographics])})


def test_persons_of_a_joint_return() -> None:
    frame = build_puf(one_return(), year=2015, seed=3)
    person = frame.person
    assert person["tax_unit_role_input"].tolist() == ["HEAD", "SPOUSE", "DEPENDENT", "DEPENDENT"]
    assert person["marital_unit_id"].tolist() == [0, 0, 1, 2]
    assert 35 <= person["age"][0] < 45
    assert person["age"][1] == person["age"][0]
    assert 0 <= person["age"][2] < 5
    assert 19 <= person["age"][3] < 24
    assert person["is_female"][0]
    # EARNSPLIT 3: the head earns less than a quarter.
    wages = person["employment_income_before_lsr"]
    assert 0 <= wages[0] <= 250
    assert wages.sum() == pytest.approx(1000)
    assert person["puf_social_security"].tolist() == [300, 0, 0, 0]
    assert frame.tax_unit["constructed_filing_status"].tolist() == ["JOINT"]
    assert set(frame.household["source"]) == {"puf"}


def test_dependent_filer_is_young_and_alone() -> None:
    frame = build_puf(one_return(MARS=1, XTOT=1, DSI=1), year=2015, seed=3)
    assert frame.person["age"].tolist()[0] >= 26  # code 3 of dependent filers
    assert frame.count("person") == 1


def test_returns_without_demographics_borrow_from_those_alike() -> None:
    raw = tax_file(200, aggregates=False)
    frame = build_puf(raw, year=2015, seed=1)
    heads = frame.person.loc[frame.person["tax_unit_role_input"] == "HEAD"]
    assert len(heads) == 200
    assert heads["age"].between(14, 86).all()
    pd.testing.assert_frame_equal(frame.person, build_puf(raw, year=2015, seed=1).person)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (RawTable("irs_puf", pd.concat([one_return().table] * 2, ignore_index=True)), "RECID 5 occurs twice"),
        (one_return(E00300=np.nan), "E00300 is missing"),
        (RawTable("irs_puf", one_return().table), "no return has a demographic record"),
        (RawTable("irs_puf", one_return().table.drop(columns="E01700")), "E01700"),
        (RawTable("irs_puf", one_return().table.drop(columns="MARS")), "MARS"),
    ],
)
def test_broken_files_are_refused(raw: RawTable, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        build_puf(raw, year=2015, seed=1)
