"""From what the user's function returns to what a solver needs, and nothing of solvers.

A function returns a number, or a dict with some of `value` (a number), `contributions` and `root_contributions`
(trees), and whatever else it likes. Missing entries are derived: contributions = root_contributions^2, value = their
sum. Least-squares solvers need `root_contributions`. Entries are flattened by the structure they have at the start, so
later outputs are matched by path and label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.errors import FunctionError, TesseraError
from tessera.pytree.spaces.places import name_positions
from tessera.pytree.spaces.transforms import Vector

if TYPE_CHECKING:
    from tessera.pytree.tree import TreeSpec

KEYS = ("value", "contributions", "root_contributions")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One call of the user's function.

    Attributes:
        output: all that it returned.
        value: the number to minimise or maximise, with the user's sign.
        residuals: the flat root contributions (m,), for a least-squares solver; None otherwise.
    """

    output: Any
    value: float
    residuals: Vector | None = None


class Criterion:
    """The user's function with its output read.

    Args:
        fun: called with the tree of parameters and `kwargs`.
        kwargs: further keyword arguments of the function.
        algorithm: name of the solver, for messages.
        least_squares: whether the solver needs root contributions.
        like: a structure whose registry is used for outputs.
        infinite: whether infinite values are let through, as a worst value.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        kwargs: Mapping[str, Any] | None,
        *,
        algorithm: str,
        least_squares: bool,
        like: TreeSpec,
        infinite: float | None = None,
    ) -> None:
        self._fun, self._kwargs, self._algorithm = fun, dict(kwargs or {}), algorithm
        self._least_squares, self._like, self._infinite = least_squares, like, infinite
        self._specs: dict[str, TreeSpec] = {}

    def __call__(self, params: Any) -> Any:
        """Call the function; its own exceptions become `FunctionError`."""
        try:
            return self._fun(params, **self._kwargs)
        except Exception as error:
            raise FunctionError(f"the criterion raised {type(error).__name__}: {error}") from error

    def read(self, output: Any) -> Evaluation:
        """The value, and residuals where they are needed.

        Raises:
            FunctionError: for wrong keys, entries without numbers or of another structure than at the start, and NaN.
        """
        entries = self.entries(output)
        residuals = self._flat(entries, "root_contributions") if self._least_squares else None
        return Evaluation(output, self._value(entries, residuals), residuals)

    def entries(self, output: Any) -> Mapping[str, Any]:
        """The output as a dict with at least one of the keys the solver can use."""
        if not isinstance(output, Mapping):
            output = {"value": output}
        known = [key for key in KEYS if key in output]
        if not known:
            raise FunctionError(
                f"the criterion returns a dict with the keys {_listed(output)}; wanted one or more of {_listed(KEYS)}."
            )
        if self._least_squares and "root_contributions" not in output:
            raise FunctionError(
                f"{self._algorithm} solves least squares and needs root_contributions, which cannot be derived from "
                f"{_listed(known)}. Return them as an entry of a dict, or use a scalar algorithm such as scipy_lbfgsb."
            )
        return output

    def spec_of(self, key: str, tree: Any) -> TreeSpec:
        """The structure of an entry, that of its first appearance."""
        if key not in self._specs:
            self._specs[key] = self._like.like(tree)
        return self._specs[key]

    def value_or_nan(self, output: Any) -> float:
        """The value as `read` finds it, but NaN where it is not finite; other errors as for `read`."""
        entries = self.entries(output)
        if "value" in entries:
            number = self._number(entries["value"])
        elif "contributions" in entries:
            number = float(self._vector(entries, "contributions").sum())
        else:
            roots = self._vector(entries, "root_contributions")
            number = float(roots @ roots)
        return number if np.isfinite(number) else np.nan

    def _vector(self, entries: Mapping[str, Any], key: str) -> Vector:
        try:
            return self.spec_of(key, entries[key]).ravel(entries[key])
        except TesseraError as error:
            raise FunctionError(f"{key} of the criterion cannot be flattened as at the start: {error}") from error

    def _flat(self, entries: Mapping[str, Any], key: str) -> Vector:
        vector = self._vector(entries, key)
        if not np.isfinite(vector).all():
            broken = name_positions(self.spec_of(key, entries[key]), np.flatnonzero(~np.isfinite(vector)))
            raise FunctionError(f"{key} of the criterion is not finite at {broken}.")
        return vector

    def _value(self, entries: Mapping[str, Any], residuals: Vector | None) -> float:
        if "value" in entries:
            return self._scalar(entries["value"])
        if "contributions" in entries:
            return float(self._flat(entries, "contributions").sum())
        roots = self._flat(entries, "root_contributions") if residuals is None else residuals
        return float(roots @ roots)

    def _number(self, value: Any) -> float:
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.zeros(2)
        if array.size != 1:
            raise FunctionError(
                f"the value of the criterion is a {type(value).__name__} of shape {np.shape(value)}, not one number. "
                'For a sum of many return {"contributions": ...}, for least squares {"root_contributions": ...}.'
            )
        return float(array.reshape(()))

    def _scalar(self, value: Any) -> float:
        number = self._number(value)
        if not np.isfinite(number) and number != self._infinite:
            raise FunctionError(f"the value of the criterion is {number}.")
        return number


def _listed(keys: Any) -> str:
    shown = [str(key) for key in keys]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
