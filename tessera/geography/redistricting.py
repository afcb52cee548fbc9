"""Figures of the districts of one Congress brought to those of another, in proportion to the people of 2020.

`district_vintages.csv` (old, new, population) says how many people of the census of 2020 live in each pair of a
district of the 117th Congress, by which the IRS publishes tax year 2022, and one of the 119th. A district's code is
state_fips * 100 + number, 1 for a state's only seat. All people of an old district are in its pairs, so what it has is
moved whole: totals of a state stay what they were. Within a district, a figure is taken to be spread as people are.

`build` derives the packaged table from a Census compilation. A table of other Congresses with the same columns serves
as well; the new districts are always those of `areas`.
"""

from __future__ import annotations

import io
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.errors import GeographyError, SourceError
from tessera.geography.areas import state_by_fips, stratum_districts

PACKAGED = "district_vintages.csv"
COLUMNS = ("old", "new", "population")
OLD_CONGRESS = 117
# Geographic identifiers of districts: summary level 500, Congress, state and number.
_OLD_PREFIX, _NEW_PREFIX = "5001700US", "5001900US"
_NO_NUMBER = ("00", "98")  # the only seat of a state, and a delegate's


def build(path: Path) -> pd.DataFrame:
    """The pairs of districts from a Census compilation.

    Args:
        path: columns source_geography_id, target_geography_id (`5001700US0101`, `5001900US0102`), pair_population.

    Returns:
        Columns of `COLUMNS`, whole numbers, ordered by old and new.

    Raises:
        SourceError: a missing file or column, an identifier of another Congress, a population that is no number.
        GeographyError: pairs that `check` refuses.
    """
    frame = _read(path, ["source_geography_id", "target_geography_id", "pair_population"])
    table = pd.DataFrame(
        {
            "old": _codes(frame["source_geography_id"], _OLD_PREFIX, path),
            "new": _codes(frame["target_geography_id"], _NEW_PREFIX, path),
            "population": _numbers(frame["pair_population"], path),
        }
    )
    return check(table.sort_values(["old", "new"], ignore_index=True))


def read(path: Path) -> pd.DataFrame:
    """A table of pairs of one's own, with the columns of `COLUMNS`.

    Raises:
        SourceError: a missing file or column, a cell that is no whole number.
        GeographyError: pairs that `check` refuses.
    """
    frame = _read(path, list(COLUMNS))
    return check(pd.DataFrame({column: _numbers(frame[column], path) for column in COLUMNS}))


def load() -> pd.DataFrame:
    """The packaged pairs (columns of `COLUMNS`); a copy."""
    return _load().copy()


def to_csv(table: pd.DataFrame) -> str:
    """The text of the packaged file."""
    return table.to_csv(index=False, lineterminator="\n")


def check(table: pd.DataFrame) -> pd.DataFrame:
    """The table itself, if its pairs are complete and possible.

    Raises:
        GeographyError: a new district that is missing or unknown, a pair that is there twice or lies in two states, a
            pair without people.
    """
    absent = sorted(set(stratum_districts()) ^ set(table["new"]))
    if absent:
        raise GeographyError(
            f"District pairs: new district {absent[0]} is missing or unknown ({len(absent)} such); wanted all "
            f"{len(stratum_districts())} of today."
        )
    faults = (
        ("is there twice", table.duplicated(["old", "new"])),
        ("lies in two states", table["old"] // 100 != table["new"] // 100),
        ("has no people", ~(table["population"] > 0)),
    )
    for say, wrong in faults:
        if wrong.any():
            row = table[wrong].iloc[0]
            raise GeographyError(
                f"District pairs: the pair of {row['old']} and {row['new']} {say}; make the pairs again."
            )
    return table


def move(values: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Figures by new district.

    Args:
        values: one row an old district, its code as index; columns of additive figures, NaN for what is unknown.
        pairs: columns of `COLUMNS`.

    Returns:
        The same columns, one row a new district; the columns add up to what they did, by state and in all. NaN where an
        old district with people in the new one is unknown.

    Raises:
        GeographyError: a district without pairs, or pairs of a district without figures.
    """
    apart = sorted(set(values.index) ^ set(pairs["old"]))
    if apart or values.index.has_duplicates:
        seats = f"{len(set(values.index))} districts for {pairs['old'].nunique()} of the pairs"
        near = apart[0] if apart else values.index[values.index.duplicated()][0]
        raise GeographyError(
            f"District {near} has figures or pairs, not both, or is there twice ({seats}): the figures are of another "
            "Congress than the pairs; give pairs of that one."
        )
    people = pairs["population"].to_numpy(np.float64)
    share = people / pairs.groupby("old")["population"].transform("sum").to_numpy(np.float64)
    new, place = np.unique(pairs["new"].to_numpy(), return_inverse=True)
    moved = np.zeros((len(new), len(values.columns)))
    # What is unknown stays so in the districts that it goes to, and in no other.
    np.add.at(moved, place, values.loc[pairs["old"]].to_numpy(np.float64) * share[:, None])
    return pd.DataFrame(moved, index=pd.Index(new, name="new"), columns=values.columns)


@cache
def _load() -> pd.DataFrame:
    text = resources.files("tessera.geography").joinpath(PACKAGED).read_text(encoding="utf-8")
    return check(pd.read_csv(io.StringIO(text)))


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    if not path.is_file():
        raise SourceError(f"{path}: no such file; wanted pairs of districts with {', '.join(columns)}.")
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: not a readable CSV file ({error}); make or fetch it again.") from error
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise SourceError(f"{path}: column {missing[0]!r} is missing; the file has {', '.join(frame.columns)}.")
    return frame


def _codes(identifiers: pd.Series[str], prefix: str, path: Path) -> pd.Series[int]:
    wrong = ~identifiers.str.fullmatch(prefix + r"\d{4}")
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        raise SourceError(
            f"{path}: line {row + 2}: {identifiers.iloc[row]!r} is no district of that Congress; wanted {prefix} and "
            "four digits."
        )
    fips, number = identifiers.str[-4:-2].astype(int), identifiers.str[-2:]
    for code in fips.unique():
        state_by_fips(int(code))
    return fips * 100 + number.where(~number.isin(_NO_NUMBER), "01").astype(int)


def _numbers(cells: pd.Series[str], path: Path) -> pd.Series[int]:
    wrong = ~cells.str.fullmatch(r"\d+")
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        raise SourceError(f"{path}: line {row + 2}, {cells.name}: {cells.iloc[row]!r} is no whole number.")
    return cells.astype(int)
