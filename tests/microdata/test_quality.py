"""Weighted totals, their official figures and how both are shown: hand-checked on a frame of four households."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import TargetError
from tessera.frame import Frame
from tessera.microdata import quality
from tessera.microdata.national_totals import NationalTotal, official_totals, read_totals, terms
from tessera.targets.snapshot import load_snapshot


@pytest.fixture
def frame() -> Frame:
    """Four households of weight 10, 20, 30 and 0; two persons each, one tax unit each."""
    ids = np.arange(4)
    person = pd.DataFrame({"person_id": np.arange(8)})
    for entity in ("household", "tax_unit", "spm_unit", "family", "marital_unit"):
        person[f"{entity}_id"] = np.repeat(ids, 2)
    person["employment_income_before_lsr"] = [100.0, 0.0, 50.0, 50.0, 0.0, 0.0, 7.0, 7.0]
    person["qualified_dividend_income"] = [1.0, 0, 0, 0, 0, 0, 0, 0]
    person["non_qualified_dividend_income"] = [-1.0, 0, 0, 0, 2.0, 0, 0, 0]
    person["ssn_card_type"] = pd.Categorical(
        ["NONE", "CITIZEN", "NONE", "CITIZEN", "CITIZEN", "CITIZEN", "NONE", "NONE"]
    )
    person["is_pregnant"] = [False, True, False, False, True, False, False, True]
    household = pd.DataFrame(
        {"household_id": ids, "household_weight": [10.0, 20.0, 30.0, 0.0], "source": "cps", "source_household_id": ids}
    )
    tables = {entity: pd.DataFrame({f"{entity}_id": ids}) for entity in ("spm_unit", "family", "marital_unit")}
    tax_unit = pd.DataFrame({"tax_unit_id": ids, "other_net_gain": [1.0, 2.0, 3.0, 4.0]})
    return Frame(household=household, tax_unit=tax_unit, person=person, **tables, year=2024, synthetic=True).validate()


def official() -> dict[str, float]:
    """Official figure by name of the total."""
    return {total.name: total.value for total in official_totals()}


def total(name: str) -> NationalTotal:
    return next(one for one in official_totals() if one.name == name)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("population", 120.0),
        ("households", 60.0),
        ("tax_units", 60.0),
        ("wages", 100 * 10 + 100 * 20),
        ("ordinary_dividends", 2 * 30),
        ("agi", (100 + 1 - 1 + 1) * 10 + (100 + 2) * 20 + (2 + 3) * 30),
        ("other_net_gains", 10 + 40 + 90),
        ("undocumented", 10 + 20),
        ("pregnant", 10 + 30),
    ],
)
def test_totals_are_what_a_hand_adds_up(frame: Frame, name: str, wanted: float) -> None:
    assert quality.measure(frame, total(name)) == pytest.approx(wanted)


def test_a_total_of_several_columns_counts_units_once(frame: Frame) -> None:
    counted = replace(total("ordinary_dividends"), measure="count")
    assert quality.measure(frame, counted) == 30.0  # the first person's dividends cancel out
    assert quality.measure(frame, total("snap")) is None


def test_amounts_of_a_tax_unit_are_found_on_persons_as_in_the_tax_file(frame: Frame) -> None:
    person = frame.person.assign(other_net_gain=np.tile([5.0, 0.0], 4))
    tax_file = replace(frame, person=person, tax_unit=frame.tax_unit.drop(columns="other_net_gain"))
    assert quality.measure(tax_file, total("other_net_gains")) == 5 * 60


def test_comparison_and_stages(frame: Frame) -> None:
    table = quality.national_comparison(frame).set_index("name")
    assert table.at["wages", "total"] == 3000
    assert table.at["wages", "ratio"] == pytest.approx(3000 / official()["wages"])
    assert "net_worth" not in table.index
    richer = replace(frame, household=frame.household.assign(net_worth=2.0))
    stages = quality.compare_stages({"cps": frame, "final": richer}).set_index("name")
    assert stages.at["wages", "cps"] == stages.at["wages", "final"]
    assert np.isnan(stages.at["net_worth", "cps"]) and stages.at["net_worth", "final"] > 0
    assert "snap" not in stages.index


def test_changes_are_relative_and_of_totals_that_both_have(frame: Frame) -> None:
    later = replace(frame, person=frame.person.assign(employment_income_before_lsr=200.0), household=frame.household)
    table = quality.changes(frame, later).set_index("name")
    assert table.at["wages", "change"] == pytest.approx(200 * 120 / 3000 - 1)
    assert table.at["population", "change"] == 0


def test_far_from_official_allows_for_chance() -> None:
    table = pd.DataFrame({"name": ["wages", "agi", "snap"], "ratio": [1.5, 0.72, 9.0]})
    assert quality.far_from_official(table, ("wages", "agi"), 10**8)["name"].tolist() == ["wages"]
    assert quality.far_from_official(table, ("wages", "agi"), 100).empty
    assert quality.tolerance(10_000) == pytest.approx(0.34)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (10.8327e12, "dollar", "10.83 trn $"),
        (-30.21e9, "dollar", "-30.2 bn $"),
        (340_110_988, "person", "340.1 m persons"),
        (1234.4, "household", "1,234 households"),
        (2e6, "spm_unit", "2.0 m SPM units"),
        (float("nan"), "dollar", ""),
    ],
)
def test_numbers_in_words(value: float, unit: str, text: str) -> None:
    assert quality.in_words(value, unit) == text


def test_readable_leaves_out_what_is_not_there(frame: Frame) -> None:
    shown = quality.readable(quality.compare_stages({"cps": frame, "final": frame.__class__(**{
        **{entity: frame.table(entity) for entity in ("tax_unit", "spm_unit", "family", "marital_unit")},
        "household": frame.household.assign(net_worth=2.0), "person": frame.person, "year": 2024, "synthetic": True,
    })})).set_index("name")  # fmt: skip
    assert shown.at["net_worth", "cps"] == ""
    assert shown.at["net_worth", "official"].endswith("trn $")


def test_quality_tables_survive_the_disk(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"chain": ["a, b", "a, b"], "output": ["x", "y"], "test_loss": [0.123456789012, np.nan], "order": [0, 1]}
    )
    back = quality.read_quality(quality.write_quality(table, tmp_path / "quality" / "q.csv"))
    assert back["chain"].tolist() == ["a, b", "a, b"]
    assert back["test_loss"][0] == pytest.approx(0.123456789012, rel=1e-9) and np.isnan(back["test_loss"][1])
    assert list(quality.quality_summary(back).columns) == ["chain", "output", "test_loss"]


def test_official_totals_are_of_the_model_year_and_have_a_source() -> None:
    totals = official_totals()
    assert len({one.name for one in totals}) == len(totals) > 50
    assert all(one.source and one.url.startswith("http") and one.meaning for one in totals)
    # Figures that the package lacks are few, and say of which year they are.
    assert sum(not one.packaged for one in totals) < 15
    values = official()
    assert values["population"] == pytest.approx(340.1e6, rel=1e-3)
    kinds = ("retirement", "disability", "survivors", "dependents")
    assert sum(values[f"social_security_{kind}"] for kind in kinds) == pytest.approx(
        values["social_security"], rel=1e-3
    )
    assert values["agi"] < values["wages_of_all_workers"] * 1.5
    assert values["qualified_dividends"] < values["ordinary_dividends"]


ROW = {
    "name": "x", "meaning": "", "entity": "person", "measure": "sum", "columns": "a + b", "figures": "", "value": "1",
    "unit": "dollar", "year": "2024", "source": "s", "url": "u",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"measure": "mean"}, "measure is 'mean'; wanted one of sum, count, units, agi"),
        ({"columns": ""}, "0 columns for the measure sum"),
        ({"columns": "a +"}, r"cannot read 'a \+'; wanted names joined"),
        ({"columns": "a * b"}, r"cannot read 'a \* b'"),
        ({"value": ""}, "wanted either figures of the package or a value of its own"),
        ({"figures": "ssa_ssi:ssi"}, "wanted either figures of the package or a value of its own"),
        ({"source": ""}, "no source; a figure of the file's own names them all"),
        ({"value": "", "figures": "ssa_ssi:snap"}, "'ssa_ssi:snap' is 0 national figures of the package; wanted 1"),
        ({"value": "", "figures": "ssa_ssi:ssi@age"}, "cannot read the domain 'age'"),
    ],
)
def test_lines_that_cannot_be_read_are_refused(changed: dict[str, str], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        read_totals([ROW | changed], load_snapshot())


def test_names_occur_once_and_signs_count() -> None:
    with pytest.raises(TargetError, match="'x' occurs twice"):
        read_totals([ROW, ROW], load_snapshot())
    assert [(term.sign, term.name) for term in terms("a + b - c")] == [(1, "a"), (1, "b"), (-1, "c")]
    difference = read_totals(
        [ROW | {"value": "", "figures": "ssa_oasdi:social_security - ssa_ssi:ssi"}], load_snapshot()
    )
    values = official()
    assert difference[0].value == pytest.approx(values["social_security"] - values["ssi"])
