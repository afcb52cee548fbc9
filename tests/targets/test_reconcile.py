"""Reconciliation: sums that nobody publishes, and parts scaled to what they are parts of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import TargetError
from tessera.geography.areas import district_key, states
from tessera.targets import consistency, reconcile
from tessera.targets.figures import MODEL_YEAR, Constraint, Figure, Provenance, to_frame
from tests.targets.small import small_figures

SNAP: tuple[Constraint, ...] = (("snap", ">", 0.0),)
SNAP_CHILDREN: tuple[Constraint, ...] = (*SNAP, ("age", "<", 18.0))
FILER: Constraint = ("tax_unit_is_filer", "==", 1.0)
LOW: Constraint = ("adjusted_gross_income", "<", 1.0)
HIGH: Constraint = ("adjusted_gross_income", ">=", 1.0)


def _table(source: str, *figures: Figure) -> pd.DataFrame:
    provenance = Provenance(source, "T", "https://example.org", "2024", MODEL_YEAR)
    return to_frame(figures, provenance)


def _districts(variable: str, value: float, constraints: tuple[Constraint, ...] = ()) -> list[Figure]:
    return [Figure("district", district_key(code), variable, value, "household", constraints)
            for state in states() for code in state.district_codes]  # fmt: skip


def _values(figures: pd.DataFrame, **wanted: str) -> pd.Series:
    rows = figures[(figures[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    return rows.set_index("geo_id")["value"]


def _survey_and_records() -> pd.DataFrame:
    survey = _table(
        "census_acs_s2201",
        *_districts("household_count", 100.0),
        *_districts("household_count", 10.0, SNAP),
        *_districts("household_count", 4.0, SNAP_CHILDREN),
    )
    counted = [
        Figure("state", state.usps, "household_count", 15.0 * state.n_districts, "household", SNAP)
        for state in states()
    ]
    return pd.concat([survey, _table("usda_fns_snap", *counted)], ignore_index=True)


def test_districts_follow_the_records_and_their_parts_follow_them() -> None:
    done = reconcile.reconcile(_survey_and_records())
    snap = '[["snap",">",0]]'
    districts = done[(done["geo_level"] == "district") & (done["constraints"] == snap)]
    assert districts["value"].tolist() == pytest.approx([15.0] * 436)
    assert districts["reconciliation"].tolist() == pytest.approx([1.5] * 436)
    assert districts["raw_value"].tolist() == [10.0] * 436
    children = _values(done, geo_level="district", constraints='[["age","<",18],["snap",">",0]]')
    assert children.tolist() == pytest.approx([6.0] * 436)
    # All households are nobody's share of the records.
    assert set(_values(done, geo_level="district", constraints="[]")) == {100.0}


def test_sums_are_made_where_nobody_publishes_them() -> None:
    done = reconcile.reconcile(_survey_and_records())
    households = _values(done, geo_level="state", constraints="[]")
    assert (households["OH"], households["VT"]) == (1500.0, 100.0)
    assert _values(done, geo_level="national", constraints="[]")["US"] == 43_600.0
    sums = done[(done["constraints"] == "[]") & (done["geo_level"] != "district")]
    assert set(sums["table"]) == {"T (sum of districts)", "T (sum of districts) (sum of states)"}
    # The records have the states: the survey gives none, and the nation is the records'.
    nation = done[(done["geo_level"] == "national") & (done["constraints"] == '[["snap",">",0]]')]
    assert nation["source"].tolist() == ["usda_fns_snap"]
    assert nation["value"].tolist() == [15.0 * 436]
    product = done["raw_value"] * done["uprating"] * done["reconciliation"]
    assert product.to_numpy() == pytest.approx(done["value"].to_numpy(), rel=1e-12)


def test_scaling_is_a_choice_and_can_be_undone() -> None:
    figures = _survey_and_records()
    plain = reconcile.reconcile(figures, scale=False)
    assert (plain["reconciliation"] == 1).all()
    assert set(_values(plain, geo_level="district", constraints='[["snap",">",0]]')) == {10.0}
    assert _values(plain, geo_level="state", constraints="[]")["OH"] == 1500.0
    scaled = reconcile.reconcile(figures)
    published = scaled[~scaled["table"].str.contains("sum of")]
    undone = reconcile.unscaled(published)
    pd.testing.assert_frame_equal(undone.reset_index(drop=True), figures, check_dtype=False)


@pytest.mark.parametrize("gone", ["OH", "OH-07"])
def test_a_pair_without_a_place_is_refused(gone: str) -> None:
    figures = _survey_and_records()
    if gone == "OH":
        without = figures[(figures["geo_id"] != gone)]
    else:
        without = figures.assign(value=figures["value"].where(~figures["geo_id"].str.startswith("OH-"), 0.0))
    with pytest.raises(TargetError, match="OH: districts of census_acs_s2201 cannot be scaled to usda_fns_snap"):
        reconcile.reconcile(without)


def test_districts_of_a_whole_source_follow_the_states_of_another() -> None:
    pair = reconcile.BETWEEN_SOURCES[1]
    of_states = [
        Figure("state", state.usps, "eitc", 104.0 * state.n_districts, "dollar", (FILER,)) for state in states()
    ]
    of_states += [Figure("state", state.usps, "snap", 300.0 * state.n_districts, "dollar") for state in states()]
    shares = [
        *_districts("eitc", 100.0, (FILER,)),
        *_districts("eitc", 30.0, (FILER, LOW)),
        *_districts("eitc", 70.0, (FILER, HIGH)),
        *_districts("snap", 100.0),
        *_districts("ssi", 9.0),
    ]
    shares = [one for one in shares if one.geo_id != "VT-01" or one.variable != "eitc" or one.constraints != (FILER,)]
    figures = pd.concat([_table(pair.counts, *of_states), _table(pair.shares, *shares)], ignore_index=True)
    done = reconcile.reconcile(figures)
    districts = done[done["source"] == pair.shares].set_index(["geo_id", "variable", "constraints"])["value"]
    filers, low = '[["tax_unit_is_filer","==",1]]', '[["adjusted_gross_income","<",1],["tax_unit_is_filer","==",1]]'
    assert districts["OH-03", "eitc", filers] == pytest.approx(104.0)
    assert districts["OH-03", "eitc", low] == pytest.approx(30.0 * 1.04)
    # Vermont's total is not there and is the sum of its classes; SNAP is three times as far; nobody counts SSI.
    assert districts["VT-01", "eitc", filers] == 100.0
    assert districts["OH-03", "snap", "[]"] == 100.0
    assert districts["OH-03", "ssi", "[]"] == 9.0
    assert set(done.loc[done["source"] == pair.shares, "geo_level"]) == {"district"}


def test_small_gaps_of_levels_are_closed_and_wide_ones_stay() -> None:
    figures = small_figures()
    plain = (figures["variable"] == "person_count") & (figures["constraints"] == "[]")
    # Every state 1 % above its districts, the nation 2 % above them; Ohio's districts are of another concept.
    factor = figures["geo_level"].map({"national": 1.02, "state": 1.01, "district": 1.0})
    factor = factor.where(~figures["geo_id"].str.startswith("OH-"), 0.5).where(plain, 1.0)
    table = figures.assign(raw_value=figures["raw_value"] * factor, value=figures["value"] * factor)
    done = reconcile.reconcile(table)
    people = done[(done["variable"] == "person_count") & (done["constraints"] == "[]")].set_index("geo_id")
    state, nation = people[people["geo_level"] == "state"], people["value"]["US"]
    assert state["value"].sum() == pytest.approx(nation, rel=1e-12)
    districts = people[people["geo_level"] == "district"]
    added = districts["value"].groupby(districts.index.str[:2]).sum()
    gap = (added / state["value"] - 1).abs()
    assert gap.drop("OH").max() < 1e-12
    assert gap["OH"] > 0.4
    assert people["reconciliation"]["US"] == 1.0
    assert people["reconciliation"]["VT"] == pytest.approx(1.02 / 1.01)
    assert people["reconciliation"]["VT-01"] == pytest.approx(1.02)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.02))
def test_whatever_the_noise_districts_add_up_and_no_figure_moves_unsaid(seed: int, width: float) -> None:
    figures = small_figures()
    figures = figures[(figures["variable"] == "person_count") & (figures["constraints"] == "[]")]
    noise = np.random.default_rng(seed).uniform(1.0 - width, 1.0 + width, len(figures))
    published = figures.assign(raw_value=figures["raw_value"] / 1.25 * noise, uprating=1.25)
    published["value"] = published["raw_value"] * published["uprating"]
    done = reconcile.reconcile(published)

    at = {level: rows.set_index("geo_id")["value"] for level, rows in done.groupby("geo_level")}
    added = at["district"].groupby(at["district"].index.str[:2]).sum()
    assert added.to_numpy() == pytest.approx(at["state"][added.index].to_numpy(), rel=1e-12)
    assert at["state"].sum() == pytest.approx(at["national"]["US"], rel=1e-12)
    # A figure is what was published, uprated, and scaled by the factor that it says: by less than 5 % a step.
    kept = ["raw_value", "uprating", "geo_id", "constraints", "table"]
    pd.testing.assert_frame_equal(done[kept], published.reset_index(drop=True)[kept], check_exact=True)
    factor = done["reconciliation"]
    assert (done["value"] == done["raw_value"] * done["uprating"] * factor).all()
    steps = done["geo_level"].map({"national": 0, "state": 1, "district": 2})
    assert ((factor < (1 / 0.95) ** steps + 1e-12) & (factor > (1 / 1.05) ** steps - 1e-12)).all()
    # Without scaling the noise stays, to the last digit.
    plain = reconcile.reconcile(published, scale=False)
    pd.testing.assert_frame_equal(plain, published.reset_index(drop=True), check_exact=True)


def test_packaged_figures_unscaled_are_those_built_without_scaling(
    uprated: pd.DataFrame, rebuilt: pd.DataFrame
) -> None:
    key = ["source", "geo_level", "geo_id", "variable", "constraints", "reform"]
    plain = reconcile.reconcile(uprated, scale=False)
    undone = reconcile.unscaled(rebuilt)
    both = plain.merge(undone, on=key, suffixes=("", "_undone"), validate="one_to_one")
    assert len(both) == len(plain) == len(rebuilt)
    assert both["value_undone"].to_numpy() == pytest.approx(both["value"].to_numpy(), rel=1e-12)
    published = plain.iloc[: len(uprated)]
    assert (published["value"].to_numpy() == (uprated["raw_value"] * uprated["uprating"]).to_numpy()).all()
    sums = plain.iloc[len(uprated) :]
    assert len(sums) > 1_000
    assert sums["table"].str.contains("sum of").all()


def test_classes_follow_their_total() -> None:
    def one(value: float, *constraints: Constraint) -> Figure:
        return Figure("state", "CA", "eitc", value, "dollar", (FILER, *constraints))

    done = reconcile.reconcile(_table("soi", one(1_000.0), one(390.0, LOW), one(600.0, HIGH)))
    assert done["value"].tolist() == pytest.approx([1_000.0, 390.0 / 0.99, 600.0 / 0.99])
    # Without a total, there is a sum; and an incomplete set of classes has none.
    summed = reconcile.reconcile(_table("soi", one(390.0, LOW), one(600.0, HIGH)))
    assert summed["value"].tolist() == [390.0, 600.0, 990.0]
    assert summed["table"].tolist()[2] == "T (sum of AGI classes)"
    assert summed["constraints"].tolist()[2] == '[["tax_unit_is_filer","==",1]]'
    assert len(reconcile.reconcile(_table("soi", one(390.0, LOW)))) == 1


def test_cities_and_partial_states_are_left_alone() -> None:
    city = Figure("city", "NYC", "person_count", 5.0, "person")
    some = [Figure("state", usps, "person_count", 7.0, "person") for usps in ("NY", "VT")]
    done = reconcile.reconcile(_table("survey", city, *some))
    assert done["value"].tolist() == [5.0, 7.0, 7.0]
    assert set(done["geo_level"]) == {"city", "state"}
    # Where a source leaves out states without anything to count, the others add up to the nation.
    taxed = [Figure("state", usps, "state_income_tax", 7.0, "dollar") for usps in ("NY", "VT")]
    assert _values(reconcile.reconcile(_table("census_stc", *taxed)), geo_level="national")["US"] == 14.0


def test_the_official_districts_carry_the_caseload(rebuilt: pd.DataFrame, uprated: pd.DataFrame) -> None:
    snap = rebuilt[(rebuilt["variable"] == "household_count") & (rebuilt["constraints"] == '[["snap",">",0]]')]
    districts, of_states = (snap[snap["geo_level"] == level].set_index("geo_id") for level in ("district", "state"))
    added = districts["value"].groupby(districts.index.str[:2]).sum()
    assert (added / of_states["value"] - 1).abs().max() < 1e-12
    # The survey finds fewer than the records nearly everywhere.
    assert districts["reconciliation"].median() > 1.1
    untouched = rebuilt[(rebuilt["source"] == "census_acs_s0101")]
    assert (untouched["reconciliation"] == 1).all()
    assert len(rebuilt) > len(uprated)
    assert (consistency.compare(rebuilt).query("kind != 'sources'")["severity"] == "ok").all()
