"""Reading large delimited files in bounded memory: few rows at a time where rows are wide, kept in small types.

Holds no knowledge of any source. A parser holds every cell of the rows that it is given, wanted or not: about eight
bytes each beside the text. Files of thousands of columns are therefore read a few thousand rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.sources.columns import Column
from tessera.sources.csvfile import CsvTable, header, read_chunks, unique_rows

CELLS = 10_000_000
MAX_ROWS = 100_000
Keep = Callable[[pd.DataFrame, int], npt.NDArray[np.bool_]]
"""Rows to keep of a part: (part, rows read before it) -> mask, (n_rows,)."""


def rows_at_a_time(table: CsvTable) -> int:
    """How many rows of a file are read together: `CELLS` cells, and at most `MAX_ROWS` rows."""
    return int(np.clip(CELLS // len(header(table)), 1, MAX_ROWS))


def read_compact(
    table: CsvTable,
    columns: Sequence[Column],
    *,
    keep: Keep | None = None,
    keys: Sequence[str] = (),
    chunk: int | None = None,
) -> pd.DataFrame:
    """The needed columns of a large table, with integers in the smallest type that holds them.

    Args:
        table: the file.
        columns: needed columns.
        keep: which rows to keep; all if absent. It may raise on what it must not see.
        keys: columns that no two kept rows may share; not checked if empty.
        chunk: rows parsed together; by the width of the file if absent.

    Returns:
        One row a kept record, fresh index; no rows if none is kept.

    Raises:
        SourceError: as `read_chunks` and `unique_rows` do.
    """
    parts, seen = [], 0
    for part in read_chunks(table, columns, chunk or rows_at_a_time(table)):
        kept = part if keep is None else part[keep(part, seen)]
        seen += len(part)
        parts.append(_compact(kept, columns))
    if not parts:
        return pd.DataFrame(columns=[column.name for column in columns])
    whole = pd.concat(parts, ignore_index=True)
    if keys and len(whole):
        unique_rows(table, whole, keys)
    return whole


def _compact(part: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    smaller: dict[str, pd.Series] = {}
    for column in columns:
        values = part[column.name]
        if pd.api.types.is_integer_dtype(values):
            smaller[column.name] = pd.to_numeric(values, downcast="integer")
        elif column.kind == "float" and column.unit == "code":
            # Codes have few digits; amounts and weights keep all of theirs.
            smaller[column.name] = values.astype(np.float32)
    return part.assign(**smaller)
