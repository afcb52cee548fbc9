"""Source files of a small synthetic survey of every kind, and copies of them in which something is wrong."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd

from tessera.sources.synthetic import acs_pums, cps_asec, cps_org, irs_puf, scf, sipp

Change = Callable[[pd.DataFrame], pd.DataFrame]
SEED = 11
# Source: what its reader is given, and the files that it opens.
PRIMARY = {
    "cps_asec": "asecpub25csv.zip",
    "irs_puf": "puf_2015.csv",
    "acs_pums": "csv_pus.zip",
    "sipp": "pu2023_csv.zip",
    "scf": "scfp2022s.zip",
    "cps_org": "cps_basic_2024",
}
FILES = {
    **{source: (path,) for source, path in PRIMARY.items()},
    "irs_puf": ("puf_2015.csv", "demographics_2015.csv"),
    "acs_pums": ("csv_pus.zip", "csv_hus.zip"),
}


@dataclass(frozen=True)
class Part:
    """A table within a source's files: the file, its members ("" where it is no archive) and what parts its fields."""

    source: str
    file: str
    member: str = ""
    separator: str = ","


ASEC_PERSON = Part("cps_asec", "asecpub25csv.zip", "pppub25.csv")
ASEC_HOUSEHOLD = Part("cps_asec", "asecpub25csv.zip", "hhpub25.csv")
ASEC_FAMILY = Part("cps_asec", "asecpub25csv.zip", "ffpub25.csv")
RETURNS = Part("irs_puf", "puf_2015.csv")
DEMOGRAPHICS = Part("irs_puf", "demographics_2015.csv")
ACS_PERSON = Part("acs_pums", "csv_pus.zip", "psam_pusa.csv")
ACS_HOUSEHOLD = Part("acs_pums", "csv_hus.zip", "psam_husa.csv")
ALL_ACS_PERSONS = Part("acs_pums", "csv_pus.zip", "psam_pus?.csv")
ALL_ACS_HOUSEHOLDS = Part("acs_pums", "csv_hus.zip", "psam_hus?.csv")
SIPP = Part("sipp", "pu2023_csv.zip", "pu2023.csv", "|")
SCF = Part("scf", "scfp2022s.zip", "rscfp2022.dta")
ORG = Part("cps_org", "cps_basic_2024/mar24pub.csv")


def write_all(folder: Path) -> None:
    """Every source, as small as its writer allows."""
    cps_asec.write(folder, households=110, year=2025, seed=SEED)
    irs_puf.write(folder, returns=200, seed=SEED)
    acs_pums.write(folder, households=60, year=2024, seed=SEED)
    sipp.write(folder, households=40, year=2023, seed=SEED)
    scf.write(folder, families=60, year=2022, seed=SEED)
    cps_org.write(folder, households=20, year=2024, seed=SEED)


def copied(source: str, files: Path, target: Path) -> Path:
    """A copy of a source's files without the marks beside them; returns what its reader is given."""
    for name in FILES[source]:
        if (files / name).is_dir():
            ignored = shutil.ignore_patterns("*.synthetic.json")
            shutil.copytree(files / name, target / name, ignore=ignored)
        else:
            shutil.copy(files / name, target / name)
    return target / PRIMARY[source]


def damaged(part: Part, change: Change, files: Path, target: Path) -> Path:
    """A copy of a source's files in which one table has gone through a change (cells are texts, but in Stata files)."""
    path = copied(part.source, files, target)
    if not part.member:
        file = target / part.file
        file.write_bytes(_changed(file.read_bytes(), part, change))
        return path
    with zipfile.ZipFile(target / part.file) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    chosen = [name for name in held if fnmatch(name, part.member)]
    held |= {name: _changed(held[name], part, change) for name in chosen}
    rewritten(target / part.file, held)
    return path


def rewritten(path: Path, held: dict[str, bytes]) -> None:
    """Replace an archive by one of the given members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in held.items():
            archive.writestr(name, content)


def _changed(content: bytes, part: Part, change: Change) -> bytes:
    if part.member.endswith(".dta"):
        buffer = io.BytesIO()
        change(pd.read_stata(io.BytesIO(content))).to_stata(buffer, write_index=False, version=117)
        return buffer.getvalue()
    table = pd.read_csv(io.BytesIO(content), sep=part.separator, dtype=str, keep_default_na=False)
    return change(table).to_csv(index=False, sep=part.separator, lineterminator="\n").encode()


def without(column: str) -> Change:
    """Drops a column."""
    return lambda table: table.drop(columns=column)


def cell(column: str, value: object, row: int = 5) -> Change:
    """Puts a value into one row of a column (row 0 stands on line 2)."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.copy()
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table if isinstance(value, str) else table.infer_objects()

    return change


def everywhere(column: str, value: object) -> Change:
    """Puts a value into all rows of a column."""
    return lambda table: table.assign(**{column: value})


def doubled(row: int = 5) -> Change:
    """Repeats a row at the end."""
    return lambda table: pd.concat([table, table.iloc[[row]]], ignore_index=True)
