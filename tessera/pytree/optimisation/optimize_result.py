"""What an optimisation returns. Trees and reports are made from flat vectors on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tessera.errors import DerivativeError
from tessera.pytree.optimisation.history import Direction, History
from tessera.pytree.spaces.places import name_position
from tessera.pytree.spaces.transforms import Vector

if TYPE_CHECKING:
    from tessera.pytree.spaces.space import Space
    from tessera.pytree.tree import TreeSpec

_SHOWN = 8


@dataclass(frozen=True, eq=False, repr=False)
class OptimizeResult:
    """The result of `minimize` or `maximize`.

    Attributes:
        spec: structure of the parameters.
        space: external and internal parameters.
        x: (n,) the solution as a flat vector.
        fun: the value there, with the user's sign.
        fun_output: all that the criterion returned there.
        start_x, start_fun: the start.
        success: whether the solver says that it converged.
        message: what it says.
        algorithm: its name.
        direction: "minimize" or "maximize".
        n_fun_evals: calls of the criterion, those of numerical derivatives included.
        n_jac_evals: derivatives, closed-form or numerical.
        n_failures: evaluations that failed and were penalised.
        n_iterations: of the solver; for least squares its Jacobians; None where it does not count.
        history: value and time of every evaluation, and parameters.
    """

    spec: TreeSpec
    space: Space
    x: Vector
    fun: float
    fun_output: Any
    start_x: Vector
    start_fun: float
    success: bool
    message: str
    algorithm: str
    direction: Direction
    n_fun_evals: int
    n_jac_evals: int
    n_failures: int
    n_iterations: int | None
    history: History
    _gradient: Callable[[Vector], Vector] | None = field(default=None)

    @cached_property
    def params(self) -> Any:
        """The solution, with the structure of the start values."""
        return self.spec.unravel(self.x)

    @cached_property
    def start_params(self) -> Any:
        """The start values (with fixed values put in)."""
        return self.spec.unravel(self.start_x)

    @property
    def solution_params(self) -> Any:
        """EEP-01's name of `params`."""
        return self.params

    @property
    def solution_criterion(self) -> Any:
        """EEP-01's name of `fun_output`."""
        return self.fun_output

    @cached_property
    def jac(self) -> Vector:
        """The gradient of the value by the external parameters, (n,), as if unconstrained; evaluated on first use."""
        if self._gradient is None:
            raise DerivativeError("the gradient is not part of a stored result; take it with first_derivative.")
        return self._gradient(self.x)

    @cached_property
    def convergence(self) -> pd.DataFrame:
        """How much the last steps changed: rows by kind of change, columns `one_step` and `five_steps`.

        A step is an evaluation better than all before. Relative changes are to max(|last|, 0.1) for the value and
        element by element for parameters. NaN where there are no such steps or their parameters were not kept.
        """
        steps = np.flatnonzero(self.history.accepted)
        columns = {name: self._changes(steps, back) for name, back in (("one_step", 1), ("five_steps", 5))}
        index = ["relative_fun_change", "relative_params_change", "absolute_fun_change", "absolute_params_change"]
        return pd.DataFrame(columns, index=index)

    def _changes(self, steps: Any, back: int) -> list[float]:
        if len(steps) < 2:
            return [np.nan] * 4
        last, before = int(steps[-1]), int(steps[max(0, len(steps) - 1 - back)])
        kept = set(self.history.evaluations.tolist())
        value = abs(float(self.history.value[last] - self.history.value[before]))
        relative_x = absolute_x = np.nan
        if {last, before} <= kept:
            new, old = self.history.x_at(last), self.history.x_at(before)
            relative_x = float(np.linalg.norm((new - old) / np.maximum(np.abs(new), 0.1)))
            absolute_x = float(np.linalg.norm(new - old))
        return [value / max(abs(float(self.history.value[last])), 0.1), relative_x, value, absolute_x]

    @property
    def report(self) -> str:
        """The result in words: outcome, counts, last changes, and the parameters that moved most."""
        lines = [
            f"{self.direction.capitalize()} with {self.algorithm}: {'converged' if self.success else 'NOT CONVERGED'}",
            f"  {self.message.strip()}",
            f"  value        {self.start_fun:.10g} -> {self.fun:.10g}",
            f"  parameters   {self.space.n_external} ({self.space.n_internal} free)",
            f"  evaluations  {self.n_fun_evals} of the criterion, {self.n_jac_evals} derivatives"
            + ("" if self.n_iterations is None else f", {self.n_iterations} iterations")
            + (f", {self.n_failures} failed" if self.n_failures else ""),
        ]
        if self.history.n_evals:
            lines.append(f"  seconds      {self.history.seconds[-1]:.3g}")
        changes = self.convergence
        if changes.notna().to_numpy().any():
            lines += ["  last changes (one step, five steps)"]
            lines += [
                f"    {name.replace('_', ' '):24}{one:10.3g}{five:12.3g}" for name, one, five in changes.itertuples()
            ]
        return "\n".join([*lines, *self._moves()])

    def _moves(self) -> list[str]:
        moved = np.abs(self.x - self.start_x) / np.maximum(np.abs(self.start_x), 0.1)
        count = min(_SHOWN, len(moved))
        most = np.argpartition(-moved, count - 1)[:count] if count else np.zeros(0, dtype=np.int64)
        most = most[np.argsort(-moved[most], kind="stable")] if len(moved) > _SHOWN else np.arange(len(moved))
        title = "  parameters" if len(moved) <= _SHOWN else f"  the {count} parameters that moved most"
        names = [name_position(self.spec, int(position)) for position in most]
        width = max(map(len, names), default=0)
        return [
            f"{title} (start -> solution)",
            *(
                f"    {name:{width}}  {self.start_x[position]:.6g} -> {self.x[position]:.6g}"
                for name, position in zip(names, most, strict=True)
            ),
        ]

    def __repr__(self) -> str:
        return self.report

    def __getstate__(self) -> dict[str, Any]:
        # The user's functions stay behind; they cannot be stored.
        return {**self.__dict__, "_gradient": None, "space": replace(self.space, nonlinear=())}
