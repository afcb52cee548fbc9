"""Constraints on parameters, as the user writes them. What they do to the parameters is worked out in `space`.

Each constraint has a selector: a function of the parameters that returns some of them, in any tree. Where order
matters, it is the order of the flattened selection. The classes hold no parameters; EEP-01's dict form
`{"type": ..., "selector": ..., ...}` is read by `read_constraints`, as are `loc` and `query` where the parameters are a
single DataFrame with a `value` column.

| class | dict type | the selected numbers x |
| --- | --- | --- |
| `Fixed` | fixed | stay at the start, or at `value` |
| `Equal` | equality | are all the same |
| `PairwiseEqual` | pairwise_equality | first of each selection the same, second the same, ... |
| `Increasing`, `Decreasing` | increasing, decreasing | x_1 <= x_2 <= ..., or >= |
| `Probability` | probability | x >= 0, sum 1 |
| `Linear` | linear | lower <= weights @ x <= upper, or == value |
| `Covariance` | covariance | lower triangle of a covariance matrix, row by row, with the diagonal |
| `SdCorr` | sdcorr | d standard deviations, then the correlations below the diagonal, row by row |
| `Nonlinear` | nonlinear | lower <= func(selection) <= upper, or == value |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from tessera.errors import ConstraintError

Selector = Callable[[Any], Any]


class Constraint:
    """Base of all constraints; `name` is the type in the dict form."""

    name = ""

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The selectors of the constraint, one but for `PairwiseEqual`."""
        return (self.selector,)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Fixed(Constraint):
    """The selected parameters keep their start values, or the values given.

    Attributes:
        selector: of the parameters.
        value: a number or a tree like the selection; None for the start values.
    """

    selector: Selector
    value: Any = None
    name = "fixed"


@dataclass(frozen=True)
class Equal(Constraint):
    """The selected parameters all have the same value."""

    selector: Selector
    name = "equality"


