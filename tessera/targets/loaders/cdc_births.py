"""CDC provisional births by state and month of 2023, as the number of people who are pregnant on a day of that year.

Reads the JSON answer of data.cdc.gov (data set hmz2-vwda, National Vital Statistics System): a list of rows with state
(capitals), year, month, period ("Monthly", or "12 Month-ending"), indicator and data_value. Figures, in persons, by
state and for the nation: person_count with is_pregnant. A pregnancy that ends in a birth lasts about 39 of 52 weeks
(from conception 38, from the last period 40), so as many as births x 39/52 are under way at a time; pregnancies that
end otherwise are not in it, and twins count twice.

Rules: a calendar year needs all twelve months, a part of a year is never scaled up; a month without a number is an
error; the rows of the year to December, where they are there, must agree with the months, and so must the nation with
its states. Rows of territories and of New York City, which its state includes, are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.figures import Figure, GeoLevel, Provenance, records, to_frame
from tessera.targets.loaders.common import number, require_columns, require_each_once, require_file

YEAR = 2023
SOURCE = "cdc_vsrr_births"
INDICATOR = "Number of Live Births"
PREGNANT_SHARE = 39 / 52
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
_URL = (
    f"https://data.cdc.gov/resource/hmz2-vwda.json?$where=year='{YEAR}' AND indicator='{INDICATOR}'&$limit=50000"
).replace(" ", "%20")
_NATION = "UNITED STATES"
_LEFT_OUT = ("PUERTO RICO", "GUAM", "VIRGIN ISLANDS", "AMERICAN SAMOA", "NORTHERN MARIANAS", "NEW YORK CITY")
_COLUMNS = ("state", "year", "month", "period", "indicator", "data_value")
# The nation's count is made from the same records, so it may differ from the sum of its states by little: births whose
# state was not stated.
_TOLERANCE = 0.001


def load(path: Path) -> pd.DataFrame:
    """One figure for each of the 51 states and for the nation.

    Raises:
        SourceError: no JSON, a missing column, another year or indicator alone, a missing or repeated month or state, a
            month without a number, months, states and nation that do not agree.
    """
    births = read_births(path)
    provenance = Provenance(SOURCE, f"VSRR natality, births x 39/52, {YEAR}", _URL, f"provisional, {YEAR}", YEAR)
    return to_frame(_figures(births), provenance)


def read_births(path: Path) -> dict[str, float]:
    """Births of the calendar year by postal code, in order of FIPS codes, and `US`."""
    frame = _read_rows(path)
    places = {state.name.upper(): state.usps for state in states()} | {_NATION: "US"}
    frame = frame.assign(place=frame["state"].str.strip().str.upper())
    frame = frame[~frame["place"].isin(_LEFT_OUT)]
    require_each_once(frame["place"].drop_duplicates(), places, path, "place")
    monthly = frame[frame["period"] == "Monthly"]
    wanted = [(place, month) for place in places for month in MONTHS]
    require_each_once(zip(monthly["place"], monthly["month"], strict=True), wanted, path, "place and month")
    births = dict.fromkeys(places.values(), 0.0)
    for row in records(monthly):
        births[places[row["place"]]] += _count(row, path)
    _check_year(frame, {place: births[key] for place, key in places.items()}, path)
    _check_nation(births, path)
    return births


def _figures(births: dict[str, float]) -> Iterator[Figure]:
    for place, count in births.items():
        level: GeoLevel = "national" if place == "US" else "state"
        pregnant = round(count * PREGNANT_SHARE)
        yield Figure(level, place, "person_count", pregnant, "person", (("is_pregnant", "==", 1),))


def _read_rows(path: Path) -> pd.DataFrame:
    try:
        rows = json.loads(require_file(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: not JSON ({error}); fetch {_URL} again.") from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise SourceError(f"{path}: wanted a list of rows, as data.cdc.gov answers; fetch {_URL} again.")
    # The API leaves the key out of a row whose cell is empty.
    frame = pd.DataFrame(rows, dtype="object").fillna("").astype("str")
    require_columns(frame, _COLUMNS, path)
    frame = frame[(frame["year"] == str(YEAR)) & (frame["indicator"] == INDICATOR)]
    if frame.empty:
        raise SourceError(f"{path}: no row of {YEAR} with the indicator {INDICATOR!r}; fetch {_URL}.")
    return frame


def _check_year(frame: pd.DataFrame, births: dict[str, float], path: Path) -> None:
    ending = frame[(frame["period"] == "12 Month-ending") & (frame["month"] == MONTHS[-1])]
    for row in records(ending):
        published, added = _count(row, path), births[row["place"]]
        if published != added:
            raise SourceError(
                f"{path}: {row['place']}: the months have {added:.0f} births, the twelve months to December "
                f"{published:.0f}."
            )


def _check_nation(births: dict[str, float], path: Path) -> None:
    added = sum(count for place, count in births.items() if place != "US")
    if abs(added - births["US"]) > _TOLERANCE * births["US"]:
        raise SourceError(
            f"{path}: the states have {added:.0f} births, the nation {births['US']:.0f}; wanted within "
            f"{_TOLERANCE:.1%}: a state may lack births (New York has those of its city)."
        )


def _count(row: dict[str, str], path: Path) -> float:
    where = f"{row['place']}, {row['month']} {row['year']} ({row['period']})"
    return number(row["data_value"], path, where, minimum=0)
