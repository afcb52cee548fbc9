"""Checks of options: each raises a `FitError` that names the option, the value seen and the value wanted."""

from __future__ import annotations

import math

from tessera.errors import FitError


def number(name: str, value: float, low: float, high: float, *, open_ends: bool = False) -> None:
    """A finite number between two others, which are allowed unless `open_ends`."""
    finite = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (finite and (low < value < high if open_ends else low <= value <= high)):
        between = f"above {low} and below {high}" if open_ends else f"from {low} to {high}"
        raise FitError(f"{name} is {value!r}; wanted a number {between}.")


def whole(name: str, value: int, low: int) -> None:
    """A whole number of at least `low`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise FitError(f"{name} is {value!r}; wanted a whole number of at least {low}.")


def fold(name: str, value: int | None, folds: int) -> None:
    """The number of one of some folds, or None."""
    if value is not None and not (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < folds):
        raise FitError(f"{name} is {value!r}; wanted a fold from 0 to {folds - 1} (holdout_folds - 1), or None.")


def choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """One of some words."""
    if value not in allowed:
        raise FitError(f"{name} is {value!r}; wanted one of {', '.join(allowed)}.")
