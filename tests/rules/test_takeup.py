"""Take-up probabilities and draws."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from tessera.areas.assemble import Assembler
from tessera.errors import FrameError, RulesError
from tessera.geography import areas
from tessera.random import uniform
from tessera.rules import takeup as takeup_module
from tessera.rules.takeup import check_rates, published_rates, takeup_probabilities
from tests import builders


def test_reporters_are_anchored_and_the_base_file_reaches_the_rate() -> None:
    base = builders.frame(3000)
    takeup = takeup_probabilities(base, published_rates(), seed=1)
    probability = takeup.probability["takes_up_snap_if_eligible"]
    reported = base.spm_unit["snap_reported"].to_numpy() > 0
    weights = base.weights[base.household_of("spm_unit")]
    assert (probability[reported] == 1).all()
    assert np.average(probability, weights=weights) == pytest.approx(0.82)


def test_a_rate_below_the_reported_share_leaves_reporters_alone() -> None:
    base = builders.frame(500)
    rates = published_rates()
    rates.loc[rates["variable"] == "takes_up_ssi_if_eligible", "rate"] = 0.01
    probability = takeup_probabilities(base, rates, seed=1).probability["takes_up_ssi_if_eligible"]
    reported = base.person["ssi_reported"].to_numpy() > 0
    assert (probability == reported).all()


def test_eitc_goes_by_the_number_of_children() -> None:
    base = builders.frame(200)
    probability = takeup_probabilities(base, published_rates(), seed=1).probability["takes_up_eitc"]
    children = np.bincount(base.unit_of_person("tax_unit"), base.person["age"] < 19, minlength=base.count("tax_unit"))
    assert (probability == np.array([0.65, 0.86, 0.85, 0.85])[np.minimum(children, 3).astype(int)]).all()


def test_a_clone_claims_the_same_in_every_dataset() -> None:
    base = builders.frame(30)
    clones = builders.place(base, builders.real_place_blocks(), 20)
    assembler = Assembler(base, clones, takeup_probabilities(base, published_rates(), seed=4))
    everyone = assembler.assemble(np.arange(clones.n_records))
    chosen = np.array([17, 3, 250, 599])
    few = assembler.assemble(chosen)
    assert set(clones.state_fips[chosen]) != {clones.state_fips[chosen[0]]}
    for variable in assembler.takeup.entity_of:
        entity = everyone.entity_of[variable]
        unit_household = _household_of_units(everyone, entity)
        expected = np.concatenate([everyone.arrays[variable][unit_household == record] for record in chosen])
        assert (few.arrays[variable] == expected).all()


def test_state_rates_are_decided_by_the_clones_state_and_nothing_else() -> None:
    base = builders.frame(30)
    clones = builders.place(base, builders.real_place_blocks(), 60)
    rates = (
        published_rates().query("variable == 'takes_up_ssi_if_eligible'").assign(group_by="state", rate=0.0, anchor="")
    )
    everywhere_but = [rates, rates.assign(group="CA", rate=1.0)]
    takeup = takeup_probabilities(base, pd.concat(everywhere_but, ignore_index=True), seed=4)
    assembler = Assembler(base, clones, takeup)
    for records in (np.arange(clones.n_records), np.flatnonzero(clones.state_fips == 6), np.arange(0, 900, 7)):
        dataset = assembler.assemble(records)
        of_person = clones.state_fips[records][dataset.arrays["person_household_id"]]
        assert (dataset.arrays["takes_up_ssi_if_eligible"] == (of_person == 6)).all()


def test_seeds_clones_and_programmes_differ() -> None:
    base = builders.frame(200)
    takeup = [takeup_probabilities(base, published_rates(), seed=seed) for seed in (1, 2)]
    unit = np.arange(base.count("spm_unit"))
    zero, state = 0 * unit, 0 * unit + 6

    def draws(which: int, clone: np.ndarray, variable: str = "takes_up_tanf_if_eligible") -> np.ndarray:
        return takeup[which].draw(variable, unit, unit, zero, clone, state)

    assert (draws(0, zero) != draws(1, zero)).any()
    assert (draws(0, zero) != draws(0, zero + 1)).any()
    assert (draws(0, zero) != draws(0, zero, "takes_up_housing_assistance_if_eligible")).any()


def test_draws_are_the_documented_ones_whatever_the_threads(monkeypatch) -> None:
    monkeypatch.setattr(takeup_module, "_LEAST_DRAWS", 1)
    base = builders.frame(60)
    takeup = takeup_probabilities(base, published_rates(), seed=9)
    household = base.household_of("person")
    unit, clone = (part.ravel() for part in np.meshgrid(np.arange(base.count("person")), np.arange(7)))
    state = np.array([6, 36, 48])[clone % 3]
    for variable in ("takes_up_ssi_if_eligible", "takes_up_medicaid_if_eligible", "takes_up_chip_if_eligible"):
        draws = uniform(f"{variable}/9", household[unit], unit % 4, clone)
        probability = np.broadcast_to(takeup.probability[variable], (51, base.count("person")))
        rows = np.array([4, 32, 43])[clone % 3]  # of California, New York and Texas among the states
        assert [areas.states()[row].usps for row in (4, 32, 43)] == ["CA", "NY", "TX"]
        for threads in (1, 2, 5):
            taken = takeup.draw(variable, unit, household[unit], unit % 4, clone, state, threads=threads)
            np.testing.assert_array_equal(taken, draws < probability[rows, unit])


def test_rates_by_state_anchor_the_same_reporters_and_reach_each_states_rate() -> None:
    base = builders.frame(3000)
    rates = published_rates()
    takeup = takeup_probabilities(base, rates, seed=1)
    variable = "takes_up_medicaid_if_eligible"
    probability = takeup.probability[variable]
    assert probability.shape == (51, base.count("person"))
    reported = base.person["has_medicaid_health_coverage_at_interview"].to_numpy()
    weights = base.weights[base.household_of("person")]
    rate_of = rates[rates["variable"] == variable].set_index("group")["rate"]
    for row, state in enumerate(areas.states()):
        assert (probability[row][reported] == 1).all()
        assert np.average(probability[row], weights=weights) == pytest.approx(rate_of[state.usps])


def test_a_rate_without_a_state_is_that_of_the_other_states() -> None:
    base = builders.frame(300)
    national = published_rates().query("variable == 'takes_up_tanf_if_eligible'").assign(rate=0.3)
    texan = national.assign(group="TX", rate=0.9)
    rates = pd.concat([national, texan], ignore_index=True).assign(group_by="state")
    probability = takeup_probabilities(base, rates, seed=1).probability["takes_up_tanf_if_eligible"]
    expected = np.where([state.usps == "TX" for state in areas.states()], 0.9, 0.3)
    np.testing.assert_allclose(probability, np.broadcast_to(expected[:, None], probability.shape))


def test_wic_goes_by_category_as_far_as_the_base_file_knows_it() -> None:
    base = builders.frame(300)
    person = base.person.assign(is_pregnant=False, is_breastfeeding=False)
    person.loc[[0, 1], "is_female"] = True
    person.loc[0, "is_pregnant"] = True
    person.loc[1, "is_breastfeeding"] = True
    base = dataclasses.replace(base, person=person)
    probability = takeup_probabilities(base, published_rates(), seed=1).probability["takes_up_wic_if_eligible"]
    age, female = person["age"].to_numpy(), person["is_female"].to_numpy()
    assert probability[0] == 0.456 and probability[1] == 0.663
    rest = np.arange(len(person)) > 1
    assert (probability[age < 1] == 0.784).all() and (age < 1).any()
    assert (probability[(age >= 1) & (age < 5)] == 0.460).all()
    assert (probability[rest & (age >= 5) & female] == 0.689).all()
    assert (probability[rest & (age >= 5) & ~female] == 0).all()


def test_every_programme_of_the_engine_that_has_a_rate_is_here() -> None:
    rates = published_rates()
    assert set(rates["variable"]) == {
        "takes_up_aca_if_eligible",
        "takes_up_chip_if_eligible",
        "takes_up_dc_ptc",
        "takes_up_early_head_start_if_eligible",
        "takes_up_eitc",
        "takes_up_head_start_if_eligible",
        "takes_up_housing_assistance_if_eligible",
        "takes_up_medicaid_if_eligible",
        "takes_up_medicare_part_d_if_eligible",
        "takes_up_snap_if_eligible",
        "takes_up_ssi_if_eligible",
        "takes_up_tanf_if_eligible",
        "takes_up_wic_if_eligible",
        "would_file_taxes_voluntarily",
    }
    assert (rates["source"].str.len() > 20).all()


def _row(**columns: object) -> dict[str, object]:
    row = {"variable": "v", "entity": "person", "group_by": "", "group": "", "rate": 0.5, "anchor": "", "source": ""}
    return row | columns


ALL_BUT_WYOMING = [_row(group_by="state", group=state.usps) for state in areas.states() if state.usps != "WY"]
BAD_RATES = {
    r"row 0: v has rate 1\.5; wanted 0 to 1": [_row(rate=1.5)],
    r"row 1: w has rate -0\.1": [_row(), _row(variable="w", rate=-0.1)],
    "row 0: v has rate nan": [_row(rate=np.nan)],
    "row 0: v has rate most": [_row(rate="most")],
    "v has two rates for group ''": [_row(), _row(rate=0.6)],
    "v has two rates for group 'CA'": [_row(group_by="state", group="CA"), _row(group_by="state", group="CA")],
    "v has a rate for state 'PR'": [_row(group_by="state", group="PR"), _row(group_by="state")],
    "v has no rate for WY": ALL_BUT_WYOMING,
    "v is grouped by 'county'": [_row(group_by="county", group="06037")],
    r"v has groups \['0', '2'\]; wanted 0, 1, 2": [
        _row(entity="tax_unit", group_by="children", group=group) for group in ("0", "2")
    ],
    "v is of entity 'person' and grouped by children": [_row(group_by="children", group="0")],
    "wanted each of BREASTFEEDING, CHILD": [_row(group_by="wic_category", group="INFANT")],
    r"v has groups \['', 'CA'\] of nothing": [_row(), _row(group="CA")],
    r"v has anchor \['', 'person.x'\]": [_row(group_by="state"), _row(group_by="state", group="CA", anchor="person.x")],
    "v is of entity 'village'": [_row(entity="village")],
}


@pytest.mark.parametrize("message", BAD_RATES)
def test_bad_rates_are_named(message: str) -> None:
    with pytest.raises(RulesError, match=message):
        check_rates(pd.DataFrame(BAD_RATES[message]))


@pytest.mark.parametrize("state", [72, -1, 0, 3, 10_000])
def test_a_clone_in_no_state_is_named(state: int) -> None:
    base = builders.frame(20)
    takeup = takeup_probabilities(base, published_rates(), seed=1)
    unit = np.arange(3)
    with pytest.raises(RulesError, match=f"takes_up_medicaid_if_eligible .* unit 1 is of a clone in state {state};"):
        takeup.draw("takes_up_medicaid_if_eligible", unit, unit, unit, unit, np.array([6, state, 6]))


def test_missing_columns_and_receipts_are_named() -> None:
    rates = published_rates()
    with pytest.raises(RulesError, match="no column rate"):
        check_rates(rates.drop(columns="rate"))
    base = builders.frame(20)
    with pytest.raises(FrameError, match="ssi_reported"):
        takeup_probabilities(_without(base, "ssi_reported"), rates, seed=1)


def _without(base, column):
    return dataclasses.replace(base, person=base.person.drop(columns=column))


def _household_of_units(dataset, entity):
    if entity == "household":
        return np.arange(dataset.counts["household"])
    person_household = dataset.arrays["person_household_id"]
    if entity == "person":
        return person_household
    result = np.empty(dataset.counts[entity], dtype=int)
    result[dataset.arrays[f"person_{entity}_id"]] = person_household
    return result
