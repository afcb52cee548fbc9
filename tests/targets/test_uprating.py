"""Uprating: rules, the growth that they name, and figures brought to the model year."""

from __future__ import annotations

import csv
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xlrd
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import SourceError, TargetError
from tessera.geography.areas import states
from tessera.targets import growth, growth_soi, official, uprating
from tessera.targets.classes import EVERYBODY
from tessera.targets.figures import (
    Constraint,
    Figure,
    Provenance,
    constraints_from_json,
    constraints_to_json,
    to_frame,
)
from tessera.targets.growth import Growth
from tessera.targets.growth_soi import SoiSeries
from tessera.targets.marketplace_growth import MarketplaceGrowth
from tessera.targets.uprating_rules import HEADER, UpratingRules

AGI = "adjusted_gross_income"
FILER: Constraint = ("tax_unit_is_filer", "==", 1.0)
LOW: Constraint = (AGI, "<", 1.0)
MIDDLE: tuple[Constraint, ...] = ((AGI, ">=", 1.0), (AGI, "<", 10_000.0))
HIGH: Constraint = (AGI, ">=", 10_000.0)
CLASSES = {(-math.inf, 1.0): 4.0, (1.0, 10_000.0): 10.0, (10_000.0, math.inf): 20.0}
LATER = {one: value + step for step, (one, value) in enumerate(CLASSES.items(), 1)}
# Population +2 % a year, AGI of CBO +5 %; SOI's returns and AGI by class as in CLASSES, the next year 1, 2 and 3 more.
MADE_UP = Growth(
    population={2022: 100.0, 2023: 102.0, 2024: 104.04},
    births={2022: 10.0, 2024: 9.0},
    cpi={2020: 50.0, 2024: 60.0},
    cbo={AGI: {2023: 100.0, 2024: 105.0}, "wages_and_salaries": {2023: 100.0, 2024: 110.0}},
    soi=SoiSeries(
        totals={
            "returns": {2022: 34.0, 2023: 40.0}, AGI: {2022: 34.0, 2023: 40.0}, "eitc": {2022: 10.0, 2023: 12.0},
            "returns:eitc": {2022: 5.0, 2023: 5.5},
        },
        classes={name: {2022: CLASSES, 2023: LATER} for name in ("returns", AGI)}
        | {"eitc": {2022: CLASSES, 2023: dict(zip(CLASSES, (5.2, -10.0, 180.0), strict=True))}, "returns:eitc": {}},
    ),
    marketplace=MarketplaceGrowth({"US": 1.5, "TX": 2.0}, {"US": 1.6, "TX": 2.5}),
)  # fmt: skip
SHIFT = 1.05 / 1.02


def _rules(*lines: str) -> UpratingRules:
    return UpratingRules._from_lines([",".join(HEADER), *lines], "rules.csv")


def _figures(*figures: Figure, year: int = 2022, source: str = "soi") -> pd.DataFrame:
    return to_frame(figures, Provenance(source, "T", "https://example.org", str(year), year))


def _dollars(value: float, *constraints: Constraint, place: str = "CA", variable: str = AGI) -> Figure:
    return Figure("state", place, variable, value, "dollar", constraints)


