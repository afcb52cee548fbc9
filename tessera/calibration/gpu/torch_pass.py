"""One pass over the clones in fused torch operations: the twin of `kernels.epoch_pass` on any torch device.

Holds the value table and the clones on the device, noise, Adam's step and the gates; no loop over epochs and no loss
(`torch_epochs`, `torch_objective`). Imports torch: import it only where a device is used.

    slope_i = sum_m V[row_i, m] dual[cell_i, m]            derivative of the loss in the weight of clone i
    total[c, m] = sum over the clones of cell c of V[row_i, m] weight_i gate_i

Clones lie in layout order, so a cell is a range of them. A cell is cut into strips of at most `STRIP` clones; a strip
sums its clones in float64, and a cell its strips, always in the same order: no atomic additions, so that a run repeats
itself to the bit on one device and none of torch's global switches has to be set. Strips are taken in chunks that
bound the memory of the gathered rows.

Shapes: records float32 (kernels.N_COLUMNS, n_clones); duals float32 (n_cells, n_metrics); totals float64, the same;
statistics float64 (n_cells, kernels.N_STATISTICS). V is dense float32 (n_rows, n_metrics) where that fits; else it
stays in CSR and each chunk's rows are spread out in a buffer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tessera.calibration.gpu.memory import STRIP
from tessera.calibration.recipe import kernels
from tessera.calibration.recipe.active import ActiveSet
from tessera.calibration.recipe.gates import ALPHA_LIMIT, NOISE_LIMIT

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_MIX_1, _MIX_2 = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64
_LARGEST_DRAW = 2**24 - 1
_TINY = 1e-8
_ROWS_AT_ONCE = 2**14  # of the value table, on their way to the device


@dataclass(frozen=True)
class Strips:
    """The layout cut into strips of at most `STRIP` clones of one cell.

    Attributes:
        offsets: first clone of each strip, and n_records; int64, shape (n_strips + 1,).
        cell: cell of each strip, int32, shape (n_strips,).
        of_cell: first strip of each cell, and n_strips; int64, shape (n_cells + 1,).
    """

    offsets: npt.NDArray[np.int64]
    cell: npt.NDArray[np.int32]
    of_cell: npt.NDArray[np.int64]

    @classmethod
    def of(cls, ptr: npt.NDArray[np.int64]) -> Strips:
        """The strips of cells that start at `ptr`, shape (n_cells + 1,)."""
        count = -(-np.diff(ptr) // STRIP)
        of_cell = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        cell = np.repeat(np.arange(len(count)), count)
        offsets = ptr[cell] + STRIP * (np.arange(of_cell[-1]) - of_cell[cell])
        return cls(np.append(offsets, ptr[-1]).astype(np.int64), cell.astype(np.int32), of_cell)

    def chunks(self, largest: int) -> list[tuple[int, int]]:
        """Ranges of strips that hold at most `largest` clones each, but at least one strip."""
        result, first = [], 0
        while first < len(self.cell):
            last = int(np.searchsorted(self.offsets, self.offsets[first] + largest, side="right")) - 1
            result.append((first, max(first + 1, min(last, len(self.cell)))))
            first = result[-1][1]
        return result


class DeviceTable:
    """The value table on a device.

    Attributes:
        dense: float32, shape (n_rows, n_metrics); None if it stays in CSR.
    """

    def __init__(self, table: csr_array, device: torch.device, *, dense: bool) -> None:
        self.n_metrics = int(table.shape[1])
        self.dense: Tensor | None = None
        if dense:
            self.dense = torch.empty(table.shape, dtype=torch.float32, device=device)
            for first in range(0, table.shape[0], _ROWS_AT_ONCE):
                block = table[first : first + _ROWS_AT_ONCE].toarray()
                self.dense[first : first + len(block)] = torch.from_numpy(block).to(device)
        else:
            self._indptr, self._indices = send(table.indptr, np.int64, device), send(table.indices, np.int64, device)
            self._data = send(table.data, np.float32, device)

    def rows(self, wanted: Tensor) -> Tensor:
        """Rows of the table, float32, shape (len(wanted), n_metrics); `wanted` int32."""
        return self._spread(wanted.long()) if self.dense is None else self.dense.index_select(0, wanted)

    def _spread(self, wanted: Tensor) -> Tensor:
        """Rows of the table in CSR, written out."""
        begin = self._indptr[wanted]
        length = self._indptr[wanted + 1] - begin
        line = torch.repeat_interleave(torch.arange(len(wanted), device=wanted.device), length)
        before = torch.cumsum(length, 0) - length
        entry = torch.arange(len(line), device=wanted.device) + (begin - before)[line]
        out = torch.zeros(len(wanted) * self.n_metrics, dtype=torch.float32, device=wanted.device)
        # No place twice, as the table has no duplicates: the order of the writes does not matter.
        out.scatter_(0, line * self.n_metrics + self._indices[entry], self._data[entry])
        return out.view(len(wanted), self.n_metrics)


class DeviceClones:
    """The clones that passes visit, on a device, and how their cells are cut.

    Attributes:
        order, row, cell: record, value row and cell of each clone, int32, shape (n_clones,).
        strips: how cells are cut; as tensors: strip_offsets, strip_cell, strips_of_cell.
        chunks: ranges of strips that are gathered at once.
    """

    def __init__(self, active: ActiveSet, device: torch.device, chunk_records: int) -> None:
        self.order, self.row = send(active.order, np.int32, device), send(active.row, np.int32, device)
        self.cell = send(np.repeat(np.arange(len(active.ptr) - 1), np.diff(active.ptr)), np.int32, device)
        self.strips = Strips.of(active.ptr)
        self.strip_offsets = send(self.strips.offsets, np.int64, device)
        self.strip_cell = send(self.strips.cell, np.int32, device)
        self.strips_of_cell = send(self.strips.of_cell, np.int64, device)
        self.chunks = self.strips.chunks(chunk_records)

    def empty_sums(self, n_metrics: int) -> tuple[Tensor, Tensor]:
        """Room for the totals and statistics of the strips."""
        shapes = ((len(self.strips.cell), width) for width in (n_metrics, kernels.N_STATISTICS))
        totals, statistics = (torch.empty(shape, dtype=torch.float64, device=self.row.device) for shape in shapes)
        return totals, statistics

    def sum_strips(self, totals: Tensor, statistics: Tensor) -> Sums:
        """Sums of the cells from those of their strips."""
        return Sums(_segment_sums(totals, self.strips_of_cell), _segment_sums(statistics, self.strips_of_cell))


def send(array: npt.NDArray[Any], kind: type[np.generic], device: torch.device) -> Tensor:
    """A copy of an array on a device."""
    return torch.tensor(np.ascontiguousarray(array, dtype=kind), device=device)


@dataclass(frozen=True)
class Sums:
    """What a pass sums up: totals (n_cells, n_metrics) and statistics (n_cells, N_STATISTICS), float64."""

    totals: Tensor
    statistics: Tensor


def torch_pass(table: DeviceTable, clones: DeviceClones, records: Tensor, duals: Tensor, step: kernels.Step) -> Sums:
    """Update `records` in place with `duals`, then take gates and sums of the result; see `kernels.epoch_pass`."""
    totals, statistics = clones.empty_sums(table.n_metrics)
    for first, last in clones.chunks:
        begin, end = int(clones.strips.offsets[first]), int(clones.strips.offsets[last])
        part, rows = records[:, begin:end], table.rows(clones.row[begin:end])
        if step.update:
            descend(part, duals.index_select(0, clones.cell[begin:end]).mul_(rows).sum(1), step)
        if step.resample:
            noise = gate_noise(int(step.key), clones.order[begin:end]) if step.resample == 2 else 0.0
            open_gates(part, noise, step)
        value = (part[kernels.WEIGHT] * part[kernels.GATE]).double()
        offsets = clones.strip_offsets[first : last + 1] - begin
        totals[first:last] = _segment_sums(rows * value[:, None], offsets)
        statistics[first:last] = _segment_sums(_statistics(part, step), offsets)
    return clones.sum_strips(totals, statistics)


def gate_noise(key: int, records: Tensor) -> Tensor:
    """logit of the uniform draw of each record, float32; the bits of `gates.gate_noise` in signed arithmetic."""
    x = records.long() + (key - 2**64 if key >= 2**63 else key)
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    draw = _shift(x ^ _shift(x, 31), 40)
    odds = (draw.float() + 0.5) / ((_LARGEST_DRAW - draw).float() + 0.5)
    return torch.log(odds).clamp_(-NOISE_LIMIT, NOISE_LIMIT)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical shift to the right: torch shifts the sign in, which the mask takes out."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def descend(part: Tensor, slope: Tensor, step: kernels.Step) -> None:
    """Adam's step of the clones in `part`, in place; `slope` is the derivative of the loss in each clone's weight."""
    weight = part[kernels.WEIGHT]
    gradient = slope * weight * part[kernels.GATE] + 2 * float(step.l2) * weight * weight
    _adam(part[kernels.LOG_WEIGHT], part[kernels.MEAN_W], part[kernels.SQUARE_W], gradient, step.rate_weight, step)
    part[kernels.LOG_WEIGHT].clamp_(max=float(step.largest))
    if step.rate_alpha > 0:
        probability = _open_probability(part, step)
        gradient = slope * weight * _gate_slope(part[kernels.GATE], step)
        gradient += float(step.l0) * probability * (1 - probability)
        _adam(part[kernels.ALPHA], part[kernels.MEAN_A], part[kernels.SQUARE_A], gradient, step.rate_alpha, step)
    part[kernels.WEIGHT] = torch.exp(part[kernels.LOG_WEIGHT])


def _adam(
    parameter: Tensor, mean: Tensor, square: Tensor, gradient: Tensor, rate: np.float32, step: kernels.Step
) -> None:
    mean.mul_(0.9).add_(gradient, alpha=0.1)
    square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
    parameter.addcdiv_(mean, (square * float(step.unbias)).sqrt_().add_(_TINY), value=-float(rate))


def open_gates(part: Tensor, noise: Tensor | float, step: kernels.Step) -> None:
    """Set gates of the clones in `part`, in place."""
    width = float(step.zeta) - float(step.gamma)
    alpha = part[kernels.ALPHA].clamp(-ALPHA_LIMIT, ALPHA_LIMIT)
    s = torch.sigmoid((alpha + noise) / float(step.beta))
    part[kernels.GATE] = (s * width + float(step.gamma)).clamp(0, 1)


def _gate_slope(gate: Tensor, step: kernels.Step) -> Tensor:
    """Derivative of gates in their alphas; 0 where a gate is 0 or 1."""
    gamma, zeta = float(step.gamma), float(step.zeta)
    return (gate - gamma) * (zeta - gate) * ((gate > 0) & (gate < 1)) / (float(step.beta) * (zeta - gamma))


def _open_probability(part: Tensor, step: kernels.Step) -> Tensor:
    return torch.sigmoid(part[kernels.ALPHA].clamp(-ALPHA_LIMIT, ALPHA_LIMIT) + float(step.shift))


def _statistics(part: Tensor, step: kernels.Step) -> Tensor:
    """Columns EXPECTED_OPEN, SQUARED_WEIGHT, FINAL_OPEN of each clone, float64, shape (n, N_STATISTICS)."""
    weight = part[kernels.WEIGHT].double()
    return torch.stack(
        [_open_probability(part, step).double(), weight * weight, (part[kernels.ALPHA] > -float(step.shift)).double()],
        dim=1,
    )


def _segment_sums(values: Tensor, offsets: Tensor) -> Tensor:
    """Sums of the rows offsets[k] to offsets[k + 1] of float64 `values`; 0 for an empty segment."""
    return torch.segment_reduce(values, "sum", offsets=offsets, axis=0)
