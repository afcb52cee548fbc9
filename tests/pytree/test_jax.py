"""Where JAX is installed: the block structure of its derivatives is that of ours, and the two are read alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tessera.pytree.blocks import blocks_to_array, blocks_to_matrix
from tessera.pytree.numdiff import first_derivative, second_derivative
from tessera.pytree.tree import tree_map

jax = pytest.importorskip("jax")

PARAMS = {
    "z": 0.5,
    "b": {"m": np.arange(6.0).reshape(2, 3) / 3, "one": np.array([0.2])},
    "a": np.array([1.0, 2.0]),
    "zero_d": np.array(0.3),
}


@pytest.fixture(autouse=True)
def _double_precision():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def func(p: Any, xp: Any) -> Any:
    total = p["z"] * xp.sum(p["b"]["m"] ** 2) + xp.exp(p["b"]["one"][0]) * xp.sum(p["a"]) + p["zero_d"]
    return {
        "vector": xp.sin(p["a"]) * total,
        "number": total,
        "one": xp.reshape(total, (1,)),
        "matrix": xp.outer(p["a"], p["b"]["m"][0]) * total,
    }


def shapes(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: shapes(child) for key, child in tree.items()}
    return np.shape(tree)


def test_first_derivatives() -> None:
    ours = first_derivative(lambda p: func(p, np), PARAMS)
    theirs = jax.jacobian(lambda p: func(p, jax.numpy))(tree_map(jax.numpy.asarray, PARAMS))
    assert shapes(ours.derivative) == shapes(theirs)
    assert np.allclose(blocks_to_matrix(theirs, ours.outer, ours.inner), ours.matrix, atol=1e-8)


def test_second_derivatives() -> None:
    ours = second_derivative(lambda p: func(p, np), PARAMS)
    theirs = jax.hessian(lambda p: func(p, jax.numpy))(tree_map(jax.numpy.asarray, PARAMS))
    assert shapes(ours.derivative) == shapes(theirs)
    assert np.allclose(blocks_to_array(theirs, ours.outer, ours.inner), ours.matrix, atol=1e-5)


def test_functions_and_parameters_of_jax_can_be_differentiated_numerically() -> None:
    params = tree_map(jax.numpy.asarray, PARAMS)
    exact = first_derivative(lambda p: func(p, np), PARAMS).matrix
    assert np.allclose(first_derivative(lambda p: func(p, jax.numpy), params).matrix, exact, atol=1e-7)