@pytest.mark.parametrize(
    ("follows", "year", "is_count", "interval", "factor"),
    [
        ("population", 2022, True, EVERYBODY, 1.0404),
        ("births", 2022, True, EVERYBODY, 0.9),
        ("cpi", 2020, False, EVERYBODY, 1.2),
        ("cbo:wages_and_salaries", 2023, False, EVERYBODY, 1.1),
        # An SOI amount, then its own line of CBO (wages for the credit), or AGI.
        ("soi:eitc", 2022, False, EVERYBODY, 1.2 * 1.1),
        ("soi:eitc", 2023, False, EVERYBODY, 1.1),
        ("soi_returns", 2022, True, EVERYBODY, 40 / 34 * 1.02),
        ("soi_returns:eitc", 2022, True, EVERYBODY, 1.1 * 1.02),
        ("agi_class", 2022, True, EVERYBODY, 40 / 34 * 1.02),
        ("agi_class", 2022, True, (1.0, 10_000.0), 12 / 10 * 1.02),
        ("agi_class", 2022, False, (1.0, 10_000.0), 12 / 10 * 1.05),
        # A class that two classes of the table make up.
        ("agi_class", 2022, True, (1.0, math.inf), 35 / 30 * 1.02),
        # An item's own class; all of it where that has another sign, grows beyond measure, or is not in the table.
        ("soi:eitc", 2022, False, (-math.inf, 1.0), 1.3 * 1.1),
        ("soi:eitc", 2022, False, (1.0, 10_000.0), 1.2 * 1.1),
        ("soi:eitc", 2022, False, (10_000.0, math.inf), 1.2 * 1.1),
        ("soi_returns:eitc", 2022, True, (1.0, 10_000.0), 1.1 * 1.02),
        # The table's own year: any class.
        ("agi_class", 2023, True, (3.0, 7.0), 1.02),
        ("marketplace:persons", 2022, True, EVERYBODY, 1.5),
        ("none", 1999, False, EVERYBODY, 1.0),
    ],
)
def test_factors(
    follows: str, year: int, is_count: bool, interval: tuple[float, float], factor: float
) -> None:  # fmt: skip
    assert MADE_UP.factor(follows, year, is_count=is_count, interval=interval) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    ("follows", "year", "interval", "message"),
    [
        ("population", 2019, EVERYBODY, "No official figure of 2019 for population; there are 2022, 2023, 2024"),
        ("cbo:wages", 2023, EVERYBODY, "CBO has no series 'wages'; known are .*wages_and_salaries"),
        ("cbo:wages_and_salaries", 2022, EVERYBODY, "No official figure of 2022"),
        ("soi:snap", 2022, EVERYBODY, "SOI has no series 'snap'"),
        ("soi_returns:snap", 2022, EVERYBODY, "SOI has no series 'returns:snap'"),
        (
            "agi_class",
            2022,
            (1.0, 5_000.0),
            "No official figure of 2022 for returns of the class of AGI from 1 to 5,000",
        ),
        ("marketplace:credit", 2021, EVERYBODY, "from 2022"),
        ("marketplace:plans", 2022, EVERYBODY, "'plans'"),
    ],
)
def test_growth_that_nobody_measured(follows: str, year: int, interval: tuple[float, float], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        MADE_UP.factor(follows, year, is_count=True, interval=interval)


def test_the_most_specific_rule_counts() -> None:
    rules = _rules(
        "soi,*,2022,population,a",
        "soi,tax_unit_count,2022,agi_class,b",
        "soi,tax_unit_count[eitc],2022,soi_returns:eitc,c",
    )
    found = [rules.find("soi", variable, domain, 2022) for variable, domain in
             (("tax_unit_count", ["eitc", "age"]), ("tax_unit_count", ["age"]), ("snap", ["eitc"]))]  # fmt: skip
    assert [rule.follows if rule else None for rule in found] == ["soi_returns:eitc", "agi_class", "population"]
    assert rules.find("soi", "snap", [], 2021) is None
    assert rules.find("other", "snap", [], 2022) is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["soi,*,2022,gdp,why"], "line 2: follows is 'gdp'; wanted one of population"),
        (["soi,*,2022,soi,why"], "follows is 'soi'"),
        (["soi,*,2022,cbo:,why"], "follows is 'cbo:'"),
        (["soi,*,2022,population,"], "none empty"),
        (["soi,*,2022,population"], "none empty"),
        (["soi,*,2022,population,why, and why"], "quote cells with commas"),
        (["soi,a-b,2022,population,why"], "variable is 'a-b'"),
        (["soi,*,MMXX,population,why"], "year is 'MMXX'"),
        (["soi,*,2022,population,why", "soi,*,2022,cpi,why"], r"line 3: a second rule for \('soi', '\*', 2022\)"),
    ],
)
def test_rules_that_cannot_be_read(lines: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.csv"
    path.write_text("\n".join([",".join(HEADER), *lines]), encoding="utf-8")
    with pytest.raises(TargetError, match=message):
        UpratingRules.read(path)
    path.write_text("source,variable\n", encoding="utf-8")
    with pytest.raises(TargetError, match="wanted source, variable, year, follows, why"):
        UpratingRules.read(path)


def test_figures_of_the_model_year_stay_and_others_need_a_rule() -> None:
    rules = _rules("soi,snap,2022,population,why")
    new, old = _figures(_dollars(7.0), year=2024), _figures(_dollars(10.0, variable="snap"), year=2022)
    both = uprating.uprate(pd.concat([new, old], ignore_index=True), MADE_UP, rules)
    assert both["value"].tolist() == pytest.approx([7.0, 10.404])
    assert both["uprating"].tolist() == pytest.approx([1.0, 1.0404])
    assert both["period"].tolist() == [2024, 2024]
    assert both["year"].tolist() == [2024, 2022]
    assert both["raw_value"].tolist() == [7.0, 10.0]
    with pytest.raises(TargetError, match=r"adjusted_gross_income \[\] of 2022: no rule brings it to 2024; add a line"):
        uprating.uprate(_figures(_dollars(1.0)), MADE_UP, rules)
    with pytest.raises(TargetError, match=r"of 2018, rule 'population': No official figure of 2018"):
        uprating.uprate(_figures(_dollars(1.0), year=2018), MADE_UP, _rules("soi,*,2018,population,why"))


def test_classes_move_and_totals_are_the_sum_of_their_classes() -> None:
    table = _figures(
        _dollars(100.0, FILER), _dollars(-10.0, FILER, LOW),
        _dollars(30.0, FILER, *MIDDLE), _dollars(80.0, FILER, HIGH),
        # No classes in Texas: the nation's growth.
        _dollars(100.0, FILER, place="TX"),
    )  # fmt: skip
    done = uprating.uprate(table, MADE_UP, _rules("soi,*,2022,agi_class,why"))
    growth_of_class = [5 / 4 * 1.05, 12 / 10 * 1.05, 23 / 20 * 1.05]
    assert done["uprating"].tolist()[1:4] == pytest.approx(growth_of_class)
    assert done["value"].iloc[0] == pytest.approx(done["value"].iloc[1:4].sum())
    assert done["uprating"].iloc[4] == pytest.approx(40 / 34 * 1.05)
    bounds = {tuple(row) for text in done["constraints"] for row in json.loads(text) if row[0] == AGI}
    assert bounds == {
        (AGI, "<", 1),
        (AGI, ">=", 1),
        (AGI, "<", round(10_000 * SHIFT)),
        (AGI, ">=", round(10_000 * SHIFT)),
    }


def test_classes_whose_gains_and_losses_cancel_follow_their_total() -> None:
    table = _figures(_dollars(2.0, FILER), _dollars(-98.0, FILER, LOW), _dollars(0.0, FILER, *MIDDLE),
                     _dollars(100.0, FILER, HIGH))  # fmt: skip
    done = uprating.uprate(table, MADE_UP, _rules("soi,*,2022,agi_class,why"))
    assert done["uprating"].tolist() == pytest.approx([40 / 34 * 1.05] * 4)


def _states(low: float, high: float) -> pd.DataFrame:
    """Joint returns of every state: all, of the class without AGI, and of the class with most of it."""
    rows = [
        Figure("state", state.usps, "tax_unit_count", value * (2 if state.usps == "CA" else 1), "return", domain)
        for state in states()
        for value, domain in ((low + high, (FILER,)), (low, (FILER, LOW)), (high, (FILER, HIGH)))
    ]
    return _figures(*rows)


def test_classes_of_all_states_grow_as_the_item_in_the_nation() -> None:
    # All returns grow by 40 / 34; the two classes by 5 / 4 and 23 / 20, together more than that here.
    done = uprating.uprate(_states(30_000.0, 10_000.0), MADE_UP, _rules("soi,*,2022,soi_returns,why"))
    nation = done[done["constraints"] == '[["tax_unit_is_filer","==",1]]']
    assert nation["value"].sum() / nation["raw_value"].sum() == pytest.approx(40 / 34 * 1.02, rel=1e-12)
    own = np.array([5 / 4, 23 / 20]) * 1.02
    together = (own @ [3, 1]) / 4
    factors = done["uprating"].to_numpy().reshape(-1, 3)
    assert factors[:, 1:] == pytest.approx(np.tile(own * 40 / 34 * 1.02 / together, (51, 1)), rel=1e-12)
    values = done["value"].to_numpy().reshape(-1, 3)
    assert values[:, 0] == pytest.approx(values[:, 1] + values[:, 2], rel=1e-12)
    # A state by itself may grow in another way than the nation.
    alone = uprating.uprate(_states(30_000.0, 10_000.0).iloc[:3], MADE_UP, _rules("soi,*,2022,soi_returns,why"))
    assert alone["uprating"].tolist()[1:] == pytest.approx(own.tolist())
    assert alone["uprating"].iloc[0] == pytest.approx(together)


def test_a_total_is_the_sum_of_the_classes_that_have_anything() -> None:
    table = _figures(_dollars(60_000.0, FILER), _dollars(20_000.0, FILER, LOW), _dollars(40_000.0, FILER, *MIDDLE))
    done = uprating.uprate(table, MADE_UP, _rules("soi,*,2022,agi_class,why"))
    assert done["uprating"].tolist()[1:] == pytest.approx([5 / 4 * 1.05, 12 / 10 * 1.05])
    assert done["value"].iloc[0] == pytest.approx(done["value"].iloc[1:].sum(), rel=1e-12)
    # Where a class was suppressed, the total grows by itself.
    without = table.assign(raw_value=[90_000.0, 20_000.0, 40_000.0])
    done = uprating.uprate(without, MADE_UP, _rules("soi,*,2022,agi_class,why"))
    assert done["uprating"].tolist() == pytest.approx([40 / 34 * 1.05, 5 / 4 * 1.05, 12 / 10 * 1.05])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(2020, 2024), st.sampled_from(["snap", "ssi"]), st.floats(-1e12, 1e12)),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_uprating_touches_nothing_of_the_model_year(rows: list[tuple[int, str, float]]) -> None:
    table = pd.concat(
        [_figures(_dollars(value, variable=name, place=place), year=year)
         for place, (year, name, value) in zip((state.usps for state in states()), rows, strict=False)],
        ignore_index=True,
    )  # fmt: skip
    prices = replace(MADE_UP, cpi={year: 50.0 + year - 2020 for year in range(2020, 2025)})
    rules = _rules(*(f"soi,*,{year},cpi,why" for year in range(2020, 2024)))
    done = uprating.uprate(table, prices, rules)
    new = (table["year"] == 2024).to_numpy()
    pd.testing.assert_frame_equal(done[new], table[new].assign(period=2024), check_exact=True)
    assert done["uprating"].to_numpy() == pytest.approx(54.0 / (50.0 + table["year"].to_numpy() - 2020), rel=1e-15)
    assert (done["raw_value"] == table["raw_value"]).all()
    assert (done["value"] == done["raw_value"] * done["uprating"]).all()


