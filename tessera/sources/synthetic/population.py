"""One synthetic population: persons and households with weights, traits, incomes, homes and coverage.

Every survey writer draws its own population here (its label keeps the draws apart) and only recodes it into its file's
format. Columns are neutral names, documented in `people`, `traits`, `incomes` and `homes`; amounts are dollars of 2024
a year. A survey that meets households twice says so by its cohorts (`panel`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.random import generator
from tessera.sources.synthetic import tables
from tessera.sources.synthetic.details import draw_details
from tessera.sources.synthetic.draws import Floats, Integers
from tessera.sources.synthetic.homes import draw_assistance, draw_coverage, draw_homes
from tessera.sources.synthetic.incomes import draw_incomes
from tessera.sources.synthetic.panel import Cohort, at_interview
from tessera.sources.synthetic.people import draw_people
from tessera.sources.synthetic.traits import draw_schooling, draw_traits
from tessera.sources.synthetic.weights import allocate_states, rake

MIN_HOUSEHOLDS = 20


@dataclass(frozen=True)
class Population:
    """Persons (sorted by household and line) and households, index 0..n-1; `person.household` is the household's index.

    Household columns: state, county (within the state, 0 not identified), cbsa, region, weight, those of `draw_homes`,
    and where the survey has cohorts cohort (its number), of_cohort (index within it) and first (0/1). Person columns:
    weight, and those of `draw_people`, `draw_traits`, `draw_schooling`, `draw_incomes`, `draw_details`,
    `draw_assistance`, `draw_coverage`.
    """

    person: pd.DataFrame
    household: pd.DataFrame


def draw_population(households: int, *, seed: int, label: str, cohorts: tuple[Cohort, ...] | None = None) -> Population:
    """Draw a population.

    Args:
        households: number of sample households, at least `MIN_HOUSEHOLDS`.
        seed, label: every draw is a function of these, of `households` and of the cohorts.
        cohorts: groups of households that other files have too; None for one that no other file has.

    Raises:
        SourceError: too few households.
    """
    if households < MIN_HOUSEHOLDS:
        raise SourceError(
            f"A synthetic survey of {households} households; wanted at least {MIN_HOUSEHOLDS}. Choose a larger scale."
        )

    def stream(part: str) -> np.random.Generator:
        return generator(f"{label}/{part}", seed)

    person, place = _lasting(cohorts or (Cohort(label, households),), seed)
    household_weight, weight = rake(person, place["state"].to_numpy())
    person = _with(person, {"weight": weight, **draw_schooling(stream("schooling"), person)})
    # Only households carry weights from here on, so totals are scaled with the household's weight.
    shared = household_weight[person["household"].to_numpy()]
    person = _with(person, draw_incomes(stream("incomes"), person, shared))
    person = _with(person, draw_details(stream("details"), person, shared))
    person = _with(person, draw_assistance(stream("assistance"), person, shared))
    person = _with(person, draw_coverage(stream("coverage"), person, shared))
    homes = draw_homes(stream("homes"), person, household_weight)
    return Population(person=person, household=place.assign(weight=household_weight, **homes))


def _with(table: pd.DataFrame, columns: Mapping[str, Integers | Floats]) -> pd.DataFrame:
    return pd.concat([table, pd.DataFrame(dict(columns), index=table.index)], axis=1)


def _lasting(cohorts: tuple[Cohort, ...], seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Persons with their lasting traits, and households with their places, cohort after cohort."""
    persons, places, before = [], [], 0
    for cohort in cohorts:
        people = draw_people(generator(f"{cohort.label}/people", seed), cohort.households)
        people = people.assign(**draw_traits(generator(f"{cohort.label}/traits", seed), people))
        state = allocate_states(generator(f"{cohort.label}/states", seed), cohort.households)
        place = pd.DataFrame({"state": state, **_places(generator(f"{cohort.label}/places", seed), state)})
        if cohort.number:
            people = at_interview(people, first=cohort.first)
            place = place.assign(cohort=cohort.number, of_cohort=place.index, first=int(cohort.first))
        persons.append(people.assign(household=people["household"] + before))
        places.append(place)
        before += cohort.households
    return pd.concat(persons, ignore_index=True), pd.concat(places, ignore_index=True)


def _places(rng: np.random.Generator, state: Integers) -> dict[str, Integers | Floats]:
    states, counties = tables.states().set_index("fips"), tables.counties()
    u, left = rng.random(len(state)), np.zeros(len(state))
    county, cbsa = np.zeros(len(state), dtype=np.int64), np.zeros(len(state), dtype=np.int64)
    for code, area, population in counties.itertuples(index=False):
        here = state == code // 1000
        share = population / states.at[code // 1000, "population"]
        picked = here & (u >= left) & (u < left + share)
        county[picked], cbsa[picked] = code % 1000, area
        left = left + np.where(here, share, 0.0)
    metro = (cbsa > 0) | (u < 0.8)
    price = np.exp(rng.normal(0.0, 0.07, len(states)))[np.searchsorted(states.index, state)] * np.where(
        metro, 1.03, 0.9
    )
    return {
        "county": county, "cbsa": cbsa, "region": states["region"].reindex(state).to_numpy(dtype=np.int64),
        "metropolitan": metro.astype(np.int64), "price_level": np.clip(price, 0.8, 1.3),
    }  # fmt: skip
