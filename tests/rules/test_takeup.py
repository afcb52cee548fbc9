"""Take-up probabilities and draws."""

import numpy as np
import pytest

from tessera.areas.assemble import Assembler
from tessera.errors import FrameError, RulesError
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
    for variable in ("takes_up_snap_if_eligible", "takes_up_medicaid_if_eligible", "takes_up_eitc"):
        entity = everyone.entity_of[variable]
        unit_household = _household_of_units(everyone, entity)
        expected = np.concatenate([everyone.arrays[variable][unit_household == record] for record in chosen])
        assert (few.arrays[variable] == expected).all()


def test_seeds_and_clones_differ() -> None:
    base = builders.frame(200)
    takeup = [takeup_probabilities(base, published_rates(), seed=seed) for seed in (1, 2)]
    unit = np.arange(base.count("spm_unit"))
    variable = "takes_up_tanf_if_eligible"
    first = takeup[0].draw(variable, unit, unit, 0 * unit, 0 * unit)
    assert (first != takeup[1].draw(variable, unit, unit, 0 * unit, 0 * unit)).any()
    assert (first != takeup[0].draw(variable, unit, unit, 0 * unit, 0 * unit + 1)).any()


def test_bad_rates_and_missing_receipts_are_named() -> None:
    rates = published_rates()
    with pytest.raises(RulesError, match=r"rate 1\.5"):
        check_rates(rates.assign(rate=[1.5] + [0.5] * (len(rates) - 1)))
    with pytest.raises(RulesError, match="no column rate"):
        check_rates(rates.drop(columns="rate"))
    base = builders.frame(20)
    with pytest.raises(FrameError, match="ssi_reported"):
        takeup_probabilities(_without(base, "ssi_reported"), rates, seed=1)


def _without(base, column):
    import dataclasses

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
