"""The packaged table of official figures: built from a folder of official files, and loaded without any of them.

`figures.csv.gz` is what `build_snapshot` gives for the files of `official_files.csv`; a test rebuilds it. It has every
figure with its source, table, URL and vintage, brought to the model year and reconciled between levels. It holds no
copy of an official file.
"""

from __future__ import annotations

import gzip
import io
from functools import cache
from importlib import resources
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import district_key, stratum_districts
from tessera.store import write_bytes
from tessera.targets import growth, official, uprating
from tessera.targets import reconcile as levels
from tessera.targets.figures import COLUMNS, GEO_LEVELS
from tessera.targets.strata import domain_of

PACKAGED = "figures.csv.gz"
_TEXT = ("source", "table", "url", "vintage", "geo_level", "geo_id", "variable", "constraints", "reform", "unit")
_WHOLE = ("year", "period")


def build_snapshot(
    official_folder: Path, *, reconcile: bool = True, pinned: bool = True, progress: official.Progress | None = None
) -> pd.DataFrame:
    """All figures from the official files.

    Args:
        official_folder: folder that holds the files of `official_files.csv`. Those that are not at hand for the
            packaged figures are read where they are there.
        reconcile: whether parts are scaled to what they are parts of (see `reconcile`); sums are made in any case.
        pinned: whether the files must have the sha256 that is pinned for them.
        progress: told (files done, files in all, title) before each file.

    Returns:
        A table with the columns of `figures.COLUMNS`, ordered by level, place, source, variable and constraints.

    Raises:
        SourceError: a file that is missing, of another vintage, or not what its loader knows.
        TargetError: a figure that no rule brings to the model year, or levels that cannot be reconciled.
    """
    if pinned:
        official.check_pinned(official_folder)
    figures = official.load_figures(official_folder, progress)
    measured = growth.measure(official.paths(official_folder))
    return ordered(levels.reconcile(uprating.uprate(figures, measured), scale=reconcile))


def write_snapshot(figures: pd.DataFrame, path: Path) -> Path:
    """Write a table of figures, compressed; the same table gives the same bytes."""
    return write_bytes(path, gzip.compress(_to_csv(figures).encode("utf-8"), compresslevel=9, mtime=0))


@cache
def _packaged() -> pd.DataFrame:
    return read_snapshot(resources.files("tessera.targets").joinpath(PACKAGED).read_bytes(), PACKAGED)


def load_snapshot() -> pd.DataFrame:
    """The packaged figures; a copy, so that callers may change it."""
    return _packaged().copy()


def read_snapshot(content: bytes, label: str) -> pd.DataFrame:
    """Figures from the bytes that `write_snapshot` wrote."""
    try:
        text = gzip.decompress(content).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{label}: not a compressed table of figures ({error}); build it again with write_snapshot."
        ) from error
    return _from_csv(text, label)


def district_figures() -> pd.DataFrame:
    """Population and households of the 436 districts, in order of their codes.

    Returns:
        Columns district (int, state FIPS * 100 + number), key (CA-12), population (S0101, all ages) and households
        (S2201). There is no AGI by district: the IRS publishes it for districts of the 117th Congress only.
    """
    figures = load_snapshot()
    of_districts = figures[figures["geo_level"] == "district"]
    by_age = (of_districts["source"] == "census_acs_s0101") & (of_districts["constraints"].map(domain_of) == "age")
    ages = of_districts[by_age].groupby("geo_id")["value"].sum()
    plain = of_districts[(of_districts["variable"] == "household_count") & (of_districts["constraints"] == "[]")]
    households = plain.set_index("geo_id")["value"]
    codes = list(stratum_districts())
    keys = [district_key(code) for code in codes]
    return pd.DataFrame(
        {"district": codes, "key": keys, "population": ages[keys].to_numpy(), "households": households[keys].to_numpy()}
    )


def state_figures() -> pd.DataFrame:
    """Figures of the 51 states in order of FIPS code: columns state, population, households, agi (of filers)."""
    figures = load_snapshot()
    of_states = figures[figures["geo_level"] == "state"]
    filers = of_states["constraints"] == '[["tax_unit_is_filer","==",1]]'
    filers &= of_states["source"] == "irs_soi_historic_2"
    agi = of_states[filers & (of_states["variable"] == "adjusted_gross_income")].set_index("geo_id")["value"]
    districts = district_figures().assign(state=lambda frame: frame["key"].str[:2])
    table = districts.groupby("state", sort=False)[["population", "households"]].sum()
    return table.assign(agi=agi).reset_index()


def ordered(figures: pd.DataFrame) -> pd.DataFrame:
    """Figures by level, place, source, variable, reform and constraints, as they are read back from a snapshot."""
    level = figures["geo_level"].map({name: position for position, name in enumerate(GEO_LEVELS)})
    keyed = figures.assign(_level=level)
    keys = ["_level", "geo_id", "source", "variable", "reform", "constraints"]
    in_order = keyed.sort_values(keys, kind="stable", ignore_index=True)[list(COLUMNS)]
    # What is stored is what is computed: through text once, so that both have the same dtypes and digits.
    return _from_csv(_to_csv(in_order), "figures")


def _to_csv(figures: pd.DataFrame) -> str:
    return figures.to_csv(index=False, lineterminator="\n")


def _from_csv(text: str, label: str) -> pd.DataFrame:
    types = dict.fromkeys(_TEXT, "str") | dict.fromkeys(_WHOLE, "int64")
    frame = pd.read_csv(io.StringIO(text), dtype=types, keep_default_na=False)
    if list(frame.columns) != list(COLUMNS):
        raise SourceError(f"{label}: columns are {list(frame.columns)}; wanted {list(COLUMNS)}: of another version.")
    return frame
