"""Blocks, matrices and frames: shapes as JAX has them, labels by EEP-01, both ways by path and label."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import StructureError
from tessera.pytree.blocks import (
    array_to_blocks,
    blocks_to_array,
    blocks_to_matrix,
    frame_to_matrix,
    matrix_to_blocks,
    matrix_to_frame,
)
from tessera.pytree.tree import TreeSpec, tree_map

Pair = namedtuple("Pair", ["left", "right"])


def numbered(*specs: TreeSpec) -> np.ndarray:
    shape = tuple(spec.size for spec in specs)
    return np.arange(np.prod(shape), dtype=float).reshape(shape)


def every_kind() -> dict:
    return {
        "scalar": 1.5,
        "array": np.arange(2.0),
        "matrix": np.arange(6.0).reshape(2, 3),
        "series": pd.Series([1.0, 2.0, 3.0], index=["x", "y", "z"]),
        "params": pd.DataFrame({"value": [1.0, 2.0], "lower_bound": [0.0, 0.0]}, index=["alpha", "beta"]),
        "frame": pd.DataFrame({"u": [1.0, 2.0], "v": [3.0, 4.0]}, index=["r", "s"]),
        "one": np.ones(1),
        "zero_d": np.array(4.0),
    }


SHAPES = {
    "scalar": (),
    "array": (2,),
    "matrix": (2, 3),
    "series": (3,),
    "params": (2,),
    "frame": (2, 2),
    "one": (1,),
    "zero_d": (),
}


def test_every_block_has_the_shape_of_the_output_and_then_of_the_input() -> None:
    spec = TreeSpec.of(every_kind())
    blocks = matrix_to_blocks(numbered(spec, spec), spec, spec)
    assert list(blocks) == list(SHAPES)
    for outer, row in blocks.items():
        assert list(row) == list(SHAPES)
        for inner, block in row.items():
            assert np.shape(block) == SHAPES[outer] + SHAPES[inner], (outer, inner)


def test_axes_of_size_one_are_kept_in_second_derivatives() -> None:
    # jax.hessian of {"a": (1,), "b": (2,)} gives (1, 1, 1), (1, 1, 2), (1, 2, 2) for an output of shape (1,).
    outer, inner = TreeSpec.of(np.ones(1)), TreeSpec.of({"a": np.ones(1), "b": np.ones(2)})
    blocks = array_to_blocks(numbered(outer, inner, inner), outer, inner)
    assert blocks["a"]["a"].shape == (1, 1, 1)
    assert blocks["a"]["b"].shape == (1, 1, 2)
    assert blocks["b"]["a"].shape == (1, 2, 1)
    assert blocks["b"]["b"].shape == (1, 2, 2)


def test_labels_where_a_block_has_one_or_two_dimensions() -> None:
    spec = TreeSpec.of(every_kind())
    blocks = matrix_to_blocks(numbered(spec, spec), spec, spec)
    both = blocks["series"]["params"]
    assert isinstance(both, pd.DataFrame)
    assert list(both.index) == ["x", "y", "z"]
    assert list(both.columns) == ["alpha", "beta"]
    assert list(blocks["scalar"]["series"].index) == ["x", "y", "z"]
    assert list(blocks["series"]["scalar"].index) == ["x", "y", "z"]
    half = blocks["array"]["params"]
    assert list(half.index) == [0, 1]
    assert list(half.columns) == ["alpha", "beta"]
    assert list(blocks["frame"]["scalar"].columns) == ["u", "v"]
    assert list(blocks["zero_d"]["frame"].index) == ["r", "s"]
    for outer, inner in (("array", "array"), ("series", "frame"), ("matrix", "scalar"), ("frame", "params")):
        assert type(blocks[outer][inner]) is np.ndarray
    assert type(blocks["scalar"]["scalar"]) is float


def test_without_labels_every_block_is_an_array_or_a_number() -> None:
    spec = TreeSpec.of(every_kind())
    blocks = matrix_to_blocks(numbered(spec, spec), spec, spec, labels=False)
    assert {type(block) for row in blocks.values() for block in row.values()} == {float, np.ndarray}


def test_blocks_hold_the_right_part_of_the_matrix_and_do_not_change_it() -> None:
    outer = TreeSpec.of({"c": np.zeros(2), "d": np.zeros(4)})
    inner = TreeSpec.of({"a": np.zeros(2), "b": np.zeros((2, 2))})
    matrix = numbered(outer, inner)
    blocks = matrix_to_blocks(matrix, outer, inner)
    assert np.array_equal(blocks["c"]["a"], matrix[:2, :2])
    assert np.array_equal(blocks["d"]["b"], matrix[2:, 2:].reshape(4, 2, 2))
    blocks["c"]["a"][:] = -1
    assert matrix.min() == 0
    assert np.array_equal(blocks["c"]["b"], matrix[:2, 2:].reshape(2, 2, 2))


def test_back_to_a_matrix_whatever_the_order_of_keys_and_labels() -> None:
    spec = TreeSpec.of(every_kind())
    matrix = numbered(spec, spec)
    blocks = matrix_to_blocks(matrix, spec, spec)
    turned = {
        outer: {inner: _reversed(block) for inner, block in reversed(row.items())}
        for outer, row in reversed(blocks.items())
    }
    assert np.array_equal(blocks_to_matrix(turned, spec, spec), matrix)


def _reversed(block: object) -> object:
    if isinstance(block, pd.DataFrame):
        return block.iloc[::-1, ::-1]
    return block.iloc[::-1] if isinstance(block, pd.Series) else block


def test_arrays_without_labels_are_taken_as_they_are() -> None:
    spec = TreeSpec.of(every_kind())
    matrix = numbered(spec, spec)
    bare = matrix_to_blocks(matrix, spec, spec, labels=False)
    assert np.array_equal(blocks_to_matrix(bare, spec, spec), matrix)


def test_a_gradient_in_the_format_of_the_parameters_is_understood() -> None:
    params = every_kind()
    spec, number = TreeSpec.of(params), TreeSpec.of(1.0)
    x = np.arange(float(spec.size))
    assert np.array_equal(blocks_to_matrix(spec.unravel(x), number, spec), x[None, :])


def test_sparse_blocks_are_understood() -> None:
    from scipy import sparse

    outer, inner = TreeSpec.of({"m": np.zeros(3)}), TreeSpec.of({"w": np.zeros(4)})
    matrix = np.eye(3, 4)
    assert np.array_equal(blocks_to_matrix({"m": {"w": sparse.csr_array(matrix)}}, outer, inner), matrix)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b.pop("c"), r"missing \['c'\]"),
        (lambda b: b["c"].pop("a"), r"\['c'\].*missing \['a'\]"),
        (lambda b: b.update(z=b["c"]), r"extra \['z'\]"),
        (lambda b: b["d"].update(a=np.zeros((4, 3))), r"\['d'\] \['a'\].*\(4, 3\).*\(4, 2\)"),
        (lambda b: b["d"].update(a=np.zeros((2, 4))), r"\['d'\] \['a'\]"),
        (lambda b: b["c"].update(a=b["c"]["a"].rename(index={"k": "q"})), r"\['c'\] \['a'\].*'k'.*'q'"),
        (lambda b: b["c"].update(a="text"), r"\['c'\] \['a'\].*str"),
        (lambda b: b["c"].update(a=b["c"]["a"].astype(object)), r"\['c'\] \['a'\].*object"),
        (lambda b: b["c"].update(a=1.0), r"\['c'\] \['a'\]"),
    ],
)
def test_blocks_that_do_not_fit_are_refused_by_name(change, words: str) -> None:
    outer = TreeSpec.of({"c": pd.Series([0.0, 0.0], index=["k", "l"]), "d": np.zeros(4)})
    inner = TreeSpec.of({"a": pd.Series([0.0, 0.0], index=["m", "n"]), "b": 1.0})
    blocks = matrix_to_blocks(numbered(outer, inner), outer, inner)
    change(blocks)
    with pytest.raises(StructureError, match=words):
        blocks_to_matrix(blocks, outer, inner)


def test_a_matrix_of_another_shape_is_refused() -> None:
    spec = TreeSpec.of(every_kind())
    with pytest.raises(StructureError, match=r"\(2, 2\)"):
        matrix_to_blocks(np.eye(2), spec, spec)


@pytest.mark.parametrize("kind", ["flat", "multi"])
def test_frames_are_labelled_and_matched_by_label(kind: str) -> None:
    params, moments = TreeSpec.of(every_kind()), TreeSpec.of({"m": {"a": 1.0, "b": np.zeros(3)}})
    matrix = numbered(moments, params)
    frame = matrix_to_frame(matrix, moments, params, index=kind)
    assert frame.index.equals(moments.index(kind))
    assert frame.columns.equals(params.index(kind))
    shuffled = frame.iloc[[2, 0, 3, 1], ::-1]
    assert np.array_equal(frame_to_matrix(shuffled, moments, params), matrix)


def test_a_frame_with_other_labels_is_refused() -> None:
    spec = TreeSpec.of({"a": 1.0, "b": 2.0})
    frame = matrix_to_frame(np.eye(2), spec, spec)
    with pytest.raises(StructureError, match=r"columns.*'b'.*'q'"):
        frame_to_matrix(frame.rename(columns={"b": "q"}), spec, spec)
    with pytest.raises(StructureError, match=r"index.*missing"):
        frame_to_matrix(frame.iloc[:1], spec, spec)
    with pytest.raises(StructureError, match="no number"):
        frame_to_matrix(frame.astype(object).replace(1.0, "x"), spec, spec)
    with pytest.raises(StructureError, match="DataFrame is needed"):
        frame_to_matrix(np.eye(2), spec, spec)  # type: ignore[arg-type]


LEAVES = st.one_of(
    st.floats(-1e6, 1e6),
    st.lists(st.integers(0, 3), max_size=3).map(np.zeros),
    st.lists(st.text(max_size=3), max_size=4, unique=True).map(lambda index: pd.Series(0.0, index=index, dtype=float)),
    st.lists(st.integers(), min_size=1, max_size=3, unique=True).map(
        lambda index: pd.DataFrame({"value": 0.0}, index=index)
    ),
    st.lists(st.text(max_size=2), min_size=1, max_size=3, unique=True).map(
        lambda names: pd.DataFrame(np.zeros((2, len(names))), columns=[f"c{name}" for name in names])
    ),
)
TREES = st.recursive(
    LEAVES,
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.dictionaries(st.text(max_size=3), children, max_size=3),
        st.tuples(children, children),
        st.builds(Pair, children, children),
        st.none(),
    ),
    max_leaves=6,
)


@given(TREES, TREES)
@settings(max_examples=60, deadline=None)
def test_round_trips_of_a_matrix(one: object, other: object) -> None:
    outer, inner = TreeSpec.of(one), TreeSpec.of(other)
    matrix = numbered(outer, inner)
    for labels in (True, False):
        blocks = matrix_to_blocks(matrix, outer, inner, labels=labels)
        assert np.array_equal(blocks_to_matrix(blocks, outer, inner), matrix)
    for kind in ("flat", "multi"):
        assert np.array_equal(frame_to_matrix(matrix_to_frame(matrix, outer, inner, kind), outer, inner), matrix)


@given(TREES, TREES)
@settings(max_examples=40, deadline=None)
def test_round_trips_of_an_array(one: object, other: object) -> None:
    outer, inner = TreeSpec.of(one), TreeSpec.of(other)
    array = numbered(outer, inner, inner)
    assert np.array_equal(blocks_to_array(array_to_blocks(array, outer, inner), outer, inner), array)
    mixed = numbered(inner, outer, inner)
    assert np.array_equal(blocks_to_array(array_to_blocks(mixed, inner, outer, inner), inner, outer, inner), mixed)


def test_the_shapes_of_the_jax_example_of_the_eep() -> None:
    outer = TreeSpec.of({"c": np.zeros(2), "d": np.zeros(4)})
    inner = TreeSpec.of({"a": np.zeros(2), "b": np.zeros((2, 2))})
    shapes = tree_map(np.shape, matrix_to_blocks(numbered(outer, inner), outer, inner))
    assert shapes == {
        "c": {
            "a": (2, 2),
            "b": (2, 2, 2),
        },
        "d": {
            "a": (4, 2),
            "b": (4, 2, 2),
        },
    }
