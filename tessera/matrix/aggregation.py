"""A, the small 0/1 matrix that sums geography cells into target rows.

A cell is a congressional district, or, where targets for a city cut it, the part of one inside or outside the city
(`cells`). A national target sums every cell, a state target the cells of its districts, a district target its own, a
city target the cells inside the city. Column of cell c and metric m: c * n_metrics + m.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tessera.errors import GeographyError, MatrixError
from tessera.geography import areas
from tessera.matrix.metrics import Metrics

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def aggregation_matrix(
    metrics: Metrics, cells: Sequence[int], names: Sequence[str], cities: Sequence[str] | npt.NDArray[np.str_] = ()
) -> csr_array:
    """The matrix A.

    Args:
        metrics: with the area of each target.
        cells: code of the district that each cell lies in; several cells may lie in one district.
        names: of the targets, for messages.
        cities: key of the city that each cell lies in, "" for none; empty where none does.

    Returns:
        csr_array float64, shape (n_targets, n_cells * n_metrics).

    Raises:
        MatrixError: an area that the catalogue does not know, or a city that no cell lies in; names the target.
    """
    from scipy.sparse import csr_array

    inside = _CellsOf(cells, cities)
    found: dict[tuple[str, str], npt.NDArray[np.int64]] = {}
    columns = []
    for target, (level, place) in enumerate(zip(metrics.geo_level, metrics.geo_id, strict=True)):
        area = (str(level), str(place))
        if area not in found:
            found[area] = np.array(inside.area(*area, str(names[target])), dtype=np.int64)
        columns.append(found[area] * len(metrics) + metrics.metric_of_target[target])
    indptr = np.concatenate([[0], np.cumsum([len(part) for part in columns], dtype=np.int64)])
    indices = np.concatenate([*columns, np.empty(0, dtype=np.int64)])
    shape = (len(columns), len(cells) * len(metrics))
    return csr_array((np.ones(len(indices)), indices, indptr), shape=shape)


class _CellsOf:
    """Which cells make up an area."""

    def __init__(self, cells: Sequence[int], cities: Sequence[str] | npt.NDArray[np.str_]) -> None:
        self._of_district: dict[int, list[int]] = {}
        for cell, code in enumerate(cells):
            self._of_district.setdefault(int(code), []).append(cell)
        self._of_city: dict[str, list[int]] = {}
        for cell, city in enumerate(cities):
            self._of_city.setdefault(str(city), []).append(cell)

    def area(self, level: str, place: str, target: str) -> list[int]:
        """Cells of an area, ascending; the target is for messages."""
        if level == "city":
            return self._city(place, target)
        return sorted(c for code in _district_codes(level, place, target) for c in self._of_district.get(code, ()))

    def _city(self, place: str, target: str) -> list[int]:
        if place in self._of_city and place:
            return self._of_city[place]
        known = [area.key for area in areas.areas_of_kind("city")]
        if place in known:
            raise MatrixError(
                f"Target {target!r} is for the city {place}, but no cell lies in it: the cells were made for targets "
                "without this city. Build the package again with the target among its targets."
            )
        raise MatrixError(
            f"Target {target!r} is for the city {place!r}, which the catalogue of areas does not hold; wanted one of "
            f"{', '.join(known)}."
        )


def _district_codes(level: str, place: str, target: str) -> tuple[int, ...]:
    try:
        if level == "national" and place == "US":
            return areas.stratum_districts()
        if level == "state":
            return areas.state_by_usps(place).district_codes
        if level == "district":
            return (_codes_by_key()[place],)
    except (GeographyError, KeyError):
        pass
    raise MatrixError(
        f"Target {target!r} is for the area {level!r}, {place!r}, which the catalogue of areas does not hold; wanted "
        "(national, US), (state, CA), (district, CA-12) or (city, NYC)."
    )


@cache
def _codes_by_key() -> dict[str, int]:
    return {areas.district_key(code): code for code in areas.stratum_districts()}
