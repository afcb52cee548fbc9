"""Closed-form derivatives that a user gives for an estimation, as one aligned matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tessera.errors import DerivativeError, FunctionError, StructureError
from tessera.pytree.blocks import blocks_to_matrix, frame_to_matrix
from tessera.pytree.estimation.symmetric import FloatArray
from tessera.pytree.tree import TreeSpec


def closed_form(derivative: Any, params: Any, outer: TreeSpec, inner: TreeSpec, name: str) -> FloatArray:
    """A derivative (outer.size, inner.size), aligned by path and label.

    Args:
        derivative: a function of the parameters, or its value: the block structure of `first_derivative`, a frame
            labelled with flat names, or an array in the order of the trees.
        params: what the function is called with.
        outer: structure of the outputs.
        inner: structure of the parameters.
        name: what messages call it.

    Raises:
        FunctionError: if the function raises.
        DerivativeError: if the result does not fit or is not finite; names the blocks, outputs and parameters.
    """
    try:
        value = derivative(params) if callable(derivative) else derivative
    except Exception as error:
        raise FunctionError(f"{name} raised {type(error).__name__}: {error}") from error
    shape = (outer.size, inner.size)
    try:
        if isinstance(value, np.ndarray) and value.shape == shape:
            matrix = np.asarray(value, dtype=np.float64)
        elif isinstance(value, pd.DataFrame) and value.shape == shape and _is_flat(value, outer, inner):
            matrix = frame_to_matrix(value, outer, inner)
        else:
            matrix = blocks_to_matrix(value, outer, inner)
    except StructureError as error:
        raise DerivativeError(
            f"{name} does not fit the {shape[0]} outputs and {shape[1]} parameters: {error}"
        ) from error
    if not np.isfinite(matrix).all():
        row, column = (int(places[0]) for places in np.nonzero(~np.isfinite(matrix)))
        raise DerivativeError(
            f"{name} is {matrix[row, column]} for {outer.index('flat')[row]} and {inner.index('flat')[column]}, the "
            f"first of {int((~np.isfinite(matrix)).sum())} entries that are not finite."
        )
    return matrix


def refuse_values(derivatives: Mapping[str, Any]) -> None:
    """Raise `DerivativeError` for derivatives that are no functions although the parameters are still to be found."""
    for name, derivative in derivatives.items():
        if derivative is not None and derivative is not False and not callable(derivative):
            raise DerivativeError(
                f"{name} is a {type(derivative).__name__}, which holds at one point only, and the parameters are still "
                "to be found. Give a function of the parameters, or optimize_options=False."
            )


def _is_flat(frame: pd.DataFrame, outer: TreeSpec, inner: TreeSpec) -> bool:
    """Whether a frame is labelled with flat names rather than as the block of two leaves."""
    return outer.n_leaves > 1 or inner.n_leaves > 1 or set(frame.index) == set(outer.index("flat"))
