"""Which targets meet where: the block structure of the calibration mode's linear system. Holds no solution.

A target sums one metric over some cells. Local targets touch one cell, group targets several cells of one group (a
state), global ones cells of several groups. Two targets share an entry of the system only where they share a cell, so
that the system is block-arrowhead: cells meet only through the groups' and the global targets, groups only through the
global ones. `newton_system` eliminates in that order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tessera.errors import FitError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Some targets that are eliminated together.

    Attributes:
        target: their numbers, shape (n,).
        metric: the metric that each sums, shape (n,).
        share: of each of `cells` in each target, float64, shape (n, len(cells)).
        cells: the cells that they touch.
    """

    target: IntArray
    metric: IntArray
    share: FloatArray
    cells: IntArray


@dataclass(frozen=True)
class Hierarchy:
    """Targets by level.

    Attributes:
        local: one entry a cell.
        group: one entry a group of cells.
        top: the global targets, over all cells.
        groups: the cells of each group, one array an entry of `group`.
        metric: metric of each target, shape (n_targets,).
        scaled: the aggregation, each row divided by its target's scale, csr_array (n_targets, n_cells * n_metrics).
    """

    local: tuple[Rows, ...]
    group: tuple[Rows, ...]
    top: Rows
    groups: tuple[IntArray, ...]
    metric: IntArray
    scaled: csr_array


def hierarchy(aggregation: csr_array, n_metrics: int, group_of_cell: IntArray, scale: FloatArray) -> Hierarchy:
    """The levels of the targets of an aggregation.

    Args:
        aggregation: A, shape (n_targets, n_cells * n_metrics), one metric a row.
        n_metrics: number of metrics.
        group_of_cell: any number for the group (the state) of each cell, shape (n_cells,).
        scale: s of each target, shape (n_targets,), above 0.

    Raises:
        FitError: a target that sums several metrics.
    """
    from scipy.sparse import csr_array

    counts = np.diff(aggregation.indptr)
    scaled = csr_array(
        (aggregation.data / np.repeat(scale, counts), aggregation.indices, aggregation.indptr), shape=aggregation.shape
    )
    row = np.repeat(np.arange(len(counts)), counts)
    cell, metric = np.divmod(scaled.indices.astype(np.int64), n_metrics)
    metric_of = np.zeros(len(counts), dtype=np.int64)
    metric_of[row] = metric
    mixed = np.flatnonzero(metric != metric_of[row])
    if mixed.size:
        raise FitError(f"Target row {int(row[mixed[0]])} sums several metrics; the calibration mode needs one each.")
    codes, group_of_cell = np.unique(group_of_cell, return_inverse=True)
    level, owner = _levels(row, cell, group_of_cell[cell], len(counts))
    entries = (row, cell, scaled.data)
    groups = tuple(np.flatnonzero(group_of_cell == g) for g in range(len(codes)))
    local = _rows_by_owner(entries, metric_of, level == 0, owner, [np.array([c]) for c in range(len(group_of_cell))])
    group = _rows_by_owner(entries, metric_of, level == 1, owner, list(groups))
    everything = np.arange(len(group_of_cell))
    top = _rows_by_owner(entries, metric_of, level == 2, np.zeros(len(counts), dtype=np.int64), [everything])[0]
    return Hierarchy(tuple(local), tuple(group), top, groups, metric_of, scaled)


def _levels(row: IntArray, cell: IntArray, group: IntArray, n_targets: int) -> tuple[IntArray, IntArray]:
    """Level of each target (0 local, 1 group, 2 global), and its cell or group."""
    first_cell, last_cell, first_group, last_group = (
        _extreme(function, values, row, n_targets)
        for values, function in ((cell, np.minimum), (cell, np.maximum), (group, np.minimum), (group, np.maximum))
    )
    level = np.where(first_cell == last_cell, 0, np.where(first_group == last_group, 1, 2))
    return level, np.where(level == 0, first_cell, first_group)


def _extreme(function: np.ufunc, values: IntArray, row: IntArray, n: int) -> IntArray:
    found = np.full(n, -1 if function is np.maximum else np.iinfo(np.int64).max, dtype=np.int64)
    function.at(found, row, values)
    return found


def _rows_by_owner(
    entries: tuple[IntArray, IntArray, FloatArray],
    metric: IntArray,
    wanted: npt.NDArray[np.bool_],
    owner: IntArray,
    cells_of: list[IntArray],
) -> list[Rows]:
    """The rows of one level, an entry an owner."""
    row, cell, data = entries
    targets_of = [np.empty(0, dtype=np.int64)] * len(cells_of)
    numbers = np.flatnonzero(wanted)
    order = numbers[np.argsort(owner[numbers], kind="stable")]
    edges = np.searchsorted(owner[order], np.arange(len(cells_of) + 1))
    place = np.zeros(len(wanted), dtype=np.int64)
    for which in range(len(cells_of)):
        targets_of[which] = order[edges[which] : edges[which + 1]]
        place[targets_of[which]] = np.arange(len(targets_of[which]))
    position = np.zeros(1 + max((int(c.max()) for c in cells_of if len(c)), default=0), dtype=np.int64)
    shares = []
    for which, cells in enumerate(cells_of):
        position[cells] = np.arange(len(cells))
        shares.append(np.zeros((len(targets_of[which]), len(cells))))
    inside = np.flatnonzero(wanted[row])
    for which, part in _split(owner[row[inside]], inside, len(cells_of)):
        shares[which][place[row[part]], position[cell[part]]] = data[part]
    return [Rows(t, metric[t], share, cells) for t, share, cells in zip(targets_of, shares, cells_of, strict=True)]


def _split(key: IntArray, values: IntArray, n: int) -> list[tuple[int, IntArray]]:
    order = np.argsort(key, kind="stable")
    edges = np.searchsorted(key[order], np.arange(n + 1))
    return [(which, values[order[edges[which] : edges[which + 1]]]) for which in range(n)]