@dataclass(frozen=True, init=False)
class PairwiseEqual(Constraint):
    """Several selections of the same length are the same, element by element: `PairwiseEqual(first, second, ...)`."""

    group: tuple[Selector, ...]
    name = "pairwise_equality"

    def __init__(self, *selectors: Selector) -> None:
        object.__setattr__(self, "group", tuple(selectors))

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The selectors, in the order given."""
        return self.group


@dataclass(frozen=True)
class Increasing(Constraint):
    """Each selected parameter is at least as large as the one before."""

    selector: Selector
    name = "increasing"


@dataclass(frozen=True)
class Decreasing(Constraint):
    """Each selected parameter is at most as large as the one before."""

    selector: Selector
    name = "decreasing"


@dataclass(frozen=True)
class Probability(Constraint):
    """The selected parameters are not negative and sum to 1."""

    selector: Selector
    name = "probability"


@dataclass(frozen=True)
class Linear(Constraint):
    """Weighted sums of the selected parameters are within limits.

    Attributes:
        selector: of k parameters.
        weights: one number for all, (k,) numbers, a matrix (rows, k), or a tree like the selection.
        lower, upper: limits of the sums, a number or (rows,).
        value: what the sums equal; in place of `lower` and `upper`.
    """

    selector: Selector
    weights: Any = 1.0
    lower: Any = None
    upper: Any = None
    value: Any = None
    name = "linear"


@dataclass(frozen=True)
class Covariance(Constraint):
    """The selected parameters are the lower triangle of a covariance matrix.

    Attributes:
        selector: of d (d + 1) / 2 parameters: row by row, diagonal included.
        regularization: least diagonal element of the Cholesky factor, to stay away from singular matrices.
    """

    selector: Selector
    regularization: float = 0.0
    name = "covariance"


@dataclass(frozen=True)
class SdCorr(Constraint):
    """The selected parameters are standard deviations and correlations.

    Attributes:
        selector: of d standard deviations, then d (d - 1) / 2 correlations: below the diagonal, row by row.
        regularization: least standard deviation.
    """

    selector: Selector
    regularization: float = 0.0
    name = "sdcorr"


@dataclass(frozen=True)
class Nonlinear(Constraint):
    """A function of the selected parameters is within limits. For solvers that take nonlinear constraints.

    Attributes:
        selector: of k parameters.
        func: takes what the selector returns, gives a number or a tree of m numbers.
        jac: derivative of `func` in the block structure of `first_derivative`, or a matrix (m, k); None for numerical.
        lower, upper: limits, a number or (m,).
        value: what `func` equals; in place of `lower` and `upper`.
    """

    selector: Selector
    func: Callable[[Any], Any]
    jac: Callable[[Any], Any] | None = None
    lower: Any = None
    upper: Any = None
    value: Any = None
    name = "nonlinear"


_CLASSES: dict[str, type[Any]] = {
    cls.name: cls
    for cls in (Fixed, Equal, PairwiseEqual, Increasing, Decreasing, Probability, Linear, Covariance, SdCorr, Nonlinear)
}
# Other spellings of the field, most of them of estimagic's dict form.
_ALIASES = {
    "lower_bound": "lower",
    "lower_bounds": "lower",
    "upper_bound": "upper",
    "upper_bounds": "upper",
    "values": "value",
    "weight": "weights",
    "derivative": "jac",
    "fun": "func",
    "bounds_distance": "regularization",
}


def read_constraints(constraints: Any) -> tuple[Constraint, ...]:
    """Constraints in any accepted form: None, one constraint, or several in any iterable; each a class or a dict.

    Raises:
        ConstraintError: for an unknown type, missing or unknown entries; names the number of the constraint.
    """
    if constraints is None:
        return ()
    if isinstance(constraints, Constraint | Mapping):
        constraints = [constraints]
    if not isinstance(constraints, Iterable):
        raise ConstraintError(f"constraints is a {type(constraints).__name__}; give constraints or dicts in a list.")
    return tuple(_read_one(constraint, number) for number, constraint in enumerate(constraints))


def _read_one(constraint: Any, number: int) -> Constraint:
    if isinstance(constraint, Constraint):
        _check_callables(constraint, f"constraint {number} ({constraint.name})")
        return constraint
    if not isinstance(constraint, Mapping):
        raise ConstraintError(
            f"constraint {number} is a {type(constraint).__name__}; give an object such as Fixed(selector), or a dict "
            'with "type" and "selector".'
        )
    entries = dict(constraint)
    kind = entries.pop("type", None)
    if kind not in _CLASSES:
        raise ConstraintError(f"constraint {number} has type {kind!r}; the types are {', '.join(sorted(_CLASSES))}.")
    where = f"constraint {number} ({kind})"
    selectors = _read_selectors(entries, where)
    cls = _CLASSES[kind]
    if cls is PairwiseEqual:
        result: Constraint = PairwiseEqual(*selectors)
        if entries:
            raise ConstraintError(f"{where} has the unknown entries {sorted(entries)}; it takes selectors only.")
    else:
        result = _build(cls, selectors, entries, where)
    _check_callables(result, where)
    return result


def _build(cls: type[Any], selectors: list[Selector], entries: dict[str, Any], where: str) -> Constraint:
    known = {entry.name for entry in fields(cls)} - {"selector"}
    arguments = {_ALIASES.get(key, key): value for key, value in entries.items() if key not in {"id", "description"}}
    unknown = sorted(set(arguments) - known)
    if unknown:
        raise ConstraintError(f"{where} has the unknown entries {unknown}; it takes selector, {', '.join(known)}.")
    if len(selectors) != 1:
        raise ConstraintError(f"{where} has {len(selectors)} selectors; give one.")
    if cls is Nonlinear and "func" not in arguments:
        raise ConstraintError(f'{where} has no "func", the function of the selected parameters.')
    constraint: Constraint = cls(selectors[0], **arguments)
    return constraint


def _read_selectors(entries: dict[str, Any], where: str) -> list[Selector]:
    """Take the selecting entries out of a dict and turn `loc` and `query` into selectors."""
    found: list[Selector] = []
    for key, make in (("selector", None), ("loc", select_loc), ("query", select_query)):
        plural = {"query": "queries"}.get(key, f"{key}s")
        items = ([entries.pop(key)] if key in entries else []) + list(entries.pop(plural, []))
        found.extend(item if make is None else make(item) for item in items)
    if not found:
        raise ConstraintError(
            f'{where} selects nothing: give "selector", a function of the parameters that returns those it holds for '
            '(or "loc" or "query" where the parameters are one DataFrame with a value column).'
        )
    return found


def _check_callables(constraint: Constraint, where: str) -> None:
    for selector in constraint.selectors:
        if not callable(selector):
            raise ConstraintError(
                f"{where} has the selector {selector!r}; give a function, such as lambda params: params['a']."
            )
    if isinstance(constraint, PairwiseEqual) and len(constraint.group) < 2:
        raise ConstraintError(f"{where} has {len(constraint.group)} selectors; give two or more to be held equal.")
    if isinstance(constraint, Linear | Nonlinear):
        limits = constraint.lower is not None or constraint.upper is not None
        if limits == (constraint.value is not None):
            raise ConstraintError(f"{where} needs either value, or lower and/or upper.")
    if isinstance(constraint, Nonlinear) and not callable(constraint.func):
        raise ConstraintError(f"{where} has func {constraint.func!r}; give a function of the selected parameters.")


def select_loc(loc: Any) -> Selector:
    """The selector of `params.loc[loc]` for parameters that are one DataFrame with a `value` column."""

    def selector(params: Any) -> Any:
        return _value_column(params, "loc").loc[loc]

    return selector


def select_query(query: str) -> Selector:
    """The selector of `params.query(query)` for parameters that are one DataFrame with a `value` column."""

    def selector(params: Any) -> Any:
        _value_column(params, "query")
        return params.query(query)["value"]

    return selector


def _value_column(params: Any, entry: str) -> Any:
    columns = getattr(params, "columns", None)
    if columns is None or "value" not in columns:
        raise ConstraintError(
            f'"{entry}" is for parameters that are one DataFrame with a value column, not a '
            f'{type(params).__name__}; give a "selector".'
        )
    return params["value"]
