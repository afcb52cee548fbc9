"""What a solver calls: functions of the internal vector z, built from the user's functions of trees.

Signs are turned here: solvers always minimise. One evaluation is remembered, so that a value and a gradient at the same
z cost one call of a function that returns both. With `error_handling="continue"` a failed evaluation is given

    penalty(z) = f0 + max(|f0|, 1) / 10 + max(|f0|, 0.1) / 10 * |z - z0|

with f0 the value at the start z0: worse than any accepted point, and pointing back to the start. A start that fails is
always an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.errors import DerivativeError, FunctionError
from tessera.pytree.optimisation.criterion import Criterion, Evaluation
from tessera.pytree.spaces.places import name_position
from tessera.pytree.spaces.transforms import Simplex, Vector

if TYPE_CHECKING:
    from tessera.pytree.optimisation.criterion_derivative import CriterionDerivative
    from tessera.pytree.optimisation.history import History
    from tessera.pytree.spaces.space import Space

# Seconds between two writings of the dashboard, and how often its own cost must fit in between.
_REFRESH = 3.0
_SHARE = 20.0


class Problem:
    """The functions of z that a solver gets, with counters and history.

    Args:
        space: z to parameters.
        criterion: the user's function, read.
        closed_form: the user's derivative, read; None for numerical derivatives.
        fun_and_jac: the user's function that returns both; None where there is none.
        history: gets every evaluation.
        numdiff_options: of `differences.jacobian`.
        keep_going: penalise failures instead of raising.
        dashboard: file to be written every few seconds.
    """

    def __init__(
        self,
        space: Space,
        criterion: Criterion,
        closed_form: CriterionDerivative | None,
        fun_and_jac: Callable[[Any], Any] | None,
        history: History,
        numdiff_options: Mapping[str, Any] | None,
        *,
        keep_going: bool,
        dashboard: Path | None,
    ) -> None:
        self.space, self.criterion, self.closed_form, self.fun_and_jac = space, criterion, closed_form, fun_and_jac
        self.history, self.numdiff_options = history, dict(numdiff_options or {})
        self.keep_going, self.dashboard, self._next_page = keep_going, dashboard, 0.0
        self.sign = -1.0 if history.direction == "maximize" else 1.0
        self.n_fun_evals = self.n_jac_evals = self.n_failures = 0
        self._bounded = bool(np.isfinite(space.lower).any() or np.isfinite(space.upper).any())
        # The last z, the same within its bounds, and its parameters.
        self._z: Vector | None = None
        self._inner = self._x = np.zeros(0)
        self._now: Evaluation | None = None
        self._derivative: Any = None
        self.best: tuple[Vector, Evaluation] | None = None
        self.start: tuple[Vector, Evaluation] | None = None

    # --- called by solvers --------------------------------------------------------------------------------------------

    def value(self, z: Vector) -> float:
        """The number to minimise; raises `FunctionError`, or returns the penalty, where the criterion fails."""
        evaluation = self._at(z)
        return self._penalty(z)[0] if evaluation is None else self.sign * evaluation.value

    def residuals(self, z: Vector) -> Vector:
        """The root contributions (m,)."""
        evaluation = self._at(z)
        if evaluation is None:
            return self._penalty_roots(z)[0]
        assert evaluation.residuals is not None
        return evaluation.residuals

    def gradient(self, z: Vector) -> Vector:
        """The gradient of `value` (n_internal,)."""
        if self._at(z) is None:
            return self._penalty(z)[1]
        if self.closed_form is None:
            return self._numerical(self._plain_value, self.value(z))[0]
        gradient = self._closed(self.closed_form.gradient)
        if self.sign < 0:
            gradient = -gradient
        return self.space.pull_back(self._inner, gradient)

    def jacobian(self, z: Vector) -> Vector:
        """The Jacobian of `residuals` (m, n_internal)."""
        if self._at(z) is None:
            return self._penalty_roots(z)[1]
        if self.closed_form is None:
            return self._numerical(self._plain_residuals, self.residuals(z))
        return self.space.pull_back(self._inner, self._closed(self.closed_form.jacobian))

    # --- after the solver ---------------------------------------------------------------------------------------------

    def evaluate_final(self, z: Vector) -> Evaluation:
        """The evaluation at the solution: the one remembered, or a new one."""
        for known in (self.best, self.start):
            if known is not None and np.array_equal(known[0], z):
                return known[1]
        if self._now is not None and self._z is not None and np.array_equal(self._z, z):
            return self._now
        x = self.space.to_external(z)
        evaluation = self._call(x)[0]
        self.history.append(x, evaluation.value)
        return evaluation

    def external_gradient(self, x: Vector, output: Any) -> Vector:
        """The gradient of the value by the external parameters (n,), with the user's sign, as if unconstrained.

        Args:
            x: (n,) external parameters.
            output: of the criterion there.
        """
        spec = self.space.spec
        if self.closed_form is not None:
            params = spec.unravel(x)
            derivative = self.closed_form(params) if self.fun_and_jac is None else self._both(params)[1]
            return self.closed_form.gradient(derivative, output)
        from tessera.pytree.derivatives.differences import jacobian

        def value(vector: Vector) -> float:
            return self.criterion.read(self.criterion(spec.unravel(vector))).value

        return jacobian(value, x, describe=lambda i: name_position(spec, i), **self.numdiff_options)[0][0]

    # --- evaluation ---------------------------------------------------------------------------------------------------

    def _inside(self, z: Vector) -> Vector:
        """z moved into its bounds: some solvers step outside, and the user's functions are never called there."""
        return np.clip(z, self.space.lower, self.space.upper) if self._bounded else z

    def _at(self, z: Vector) -> Evaluation | None:
        """The evaluation at z, remembered or made; None where it failed and failures are penalised."""
        if self._z is not None and np.array_equal(self._z, z):
            return self._now
        self._z, self._derivative, self._now = np.array(z), None, None
        self._inner = self._inside(self._z)
        self._x = x = self.space.to_external(self._inner)
        try:
            self._now, self._derivative = self._call(x)
        except FunctionError as error:
            self._z = None if not self.keep_going else self._z
            if not self.keep_going or self.start is None:
                hint = "" if self.start is None else " error_handling='continue' penalises such points instead."
                raise FunctionError(self._locate(error, self.history.n_evals) + hint) from error
            self.n_failures += 1
            self.history.append(x, np.nan)
            return None
        evaluation = self._now
        self.history.append(x, evaluation.value)
        if self.start is None:
            self.start = (self._z, evaluation)
        if self.best is None or self.sign * evaluation.value < self.sign * self.best[1].value:
            self.best = (self._z, evaluation)
        self._show()
        return evaluation

    def _call(self, x: Vector) -> tuple[Evaluation, Any]:
        """The evaluation at external parameters, with the derivative where one function returns both."""
        self.n_fun_evals += 1
        params = self.space.spec.unravel(x)
        if self.fun_and_jac is None:
            return self.criterion.read(self.criterion(params)), None
        output, derivative = self._both(params)
        return self.criterion.read(output), derivative

    def _both(self, params: Any) -> tuple[Any, Any]:
        assert self.fun_and_jac is not None
        try:
            output, derivative = self.fun_and_jac(params)
        except Exception as error:
            raise FunctionError(f"fun_and_jac raised {type(error).__name__}: {error}") from error
        return output, derivative

    def _closed(self, read: Callable[[Any, Any], Vector]) -> Vector:
        assert self._now is not None and self.closed_form is not None
        self.n_jac_evals += 1
        derivative = self._derivative
        if derivative is None:
            derivative = self.closed_form(self.space.spec.unravel(self._x))
        self._derivative = None
        try:
            return read(derivative, self._now.output)
        except DerivativeError as error:
            raise DerivativeError(self._locate(error, self.history.n_evals - 1)) from error

    def _locate(self, error: Exception, evaluation: int) -> str:
        return f"{f'at evaluation {evaluation}' if evaluation else 'at the start'}: {error}"

    # --- numerical derivatives ----------------------------------------------------------------------------------------

    def _plain_value(self, z: Vector) -> float:
        return self.sign * self._call(self.space.to_external(z))[0].value

    def _plain_residuals(self, z: Vector) -> Vector:
        residuals = self._call(self.space.to_external(z))[0].residuals
        assert residuals is not None
        return residuals

    def _numerical(self, function: Callable[[Vector], Any], f0: Any) -> Vector:
        from tessera.pytree.derivatives.differences import jacobian

        options = {"error_handling": "continue" if self.keep_going else "raise", **self.numdiff_options}
        self.n_jac_evals += 1
        counted = self.n_fun_evals
        matrix, n_evals = jacobian(
            function,
            self._inner,
            lower=self.space.lower,
            upper=self.space.upper,
            f0=f0,
            describe=self.name_internal,
            **options,
        )
        self.n_fun_evals = counted + n_evals  # also where they were made by other processes
        return np.nan_to_num(matrix, nan=0.0) if self.keep_going else matrix

    def name_internal(self, number: int) -> str:
        """An internal parameter by name: the parameter that it is, or the constraint's number of it."""
        space = self.space
        if space.plain is None or number < len(space.plain):
            return self._name_reduced(number if space.plain is None else space.plain[number])
        for transform, stretch in zip(space.transforms, space.stretches, strict=True):
            if stretch.start <= number < stretch.stop:
                inner = number - stretch.start
                if isinstance(transform, Simplex):
                    return f"the share of {self._name_reduced(transform.positions[transform.others[inner]])}"
                first = self._name_reduced(transform.positions[0])
                return f"number {inner} of the {type(transform).__name__} that begins at {first}"
        return f"internal parameter {number}"

    def _name_reduced(self, number: int) -> str:
        return name_position(self.space.spec, int(self.space.ties.first(np.array([number]))[0]))

    # --- penalties ----------------------------------------------------------------------------------------------------

    def _penalty(self, z: Vector) -> tuple[float, Vector]:
        assert self.start is not None
        base = self.sign * self.start[1].value
        away = z - self.start[0]
        length = float(np.linalg.norm(away))
        slope = 0.1 * max(abs(base), 0.1)
        direction = away / length if length > 0 else np.zeros_like(away)
        return base + 0.1 * max(abs(base), 1.0) + slope * length, slope * direction

    def _penalty_roots(self, z: Vector) -> tuple[Vector, Vector]:
        """Residuals whose sum of squares is the penalty, and their Jacobian."""
        assert self.start is not None and self.start[1].residuals is not None
        count = len(self.start[1].residuals)
        value, gradient = self._penalty_of_squares(z)
        root = np.sqrt(value / count)
        return np.full(count, root), np.broadcast_to(gradient / (2 * count * root), (count, len(z))).copy()

    def _penalty_of_squares(self, z: Vector) -> tuple[float, Vector]:
        assert self.start is not None and self.start[1].residuals is not None
        squares = float(self.start[1].residuals @ self.start[1].residuals)
        away = z - self.start[0]
        length = float(np.linalg.norm(away))
        slope = 0.1 * max(squares, 0.1)
        return squares + 0.1 * max(squares, 1.0) + slope * length, slope * away / max(length, 1e-300)

    # --- dashboard ----------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        if self.dashboard is None:
            return
        began = time.perf_counter()
        if began < self._next_page:
            return
        from tessera.pytree.dashboard import write_dashboard

        write_dashboard(self.history, self.dashboard)
        ended = time.perf_counter()
        self._next_page = ended + max(_REFRESH, _SHARE * (ended - began))
