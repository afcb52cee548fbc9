"""A made-up population for benchmarks: households, and blocks as many and as large as the census has them.

Sizes are those of the survey (2.5 persons, 1.25 tax units a household); nothing else about them is real.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.frame import Frame
from tessera.geography import areas
from tessera.geography.blocks import Blocks
from tessera.random import generator

POPULATED_BLOCKS = 5_769_942  # that the reference draws from
N_DISTRICTS = len(areas.stratum_districts())


def households(n_households: int) -> Frame:
    """A base frame with what take-up asks for: ages, sexes and reported receipts."""
    rng = generator("benchmarks/population", n_households)
    size = rng.choice([1, 2, 3, 4, 5, 6], n_households, p=[0.29, 0.34, 0.15, 0.13, 0.06, 0.03])
    household = np.repeat(np.arange(n_households), size)
    position = np.arange(len(household)) - np.repeat(np.cumsum(size) - size, size)
    age = np.where(position < 2, rng.integers(19, 85, len(household)), rng.integers(0, 25, len(household)))
    own_unit = (position > 1) & (age > 18) | (position == 1) & (household % 6 == 0)
    tax_unit = np.cumsum((position == 0) | own_unit) - 1

    def share_of(rows: int, share: float) -> np.ndarray:
        return rng.random(rows) < share

    n = len(household)
    person = pd.DataFrame(
        {
            "person_id": np.arange(n),
            "household_id": household,
            "tax_unit_id": tax_unit,
            "spm_unit_id": household,
            "family_id": household,
            "marital_unit_id": np.arange(n),
            "age": age.astype(float),
            "is_female": share_of(n, 0.5),
            "ssi_reported": np.where(share_of(n, 0.02), 5000.0, 0.0),
            "has_medicaid_health_coverage_at_interview": share_of(n, 0.18),
            "has_chip_health_coverage_at_interview": share_of(n, 0.01),
            "has_marketplace_health_coverage_at_interview": share_of(n, 0.04),
        }
    )
    spm_unit = pd.DataFrame(
        {
            "spm_unit_id": np.arange(n_households),
            "snap_reported": np.where(share_of(n_households, 0.1), 2000.0, 0.0),
            "tanf_reported": np.where(share_of(n_households, 0.01), 2000.0, 0.0),
            "receives_housing_assistance": share_of(n_households, 0.03),
        }
    )
    weights = rng.uniform(500.0, 20_000.0, n_households)
    return Frame(
        household=pd.DataFrame({"household_id": np.arange(n_households), "household_weight": weights}),
        tax_unit=pd.DataFrame({"tax_unit_id": np.arange(int(tax_unit.max()) + 1)}),
        spm_unit=spm_unit,
        family=pd.DataFrame({"family_id": np.arange(n_households)}),
        marital_unit=pd.DataFrame({"marital_unit_id": np.arange(n)}),
        person=person,
        year=2024,
        synthetic=True,
    ).validate("benchmark")


def census(n_blocks: int = POPULATED_BLOCKS) -> Blocks:
    """Blocks of skewed sizes, districts of about equal population."""
    rng = generator("benchmarks/blocks", n_blocks)
    codes = np.asarray(areas.stratum_districts(), dtype=np.int32)
    district = np.repeat(codes, np.diff(np.linspace(0, n_blocks, N_DISTRICTS + 1).astype(np.int64)))
    population = 1 + rng.exponential(56.0, n_blocks).astype(np.int64)
    # A code is state (2), county (3), tract (6) and block (4): here blocks are numbered through.
    number = district.astype(np.int64) // 100 * 10**13 + 10**10 + np.arange(n_blocks)
    return Blocks(_digits(number), population, district, True)


def _digits(number: np.ndarray) -> np.ndarray:
    """Numbers as 15 ASCII digits each."""
    text = np.empty((len(number), 15), dtype=np.uint8)
    for place in range(15):
        text[:, place] = number // 10 ** (14 - place) % 10 + ord("0")
    return text.view("S15")[:, 0]


def incomes(n_households: int) -> tuple[np.ndarray, np.ndarray]:
    """Adjusted gross income of households, and of the districts that route the top decile; dollars."""
    rng = generator("benchmarks/incomes", n_households)
    return rng.lognormal(10.9, 1.1, n_households), rng.lognormal(24.2, 0.35, N_DISTRICTS)
