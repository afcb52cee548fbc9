"""A file in the format in which the IRS publishes its data by congressional district, with made-up numbers that add up.

Districts of the 117th Congress; a state with one seat has rows of district 0 alone; the row of the US has class 0
alone; A59664 in dollars; columns among them that no item uses.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.geography import redistricting
from tessera.geography.areas import state_by_fips
from tessera.targets.loaders import soi_cells, soi_items

CLASSES = 9
KEYS = ["STATEFIPS", "STATE", "CONG_DISTRICT", "agi_stub"]
NAME = "22incd.csv"


def frame() -> pd.DataFrame:
    """The file's cells as text; a copy."""
    return _frame().copy()


def write(folder: Path, cells: pd.DataFrame) -> Path:
    """The file as the IRS names it."""
    path = folder / NAME
    cells.to_csv(path, index=False)
    return path


def old_totals(column: str) -> pd.Series[float]:
    """Numbers of a column by old district, all classes together, as the file has them (A59664 in dollars)."""
    numbers = _districts()
    return numbers[numbers["agi_stub"] == 0].set_index("code")[column].astype(float)


@functools.cache
def _frame() -> pd.DataFrame:
    districts = _districts()
    districts = districts.assign(STATEFIPS=districts["code"] // 100, CONG_DISTRICT=districts["code"] % 100)
    seats = districts.groupby("STATEFIPS")["code"].transform("nunique")
    items = [column for column in districts.columns if column not in ("code", *KEYS)]
    states = districts.groupby(["STATEFIPS", "agi_stub"], as_index=False)[items].sum().assign(CONG_DISTRICT=0)
    nation = states.loc[states["agi_stub"] == 0, items].sum().to_frame().T
    rows = pd.concat([nation.assign(STATEFIPS=0, CONG_DISTRICT=0, agi_stub=0), states, districts[seats > 1]])
    usps = {fips: state_by_fips(fips).usps for fips in districts["STATEFIPS"].unique()} | {0: "US"}
    rows = rows.copy().assign(STATE=rows["STATEFIPS"].map(usps), MARS1=10, A02650=-3)
    return rows[[*KEYS, "MARS1", *items, "A02650"]].astype(str).reset_index(drop=True)


@functools.cache
def _districts() -> pd.DataFrame:
    codes = sorted(set(redistricting.load()["old"]))
    rng, length = np.random.default_rng(2022), len(codes) * CLASSES
    data = {column: _numbers(rng, column, length) for column in soi_items.columns(soi_items.items())}
    for credit, parts in soi_cells.EITC_PARTS.items():
        data[credit] = np.sum([data[part] for part in parts], axis=0)
    data["A59664"] = data["A59664"] * 1000
    keys = {"code": np.repeat(codes, CLASSES), "agi_stub": np.tile(np.arange(1, CLASSES + 1), len(codes))}
    classes = pd.DataFrame(keys | data)
    totals = classes.groupby("code", as_index=False).sum().assign(agi_stub=0)
    return pd.concat([totals, classes], ignore_index=True)


def _numbers(rng: np.random.Generator, column: str, length: int) -> npt.NDArray[np.int64]:
    if soi_items.is_amount(column):
        return rng.integers(-20_000 if column == "A00900" else 50, 90_000, length)
    return rng.integers(5, 4_000, length) * 10
