"""Semantics of metrics on households made by hand, with eligible and ineligible members in one household."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tessera.errors import MatrixError
from tessera.matrix.evaluation import evaluate
from tessera.matrix.metrics import compile_metrics, required_variables
from tessera.rules.values import EntityValues

HOUSEHOLD_OF_PERSON = np.array([0, 0, 0, 1, 1, 2])
TAX_UNIT_OF_PERSON = np.array([0, 0, 1, 2, 3, 4])


@pytest.fixture
def values() -> EntityValues:
    """Three households: a couple with an adult child of her own tax unit; two unrelated adults; an old person."""
    return EntityValues(
        n_households=3,
        household_of={
            "person": HOUSEHOLD_OF_PERSON,
            "tax_unit": np.array([0, 0, 1, 1, 2]),
            "spm_unit": np.array([0, 1, 2]),
            "household": np.arange(3),
        },
        unit_of_person={
            "tax_unit": TAX_UNIT_OF_PERSON,
            "spm_unit": HOUSEHOLD_OF_PERSON,
            "household": HOUSEHOLD_OF_PERSON,
        },
        values={
            "age": np.array([44, 17, 20, 30, 65, 80], dtype=np.int64),
            "is_female": np.array([True, False, True, True, False, True]),
            "wage": np.array([100, 10, 5, 40, 7, 0], dtype=np.float32),
            "agi": np.array([110, 5, 40, -7, 0], dtype=np.float32),
            "filing_status": np.array(["JOINT", "SINGLE", "SINGLE", "SINGLE", "WIDOW"]),
            "snap": np.array([0, 24, 12], dtype=np.float32),
            "rent": np.array([9.0, 0.0, 3.0]),
            "repeal:agi": np.array([1, 0, 2, 0, 0], dtype=np.float32),
        },
        entity_of={
            "age": "person", "is_female": "person", "wage": "person", "agi": "tax_unit", "filing_status": "tax_unit",
            "snap": "spm_unit", "rent": "household", "repeal:agi": "tax_unit",
        },
    )  # fmt: skip


def targets(*rows: tuple[str, list[list[object]]], reform: str = "") -> pd.DataFrame:
    listed = [(f"t{i}", v, "national", "US", json.dumps(c), 1.0, reform) for i, (v, c) in enumerate(rows)]
    return pd.DataFrame(listed, columns=["name", "variable", "geo_level", "geo_id", "constraints", "value", "reform"])


@pytest.mark.parametrize(
    ("variable", "constraints", "expected"),
    [
        ("person_count", [], [3, 2, 1]),
        ("person_count", [["age", ">=", 18], ["age", "<", 65]], [2, 1, 0]),
        ("person_count", [["age", "<=", 17]], [1, 0, 0]),
        ("household_count", [["age", "<", 18]], [1, 0, 0]),
        ("tax_unit_count", [], [2, 2, 1]),
        ("tax_unit_count", [["age", ">", 18]], [2, 2, 1]),
        # The household qualifies as a whole, its two tax units do so one by one.
        ("tax_unit_count", [["is_female", "==", "True"], ["age", "<", 40]], [1, 1, 0]),
        ("spm_unit_count", [["snap", ">", "0"]], [0, 1, 1]),
        ("person_count", [["snap", ">", 0]], [0, 2, 1]),
        ("wage", [], [115, 47, 0]),
        ("wage", [["age", ">=", 18]], [105, 47, 0]),
        # Amounts are those of the variable's own entity: the second tax unit of household 0 does not qualify.
        ("agi", [["filing_status", "==", "JOINT"]], [110, 0, 0]),
        ("agi", [["filing_status", "!=", "SINGLE"]], [110, 0, 0]),
        ("agi", [["age", "==", 20]], [5, 0, 0]),
        ("agi", [["agi", "<", 0]], [0, -7, 0]),
        ("agi", [["is_female", "==", 1]], [115, 40, 0]),
        ("rent", [["wage", ">", 50]], [9, 0, 0]),
        ("snap", [["age", ">", 60]], [0, 24, 12]),
        # ANDed for each person: nobody is both female and under 18 in household 0.
        ("household_count", [["is_female", "==", True], ["age", "<", 18]], [0, 0, 0]),
        ("household_count", [["is_female", "==", "False"], ["age", "<", 18]], [1, 0, 0]),
    ],
)
def test_semantics(values: EntityValues, variable: str, constraints: list[list[object]], expected: list[float]) -> None:
    result = evaluate(compile_metrics(targets((variable, constraints))), values)
    assert result.shape == (3, 1)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result.toarray()[:, 0], expected)
    assert np.all(result.data != 0)


def test_targets_share_metrics_whatever_the_area_order_or_spelling() -> None:
    table = targets(
        ("person_count", [["age", ">=", 18], ["age", "<", 65]]),
        ("person_count", [["age", "<", "65"], ["age", ">=", 18.0]]),
        ("person_count", [["is_female", "==", True]]),
        ("person_count", [["is_female", "==", "true"]]),
        ("snap", []),
    )
    table["geo_level"], table["geo_id"] = "state", ["CA", "AL", "CA", "AL", "TX"]
    metrics = compile_metrics(table)
    assert metrics.metric_of_target.tolist() == [0, 0, 1, 1, 2]
    assert metrics.ids == ("person_count[age<65,age>=18]", "person_count[is_female==True]", "snap")
    assert metrics.geo_id.tolist() == ["CA", "AL", "CA", "AL", "TX"]
    assert required_variables(table) == ["age", "is_female", "snap"]


def test_a_reform_reads_its_own_values(values: EntityValues) -> None:
    table = targets(("agi", [["age", ">", 40]]), reform="repeal")
    assert required_variables(table) == ["age", "repeal:agi"]
    np.testing.assert_array_equal(evaluate(compile_metrics(table), values).toarray()[:, 0], [1, 0, 0])


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ('[["age", "~", 3]]', "operation '~'"),
        ('[["age", ">="]]', r"is not \[variable, operation, value\]"),
        ('{"age": 3}', "JSON list"),
        ("[[", "JSON list"),
    ],
)
def test_malformed_constraints_name_the_target(constraints: str, message: str) -> None:
    table = targets(("snap", [])).assign(constraints=constraints)
    with pytest.raises(MatrixError, match=message) as error:
        compile_metrics(table)
    assert "'t0'" in str(error.value)


@pytest.mark.parametrize(
    ("variable", "constraints", "message"),
    [
        ("wages", [], "'t0' needs the variable 'wages'"),
        ("snap", [["ages", ">", 3]], "'t0' needs the variable 'ages'"),
        ("agi", [["filing_status", ">", "JOINT"]], "orders an enumeration"),
        ("agi", [["age", "==", "JOINT"]], "compares numbers"),
        ("filing_status", [], "wanted numbers to sum"),
        ("family_count", [], "the entity 'family'"),
    ],
)
def test_senseless_targets_are_named(
    values: EntityValues, variable: str, constraints: list[list[object]], message: str
) -> None:
    with pytest.raises(MatrixError, match=message):
        evaluate(compile_metrics(targets((variable, constraints))), values)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_missing_value_names_variable_and_household(values: EntityValues, bad: float) -> None:
    wage = values.values["wage"].copy()
    wage[4] = bad
    broken = replace(values, values={**values.values, "wage": wage})
    for row in (("wage", []), ("person_count", [["wage", ">", 3]])):
        with pytest.raises(MatrixError, match=r"wage is .*inf|wage is nan") as error:
            evaluate(compile_metrics(targets(row)), broken)
        assert "person row 4 of household row 1" in str(error.value)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(MatrixError, match="no column geo_id"):
        compile_metrics(targets(("snap", [])).drop(columns="geo_id"))
