"""Labels of numbers: matching two indexes, and turning them into text and into levels. Knows no leaves and no trees.

Two sets of labels are matched by value. The same labels in another order give a permutation; missing, extra or repeated
labels are an error, except that repeated labels are accepted where both indexes are identical. Against labels, an axis
without any (an array's) counts as labelled by its positions 0, 1, ..., n - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import StructureError

Positions = npt.NDArray[np.intp]


def same_labels(one: pd.Index | None, other: pd.Index | None) -> bool:
    """Whether two axes have the same labels in the same order; NaN equals NaN."""
    if one is other:
        return True
    if one is None or other is None:
        return False
    return len(one) == len(other) and bool(one.equals(other))


def positions_of(
    have: pd.Index | None, n_have: int, want: pd.Index | None, n_want: int, *, partial: bool = False
) -> Positions | None:
    """Where in `have` each label of `want` is, shape (n_want,); None where it is the same place for all.

    Args:
        have, want: the labels; None for positions.
        n_have, n_want: their numbers.
        partial: allow labels of `want` to be absent; they get -1.

    Raises:
        StructureError: without a path, naming labels that are missing, extra or repeated.
    """
    if same_labels(have, want) and n_have == n_want:
        return None
    if have is None and want is None and not partial:
        raise StructureError(f"{n_have} numbers instead of {n_want}")
    have = pd.RangeIndex(n_have) if have is None else have
    want = pd.RangeIndex(n_want) if want is None else want
    if same_labels(have, want):
        return None
    for index, whose in ((have, "the tree"), (want, "the structure")):
        if not index.is_unique:
            repeated = index[index.duplicated()].unique()
            raise StructureError(
                f"labels are repeated in {whose} ({_few(repeated)}), so that the numbers can only be matched where "
                "both have the same labels in the same order"
            )
    found = _indexer(have, want)
    missing = found < 0
    extra = _indexer(want, have) < 0
    if extra.any() or (missing.any() and not partial):
        parts = []
        if missing.any() and not partial:
            parts.append(f"missing labels {_few(want[missing])}")
        if extra.any():
            parts.append(f"extra labels {_few(have[extra])}")
        raise StructureError("; ".join(parts))
    return found


def label_texts(labels: pd.Index | None, size: int, sep: str = "_") -> list[str]:
    """Each label as text; the parts of a MultiIndex joined by `sep`."""
    if labels is None:
        return list(map(str, range(size)))
    if isinstance(labels, pd.MultiIndex):
        return list(map(sep.join, zip(*(level_texts(labels, level) for level in range(labels.nlevels)), strict=True)))
    return _texts(labels)


def level_texts(labels: pd.MultiIndex, level: int) -> list[str]:
    """One level of a MultiIndex as text, a text a row."""
    texts = np.array([*_texts(labels.levels[level]), "nan"], dtype=object)
    return texts[np.asarray(labels.codes[level])].tolist()


def label_levels(labels: pd.Index | None, size: int) -> list[Sequence[Any] | npt.NDArray[Any] | pd.Index]:
    """Labels as columns, one a level, each of length `size`."""
    if labels is None:
        return [np.arange(size)]
    if isinstance(labels, pd.MultiIndex):
        return [labels.get_level_values(level) for level in range(labels.nlevels)]
    return [labels]


def _texts(labels: pd.Index) -> list[str]:
    values = labels.tolist()
    if isinstance(labels, pd.RangeIndex) or labels.dtype.kind in "iufb":
        return list(map(str, values))
    if isinstance(labels, pd.DatetimeIndex) and labels.tz is None:
        return _dates(labels.to_numpy())
    return [value if type(value) is str else _text(value) for value in values]


def _dates(values: npt.NDArray[np.datetime64]) -> list[str]:
    days = values.astype("datetime64[D]")
    if ((days == values) | np.isnat(values)).all():
        return np.datetime_as_string(days).tolist()
    return [text.replace("T", " ") for text in np.datetime_as_string(values, unit="auto").tolist()]


def _text(value: Any) -> str:
    return "_".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _indexer(have: pd.Index, want: pd.Index) -> Positions:
    try:
        return np.asarray(have.get_indexer(want), dtype=np.intp)
    except (TypeError, ValueError, pd.errors.InvalidIndexError):  # labels that cannot be compared, or intervals
        return np.full(len(want), -1, dtype=np.intp)


def _few(labels: pd.Index, limit: int = 5) -> str:
    shown = ", ".join(repr(label) for label in labels[:limit].tolist())
    return f"{shown} and {len(labels) - limit} more" if len(labels) > limit else shown
