"""The small tables of figures that ship beside the microdata modules, each line with its year and source.

Holds the reading; what the columns mean is documented where they are used.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources


@cache
def read_rows(name: str) -> tuple[dict[str, str], ...]:
    """Rows of `data/{name}.csv` as text, in file order; callers must not change them."""
    table = resources.files("tessera.microdata") / "data" / f"{name}.csv"
    with table.open(encoding="utf-8") as handle:
        return tuple(csv.DictReader(handle))
