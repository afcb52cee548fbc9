"""Registry entries for the view of a tree as one of numbers: arrays, Series, frames and sparse matrices as containers.

In pybaum's format, so that pybaum's own functions take them too. Numbers become Python numbers one by one, which is
what this view is for and why `TreeSpec` does not use it: `ravel` reaches the same numbers as arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from tessera.errors import StructureError
from tessera.pytree.trees.labels import label_texts
from tessera.pytree.trees.leaves import Codec, OpaqueCodec, codec_of

Entry = dict[str, Callable[..., Any]]


def array_entry() -> Entry:
    """Entry for arrays: their elements in C order, named by position."""
    return {
        "flatten": lambda array: (array.reshape(-1).tolist(), array.shape),
        "unflatten": lambda shape, children: np.array(children).reshape(shape),
        "names": lambda array: ["_".join(map(str, place)) for place in np.ndindex(array.shape)],
    }


def table_entry(data_col: str) -> Entry:
    """Entry for Series, frames and sparse matrices: their numbers, named by label; the rest is kept to rebuild them.

    Args:
        data_col: the column that holds the numbers of a frame that has it; of other frames all numeric columns count.
    """
    return {
        "flatten": lambda table: _flatten(table, data_col),
        "unflatten": lambda codec, children: codec.build(np.array(children)),
        "names": lambda table: _names(_numeric_codec(table, data_col)),
    }


def entries(types: list[str], data_col: str) -> dict[type[Any], Entry]:
    """The entries for some of "numpy.ndarray", "pandas.Series", "pandas.DataFrame" and "scipy.sparse"."""
    found: dict[type[Any], Entry] = {}
    for name in types:
        if name == "numpy.ndarray":
            found[np.ndarray] = array_entry()
        elif name in {"pandas.Series", "pandas.DataFrame"}:
            found[pd.Series if name == "pandas.Series" else pd.DataFrame] = table_entry(data_col)
        elif name == "scipy.sparse":
            from scipy import sparse

            formats = [f"{name}_{kind}" for name in ("csr", "csc", "coo") for kind in ("array", "matrix")]
            found.update({getattr(sparse, name): table_entry(data_col) for name in formats})
        else:
            raise StructureError(
                f"unknown type {name!r}; wanted numpy.ndarray, pandas.Series, pandas.DataFrame or scipy.sparse. "
                "Give other types as entries in `extra`."
            )
    return found


def _flatten(table: Any, data_col: str) -> tuple[list[Any], Codec]:
    codec = _numeric_codec(table, data_col)
    return codec.numbers(table, data_col).reshape(-1).tolist(), codec


def _numeric_codec(table: Any, data_col: str) -> Codec:
    codec = codec_of(table, data_col)
    if isinstance(codec, OpaqueCodec):
        raise StructureError(f"{codec.what}; keep it out of the view of numbers with `is_leaf`.")
    return codec


def _names(codec: Codec) -> list[str]:
    per_axis = [label_texts(labels, size) for labels, size in zip(codec.labels, codec.shape, strict=True)]
    return ["_".join(parts) for parts in product(*per_axis)]
