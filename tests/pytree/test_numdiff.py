"""First and second derivatives of functions between trees: EEP-01's examples, closed forms, labels, errors."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import numpy as np
import pandas as pd
import pytest

from tessera.errors import BoundsError, DerivativeError, FunctionError, StructureError
from tessera.pytree.blocks import blocks_to_array, blocks_to_matrix
from tessera.pytree.bounds import Bounds
from tessera.pytree.numdiff import first_derivative, second_derivative
from tessera.pytree.tree import tree_map

# --- the EEP's examples, verbatim -------------------------------------------------------------------------------------


def square(x):
    return x**2


def test_the_flat_example_of_the_eep() -> None:
    x = np.array([1, 2, 3, 4, 5, 6.0])
    derivative = first_derivative(square, x).derivative
    expected = [
        [2.0, 0.0, 0.0, 0.0, 0.0, 0],
        [0.0, 4.0, 0.0, 0.0, 0.0, 0],
        [0.0, 0.0, 6.0, 0.0, 0.0, 0],
        [0.0, 0.0, 0.0, 8.0, 0.0, 0],
        [0.0, 0.0, 0.0, 0.0, 10.0, 0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 12],
    ]
    assert type(derivative) is np.ndarray
    assert np.allclose(derivative, expected, atol=1e-8)


def tree_square(x):
    out = {
        "c": x["a"] ** 2,
        "d": x["b"].flatten() ** 2,
    }

    return out


def test_the_tree_example_of_the_eep() -> None:
    tree_x = {"a": np.array([1, 2.0]), "b": np.array([[3, 4], [5, 6.0]])}
    derivative = first_derivative(tree_square, tree_x).derivative
    assert tree_map(np.shape, derivative) == {
        "c": {
            "a": (2, 2),
            "b": (2, 2, 2),
        },
        "d": {
            "a": (4, 2),
            "b": (4, 2, 2),
        },
    }
    assert np.allclose(derivative["d"]["b"].reshape(4, 4), np.diag([6, 8, 10, 12]), atol=1e-8)


def pd_tree_square(x):
    out = {
        "c": x["a"]["value"] ** 2,
        "d": pd.Series(x["b"].flatten() ** 2, index=list("jklm")),
    }

    return out


pd_tree_x = {
    "a": pd.DataFrame(data=[[1], [2]], index=["alpha", "beta"], columns=["value"]),
    "b": np.array([[3, 4], [5, 6]]),
}


def test_the_pandas_example_of_the_eep() -> None:
    derivative = first_derivative(pd_tree_square, pd_tree_x).derivative
    first = derivative["c"]["a"]
    assert list(first.columns) == ["alpha", "beta"]
    assert list(first.index) == ["alpha", "beta"]
    assert np.allclose(first, [[2, 0], [0, 4]], atol=1e-8)
    assert type(derivative["c"]["b"]) is np.ndarray
    assert derivative["c"]["b"].shape == (2, 2, 2)
    # The EEP's comment says [0, 1, 2, 3]; its rule, to keep as many labels as possible, says j to m.
    labelled = derivative["d"]["a"]
    assert list(labelled.columns) == ["alpha", "beta"]
    assert list(labelled.index) == ["j", "k", "l", "m"]
    assert np.allclose(labelled, 0, atol=1e-8)
    assert type(derivative["d"]["b"]) is np.ndarray
    assert np.allclose(derivative["d"]["b"].reshape(4, 4), np.diag([6, 8, 10, 12]), atol=1e-8)


def test_the_labelled_table_of_the_eep() -> None:
    frame = first_derivative(pd_tree_square, pd_tree_x).frame
    assert list(frame.index) == ["c_alpha", "c_beta", "d_j", "d_k", "d_l", "d_m"]
    assert list(frame.columns) == ["a_alpha", "a_beta", "b_0_0", "b_0_1", "b_1_0", "b_1_1"]
    assert np.allclose(frame, np.diag([2, 4, 6, 8, 10, 12]), atol=1e-8)


# --- structure --------------------------------------------------------------------------------------------------------


def test_derivative_by_one_value_frame_of_a_number_and_of_a_frame() -> None:
    params = pd.DataFrame({"value": [1.0, 2.0], "lower_bound": [0.0, 0.0], "group": ["g", "h"]}, index=["x", "y"])
    gradient = first_derivative(lambda p: float(np.exp(p["value"]).prod()), params).derivative
    assert isinstance(gradient, pd.Series)
    assert gradient.to_dict() == pytest.approx({"x": np.exp(3), "y": np.exp(3)})
    jac = first_derivative(lambda p: p["value"] ** 2, params).derivative
    assert isinstance(jac, pd.DataFrame)
    assert np.allclose(jac.loc[["y", "x"], ["y", "x"]], np.diag([4, 2]), atol=1e-8)
    second = second_derivative(lambda p: float(np.exp(p["value"]).prod()), params).derivative
    assert list(second.columns) == list(second.index) == ["x", "y"]
    assert np.allclose(second, np.exp(3), rtol=1e-6)


def test_scalars_give_a_number() -> None:
    result = first_derivative(np.exp, 1.0)
    assert isinstance(result.derivative, float)
    assert result.derivative == pytest.approx(np.e, rel=1e-10)
    assert second_derivative(np.exp, 1.0).derivative == pytest.approx(np.e, rel=1e-6)


Pair = namedtuple("Pair", ["left", "right"])


def test_second_derivatives_nest_three_trees_and_keep_every_axis() -> None:
    params = {"a": np.array([0.4]), "b": OrderedDict(c=(0.3, 0.2), d=None)}

    def func(p):
        total = p["a"][0] * 2 + p["b"]["c"][0] + 3 * p["b"]["c"][1]
        return Pair(np.exp(np.array([total])), {"e": np.exp(total)})

    result = second_derivative(func, params)
    assert result.n_evals == 3 * 3 + 3 + 1
    derivative = result.derivative
    assert isinstance(derivative, Pair)
    assert derivative.left["a"]["a"].shape == (1, 1, 1)
    assert derivative.left["a"]["b"]["c"][1].shape == (1, 1)
    assert derivative.left["b"]["c"][0]["b"]["c"][1].shape == (1,)
    assert isinstance(derivative.right["e"]["b"], OrderedDict)
    slopes = np.array([2.0, 1.0, 3.0])
    truth = np.exp(slopes @ [0.4, 0.3, 0.2]) * np.outer(slopes, slopes)
    assert np.allclose(result.matrix, truth[None].repeat(2, 0), rtol=1e-6)
    assert np.array_equal(blocks_to_array(derivative, result.outer, result.inner), result.matrix)


def test_outputs_and_parameters_of_every_kind_against_closed_forms() -> None:
    params = {
        "s": 0.5,
        "v": np.array([1.0, 2.0]),
        "series": pd.Series([0.1, 0.2], index=["x", "y"]),
        "frame": pd.DataFrame({"u": [0.3, 0.4], "name": ["a", "b"], "w": [0.5, 0.6]}, index=["r", "t"]),
    }

    def func(p):
        assert list(p["frame"]["name"]) == ["a", "b"]
        everything = np.concatenate([[p["s"]], p["v"], p["series"], p["frame"][["u", "w"]].to_numpy().ravel()])
        return {
            "total": everything @ everything,
            "exp": p["frame"][["u", "w"]].map(np.exp),
            "scaled": p["s"] * p["series"],
        }

    result = first_derivative(func, params)
    derivative = result.derivative
    assert derivative["total"]["s"] == pytest.approx(1.0)
    assert np.allclose(derivative["total"]["v"], [2, 4])
    assert np.allclose(derivative["total"]["series"].loc[["y", "x"]], [0.4, 0.2])
    assert list(derivative["total"]["frame"].columns) == ["u", "w"]
    assert np.allclose(derivative["total"]["frame"], [[0.6, 1.0], [0.8, 1.2]])
    assert np.allclose(derivative["exp"]["frame"].reshape(4, 4), np.diag(np.exp([0.3, 0.5, 0.4, 0.6])))
    assert np.allclose(derivative["scaled"]["s"], [0.1, 0.2])
    assert np.allclose(derivative["scaled"]["series"], np.diag([0.5, 0.5]), atol=1e-10)
    assert np.array_equal(blocks_to_matrix(derivative, result.outer, result.inner), result.matrix)
    # Whole numbers in the parameters are stepped like others.
    assert first_derivative(lambda p: p["n"] ** 2, {"n": 3}).derivative["n"] == pytest.approx(6)


def test_outputs_are_aligned_by_key_and_label_at_every_point() -> None:
    def func(p):
        labels = ["x", "y"] if p["a"] <= 1 else ["y", "x"]
        out = {"m": pd.Series({"x": p["a"], "y": 10 * p["b"]})[labels], "n": p["a"] * p["b"]}
        return out if p["b"] <= 2 else dict(reversed(out.items()))

    matrix = first_derivative(func, {"a": 1.0, "b": 2.0}).matrix
    assert np.allclose(matrix, [[1, 0], [0, 10], [2, 1]])


def test_func_kwargs_unpacker_f0_and_func_value() -> None:
    calls = []

    def func(p, factor, *, shift):
        calls.append(p)
        return {"value": factor * p["a"] ** 2 + shift, "note": "not a number"}

    options = {"func_kwargs": {"factor": 3.0, "shift": 1.0}, "unpacker": lambda out: out["value"]}
    result = first_derivative(func, {"a": 2.0}, **options)
    assert result.derivative["a"] == pytest.approx(12)
    assert result.func_value == {"value": 13.0, "note": "not a number"}
    assert result.n_evals == len(calls) == 3
    again = first_derivative(func, {"a": 2.0}, f0=result.func_value, **options)
    assert again.n_evals == len(calls) - 3 == 2
    assert np.array_equal(again.matrix, result.matrix)
    assert second_derivative(func, {"a": 2.0}, **options).derivative["a"]["a"] == pytest.approx(6, rel=1e-6)


class Box:
    def __init__(self, content) -> None:
        self.content = content


BOX = {
    Box: {
        "flatten": lambda box: ([box.content], None),
        "unflatten": lambda _, children: Box(children[0]),
        "names": lambda _: ["content"],
    }
}


def test_registries_of_parameters_and_outputs() -> None:
    from tessera.pytree.registry import get_registry

    registry = get_registry(extra=BOX)
    result = first_derivative(lambda p: Box(p.content**2), Box(np.array([1.0, 2.0])), registry=registry)
    assert isinstance(result.derivative, Box)
    assert isinstance(result.derivative.content, Box)
    assert np.allclose(result.derivative.content.content, np.diag([2, 4]))
    with pytest.raises(StructureError, match="Box"):
        first_derivative(lambda p: 1.0, Box(1.0))
    with pytest.raises(FunctionError, match="Box"):
        first_derivative(Box, 1.0)
    other = first_derivative(lambda p: Box(p**2), 1.0, output_registry=registry)
    assert other.derivative.content == pytest.approx(2)


def test_the_user_may_change_the_tree_that_the_function_gets() -> None:
    params = {"a": np.array([1.0, 2.0]), "s": pd.Series([3.0]), "b": [4.0]}

    def destructive(p):
        p["a"] *= 2
        p["s"] += p["b"].pop()
        return float(p["a"] @ p["a"] + p["s"].iloc[0])

    assert first_derivative(destructive, params).frame.iloc[0].tolist() == pytest.approx([8, 16, 1, 1])
    assert params["a"].tolist() == [1.0, 2.0]
    assert params["b"] == [4.0]


# --- steps and bounds -------------------------------------------------------------------------------------------------


def test_bounds_of_arguments_and_of_columns_are_kept() -> None:
    params = {"delta": 1.0, "utility": pd.DataFrame({"value": [0.0, 0.5], "lower_bound": [0.0, 0.0]}, index=["a", "b"])}

    def func(p):
        assert p["delta"] <= 1
        assert (p["utility"]["value"] >= 0).all()
        return np.exp(p["delta"] + p["utility"]["value"].sum())

    for derivative in (first_derivative, second_derivative):
        result = derivative(func, params, bounds=Bounds(upper={"delta": 1}))
        assert np.allclose(result.matrix, np.exp(1.5), rtol=1e-6)
    with pytest.raises(FunctionError, match=r"\['delta'\] from 1\.0 to 1\.00"):
        first_derivative(func, params)
    with pytest.raises(BoundsError, match=r"\['utility'\]\['a'\] is 0\.0, outside"):
        first_derivative(func, params, bounds=Bounds(lower={"utility": 0.1}))
    with pytest.raises(BoundsError, match="gamma"):
        first_derivative(func, params, bounds=Bounds(lower={"gamma": 0.1}))


def test_steps_may_be_trees() -> None:
    seen = []

    def func(p):
        seen.append((p["a"], *p["b"]))
        return p["a"]

    first_derivative(func, {"a": 0.0, "b": np.zeros(2)}, method="forward", step_size={"b": 0.25})
    assert 0 < seen[1][0] < 1e-6
    assert seen[2] == (0.0, 0.25, 0.0)
    with pytest.raises(DerivativeError, match="step_size"):
        first_derivative(func, {"a": 0.0, "b": np.zeros(2)}, step_size={"c": 0.25})


# --- failures ---------------------------------------------------------------------------------------------------------


def roots(p):
    with np.errstate(invalid="ignore"):
        return {"r": np.sqrt(p["u"]["value"]), "t": p["v"] * 2}


ROOTS = {"v": np.zeros((2, 2)), "u": pd.DataFrame({"value": [1.0, 0.0]}, index=["alpha", "beta"])}


def test_nan_names_the_output_the_parameter_and_the_way_out() -> None:
    words = (
        r"nan in \['r'\]\['beta'\] when stepping \['u'\]\['beta'\] from 0\.0 to -.*bounds.*error_handling='continue'"
    )
    with pytest.raises(FunctionError, match=words):
        first_derivative(roots, ROOTS)


def test_continue_warns_by_name() -> None:
    with pytest.warns(RuntimeWarning, match=r"\['u'\]\['beta'\] are one-sided and less exact"):
        result = first_derivative(roots, ROOTS, error_handling="continue")
    assert np.isfinite(result.matrix).all()
    assert result.derivative["t"]["v"].shape == (2, 2, 2, 2)


def test_a_changing_structure_is_an_error_that_names_the_path() -> None:
    with pytest.raises(FunctionError, match=r"StructureError.*missing \['b'\].*\['x'\] from 0\.0"):
        first_derivative(lambda p: {"a": 1.0, "b": 2.0} if p["x"] == 0 else {"a": 1.0}, {"x": 0.0})


@pytest.mark.parametrize("output", [None, {}, "text", {"a": "text"}])
def test_outputs_without_numbers_are_refused(output) -> None:
    with pytest.raises(FunctionError, match=r"numbers|number|text"):
        first_derivative(lambda p: output, 1.0)


def test_exceptions_of_the_function_and_the_unpacker() -> None:
    with pytest.raises(FunctionError, match="KeyError: 'q' at the start"):
        first_derivative(lambda p: p["q"], {"a": 1.0})
    with pytest.raises(FunctionError, match="unpacker raised KeyError"):
        first_derivative(lambda p: p, {"a": 1.0}, unpacker=lambda out: out["value"])


def test_parameters_that_are_no_numbers_are_refused_by_name() -> None:
    with pytest.raises(StructureError, match=r"\['name'\]"):
        first_derivative(lambda p: 1.0, {"a": 1.0, "name": "x"})
    with pytest.raises(DerivativeError, match=r"\['a'\]\[1\] is nan"):
        first_derivative(lambda p: 1.0, {"a": np.array([1.0, np.nan])})


def test_second_derivatives_know_one_method() -> None:
    with pytest.raises(DerivativeError, match="forward"):
        second_derivative(np.exp, 1.0, method="forward")  # type: ignore[arg-type]


def test_several_cores() -> None:
    params = {"a": np.linspace(0, 1, 7), "s": pd.Series([0.1, 0.2], index=["x", "y"])}

    def func(p):
        return {"m": np.exp(p["a"]) * p["s"]["y"], "n": p["s"] ** 3}

    for derivative in (first_derivative, second_derivative):
        assert np.array_equal(derivative(func, params, n_cores=2).matrix, derivative(func, params).matrix)


# --- the result -------------------------------------------------------------------------------------------------------


def test_the_result_reads_well_and_its_frames_are_labelled() -> None:
    result = first_derivative(pd_tree_square, pd_tree_x)
    text = repr(result)
    assert "first derivative of 6 output(s) by 6 parameter(s)" in text
    assert "central differences, 13 evaluations" in text
    assert "['b'] (2, 2)" in text
    assert "largest absolute value 12, 0 missing" in text
    second = second_derivative(pd_tree_square, pd_tree_x)
    assert second.frame.loc[("d_k", "b_0_1"), "b_0_1"] == pytest.approx(2, rel=1e-5)
    scalar = second_derivative(lambda p: p["a"] * p["b"] ** 2, {"a": 2.0, "b": 3.0}).frame
    assert scalar.loc["a", "b"] == pytest.approx(6, rel=1e-5)
