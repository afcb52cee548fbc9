"""Reading a prepared source by name: one door to the readers, for whoever goes through all sources alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.sources.cps_asec import RawAsec
from tessera.sources.table import RawTable


def read_source(name: str, path: Path, year: int | None = None) -> RawAsec | RawTable:
    """Raw tables of a source.

    Args:
        name: of the source, as in `registry.sources()`.
        path: what `registry.prepare_source` gave for it.
        year: survey year that the CPS ASEC has to be of; None takes what the file is of. The other readers know theirs.

    Raises:
        SourceError: an unknown source, a file that its reader refuses, or an ASEC of another year.
    """
    from tessera.sources import acs_pums, cps_asec, cps_org, irs_puf, scf, sipp

    readers: dict[str, Callable[[Path], RawAsec | RawTable]] = {
        "cps_asec": lambda file: cps_asec.read(file, year),
        "irs_puf": irs_puf.read,
        "acs_pums": acs_pums.read,
        "sipp": sipp.read,
        "scf": scf.read,
        "cps_org": cps_org.read,
    }
    if name not in readers:
        raise SourceError(f"No source is called {name!r}; wanted one of {', '.join(readers)}.")
    return readers[name](path)


def tables_of(raw: RawAsec | RawTable) -> dict[str, pd.DataFrame]:
    """The tables of a raw source by record name."""
    if isinstance(raw, RawAsec):
        return {"household": raw.household, "family": raw.family, "person": raw.person}
    return {raw.name: raw.table, **raw.companions}
