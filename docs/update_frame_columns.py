"""Measure which source columns every column of the survey's frame comes from, and write them into its catalogue.

Run `python docs/update_frame_columns.py` after a change of what `build_cps` reads or makes. Each column of a synthetic
survey is shuffled among its rows, one at a time, and the frame is built again: what changes depends on that column.
Where a shuffled file is refused (sums of parts, pointers between persons), its amounts are made a tenth larger or
smaller instead. What cannot be measured so (identifiers, pointers, columns that are the same for everybody) keeps what
the catalogue (`tessera/microdata/data/frame_columns.csv`) says by hand, and so does what later stages add. Columns that
it does not know are added to it, with a meaning and a `how` to be filled in. A small survey does not show every
dependence, so what earlier runs found stays, unless told otherwise.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tessera.errors import TesseraError
from tessera.frame import ENTITIES, Frame
from tessera.microdata.catalogue import source_columns
from tessera.microdata.cps import build_cps
from tessera.sources import cps_asec
from tessera.sources.synthetic import cps_asec as writer
from tessera.store import write_bytes

CATALOGUE = Path(__file__).resolve().parents[1] / "tessera" / "microdata" / "data" / "frame_columns.csv"
FIELDS = ("entity", "name", "meaning", "stage", "optional", "sources", "how")
SEED = 1
IDENTIFIERS = ("PERIDNUM", "PH_SEQ", "P_SEQ", "H_SEQ", "FH_SEQ", "A_LINENO")


def main() -> None:
    """Update the catalogue."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs found, on other surveys")
    parser.add_argument("--households", type=int, default=800, help="of the survey that is shuffled (default: 800)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tessera-columns-") as folder:
        raw = cps_asec.read(writer.write(Path(folder), households=arguments.households, year=2025, seed=SEED))
    frame = build_cps(raw, seed=SEED)
    found, unknown = measured(raw, frame)
    with CATALOGUE.open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    known = {(row["entity"], row["name"]) for row in rows}
    order = [f"cps_asec.{name}" for name in source_columns("cps_asec")["column"]]
    rows = [row for row in rows if row["stage"] != "cps" or (row["entity"], row["name"]) in found]
    rows += [
        {"entity": entity, "name": name, "meaning": "", "stage": "cps", "optional": "no", "sources": "", "how": ""}
        for entity, name in columns_of(frame)
        if (entity, name) not in known
    ]
    for row in rows:
        if row["stage"] == "cps":
            before = [source for source in row["sources"].split() if source in unknown or not arguments.fresh]
            known_sources = {*found[row["entity"], row["name"]], *before}
            row["sources"] = " ".join(source for source in order if source in known_sources)
    write_bytes(CATALOGUE, _text(rows).encode("utf-8"))


def measured(raw: Any, frame: Frame) -> tuple[dict[tuple[str, str], list[str]], set[str]]:
    """Source columns by entity and column of the frame, in the order of the file; and those that cannot be measured."""
    before = columns_of(frame)
    result: dict[tuple[str, str], list[str]] = {key: [] for key in before}
    unknown: set[str] = set()
    for record in ("person", "household", "family"):
        table = getattr(raw, record)
        for column in map(str, table.columns):
            after = _after(raw, record, column)
            if after is None:
                unknown.add(f"cps_asec.{column}")
                continue
            for key, values in before.items():
                if not _same(values, after.get(key)):
                    result[key].append(f"cps_asec.{column}")
    return result, unknown


def _after(raw: Any, record: str, column: str) -> dict[tuple[str, str], pd.Series] | None:
    """Columns of the frame of a survey in which a column is altered; None where no alteration is accepted."""
    for altered in _alterations(getattr(raw, record), column):
        try:
            return columns_of(build_cps(dataclasses.replace(raw, **{record: altered}), seed=SEED))
        except TesseraError:
            continue
    return None


def columns_of(frame: Frame) -> dict[tuple[str, str], pd.Series]:
    """Columns of a frame by entity and name, without ids and links."""
    return {
        (entity, str(name)): frame.table(entity)[name]
        for entity in ENTITIES
        for name in frame.table(entity).columns
        if name not in {f"{one}_id" for one in ENTITIES}
    }


def _alterations(table: pd.DataFrame, column: str) -> Iterator[pd.DataFrame]:
    """The table with a column shuffled, then with its numbers larger, then smaller."""
    if column in IDENTIFIERS or table[column].nunique() < 2:
        return
    shuffled = np.random.default_rng(SEED).permutation(table[column].to_numpy())
    yield table.assign(**{column: shuffled})
    if column.endswith(("_VAL", "_VAL1", "_VAL2")):
        for factor in (1.1, 0.9):
            yield table.assign(**{column: table[column] * factor})


def _same(before: pd.Series, after: pd.Series | None) -> bool:
    return after is not None and len(before) == len(after) and bool((before.astype(str) == after.astype(str)).all())


def _text(rows: list[dict[str, str]]) -> str:
    place = {entity: number for number, entity in enumerate(ENTITIES)}
    table = pd.DataFrame(sorted(rows, key=lambda row: place[row["entity"]]), columns=list(FIELDS))
    return table.to_csv(index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
