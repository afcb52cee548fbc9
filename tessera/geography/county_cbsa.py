"""The metropolitan or micropolitan area (CBSA) of each county, for synthetic blocks.

`county_cbsa.csv` (county_fips, cbsa_code) is what `build` takes from the Census Bureau's population estimates of 2019
for metropolitan and micropolitan areas (cbsa-est2019-alldata.csv), which list the counties of every area as delineated
in September 2018 (OMB Bulletin 18-04). Counties are those of 2020; the 1,303 that are not listed lie in no area.
Official blocks take the delineation of March 2020 from the list in `raw/` instead (`block_files.read_cbsas`).
"""

from __future__ import annotations

import io
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import SourceError

PACKAGED = "county_cbsa.csv"
SOURCE = "https://www2.census.gov/programs-surveys/popest/datasets/2010-2019/metro/totals/cbsa-est2019-alldata.csv"
_COLUMNS = ("CBSA", "STCOU", "LSAD")
_COUNTY_ROWS = "County or equivalent"


def build(path: Path) -> pd.DataFrame:
    """County and area from the published estimates.

    Args:
        path: cbsa-est2019-alldata.csv as published (Latin-1; county codes lack their leading zero).

    Returns:
        Columns county_fips, cbsa_code, both text of five digits; a row a county, ordered by county.

    Raises:
        SourceError: a missing file or column, a code that is no number, or a county in two areas.
    """
    if not path.is_file():
        raise SourceError(f"{path}: no such file; get it from {SOURCE}.")
    frame = pd.read_csv(path, dtype=str, encoding="latin-1", keep_default_na=False)
    absent = [column for column in _COLUMNS if column not in frame.columns]
    if absent:
        raise SourceError(f"{path}: column {absent[0]!r} is missing; wanted {', '.join(_COLUMNS)}.")
    rows = frame[frame["LSAD"] == _COUNTY_ROWS]
    table = pd.DataFrame({"county_fips": rows["STCOU"].str.zfill(5), "cbsa_code": rows["CBSA"]})
    wrong = table[~(table["county_fips"].str.fullmatch(r"\d{5}") & table["cbsa_code"].str.fullmatch(r"\d{5}"))]
    if len(wrong):
        row = wrong.iloc[0]
        raise SourceError(
            f"{path}: line {wrong.index[0] + 2} has county {row['county_fips']!r} and area {row['cbsa_code']!r}; "
            "wanted five digits each."
        )
    twice = table[table["county_fips"].duplicated()]
    if len(twice):
        raise SourceError(f"{path}: county {twice['county_fips'].iloc[0]} lies in two areas; wanted one.")
    return table.sort_values("county_fips", ignore_index=True)


def to_csv(table: pd.DataFrame) -> str:
    """The text of the packaged file."""
    return table.to_csv(index=False, lineterminator="\n")


def cbsa_of(county_fips: npt.NDArray[np.bytes_]) -> npt.NDArray[np.bytes_]:
    """Area of each county, five digits or empty; shape (n,), both as ASCII bytes."""
    county, area = _packaged()
    return lookup(county, area, county_fips)


def lookup(
    key: npt.NDArray[np.generic], value: npt.NDArray[np.bytes_], wanted: npt.NDArray[np.generic]
) -> npt.NDArray[np.bytes_]:
    """The value of each wanted key, empty where there is none; `key` is ascending and not empty."""
    place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    found: npt.NDArray[np.bytes_] = np.where(key[place] == wanted, value[place], b"").astype(value.dtype)
    return found


@cache
def _packaged() -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.bytes_]]:
    text = resources.files("tessera.geography").joinpath(PACKAGED).read_text(encoding="utf-8")
    table = pd.read_csv(io.StringIO(text), dtype=str)
    return table["county_fips"].to_numpy(dtype="S5"), table["cbsa_code"].to_numpy(dtype="S5")
