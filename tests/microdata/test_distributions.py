"""What the pictures of the microdata are drawn from, and that they are pictures small enough for metadata."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tessera.diagnostics.canvas import MAX_BYTES
from tessera.errors import FrameError
from tessera.frame import Frame
from tessera.microdata import distributions
from tessera.microdata.distributions import PARTS, decile_means, distribution_of, official_ages


@pytest.fixture(scope="module")
def frame() -> Frame:
    """400 households of one adult, half of them of each source, wages 0 or log-normal."""
    rng = np.random.default_rng(0)
    ids = np.arange(400)
    person = pd.DataFrame({"person_id": ids, "age": rng.integers(0, 95, 400).astype(float), "is_female": ids % 3 == 0})
    for entity in ("household", "tax_unit", "spm_unit", "family", "marital_unit"):
        person[f"{entity}_id"] = ids
    person["employment_income_before_lsr"] = np.where(ids % 4 == 0, 0.0, np.exp(rng.normal(10, 1, 400)))
    person["social_security_retirement"] = np.where(person["age"] > 62, 20_000.0, 0.0)
    person["long_term_capital_gains_before_response"] = np.where(ids % 7 == 0, -5000.0, 0.0)
    source = pd.Categorical(np.where(ids < 200, "cps", "puf"), categories=["cps", "puf"])
    household = pd.DataFrame(
        {"household_id": ids, "household_weight": rng.uniform(1, 3, 400), "source": source, "source_household_id": ids}
    )
    tables = {name: pd.DataFrame({f"{name}_id": ids}) for name in ("tax_unit", "spm_unit", "family", "marital_unit")}
    return Frame(household=household, person=person, **tables, year=2024, synthetic=True).validate()


def test_shares_and_densities_are_weighted() -> None:
    values, weights = np.array([0.0, 0.0, 1000.0, -1000.0, 1e12]), np.array([1.0, 2.0, 3.0, 1.0, 3.0])
    found = distribution_of(values, weights)
    assert found.zero_share == pytest.approx(0.3)
    assert found.negative_share == pytest.approx(0.1)
    step = 0.1
    assert found.density.sum() * step == pytest.approx(1.0)  # what lies beyond the ends is kept there
    middle = round((3 - 1) / step)
    assert found.density[middle - 5 : middle + 5].sum() * step == pytest.approx(4 / 7, rel=1e-3)


def test_all_zero_has_no_density() -> None:
    found = distribution_of(np.zeros(3), np.ones(3))
    assert found.zero_share == 1
    assert not found.density.any()


def test_deciles_hold_a_tenth_of_the_weight_each_and_means_add_up(frame: Frame) -> None:
    everybody = np.ones(frame.count("household"), dtype=bool)
    means = decile_means(frame, everybody)
    assert list(means.index) == [*(str(number) for number in range(1, 11)), "top"]
    assert list(means.columns) == list(PARTS)
    wages = means["wages"].to_numpy()
    assert (np.diff(wages[3:]) > 0).all()
    shares = np.array([0.1] * 9 + [0.09, 0.01])
    total = frame.weights @ frame.person["employment_income_before_lsr"].to_numpy() / frame.weights.sum()
    assert shares @ wages == pytest.approx(total, rel=0.05)


def test_official_ages_are_the_nation() -> None:
    ages = official_ages()
    assert ages["male"].sum() + ages["female"].sum() == pytest.approx(340.1e6, rel=1e-3)
    assert (ages["male"] > 1e6).all() and (ages["female"] > 1e6).all()
    assert ages["female"][-1] > 1.3 * ages["male"][-1]


def quality_table(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "chain": ["survey half"] * (n // 2) + ["tax half"] * (n - n // 2),
            "output": [f"a_variable_with_a_long_name_{number % 70}" for number in range(n)],
            "train_loss": np.append(rng.uniform(0, 2, n - 1), np.nan),
            "test_loss": np.append(rng.uniform(0, 900, n - 1), np.nan),
            "donor_zero_share": rng.random(n),
            "receiver_zero_share": rng.random(n),
        }
    )


def test_pictures_are_small_pngs(frame: Frame) -> None:
    comparison = pd.DataFrame({"name": [f"total_{n}" for n in range(70)], "ratio": np.geomspace(0.001, 1000, 70)})
    pictures = [
        distributions.income_distributions(frame, frame),
        distributions.income_distributions(None, frame),
        distributions.age_pyramid(frame, official_ages()),
        distributions.age_pyramid(frame),
        distributions.incomes_by_decile(frame),
        distributions.totals_against_official(comparison),
        distributions.imputation_quality(quality_table(200)),
        distributions.imputation_quality(quality_table(2)),
    ]
    for picture in pictures:
        assert picture.startswith(b"\x89PNG")
        assert 2_000 < len(picture) < MAX_BYTES
    assert distributions.incomes_by_decile(frame) == pictures[4]  # the same frame, the same bytes


def test_nothing_to_draw_is_said(frame: Frame) -> None:
    with pytest.raises(FrameError, match="No income column to draw"):
        distributions.income_distributions(Frame(**{
            **{name: frame.table(name) for name in ("household", "tax_unit", "spm_unit", "family", "marital_unit")},
            "person": frame.person[["person_id", "age", "is_female", *(c for c in frame.person if c.endswith("_id"))]],
            "year": 2024, "synthetic": True,
        }))  # fmt: skip
    with pytest.raises(FrameError, match="Nothing was imputed"):
        distributions.imputation_quality(quality_table(2).iloc[:0])
    with pytest.raises(FrameError, match="No total has an official figure"):
        distributions.totals_against_official(pd.DataFrame({"name": ["a"], "ratio": [-1.0]}))
