"""Small frames, blocks and clones for tests, made up and marked synthetic."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.frame import Frame
from tessera.geography import areas, clones
from tessera.geography.blocks import Blocks, synthetic_blocks
from tessera.random import generator
from tessera.rules.values import EntityValues

YEAR = 2024


def frame(n_households: int = 40, seed: int = 3) -> Frame:
    """Households of one to five persons, some with two tax units, with incomes and reported receipts."""
    rng = generator("tests/frame", seed)
    size = rng.integers(1, 6, n_households)
    household = np.repeat(np.arange(n_households), size)
    position = np.arange(len(household)) - np.repeat(np.cumsum(size) - size, size)
    age = np.where(position < 2, rng.integers(19, 85, len(household)), rng.integers(0, 18, len(household)))
    own_unit = (position == 1) & (household % 3 == 0)
    tax_unit = np.cumsum((position == 0) | own_unit) - 1
    tax_unit = np.where(position > 1, tax_unit[np.searchsorted(household, household)], tax_unit)
    working = (age >= 18) & (age < 66) & (rng.random(len(household)) < 0.7)
    person = pd.DataFrame(
        {
            "person_id": np.arange(len(household)),
            "household_id": household * 10 + 7,
            "tax_unit_id": tax_unit,
            "spm_unit_id": household,
            "family_id": household,
            "marital_unit_id": np.arange(len(household)),
            "age": age.astype(float),
            "is_female": rng.random(len(household)) < 0.5,
            "is_disabled": rng.random(len(household)) < 0.15,
            "employment_income_before_lsr": np.where(working, rng.lognormal(10.0, 0.9, len(household)), 0.0),
            "social_security_retirement": np.where(age >= 66, rng.lognormal(9.3, 0.5, len(household)), 0.0),
            "unemployment_compensation": np.where(working & (rng.random(len(household)) < 0.3), 4000.0, 0.0),
            "weeks_unemployed": np.where(working, rng.integers(1, 30, len(household)), 0),
            "ssi_reported": np.where(rng.random(len(household)) < 0.05, 5000.0, 0.0),
            "has_medicaid_health_coverage_at_interview": rng.random(len(household)) < 0.2,
            "has_marketplace_health_coverage_at_interview": rng.random(len(household)) < 0.05,
            "has_chip_health_coverage_at_interview": (age < 19) & (np.arange(len(household)) % 11 == 0),
        }
    )
    n_tax_units = int(tax_unit.max()) + 1
    return Frame(
        household=pd.DataFrame(
            {
                "household_id": np.arange(n_households) * 10 + 7,
                "household_weight": rng.uniform(500.0, 1500.0, n_households),
                "source": pd.Categorical(["cps"] * n_households, categories=["cps", "puf"]),
                "source_household_id": np.arange(n_households) + 900,
            }
        ),
        tax_unit=pd.DataFrame({"tax_unit_id": np.arange(n_tax_units)}),
        spm_unit=pd.DataFrame(
            {
                "spm_unit_id": np.arange(n_households),
                "snap_reported": np.where(rng.random(n_households) < 0.15, 2000.0, 0.0),
                "tanf_reported": np.zeros(n_households),
                "receives_housing_assistance": np.zeros(n_households, dtype=bool),
                "spm_unit_tenure_type": pd.Categorical(
                    np.where(rng.random(n_households) < 0.4, "RENTER", "OWNER_WITH_MORTGAGE")
                ),
            }
        ),
        family=pd.DataFrame({"family_id": np.arange(n_households)}),
        marital_unit=pd.DataFrame({"marital_unit_id": np.arange(len(household))}),
        person=person,
        year=YEAR,
        synthetic=True,
    ).validate("test frame")


def real_place_blocks(blocks_per_district: int = 6) -> Blocks:
    """Blocks below the packaged county shares, with a made-up population of 760,000 a district."""
    from tessera.geography import county_shares

    population = pd.Series(760_000, index=list(areas.stratum_districts()))
    return synthetic_blocks(county_shares.load(), population, blocks_per_district=blocks_per_district, seed=5)


def place(base: Frame, blocks: Blocks, n_clones: int, seed: int = 11) -> clones.Clones:
    """Clones of a frame with 300,000 households a district."""
    return clones.assign(
        base.household["household_id"].to_numpy(),
        base.weights,
        blocks,
        n_clones=n_clones,
        seed=seed,
        district_households=np.full(len(areas.stratum_districts()), 300_000.0),
        synthetic=True,
    )


def by_household(values: EntityValues, variable: str) -> npt.NDArray[np.float64]:
    """A variable's sum over the units of each household, shape (n_households,)."""
    household = values.household_of[values.entity_of[variable]]
    return np.bincount(household, values.values[variable].astype(np.float64), values.n_households)
