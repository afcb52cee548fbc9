"""Refusal of survey amounts below zero where the survey allows none.

Losses are asked for own businesses, farms and rents alone; every other amount starts at 0, its code for "none". A
negative one is a sign of a shifted column or of another file's code, and would pass through sums unseen.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from tessera.errors import SourceError


def refuse_negative(person: pd.DataFrame, columns: Iterable[str]) -> None:
    """Refuse the first negative amount of some columns; absent columns are passed over.

    Raises:
        SourceError: naming row, household, line, column and value.
    """
    for column in columns:
        if column not in person:
            continue
        values = person[column].to_numpy(dtype=np.float64)
        bad = np.flatnonzero(values < 0)
        if bad.size:
            row = int(bad[0])
            raise SourceError(
                f"ASEC person table row {row} (PH_SEQ {person['PH_SEQ'].iloc[row]}, line "
                f"{person['A_LINENO'].iloc[row]}): {column} is {values[row]:g} ({bad.size} such row(s)); wanted 0 or "
                "more, as only own businesses, farms and rents can lose. Is the column shifted? Fetch the file again."
            )