def test_classes_follow_incomes_or_stay_as_they_are() -> None:
    table = _figures(_dollars(30.0, FILER, *MIDDLE))
    for follows in ("population", "cpi", "births"):
        with pytest.raises(TargetError, match="a class of AGI cannot follow"):
            uprating.uprate(table, replace(MADE_UP, cpi={2022: 1.0, 2024: 2.0}), _rules(f"soi,*,2022,{follows},why"))
    kept = uprating.uprate(table, MADE_UP, _rules("soi,*,2022,none,why"))
    assert kept["constraints"].tolist() == table["constraints"].tolist()
    assert kept["value"].tolist() == [30.0]


def test_a_series_that_changes_sign_gives_no_factor() -> None:
    totals = MADE_UP.soi.totals | {"rental_income": {2022: -5.0, 2023: 4.0}}
    turned = replace(MADE_UP, soi=replace(MADE_UP.soi, totals=totals))
    with pytest.raises(TargetError, match=r"the factor is -0\.84, wanted a positive number"):
        uprating.uprate(_figures(_dollars(1.0)), turned, _rules("soi,*,2022,soi:rental_income,why"))


def test_the_marketplace_grows_by_state() -> None:
    table = _figures(_dollars(10.0, place="TX"), Figure("district", "TX-05", AGI, 10.0, "dollar"),
                     Figure("national", "US", AGI, 10.0, "dollar"))  # fmt: skip
    done = uprating.uprate(table, MADE_UP, _rules("soi,*,2022,marketplace:credit,why"))
    assert done["value"].tolist() == [25.0, 25.0, 16.0]
    with pytest.raises(TargetError, match="none for 'CA'"):
        uprating.uprate(_figures(_dollars(1.0)), MADE_UP, _rules("soi,*,2022,marketplace:credit,why"))


