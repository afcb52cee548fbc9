"""A generated problem for the imputation: persons of tax units, their incomes, and weights as a tax file has them.

Nothing of it is real. What makes tax files hard is in it: amounts that most people have none of, tails without end,
losses, amounts that are part of others, flags that hang on amounts, and rare rich persons of small weight who stand for
few beside poor ones who stand for many.

A person has an earning power z, a wealth that goes with z and with age, and a share in businesses that goes with
wealth. In the population z is standard normal. A sample of tilt t has z shifted by t and weights exp(-t z + t^2 / 2):
on average 1, and so that weighted sums are those of the population. t = 0 is a survey with equal weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]

PREDICTORS = (
    "age", "is_male", "tax_unit_is_joint", "tax_unit_count_dependents", "is_tax_unit_head", "is_tax_unit_spouse",
    "is_tax_unit_dependent",
)  # fmt: skip
KINDS = (
    "earnings", "capital", "gain", "deduction", "business", "capital", "credit", "flag", "deduction", "credit",
)  # fmt: skip
"""In turn; ten, so that every seventh output is of every kind."""
TILT = 1.2


@dataclass(frozen=True)
class Problem:
    """Donors, donors held out, and receivers.

    Attributes:
        train: predictors and outputs.
        train_weights: (n_train,).
        test: as `train`, other persons.
        test_weights: (n_test,).
        receivers: predictors, and outputs as they would truly be.
        outputs: names in the order of the chain.
    """

    train: pd.DataFrame
    train_weights: FloatArray
    test: pd.DataFrame
    test_weights: FloatArray
    receivers: pd.DataFrame
    outputs: tuple[str, ...]


def problem(n_train: int, n_receivers: int, n_outputs: int, n_test: int = 5_000, seed: int = 0) -> Problem:
    """A problem of a size; the same for the same arguments."""
    outputs = tuple(f"{KINDS[number % len(KINDS)]}_{number}" for number in range(n_outputs))
    train, train_weights = _persons(n_train, outputs, TILT, seed=[seed, 1])
    test, test_weights = _persons(n_test, outputs, TILT, seed=[seed, 2])
    receivers, _ = _persons(n_receivers, outputs, 0.0, seed=[seed, 3])
    return Problem(train, train_weights, test, test_weights, receivers, outputs)


def _persons(n: int, outputs: tuple[str, ...], tilt: float, seed: list[int]) -> tuple[pd.DataFrame, FloatArray]:
    rng = np.random.default_rng(seed)
    power = rng.normal(tilt, 1.0, n)
    weights = np.exp(-tilt * power + tilt**2 / 2)
    age = np.clip(rng.gamma(6.0, 8.0, n).round(), 16, 85)
    joint = rng.random(n) < 1 / (1 + np.exp(1.5 - 0.03 * age - 0.4 * power))
    second = joint & (rng.random(n) < 0.5)
    dependent = ~joint & (age < 24) & (rng.random(n) < 0.5)
    table = {
        "age": age,
        "is_male": rng.random(n) < np.where(second, 0.3, 0.55),
        "tax_unit_is_joint": joint,
        "tax_unit_count_dependents": np.minimum(rng.poisson(np.where((age > 24) & (age < 55), 0.9, 0.1), n), 6),
        "is_tax_unit_head": ~second & ~dependent,
        "is_tax_unit_spouse": second,
        "is_tax_unit_dependent": dependent,
    }
    wealth = 0.6 * power + 0.03 * (age - 45) + rng.normal(0, 0.8, n)
    firm = 0.5 * wealth + rng.normal(0, 0.9, n)
    done: dict[str, list[FloatArray]] = {kind: [] for kind in KINDS}
    # What the outputs are like is the same for every sample of persons.
    shape = np.random.default_rng(len(outputs))
    for name in outputs:
        kind = name.split("_")[0]
        value = _amount(kind, power, wealth, firm, table, done, shape, rng)
        done[kind].append(value)
        table[name] = value
    return pd.DataFrame({name: np.asarray(column, dtype=np.float64) for name, column in table.items()}), weights


def _amount(
    kind: str, power: FloatArray, wealth: FloatArray, firm: FloatArray, table: dict[str, FloatArray],
    done: dict[str, list[FloatArray]], shape: np.random.Generator, rng: np.random.Generator,
) -> FloatArray:  # fmt: skip
    """One output of a kind; `shape` decides what it is like, `rng` what each person has of it."""
    n = len(power)
    age = table["age"]
    rarity, sway, size, spread, share = shape.random(5)
    old = (age > 64).astype(np.float64)
    noise = rng.normal(0, 0.5 + 0.8 * spread, n)
    if kind == "earnings":
        drive = (1.2 - 2.0 * rarity) + 0.8 * power + (0.06 * age - 0.001 * age**2 + 0.5) * (1 - 3 * old * sway)
        amount = np.exp(9.8 + 0.5 * size + 0.8 * power + 0.008 * np.minimum(age, 55) + 0.6 * noise)
    elif kind in ("capital", "gain"):
        drive = -0.5 - 2.5 * rarity + 1.2 * wealth
        amount = np.exp(6.0 + 2.0 * size + 1.1 * wealth + 1.4 * noise) * (1 - rng.random(n)) ** (-1 / 3.0)
        if kind == "gain":
            amount = np.where(rng.random(n) < 0.25, -np.minimum(amount, 3_000.0), amount)
    elif kind == "business":
        drive = -1.8 - 1.5 * rarity + 1.5 * firm
        amount = np.exp(8.5 + size + 0.9 * firm + 1.2 * noise)
        amount = np.where(rng.random(n) < 0.2, -0.5 * amount, amount)
    elif kind == "deduction":
        income = sum((np.maximum(value, 0) for value in done["earnings"] + done["capital"]), np.zeros(n))
        drive = -2.0 - 1.5 * rarity + 0.35 * np.log1p(income / 1_000.0) * (0.5 + sway)
        amount = income * np.exp(-4.0 + size + 0.6 * noise) + 200.0
    elif kind == "credit":
        whole = done["capital"][-1] if done["capital"] else np.exp(power + 8)
        drive = np.where(whole > 0, 0.6 - 1.5 * rarity, -5.0 - rarity)
        amount = np.abs(whole) * share * rng.beta(2.0, 2.0, n) + 10.0 * np.exp(noise)
    else:
        drive = -1.5 + sway + 2.5 * (np.abs(done["business"][-1]) > 0) + 0.3 * wealth
        amount = np.ones(n)
    has = rng.random(n) < 1 / (1 + np.exp(-1.7 * drive))
    return np.where(has, np.round(amount), 0.0)
