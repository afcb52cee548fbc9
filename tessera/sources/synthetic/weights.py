"""States and weights of synthetic households: a design that over-samples small states, raked to published controls.

Raking: household weights are multiplied in turn by the geometric mean, over a household's members, of control /
estimate of the 36 sex-age groups (persons), by control / estimate of household sizes, and by that of states
(households), which is the last step.
Shapes: household arrays (n_households,), person arrays (n_persons,).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.sources.synthetic import tables
from tessera.sources.synthetic.draws import Floats, Integers

_ROUNDS = 25
_OVERSAMPLING = 0.65
# Households of 1, 2, ... 7 and more persons (Census Bureau, table HH-4, 2024, rounded).
_SIZE_SHARES = np.array((0.272, 0.345, 0.156, 0.131, 0.059, 0.023, 0.014))


def allocate_states(rng: np.random.Generator, households: int) -> Integers:
    """FIPS code of each household's state: every state at least once if there are enough, small ones over-sampled."""
    states = tables.states()
    share = states["population"].to_numpy(dtype=np.float64) ** _OVERSAMPLING
    exact = share / share.sum() * max(households - len(states), 0)
    floor = np.floor(exact).astype(np.int64) + (households >= len(states))
    left = households - int(floor.sum())
    largest = np.argsort(-(exact - np.floor(exact)), kind="stable")
    floor[largest[: max(left, 0)]] += 1
    return rng.permutation(np.repeat(states["fips"].to_numpy(dtype=np.int64), floor))


def rake(people: pd.DataFrame, state: Integers) -> tuple[Floats, Floats]:
    """Weights of households and of persons.

    Args:
        people: columns household, age, female.
        state: FIPS code of each household.

    Returns:
        Household weights, summing to `tables.HOUSEHOLDS`; person weights, household weight times the factor that meets
        the person's sex-age control.
    """
    household = people["household"].to_numpy()
    size = np.bincount(household, minlength=len(state))
    group, persons = _groups(people)
    index, households = _state_controls(state)
    size_group, sizes = _size_controls(size)
    weight = households[index] / np.bincount(index)[index]
    for _ in range(_ROUNDS):
        estimate = np.bincount(group, weights=weight[household], minlength=len(persons))
        factor = np.clip(persons / np.maximum(estimate, 1.0), 0.25, 4.0)
        mean_log = np.bincount(household, weights=np.log(factor)[group], minlength=len(state)) / size
        weight = weight * np.exp(mean_log)
        weight = (
            weight
            * (sizes / np.maximum(np.bincount(size_group, weights=weight, minlength=len(sizes)), 1.0))[size_group]
        )
        median = np.median(weight)
        weight = np.clip(weight, median / 12, median * 8)
        weight = weight * (households / np.bincount(index, weights=weight))[index]
    estimate = np.bincount(group, weights=weight[household], minlength=len(persons))
    factor = np.clip(persons / np.maximum(estimate, 1.0), 0.5, 2.0)
    return weight, weight[household] * factor[group]


def _groups(people: pd.DataFrame) -> tuple[Integers, Floats]:
    controls = tables.age_sex()
    population = controls["population"].to_numpy(dtype=np.float64)
    lower = np.minimum(people["age"].to_numpy() // 5, 17)
    group = people["female"].to_numpy() * 18 + lower
    present = np.bincount(group, minlength=len(population)) > 0
    population = np.where(present, population, 0.0)
    return group, population * tables.PERSONS / population.sum()


def _size_controls(size: Integers) -> tuple[Integers, Floats]:
    group = np.minimum(size, len(_SIZE_SHARES)) - 1
    shares = np.where(np.bincount(group, minlength=len(_SIZE_SHARES)) > 0, _SIZE_SHARES, 0.0)
    return group, shares / shares.sum() * tables.HOUSEHOLDS


def _state_controls(state: Integers) -> tuple[Integers, Floats]:
    present, index = np.unique(state, return_inverse=True)
    population = tables.states().set_index("fips")["population"].reindex(present).to_numpy(dtype=np.float64)
    return index, population / population.sum() * tables.HOUSEHOLDS