def test_applied_factors_are_those_of_the_figures() -> None:
    rules = _rules("soi,*,2022,agi_class,why", "paper,*,2020,cpi,why")
    table = pd.concat(
        [_figures(_dollars(100.0, FILER), _dollars(10.0, FILER, LOW), _dollars(20.0, FILER, *MIDDLE),
                  _dollars(70.0, FILER, HIGH), _dollars(50.0, FILER, place="TX")),
         _figures(_dollars(5.0), source="paper", year=2020), _figures(_dollars(5.0), source="new", year=2024)],
        ignore_index=True,
    )  # fmt: skip
    done = uprating.uprate(table, MADE_UP, rules)
    factors = uprating.applied_factors(done, rules).set_index(["source", "constraints"])
    assert factors["follows"].to_dict()["paper", "[]"] == "cpi"
    assert factors["factor"]["paper", "[]"] == pytest.approx(1.2)
    assert "new" not in factors.index.get_level_values("source")
    # California's total follows its classes, Texas' the nation: together, their sums.
    filers = done[done["constraints"] == '[["tax_unit_is_filer","==",1]]']
    assert factors["factor"]["soi", '[["tax_unit_is_filer","==",1]]'] == pytest.approx(
        filers["value"].sum() / filers["raw_value"].sum()
    )
    assert len(factors) == 5


