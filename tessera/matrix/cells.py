"""Geography cells: the finest pieces of the country that targets of a table need, and the cell of every clone.

A cell is a stratum district. Where a table has targets for a city, the districts that the city cuts are split in the
part inside and the part outside, so that the city, its districts, its state and the nation are all sums of cells. A
clone lies in the city if its county does, which is what the city's area file goes by. Tables without such targets have
the 436 districts as their cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import GeographyError, MatrixError
from tessera.geography import areas
from tessera.geography.clones import Clones


@dataclass(frozen=True)
class Cells:
    """Cells and who lies in them.

    Attributes:
        district: code of the district of each cell, in catalogue order, int64, shape (n_cells,).
        city: key of the city that each cell lies in, "" for none, str, shape (n_cells,).
        of_record: cell of each clone, int32, shape (n_records,).
    """

    district: npt.NDArray[np.int64]
    city: npt.NDArray[np.str_]
    of_record: npt.NDArray[np.int32]


def cities_of(targets: pd.DataFrame) -> list[str]:
    """Keys of the cities that a table has targets for, in catalogue order.

    Raises:
        MatrixError: a city that the catalogue does not know; names the target.
    """
    known = [area.key for area in areas.areas_of_kind("city")]
    rows = targets[targets["geo_level"] == "city"]
    strange = rows[~rows["geo_id"].isin(known)]
    if len(strange):
        raise MatrixError(
            f"Target {strange['name'].iloc[0]!r} is for the city {strange['geo_id'].iloc[0]!r}, which the catalogue of "
            f"areas does not hold; wanted one of {', '.join(known)}."
        )
    return [key for key in known if key in set(rows["geo_id"])]


def geography_cells(clones: Clones, cities: Sequence[str] = ()) -> Cells:
    """The cells that targets of districts and of some cities need.

    Args:
        clones: placement of all clones.
        cities: keys of cities, as `cities_of` gives them; no county may be in two.
    """
    districts = np.asarray(areas.stratum_districts(), dtype=np.int64)
    if not cities:
        return Cells(districts, np.full(len(districts), "", dtype=np.str_), clones.cell)
    wide = len(cities) + 1
    piece = clones.cell.astype(np.int64) * wide + _city_numbers(clones, cities)
    present = np.bincount(piece, minlength=len(districts) * wide).reshape(len(districts), wide) > 0
    present[~present.any(axis=1), 0] = True  # a district without a clone stays a cell, and so does a city
    for column, key in enumerate(cities, 1):
        if not present[:, column].any():
            present[np.flatnonzero(districts // 100 == areas.area(key).state_fips)[0], column] = True
    district, city = np.nonzero(present)
    number = np.cumsum(present.ravel()) - 1
    names = np.array(["", *cities], dtype=np.str_)
    return Cells(districts[district], names[city], number[piece].astype(np.int32))


def _city_numbers(clones: Clones, cities: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number of each clone's city, from 1, and 0 for none, shape (n_records,)."""
    result = np.zeros(clones.n_records, dtype=np.int64)
    state = clones.state_fips
    for number, key in enumerate(cities, 1):
        city = areas.area(key)
        if city.kind != "city":
            raise GeographyError(f"{key} is a {city.kind}; wanted the key of a city, NYC for instance.")
        nearby = np.flatnonzero(state == city.state_fips)  # counties are text, which is slow: one state's only
        counties = [f"{fips:05d}" for fips in city.county_fips]
        result[nearby[np.isin(clones.block_geoid[nearby].astype("<U5"), counties)]] = number
    return result
