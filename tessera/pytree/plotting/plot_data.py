"""Tidy tables behind the plots of an optimisation's history and of trees of values.

Holds no drawing (`plots` does that) and evaluates no function of the user (`slices` does). Every function returns a
table with one row a point, so that any plotting library can draw it.

With `v_i` the criterion at evaluation `i` and `b_i = min (v_1 ... v_i)` the best so far (max where the run maximises),
the distance of `convergence_data` is `|b_i - v*| / |v_1 - v*|`, or `||x(b_i) - x*|| / ||x_1 - x*||` for parameters.

Shapes: `m` evaluations of `n` parameters; `History.x` is `(m, n)`, `History.value` and `History.seconds` are `(m,)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import ConfigError, StructureError
from tessera.pytree.plotting.grouping import ParameterGroup, group_parameters
from tessera.pytree.plotting.svg import Scale
from tessera.pytree.registry import Registry
from tessera.pytree.tree import TreeSpec

MAX_PARAMETERS = 60
"""Parameters that a plot of paths draws unless it is told which; of more, it takes those that moved most."""

MAX_POINTS = 400
"""Evaluations that a line is drawn through at most."""

_LOG_FROM = 100.0  # a positive criterion that falls by this factor is drawn on a log scale
_LARGEST = 1e300  # differences of numbers up to here are finite

Selector = Callable[[Any], Any]
_Vector = npt.NDArray[np.float64]


class HistoryLike(Protocol):
    """What the plots need of a history: `tessera.pytree.optimisation.history.History` has it."""

    @property
    def spec(self) -> TreeSpec:
        """Structure of the parameters."""

    @property
    def x(self) -> _Vector:
        """Parameters of every evaluation, shape (m, n)."""

    @property
    def value(self) -> _Vector:
        """Criterion of every evaluation, shape (m,)."""

    @property
    def seconds(self) -> _Vector:
        """Seconds since the start at the end of every evaluation, shape (m,)."""


def history_of(result: Any) -> HistoryLike:
    """The history of a result, or the history itself.

    Raises:
        ConfigError: there is none, or it holds no evaluation.
    """
    history: Any = result if hasattr(result, "value") and hasattr(result, "x") else getattr(result, "history", None)
    if history is None or not all(hasattr(history, name) for name in ("spec", "x", "value", "seconds")):
        raise ConfigError(
            f"there is no history in this {type(result).__name__}; wanted an OptimizeResult or its history. A result "
            "keeps one if minimize or maximize is called with history=True."
        )
    if len(history.value) == 0:
        raise ConfigError("the history holds no evaluation yet; plot it after the first one.")
    found: HistoryLike = history
    return found


def with_params(history: Any) -> tuple[HistoryLike, npt.NDArray[np.int64]]:
    """The part of a history whose parameters are kept (all, but of large problems), and the numbers of its evaluations.

    Raises:
        ConfigError: no parameters are kept.
    """
    part: HistoryLike = history.kept() if hasattr(history, "kept") else history
    if len(part.x) == 0:
        raise ConfigError("the history holds no parameters; call minimize or maximize with history=True to keep some.")
    return part, np.asarray(getattr(history, "evaluations", np.arange(len(part.value))), dtype=np.int64)


def histories_of(results: Any) -> dict[str, HistoryLike]:
    """Name -> history, of one result, a mapping of results by name, or a list of results."""
    if isinstance(results, Mapping):
        named = {str(name): result for name, result in results.items()}
    elif isinstance(results, Sequence) and not isinstance(results, str):
        named = {}
        for number, result in enumerate(results):
            name = str(getattr(result, "algorithm", None) or f"run {number}")
            named[f"{name} ({number})" if name in named else name] = result
    else:
        named = {str(getattr(results, "algorithm", None) or "run"): results}
    if not named:
        raise ConfigError("no result was given; wanted an OptimizeResult, a list of them, or a mapping of name -> one.")
    return {name: history_of(result) for name, result in named.items()}


def is_maximization(history: HistoryLike) -> bool:
    """Whether larger values of the criterion are better in this run."""
    return getattr(history, "direction", "minimize") == "maximize"


def best_so_far(history: HistoryLike) -> _Vector:
    """The best criterion up to every evaluation, shape (m,); evaluations without a number are passed over."""
    value = np.asarray(history.value, dtype=np.float64)
    finite = np.where(np.isfinite(value), value, np.nan)
    best: _Vector = (np.fmax if is_maximization(history) else np.fmin).accumulate(finite)
    return best


def best_evaluation(history: HistoryLike) -> npt.NDArray[np.int64]:
    """Number of the evaluation that is the best up to every evaluation, shape (m,); the first wins a tie."""
    best = best_so_far(history)
    improved = np.r_[True, (best[1:] != best[:-1]) & np.isfinite(best[1:])]
    return np.maximum.accumulate(np.where(improved, np.arange(len(best)), 0)).astype(np.int64)


def thin(n: int, most: int = MAX_POINTS, *, keep: Sequence[int] = ()) -> npt.NDArray[np.int64]:
    """At most `most` numbers out of `0 ... n-1`, evenly spaced with both ends, and those to keep."""
    even = np.linspace(0, n - 1, min(n, most)).round()
    return np.unique(np.r_[even, np.asarray(keep, dtype=np.float64)]).astype(np.int64)


def criterion_data(results: Any) -> pd.DataFrame:
    """Criterion by evaluation.

    Args:
        results: an `OptimizeResult` or `History`, a list of them, or a mapping of name -> one.

    Returns:
        Columns `run`, `evaluation` (0, 1, ...), `seconds`, `value`, `best` (so far); one row an evaluation.
    """
    tables = []
    for name, history in histories_of(results).items():
        m = len(history.value)
        columns = {"run": name, "evaluation": np.arange(m), "seconds": history.seconds, "value": history.value}
        tables.append(pd.DataFrame({**columns, "best": best_so_far(history)}))
    return pd.concat(tables, ignore_index=True)


def criterion_scale(value: _Vector, best: _Vector, log: bool | None = None) -> Scale | None:
    """The vertical scale that suits a criterion: logarithmic where it helps, and without what is far off.

    The best values say where a run goes; trial points of a line search may lie many orders of magnitude away and are
    left out of view.

    Args:
        value: the criterion of every evaluation, (m,).
        best: the best so far, (m,).
        log: settles the question; by default logarithmic where nothing is negative and the best falls by a factor of
            100. Zeros are then below the scale.

    Returns:
        None where no value is finite, or none is positive and a log scale was asked for.
    """
    value, best = (np.clip(part[np.isfinite(part)], -_LARGEST, _LARGEST) for part in (value, best))
    if not value.size:
        return None
    positive = best[best > 0]
    if log if log is not None else value.min() >= 0 and positive.size and positive.max() > _LOG_FROM * positive.min():
        positive = value[value > 0]
        return Scale(float(positive.min()), float(positive.max()), log=True) if positive.size else None
    reach = max(float(np.ptp(best)), 1e-12 * float(np.abs(best).max()), 1e-300)
    return Scale(max(float(value.min()), float(best.min()) - reach), min(float(value.max()), float(best.max()) + reach))


def convergence_data(
    results: Any,
    *,
    optimum: Any = None,
    measure: Literal["criterion", "params"] = "criterion",
    normalize: bool = True,
) -> pd.DataFrame:
    """Distance of the best point so far from the optimum.

    Args:
        results: as for `criterion_data`.
        optimum: the criterion at the optimum or, for `measure="params"`, the tree of parameters there. Default: the
            best that any of the runs found.
        measure: "criterion" (absolute difference) or "params" (Euclidean distance).
        normalize: divide by the distance of the start, so that every run begins at 1.

    Returns:
        Columns `run`, `evaluation`, `seconds`, `distance`.

    Raises:
        ConfigError: an unknown measure, or runs without any finite value.
        StructureError: an optimum whose structure is not that of the parameters.
    """
    if measure not in ("criterion", "params"):
        raise ConfigError(f"convergence: measure is {measure!r}; wanted 'criterion' or 'params'.")
    histories = histories_of(results)
    tables = []
    goal = _best_of_all(histories, measure) if optimum is None else optimum
    for name, whole in histories.items():
        history, numbers = (whole, np.arange(len(whole.value))) if measure == "criterion" else with_params(whole)
        if measure == "criterion":
            distance = np.abs(best_so_far(history) - float(goal))
        else:
            aim = goal if optimum is None else history.spec.ravel(optimum)
            distance = np.linalg.norm(np.asarray(history.x)[best_evaluation(history)] - aim, axis=1)
        if normalize:
            first = distance[np.isfinite(distance) & (distance > 0)]
            distance = distance / (first[0] if first.size else 1.0)
        columns = {"run": name, "evaluation": numbers, "seconds": history.seconds}
        tables.append(pd.DataFrame({**columns, "distance": distance}))
    return pd.concat(tables, ignore_index=True)


def _best_of_all(histories: Mapping[str, HistoryLike], measure: str) -> Any:
    ends = {name: float(best_so_far(history)[-1]) for name, history in histories.items()}
    finite = {name: end for name, end in ends.items() if np.isfinite(end)}
    if not finite:
        raise ConfigError(f"no finite value of the criterion in {', '.join(ends)}; there is nothing to converge to.")
    upwards = is_maximization(next(iter(histories.values())))
    winner = (max if upwards else min)(finite, key=lambda name: finite[name])
    if measure == "criterion":
        return finite[winner]
    specs = {name: history.spec for name, history in histories.items()}
    for name, spec in specs.items():
        difference = specs[winner].diff(spec)
        if difference is not None:
            raise StructureError(f"the parameters of {winner} and {name} cannot be compared: {difference}.")
    history, _ = with_params(histories[winner])
    return np.asarray(history.x)[best_evaluation(history)[-1]]


def params_data(
    result: Any,
    *,
    selector: Selector | None = None,
    max_parameters: int = MAX_PARAMETERS,
    max_size: int = 8,
    max_points: int = MAX_POINTS,
) -> pd.DataFrame:
    """Paths of the parameters, in groups that suit a line plot each.

    Args:
        result: an `OptimizeResult` or `History`.
        selector: function of the tree of parameters that returns those to show. Without it, all are shown or, of more
            than `max_parameters`, those that moved most relative to their start.
        max_parameters: see `selector`; a selection is never cut.
        max_size: most parameters of a group.
        max_points: most evaluations, evenly spaced; the best is one more.

    Returns:
        Columns `group` (number), `title`, `name`, `label`, `position` (in the flat vector), `evaluation`, `value`;
        always with the first evaluation, the last and the best.
    """
    history, numbers = with_params(history_of(result))
    x = np.asarray(history.x, dtype=np.float64)
    chosen = select_positions(history.spec, selector, "params_plot") if selector else moved_most(x, max_parameters)
    groups = group_parameters(history.spec, x[0], positions=chosen, max_size=max_size)
    rows = thin(len(x), max_points, keep=[int(best_evaluation(history)[-1])])
    tables = [
        pd.DataFrame(
            {"group": number, "title": group.title, "name": name, "label": label, "position": position,
             "evaluation": numbers[rows], "value": x[rows, position]}
        )
        for number, group in enumerate(groups)
        for name, label, position in zip(group.names, group.labels, group.positions, strict=True)
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def moved_most(x: _Vector, most: int) -> npt.NDArray[np.int64]:
    """Positions of the parameters with the widest range relative to their start, in order, shape (most,)."""
    if x.shape[1] <= most:
        return np.arange(x.shape[1])
    size = np.abs(x[0])
    typical = float(np.median(size[size > 0])) if (size > 0).any() else 1.0
    moved = np.ptp(x, axis=0) / np.where(size > 0, size, typical)
    return np.sort(np.argsort(-moved, kind="stable")[:most])


def select_positions(spec: TreeSpec, selector: Selector, what: str) -> npt.NDArray[np.int64]:
    """Positions that a selector picks, unique and ascending.

    Raises:
        StructureError: the selector raises, picks nothing, or returns other things than parameters.
    """
    known = f"The leaves are {_some(spec.names)}."
    try:
        chosen = np.unique(np.asarray(spec.select(selector), dtype=np.int64))
    except Exception as error:
        raise StructureError(
            f"{what}: the selector raised {type(error).__name__}: {error}. It is called with the tree of parameters "
            f"and returns those to draw. {known}"
        ) from error
    if chosen.size == 0:
        raise StructureError(f"{what}: the selector returned no parameter; wanted one at least. {known}")
    return chosen


def _some(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(name or "the tree itself" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def lollipop_data(
    data: Any,
    *,
    reference: Any = None,
    selector: Selector | None = None,
    registry: Registry | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> pd.DataFrame:
    """Values as stems: the columns of a table, or the groups of a tree.

    Args:
        data: a table without a `value` column (a panel a column, a stem a row: sensitivities of parameters to moments,
            say); an `OptimizeResult` (stems from the start to the solution); or any tree of numbers (a panel a group).
        reference: tree of values that the stems of a tree begin at, matched by path; zero without it.
        selector: function of the tree that returns what to show; all without it. Not for tables.
        registry: containers, in pybaum's format.
        is_leaf: ends the descent into containers where it is true.

    Returns:
        Columns `panel`, `name`, `label`, `reference`, `value`; one row a stem.
    """
    if isinstance(data, pd.DataFrame) and "value" not in data.columns:
        return _table_stems(data)
    if hasattr(data, "params") and hasattr(data, "start_params"):
        spec = data.spec
        data, reference = data.params, data.start_params if reference is None else reference
    else:
        spec = TreeSpec.of(data, registry=registry, is_leaf=is_leaf)
    values = spec.ravel(data)
    start = np.zeros(spec.size) if reference is None else spec.ravel(reference)
    chosen = select_positions(spec, selector, "lollipop_plot") if selector else None
    groups = group_parameters(spec, values, positions=chosen)
    return pd.concat([_group_stems(group, values, start) for group in groups], ignore_index=True)


def _group_stems(group: ParameterGroup, values: _Vector, start: _Vector) -> pd.DataFrame:
    places = list(group.positions)
    columns = {"panel": group.title, "name": group.names, "label": group.labels}
    return pd.DataFrame({**columns, "reference": start[places], "value": values[places]})


def _table_stems(table: pd.DataFrame) -> pd.DataFrame:
    numbers = table.select_dtypes("number")
    if numbers.shape[1] == 0 or len(numbers) == 0:
        raise StructureError(
            f"lollipop_plot: the table of shape {table.shape} has no numeric column or no row; the columns are "
            f"{_some([str(column) for column in table.columns])}. Wanted a table of numbers, or a tree."
        )
    names = [_text(label) for label in table.index]
    parts = [
        pd.DataFrame({"panel": _text(column), "name": names, "label": names, "reference": 0.0, "value": values})
        for column, values in zip(numbers.columns, numbers.to_numpy(dtype=np.float64).T, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def _text(label: Any) -> str:
    return "_".join(map(str, label)) if isinstance(label, tuple) else str(label)