def test_growth_of_the_official_files(measured: Growth) -> None:
    # Census vintage 2024 and BLS, as published; IRS SOI tables 1.1, 1.4 and 2.5.
    assert measured.population[2024] == 340_110_988
    assert measured.cpi[2024] == pytest.approx(313.689)
    returns = measured.soi.totals["returns"]
    assert (returns[2022], returns[2023]) == (161_336_659, 160_602_107)
    assert measured.soi.totals["returns:eitc"][2022] == 24_086_346
    assert measured.soi.totals["irs_employment_income"][2022] == pytest.approx(9_738_950_972_000)
    assert measured.soi.totals["salt_deduction"][2022] == pytest.approx(121_665e6, rel=1e-4)
    for name in ("returns", AGI):
        assert sorted(measured.soi.classes[name]) == [2020, 2021, 2022, 2023]
        for year, by_class in measured.soi.classes[name].items():
            # A class is rounded by itself.
            assert sum(by_class.values()) == pytest.approx(measured.soi.totals[name][year], abs=20_000)
    assert measured.bound_shift() == pytest.approx(1.0767, abs=1e-4)


def test_factors_counted_by_hand(official_folder: Path, uprated: pd.DataFrame) -> None:
    """One line of CBO, one population and classes of SOI, from cells that no loader reads."""
    path = official.paths(official_folder)

    def factor(source: str, variable: str, *constraints: Constraint, place: str = "US") -> float:
        rows = uprated[(uprated["source"] == source) & (uprated["variable"] == variable)]
        rows = rows[(rows["constraints"] == constraints_to_json(constraints)) & (rows["geo_id"] == place)]
        assert len(rows) == 1
        return float(rows["uprating"].iloc[0])

    # CBO, February 2026: wages and salaries of 2023 and 2024, 10,260.3 and 10,832.7 billion dollars.
    with path["income"].open(encoding="utf-8", newline="") as file:
        wages = next(row for row in csv.DictReader(file) if row["source_concept_id"] == "wages_and_salaries")
    line = float(wages["year_2024"]) / float(wages["year_2023"])
    assert line == pytest.approx(10_832.7 / 10_260.3, rel=1e-12)
    assert factor("irs_soi_table_1_4", "irs_employment_income", FILER) == pytest.approx(line, rel=1e-12)

    # Census, vintage 2024: residents of 1 July 2023 and 2024.
    people = 340_110_988 / 336_806_231
    women: tuple[Constraint, ...] = (("age", ">=", 15.0), ("age", "<", 18.0), ("is_female", "==", 1.0))
    assert factor("census_acs_b01001", "person_count", *women, place="VT") == pytest.approx(people, rel=1e-12)

    # Table 1.1: returns of 2022 and 2023, all and of two classes. Bounds move by AGI a return from 2023 to 2024.
    cells = {year: _table_1_1(path[f"soi_table_1_1_{year}"]) for year in (2022, 2023)}
    every, low, high = (
        cells[2023][label] / cells[2022][label]
        for label in ("All returns", "$75,000 under $100,000", "$100,000 under $200,000")
    )
    assert (every, low, high) == pytest.approx((0.995447, 1.039156, 1.066273), abs=1e-6)
    shift = 16_685.9 / 15_347.4 / people
    bounds = [float(round(dollars * shift)) for dollars in (75_000, 100_000, 200_000)]
    assert bounds == [80_749.0, 107_665.0, 215_330.0]
    below, above = (
        factor("irs_soi_historic_2", "tax_unit_count", FILER, (AGI, ">=", start), (AGI, "<", end), place="CA")
        for start, end in itertools.pairwise(bounds)
    )
    assert below / above == pytest.approx(low / high, rel=1e-12)
    # Some tenths of a percent apart, as the classes of the states are not quite those of the sample.
    assert below == pytest.approx(low * people, rel=0.005)
    plain = uprated[(uprated["source"] == "irs_soi_historic_2") & (uprated["variable"] == "tax_unit_count")]
    nation = plain[plain["constraints"] == constraints_to_json([FILER])]
    assert nation["value"].sum() / nation["raw_value"].sum() == pytest.approx(every * people, rel=1e-5)


