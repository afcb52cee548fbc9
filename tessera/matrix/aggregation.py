"""A, the small 0/1 matrix that sums geography cells into target rows.

A cell is a piece of one congressional district (today: the district). A national target sums every cell, a state target
the cells of its districts, a district target its own. Column of cell c and metric m: c * n_metrics + m.
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


def aggregation_matrix(metrics: Metrics, cells: Sequence[int], names: Sequence[str]) -> csr_array:
    """The matrix A.

    Args:
        metrics: with the area of each target.
        cells: code of the district that each cell lies in; several cells may lie in one district.
        names: of the targets, for messages.

    Returns:
        csr_array float64, shape (n_targets, n_cells * n_metrics).

    Raises:
        MatrixError: an area that the catalogue does not know; names the target.
    """
    from scipy.sparse import csr_array

    cells_of_district: dict[int, list[int]] = {}
    for cell, code in enumerate(cells):
        cells_of_district.setdefault(int(code), []).append(cell)
    found: dict[tuple[str, str], npt.NDArray[np.int64]] = {}
    columns = []
    for target, (level, place) in enumerate(zip(metrics.geo_level, metrics.geo_id, strict=True)):
        area = (str(level), str(place))
        if area not in found:
            codes = _district_codes(*area, str(names[target]))
            found[area] = np.array(sorted(c for code in codes for c in cells_of_district.get(code, ())), dtype=np.int64)
        columns.append(found[area] * len(metrics) + metrics.metric_of_target[target])
    indptr = np.concatenate([[0], np.cumsum([len(part) for part in columns], dtype=np.int64)])
    indices = np.concatenate([*columns, np.empty(0, dtype=np.int64)])
    shape = (len(columns), len(cells) * len(metrics))
    return csr_array((np.ones(len(indices)), indices, indptr), shape=shape)


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
        "(national, US), (state, CA) or (district, CA-12)."
    )


@cache
def _codes_by_key() -> dict[str, int]:
    return {areas.district_key(code): code for code in areas.stratum_districts()}
