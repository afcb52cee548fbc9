"""TorchEpochs: the epochs of a fit on a torch device; the same steps, noise, gates and stored state as on the CPU.

What differs is where the arrays live. The active clones, the sums of the cells and the loss stay on the device, and an
epoch brings back four numbers for the history; the host's state is brought up to date when it is logged, stored or
shrunk (`synchronise`). So a checkpoint of one device goes on on another, within rounding. A run repeats itself to the
bit on one device.

A pass is one Triton kernel (`triton_pass`) on a CUDA device where Triton can be used, and fused torch operations
(`torch_pass`) elsewhere. Imports torch: import it only where such a device is asked for.
"""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from tessera.calibration.gpu.memory import MemoryPlan, require_memory, short_of_memory
from tessera.calibration.gpu.torch_objective import DeviceObjective
from tessera.calibration.gpu.torch_pass import DeviceClones, DeviceTable, Sums, send, torch_pass
from tessera.calibration.options import FitOptions
from tessera.calibration.recipe import kernels
from tessera.calibration.recipe.active import WORTH_IT, ActiveSet, closing_alpha
from tessera.calibration.recipe.epochs import Epochs
from tessera.calibration.recipe.objective import STEEP_LOSS, steepest_duals
from tessera.calibration.recipe.state import HISTORY, FitState
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix

FloatArray = npt.NDArray[np.float64]
Pass = Callable[[DeviceTable, DeviceClones, torch.Tensor, torch.Tensor, kernels.Step], Sums]
Kernel = Literal["auto", "triton", "torch"]


class TorchEpochs(Epochs):
    """Advances a state by one step at a time on a torch device.

    Args:
        matrix, weights, options: as for `Epochs`; `options.threads` has no meaning here.
        device: of torch, "cuda", "cuda:1" or "cpu".
        kernel: "triton" or "torch" to force a form of the pass.
        plan: how to use the device's memory; None makes one.

    Raises:
        FitError: the fit does not fit into the device's memory, or Triton is forced where it cannot be used.
    """

    def __init__(
        self,
        matrix: CalibrationMatrix,
        weights: FloatArray,
        options: FitOptions,
        device: str,
        *,
        kernel: Kernel = "auto",
        plan: MemoryPlan | None = None,
    ) -> None:
        super().__init__(matrix, weights, options)
        self._device = torch.device(device)
        self._plan = require_memory(matrix, device) if plan is None else plan
        self._run = _choose_pass(kernel, self._device, self._plan, matrix.n_metrics)
        self._clones: DeviceClones | None = None
        self._records: torch.Tensor | None = None
        self._sums: Sums | None = None
        with short_of_memory(matrix, device, self._plan):
            self._table = DeviceTable(matrix.value_table, self._device, dense=self._plan.dense)
            self._loss = DeviceObjective(self._objective, (matrix.n_cells, matrix.n_metrics), self._device)

    def advance(self, state: FitState) -> tuple[float, ...]:
        """Take a step; returns the row of the history for the state before it."""
        sums = self._sums_of(state)
        estimates = self._loss.estimates(sums.totals)
        row = self._row(state, estimates, sums)
        state.history.append(row)
        self._steer(state)
        duals = self._loss.duals(estimates)
        if row[HISTORY.index("loss")] > STEEP_LOSS:
            squares = sums.statistics[:, kernels.SQUARED_WEIGHT].cpu().numpy()
            limit = send(steepest_duals(self._matrix, squares), np.float32, self._device)
            duals = duals.clamp(-limit, limit)
        self._on_device(state, duals, self._step(state, state.epoch + 1, update=True))
        self._finish(state)
        return row

    def synchronise(self, state: FitState) -> None:
        """Bring the full state up to date; before it is stored or read."""
        self._fetch()
        if self._sums is not None:
            state.totals[:] = self._sums.totals.cpu().numpy()
            state.statistics[:] = self._sums.statistics.cpu().numpy()
        super().synchronise(state)

    def _row(self, state: FitState, estimates: torch.Tensor, sums: Sums) -> tuple[float, ...]:
        statistics = sums.statistics.sum(0)
        figures = [
            self._loss.loss(estimates),
            statistics[kernels.EXPECTED_OPEN],
            statistics[kernels.FINAL_OPEN],
            self._loss.share_within(estimates, 0.10),
        ]
        loss, *others = torch.stack(figures).tolist()  # the one time that an epoch waits for the device
        if not math.isfinite(loss):
            self.synchronise(state)
            return super()._history_row(state, estimates.cpu().numpy())  # which raises
        return (state.epoch, loss, *others, state.price)

    def _pass(self, state: FitState, duals: npt.NDArray[np.float32], step: kernels.Step) -> None:
        self._on_device(state, send(duals, np.float32, self._device), step)

    def _on_device(self, state: FitState, duals: torch.Tensor, step: kernels.Step) -> None:
        active = self._active_set(state)
        with short_of_memory(self._matrix, str(self._device), self._plan):
            if self._clones is None:
                self._clones = DeviceClones(active, self._device, self._plan.chunk_records)
            if self._records is None:
                self._records = send(active.records, np.float32, self._device)
            self._sums = self._run(self._table, self._clones, self._records, duals, step)

    def _sums_of(self, state: FitState) -> Sums:
        """The sums of the last pass; those stored with the state if there was none, as after resuming."""
        if self._sums is None:
            self._sums = Sums(*(send(sums, np.float64, self._device) for sums in (state.totals, state.statistics)))
        return self._sums

    def _fetch(self) -> None:
        """Bring the host's active clones up to date."""
        if self._records is not None and self._active is not None:
            self._active.records[:] = self._records.cpu().numpy()

    def _begin_polish(self, state: FitState) -> None:
        self._fetch()
        self._records = None  # the host changes them
        super()._begin_polish(state)

    def _shrink(self, state: FitState) -> None:
        assert self._records is not None
        closed = self._records[kernels.ALPHA] < float(closing_alpha(self._options))
        if float(closed.double().mean()) >= WORTH_IT:
            self._fetch()
            super()._shrink(state)

    def _replace(self, active: ActiveSet) -> None:
        if active is not self._active:
            self._active = active
            self._clones = self._records = None


def _choose_pass(kernel: Kernel, device: torch.device, plan: MemoryPlan, n_metrics: int) -> Pass:
    """The form of the pass that is wanted, or the fastest that can be had."""
    if kernel == "torch" or (kernel == "auto" and (device.type != "cuda" or _triton_hindrance(plan, n_metrics))):
        return torch_pass
    hindrance = _triton_hindrance(plan, n_metrics)
    if hindrance:
        raise FitError(f"The Triton kernel cannot be used: {hindrance}. Use kernel='auto' or 'torch'.")
    from tessera.calibration.gpu.triton_pass import triton_pass

    return triton_pass


def _triton_hindrance(plan: MemoryPlan, n_metrics: int) -> str:
    """Why the Triton kernel cannot be used; "" if it can."""
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed; it comes with the CUDA builds of torch"
    from tessera.calibration.gpu.triton_pass import WIDEST

    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "it needs a C compiler (gcc or clang) for its launcher"
    if not plan.dense:
        return "the value table does not fit into the device's memory in its dense form"
    return f"{n_metrics} metrics are more than {WIDEST}" if n_metrics > WIDEST else ""