def _table_1_1(path: Path) -> dict[str, float]:
    """Returns by the label of the row, where it is first."""
    sheet = xlrd.open_workbook(path).sheet_by_index(0)
    rows = [sheet.row_values(number) for number in range(sheet.nrows)]
    return {str(row[0]).strip(): row[1] for row in reversed(rows) if isinstance(row[1], float)}


def test_counts_of_returns_grow_as_the_agency_counts_them(uprated: pd.DataFrame, measured: Growth) -> None:
    """Joint returns and returns with a gain or a loss do not grow with the incomes of their classes."""
    people = measured.population[2024] / measured.population[2023]
    # Tables 1.1 and 1.4, returns of 2022 and 2023; of gains and of losses together.
    wanted = {
        "tax_unit_is_joint": 160_602_107 / 161_336_659,
        "loss_limited_net_capital_gains": (15_601_151 + 13_833_037) / (16_895_169 + 13_565_876),
        "rental_income": (6_346_357 + 3_196_282) / (6_380_131 + 3_313_901),
        "total_self_employment_income": (21_411_713 + 9_067_174) / (21_969_832 + 8_386_569),
        "tax_unit_partnership_s_corp_income": (4_138_040 + 1_415_974) / (4_027_461 + 1_517_428),
    }
    rows = uprated[(uprated["source"] == "irs_soi_historic_2") & (uprated["variable"] == "tax_unit_count")]
    for name, growth_of_returns in wanted.items():
        of_name = rows[rows["constraints"].map(lambda text, name=name: _names(text) == {"tax_unit_is_filer", name})]
        assert of_name["geo_id"].nunique() == len(of_name) == 51
        together = of_name["value"].sum() / of_name["raw_value"].sum()
        assert together == pytest.approx(growth_of_returns * people, rel=1e-3), name


