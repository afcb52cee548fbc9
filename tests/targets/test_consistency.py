"""Consistency: what is compared, how gaps are named, and what a critical one sets aside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tessera.geography.areas import states
from tessera.targets import consistency
from tessera.targets.figures import Constraint, Figure, Provenance, to_frame
from tests.targets.small import small_figures

FILER = ("tax_unit_is_filer", "==", 1.0)
SOI = Provenance("soi", "T", "https://example.org", "2024", 2024)


def _one(table: pd.DataFrame, **wanted: str) -> pd.Series:
    rows = table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    assert len(rows) == 1, rows
    return rows.iloc[0]


@pytest.mark.parametrize(
    ("gap", "name"),
    [(0.0, "ok"), (0.0099, "ok"), (-0.01, "flag"), (0.049, "flag"), (-0.05, "significant"), (0.15, "critical"),
     (-3.0, "critical"), (np.inf, "critical")],
)  # fmt: skip
def test_severities(gap: float, name: str) -> None:
    assert consistency.severity(np.array([gap])).tolist() == [name]


@pytest.mark.parametrize(
    ("other", "name"),
    [(100_999.0, "ok"), (101_000.0, "flag"), (104_999.0, "flag"), (105_000.0, "significant"), (95_000.0, "significant"),
     (114_999.0, "significant"), (115_000.0, "critical"), (85_000.0, "critical"), (0.0, "critical")],
)  # fmt: skip
def test_borders_of_severities_are_those_of_the_table(other: float, name: str) -> None:
    figures = pd.concat(
        [to_frame([Figure("state", "VT", "snap", value, "dollar")], replace(SOI, source=source))
         for source, value in (("first", 100_000.0), ("second", other))],
        ignore_index=True,
    )  # fmt: skip
    compared = consistency.compare(figures)
    assert compared["severity"].tolist() == [name]
    aside = consistency.set_aside(compared)
    assert aside.index.tolist() == ([1] if name == "critical" else [])


def test_reasons_say_who_says_what_and_which_goes_before() -> None:
    def reason(value: float, other: float) -> str:
        figures = pd.concat(
            [to_frame([Figure("state", "VT", "snap", one, "dollar")], replace(SOI, source=source))
             for source, one in (("first", value), ("second", other))],
            ignore_index=True,
        )  # fmt: skip
        return str(consistency.set_aside(consistency.compare(figures)).iloc[0])

    assert reason(4_000_000.0, 1_000_000.0) == (
        "second says 1,000,000 for VT: 75.0% less than the 4,000,000 of first, which goes before it"
    )
    assert reason(0.0, 12.5) == "second says 12.5 for VT: more than the 0 of first, which goes before it"
    # A loss twice as large is less.
    assert reason(-5_000.0, -10_000.0).startswith("second says -10,000 for VT: 100.0% less than the -5,000 of first")


def test_gaps_are_relative_to_the_size_of_the_value() -> None:
    value, other = np.array([100.0, -100.0, 0.0, 0.0]), np.array([90.0, -90.0, 0.0, 5.0])
    assert consistency.relative_gap(value, other).tolist() == pytest.approx([-0.1, 0.1, 0.0, np.inf])


def test_levels_that_agree_are_ok_at_every_place() -> None:
    compared = consistency.compare(small_figures())
    assert set(compared["severity"]) == {"ok"}
    assert consistency.set_aside(compared).empty
    table = consistency.summary(compared)
    assert set(table["kind"]) == {"states to nation", "districts to nation", "districts to state", "sources"}
    persons = _one(table, kind="districts to state", variable="person_count", constraints="[]")
    assert (persons["places"], persons["critical_places"], persons["gap"]) == (51, 0, 0.0)


def test_districts_that_contradict_their_state_are_set_aside_there_alone() -> None:
    figures = small_figures()
    of_ohio = (figures["geo_id"] == "OH") & (figures["variable"] == "person_count") & (figures["constraints"] == "[]")
    figures.loc[of_ohio, "value"] *= 2
    compared = consistency.compare(figures)
    row = _one(consistency.summary(compared), kind="districts to state", constraints="[]", variable="person_count")
    assert (row["geo_id"], row["severity"], row["critical_places"]) == ("OH", "critical", 1)
    assert row["gap"] == pytest.approx(-0.5)
    aside = consistency.set_aside(compared)
    chosen = figures.loc[aside.index]
    assert chosen["geo_id"].str.match(r"OH-\d\d").all()
    assert len(chosen) == 15
    assert set(chosen["constraints"]) == {"[]"}
    reason = "the districts of census add up to 1,500: 50.0% less than the 3,000 of census for OH as a whole"
    assert set(aside) == {reason}


def test_incomplete_parts_are_not_compared() -> None:
    figures = small_figures()
    without = figures[figures["geo_id"] != "OH-03"]
    compared = consistency.compare(without)
    districts = compared[compared["kind"].isin(["districts to state", "districts to nation"])]
    assert len(districts[districts["geo_id"] == "OH"]) == 0
    assert not (districts["kind"] == "districts to nation").any()


def test_districts_are_compared_with_the_states_of_another_source() -> None:
    figures = small_figures()
    people = (figures["variable"] == "person_count") & (figures["constraints"] == "[]")
    districts = people & (figures["geo_level"] == "district")
    figures = figures.assign(
        source=figures["source"].mask(districts, "survey"), value=figures["value"].mask(districts, 80.0)
    )
    compared = consistency.compare(figures)
    row = _one(consistency.summary(compared), kind="districts to state", source="census", other_source="survey")
    assert (row["places"], row["severity"], row["gap"]) == (51, "critical", pytest.approx(-0.2))
    aside = figures.loc[consistency.set_aside(compared).index]
    assert (set(aside["source"]), len(aside)) == ({"survey"}, 436)


@pytest.mark.parametrize(("national", "severity"), [(5_130.0, "ok"), (5_200.0, "flag"), (9_000.0, "critical")])
def test_the_source_with_fewer_places_yields(national: float, severity: str) -> None:
    figures = small_figures(national_snap=national)
    compared = consistency.compare(figures)
    row = _one(consistency.summary(compared), kind="sources")
    assert (row["source"], row["other_source"], row["severity"]) == ("usda", "paper", severity)
    aside = consistency.set_aside(compared)
    assert figures.loc[aside.index, "source"].tolist() == (["paper"] if severity == "critical" else [])


def test_the_source_of_the_model_year_stays_where_both_have_as_many_places() -> None:
    old, new = (
        to_frame(
            [Figure("state", state.usps, "snap", value, "dollar") for state in states()],
            Provenance(name, "T", "https://example.org", "x", year),
        )
        for name, value, year in (("a_earlier", 150.0, 2022), ("b_later", 100.0, 2024))
    )
    row = _one(consistency.summary(consistency.compare(pd.concat([old, new], ignore_index=True))), kind="sources")
    assert (row["source"], row["other_source"], row["critical_places"]) == ("b_later", "a_earlier", 51)


def test_classes_are_compared_with_their_total_and_rounding_is_forgiven() -> None:
    low, high = ("adjusted_gross_income", "<", 1.0), ("adjusted_gross_income", ">=", 1.0)

    def figures(total: float) -> pd.DataFrame:
        return to_frame(
            [
                Figure("national", "US", "tax_unit_count", total, "return", (FILER,)),
                Figure("national", "US", "tax_unit_count", 40.0, "return", (FILER, low)),
                Figure("national", "US", "tax_unit_count", 60.0, "return", (FILER, high)),
            ],
            SOI,
        )

    assert _one(consistency.compare(figures(85.0)), kind="classes to total")["severity"] == "ok"
    compared = consistency.compare(figures(80.0))
    assert _one(compared, kind="classes to total")["severity"] == "critical"
    aside = consistency.set_aside(compared)
    assert aside.index.tolist() == [1, 2]
    reason = "the classes of AGI of soi add up to 100: 25.0% more than the 80 of soi for US as a whole"
    assert set(aside) == {reason}


def test_classes_that_were_all_of_their_total_are_compared_after_uprating() -> None:
    """Nothing is in the classes above: these two are as far from their total as they look."""
    name = "adjusted_gross_income"
    low: tuple[Constraint, ...] = ((name, "<", 1.0),)
    middle: tuple[Constraint, ...] = ((name, ">=", 1.0), (name, "<", 9.0))
    some: list[tuple[float, tuple[Constraint, ...]]] = [(1_000.0, ()), (400.0, low), (600.0, middle)]
    figures = to_frame(
        [Figure("national", "US", "tax_unit_count", value, "return", (FILER, *domain)) for value, domain in some], SOI
    )
    assert consistency.compare(figures)["severity"].tolist() == ["ok"]
    grown = figures.assign(value=figures["value"] * [1.0, 1.3, 1.3])
    row = consistency.compare(grown).iloc[0]
    assert (row["kind"], row["severity"], row["gap"]) == ("classes to total", "critical", pytest.approx(0.3))


def test_nothing_to_compare() -> None:
    one = to_frame([Figure("state", "VT", "snap", 1.0, "dollar")], SOI)
    compared = consistency.compare(one)
    assert len(compared) == len(consistency.summary(compared)) == len(consistency.set_aside(compared)) == 0


def test_official_levels_agree(rebuilt: pd.DataFrame) -> None:
    table = consistency.summary(consistency.compare(rebuilt))
    levels = table[table["kind"].isin(["states to nation", "districts to nation", "districts to state"])]
    assert (levels["severity"] == "ok").all()
    # Every district table that an agency publishes adds up to its states, and those to the nation.
    assert (levels["gap"].abs() < 1e-9).all()
    assert {"census_acs_s0101", "census_acs_s2201", "irs_soi_historic_2"} <= set(levels["source"])
    classes = table[table["kind"] == "classes to total"]
    assert len(classes) > 50
    assert not (classes["severity"] == "critical").any()
