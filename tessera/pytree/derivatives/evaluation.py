"""Calls of a user's function at points near x: one vector at a time, in parallel if asked, failures named or collected.

A point differs from x in one or two coordinates, so it is kept as two (coordinate, value) pairs; the vector of a point
exists only while the function is called. Holds no formula of a derivative.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tessera.errors import DerivativeError, FunctionError
from tessera.parallel import fork_map
from tessera.pytree.derivatives.steps import Describe, Vector

ErrorHandling = Literal["raise", "continue", "raise_strict"]
ERROR_HANDLING = ("raise", "continue", "raise_strict")
# Points are turned into Python numbers in chunks of this many, to bound what is held beside the results.
_CHUNK = 4096
_CAN_FORK = "fork" in multiprocessing.get_all_start_methods()
_WAY_OUT = (
    "Set bounds that keep the steps where the function is defined, give a smaller step_size, or use "
    "error_handling='continue' to leave out what cannot be had"
)


@dataclass
class Evaluator:
    """A function from (n,) to (m,), the point around which it is evaluated, and what to do where that fails.

    Attributes:
        func: called with a fresh float64 vector (n,); returns (m,) or, for m = 1, a number.
        x: (n,).
        n_outputs: m.
        describe: the name of a coordinate of x, for messages.
        describe_output: the name of an output, for messages.
        error_handling: "continue" collects failures; with the others the first one is raised.
        n_cores: number of processes; one where the platform cannot fork.
        failures: what went wrong, by coordinate of x (the first of each).
        n_evals: number of calls made.
    """

    func: Callable[[Vector], Any]
    x: Vector
    n_outputs: int
    describe: Describe
    describe_output: Describe
    error_handling: ErrorHandling = "raise"
    n_cores: int = 1
    failures: dict[int, str] = field(default_factory=dict)
    n_evals: int = 0

    def rows(self, where: NDArray[np.intp], values: Vector) -> Vector:
        """The outputs at each point, (number of points, m); rows of NaN where the function failed.

        Args:
            where: (number of points, 2), coordinates that differ from x (twice the same one for a single step).
            values: (number of points, 2), their values.

        Raises:
            FunctionError: naming the stepped coordinates, unless failures are collected.
        """
        count = len(where)
        self.n_evals += count
        if self.n_cores == 1 or count < 2 or not _CAN_FORK:
            rows, failures = self._run(where, values)
            self._collect(failures)
            return rows
        n_parts = min(count, 4 * self.n_cores)
        edges = np.linspace(0, count, n_parts + 1).astype(int).tolist()
        parts = [slice(a, b) for a, b in pairwise(edges)]
        done = fork_map(lambda part: self._run(where[part], values[part]), parts, self.n_cores)
        for _, failures in done:
            self._collect(failures)
        return np.concatenate([rows for rows, _ in done])

    def _run(self, where: NDArray[np.intp], values: Vector) -> tuple[Vector, dict[int, str]]:
        rows = np.empty((len(where), self.n_outputs))
        failures: dict[int, str] = {}
        for start in range(0, len(where), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._run_chunk(where[part].tolist(), values[part].tolist(), rows[part], failures)
        return rows, failures

    def _run_chunk(
        self, where: list[list[int]], values: list[list[float]], rows: Vector, failures: dict[int, str]
    ) -> None:
        func, x, n_outputs = self.func, self.x, self.n_outputs
        asarray, finite, count_nonzero = np.asarray, np.isfinite, np.count_nonzero
        for k, ((i, j), (first, second)) in enumerate(zip(where, values, strict=True)):
            point = x.copy()
            point[i] = first
            point[j] = second
            try:
                returned = func(point)
                if isinstance(returned, float) and n_outputs == 1 and math.isfinite(returned):
                    rows[k] = returned
                    continue
                output = asarray(returned, dtype=np.float64)
            except Exception as error:
                self._fail(_raised(error), where[k], values[k], failures, error)
                rows[k] = np.nan
                continue
            if output.ndim != 1:
                output = output.reshape(-1)
            if output.size != n_outputs:
                changed = f"returned {output.size} numbers where it returned {n_outputs} at the start"
                raise FunctionError(f"{self._failure(changed, where[k], values[k])}; the number must stay the same.")
            rows[k] = output
            if count_nonzero(finite(output)) != n_outputs:
                bad = np.flatnonzero(~finite(output))
                self._fail(_not_finite(output, bad, self.describe_output), where[k], values[k], failures)

    def _fail(
        self,
        what: str,
        where: list[int],
        values: list[float],
        failures: dict[int, str],
        cause: Exception | None = None,
    ) -> None:
        """Raise or note that an evaluation failed."""
        failure = self._failure(what, where, values)
        if self.error_handling != "continue":
            raise FunctionError(f"{failure}. {_WAY_OUT}.") from cause
        failures.setdefault(where[0], failure)

    def _failure(self, what: str, where: list[int], values: list[float]) -> str:
        stepped = dict(zip(where, values, strict=True)).items()
        steps = " and ".join(f"{self.describe(i)} from {float(self.x[i])!r} to {value!r}" for i, value in stepped)
        return f"the function {what} when stepping {steps}"

    def _collect(self, failures: dict[int, str]) -> None:
        for position, text in failures.items():
            self.failures.setdefault(position, text)


def start_value(
    func: Callable[[Vector], Any], x: Vector, f0: Any, describe_output: Describe, error_handling: ErrorHandling
) -> tuple[NDArray[np.float64], int]:
    """The value at x in the shape in which the function returns it, () or (m,), and the number of calls it took.

    Raises:
        FunctionError: where the function raises, returns no numbers, more than one dimension, or (unless
            `error_handling` is "continue") NaN or infinity.
    """
    n_evals = 0
    if f0 is None:
        n_evals = 1
        try:
            f0 = func(x.copy())
        except Exception as error:
            raise FunctionError(f"the function {_raised(error)} at the start, before any step was taken.") from error
    try:
        value = np.asarray(f0, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FunctionError(
            f"the function returned {type(f0).__name__} at the start, which holds no numbers."
        ) from error
    if value.ndim > 1 or value.size == 0:
        raise FunctionError(
            f"the function returned an array of shape {value.shape}; a number or a vector that is not empty is needed."
        )
    bad = np.flatnonzero(~np.isfinite(value))
    if bad.size and error_handling != "continue":
        raise FunctionError(
            f"the function {_not_finite(value.reshape(-1), bad, describe_output)} at the start, before any step was "
            "taken. Start where it is finite, or use error_handling='continue' for NaN in those outputs."
        )
    return value, n_evals


def check_options(error_handling: str, n_cores: int) -> None:
    """Raise `DerivativeError` for an unknown way of handling errors or a number of cores below one."""
    if error_handling not in ERROR_HANDLING:
        raise DerivativeError(
            f"error_handling is {error_handling!r}; it can be {', '.join(map(repr, ERROR_HANDLING))}."
        )
    if n_cores < 1:
        raise DerivativeError(f"n_cores is {n_cores}; give the number of processes to use, at least 1.")


def _raised(error: Exception) -> str:
    return f"raised {type(error).__name__}: {error}"


def _not_finite(output: Vector, bad: NDArray[np.intp], describe_output: Describe) -> str:
    first = int(bad[0])
    more = f" (and {bad.size - 1} more)" if bad.size > 1 else ""
    return f"returned {output[first]} in {describe_output(first)}{more}"