def _names(text: str) -> set[str]:
    return {variable for variable, _, _ in constraints_from_json(text)}


def test_every_factor_has_its_rule(uprated: pd.DataFrame) -> None:
    factors = uprating.applied_factors(uprated)
    assert (factors["follows"] != "").all()
    assert (factors.loc[factors["follows"] == "none", "factor"] == 1).all()
    assert {"cms_effectuated", "irs_soi_historic_2", "irs_soi_w2"} <= set(factors["source"])
    # KFF publishes the model year itself.
    assert "kff_effectuated" not in set(factors["source"])


def test_every_rule_is_for_some_figures(published: pd.DataFrame) -> None:
    rules = UpratingRules.packaged()
    keys = published[["source", "variable", "constraints", "year"]].drop_duplicates()
    used = {
        rules.find(source, variable, {row[0] for row in json.loads(text)}, year)
        for source, variable, text, year in keys.itertuples(index=False)
    }
    sources = set(published["source"])
    idle = [rule for rule in rules.by_key.values() if rule not in used and rule.source in sources]
    assert idle == []


def test_means_lie_inside_the_moved_classes(uprated: pd.DataFrame) -> None:
    rows = uprated[(uprated["source"] == "irs_soi_historic_2") & uprated["constraints"].str.contains(AGI)]
    filers = rows[rows["constraints"].map(lambda text: {row[0] for row in json.loads(text)} == {AGI, FILER[0]})]
    keys = ["geo_id", "constraints"]
    amounts, returns = (filers[filers["variable"] == name] for name in (AGI, "tax_unit_count"))
    means = amounts.merge(returns, on=keys)
    assert len(means) > 450
    outside = [
        (place, text)
        for place, text, mean in zip(
            means["geo_id"], means["constraints"], means["value_x"] / means["value_y"], strict=True
        )
        for name, operation, bound in json.loads(text)
        if name == AGI and not (mean >= bound if operation == ">=" else mean < bound)
    ]
    assert outside == []


def test_a_population_file_without_the_total_is_refused(official_folder: Path, tmp_path: Path) -> None:
    path = official.paths(official_folder)
    frame = pd.read_csv(path["population"], dtype=str)
    changed = tmp_path / "population.csv"
    frame[~((frame["SEX"] == "0") & (frame["AGE"] == "999"))].to_csv(changed, index=False)
    with pytest.raises(SourceError, match="0 rows of both sexes"):
        growth.measure(path | {"population": changed})
    frame.drop(columns="POPESTIMATE2024").to_csv(changed, index=False)
    with pytest.raises(SourceError, match="POPESTIMATE2024"):
        growth.measure(path | {"population": changed})


def test_series_come_from_one_table_in_all_years(official_folder: Path) -> None:
    path = official.paths(official_folder)
    found = growth_soi.read_series({name: path[name] for name in ("soi_table_1_1_2022", "soi_table_2_1_2022")})
    assert found.totals["returns"] == {2022: 161_336_659}
    # All filers before those that itemise.
    assert found.totals[AGI][2022] == pytest.approx(14_833_956_956_000)
    assert found.totals["returns:tax_unit_itemizes"][2022] == pytest.approx(15_290_840, rel=1e-6)
