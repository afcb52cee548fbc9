"""One pass over the clones as one Triton kernel: the fast form of `torch_pass.torch_pass` on a CUDA device.

A program takes a strip of clones of one cell (`torch_pass.Strips`) in blocks of `_BLOCK` clones, each in three stages:

    products   the block's rows of the value table times the cell's dual, tile by tile, a tile being a few rows
    step       Adam, gates and statistics, one clone a thread
    sums       the same rows, now in the nearest cache, times weight * gate, added to the strip's sums

So an epoch moves each row from the device's memory once, reads and writes the state once, and hands the products and
the weighted gates from stage to stage through one vector. The stages are apart because a tile spreads a row over the
threads of a warp: taken there, every thread of the warp would repeat the step of the same clones. Sums over a strip are
float32, a part a row of the tile, over strips float64, in a fixed order. A clone with a closed gate reads no row.

Imports triton, which comes with torch's CUDA builds only. No GPU was at hand when this was written: the kernel has been
compiled for compute capability 9.0 and run in Triton's interpreter, where it agrees with `torch_pass`, which
says nothing about races between threads or about speed. The tests run it on a GPU where they find one, in the
interpreter where there is only triton.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from tessera.calibration.gpu.torch_pass import DeviceClones, DeviceTable, Sums
from tessera.calibration.recipe import kernels
from tessera.calibration.recipe.gates import ALPHA_LIMIT, NOISE_LIMIT

WIDEST = 2048  # metrics
_BLOCK = 64
# Values of a tile, rows times metrics rounded up to a power of two; they are held in the registers of one program.
_TILE_VALUES = 4096
_WARPS = 4

_LOG_WEIGHT, _ALPHA = tl.constexpr(kernels.LOG_WEIGHT), tl.constexpr(kernels.ALPHA)
_MEAN_W, _SQUARE_W = tl.constexpr(kernels.MEAN_W), tl.constexpr(kernels.SQUARE_W)
_MEAN_A, _SQUARE_A = tl.constexpr(kernels.MEAN_A), tl.constexpr(kernels.SQUARE_A)
_WEIGHT, _GATE = tl.constexpr(kernels.WEIGHT), tl.constexpr(kernels.GATE)
_EXPECTED, _SQUARED = tl.constexpr(kernels.EXPECTED_OPEN), tl.constexpr(kernels.SQUARED_WEIGHT)
_FINAL, _N_STATISTICS = tl.constexpr(kernels.FINAL_OPEN), tl.constexpr(kernels.N_STATISTICS)
_ALPHA_LIMIT, _NOISE_LIMIT = tl.constexpr(ALPHA_LIMIT), tl.constexpr(NOISE_LIMIT)
_LAST_DRAW = tl.constexpr(2**24 - 1)


def triton_pass(
    table: DeviceTable, clones: DeviceClones, records: torch.Tensor, duals: torch.Tensor, step: kernels.Step
) -> Sums:
    """Update `records` in place with `duals`, then take gates and sums of the result; see `torch_pass.torch_pass`.

    The table has to be dense, of at most `WIDEST` metrics; `records` has to be contiguous.
    """
    totals, statistics = clones.empty_sums(table.n_metrics)
    count, metrics = totals.shape
    width = triton.next_power_of_2(max(metrics, 16))
    key = int(step.key)
    _strip_kernel[(count,)](
        clones.strip_offsets, clones.strip_cell, clones.order, clones.row, table.dense, duals, records,
        torch.empty_like(records[0]), totals, statistics,
        records.shape[1], metrics, key - 2**64 if key >= 2**63 else key,
        float(step.rate_weight), float(step.rate_alpha), float(step.unbias),
        float(step.beta), float(step.gamma), float(step.zeta), float(step.shift),
        float(step.l0), float(step.l2), float(step.largest),
        UPDATE=bool(step.update), MOVE_GATES=float(step.rate_alpha) > 0, RESAMPLE=int(step.resample),
        BLOCK=_BLOCK, TILE=max(1, min(_BLOCK // 2, _TILE_VALUES // width)), WIDTH=width, num_warps=_WARPS,
    )  # fmt: skip
    return clones.sum_strips(totals, statistics)


@triton.jit
def _sigmoid(x):  # type: ignore[no-untyped-def]
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _limited(alpha):  # type: ignore[no-untyped-def]
    return tl.minimum(tl.maximum(alpha, -_ALPHA_LIMIT), _ALPHA_LIMIT)


@triton.jit
def _noise(key, order):  # type: ignore[no-untyped-def]
    x = key.to(tl.uint64) + order.to(tl.uint64)
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB
    draw = ((x ^ (x >> 31)) >> 40).to(tl.int32)
    odds = (draw.to(tl.float32) + 0.5) / ((-draw + _LAST_DRAW).to(tl.float32) + 0.5)
    return tl.minimum(tl.maximum(tl.log(odds), -_NOISE_LIMIT), _NOISE_LIMIT)


@triton.jit
def _rows(table_ptr, row_ptr, place, wanted, metric, n_metrics):  # type: ignore[no-untyped-def]
    """Value rows of the clones wanted, 0 for the others; shape (TILE, WIDTH)."""
    row = tl.load(row_ptr + place, mask=wanted, other=0).to(tl.int64)
    source = table_ptr + row[:, None] * n_metrics + metric[None, :]
    return tl.load(source, mask=wanted[:, None] & (metric < n_metrics)[None, :], other=0.0)


@triton.jit
def _moments(mean_ptr, square_ptr, inside):  # type: ignore[no-untyped-def]
    return tl.load(mean_ptr, mask=inside, other=0.0), tl.load(square_ptr, mask=inside, other=0.0)


@triton.jit
def _adam(parameter, mean_ptr, square_ptr, mean, square, inside, gradient, rate, unbias):  # type: ignore[no-untyped-def]
    """The parameter after Adam's step; the new moments are stored."""
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.999 * square + 0.001 * gradient * gradient
    tl.store(mean_ptr, mean, mask=inside)
    tl.store(square_ptr, square, mask=inside)
    return parameter - rate * mean / (tl.sqrt(square * unbias) + 1e-8)


@triton.jit
def _descend(  # type: ignore[no-untyped-def]
    p, stride, inside, product, alpha, weight, gate, rate_weight, rate_alpha, unbias, beta, gamma, zeta, shift, l0,
    l2, largest, MOVE_GATES: tl.constexpr,
):  # fmt: skip
    """Adam's step of a block: its new alpha and weight, stored with the rest."""
    log_weight = tl.load(p + _LOG_WEIGHT * stride, mask=inside, other=0.0)
    mean, square = _moments(p + _MEAN_W * stride, p + _SQUARE_W * stride, inside)
    if MOVE_GATES:
        mean_a, square_a = _moments(p + _MEAN_A * stride, p + _SQUARE_A * stride, inside)
    # Several threads may hold the same clone: all of them read before one of them writes.
    tl.debug_barrier()
    gradient = product * weight * gate + 2.0 * l2 * weight * weight
    if MOVE_GATES:
        opened = _sigmoid(_limited(alpha) + shift)
        between = (gate > 0.0) & (gate < 1.0)
        slope = tl.where(between, (gate - gamma) * (zeta - gate) / (beta * (zeta - gamma)), 0.0)
        pull = product * weight * slope + l0 * opened * (1.0 - opened)
        alpha = _adam(
            alpha, p + _MEAN_A * stride, p + _SQUARE_A * stride, mean_a, square_a, inside, pull, rate_alpha, unbias
        )
        tl.store(p + _ALPHA * stride, alpha, mask=inside)
    log_weight = _adam(
        log_weight, p + _MEAN_W * stride, p + _SQUARE_W * stride, mean, square, inside, gradient, rate_weight, unbias
    )
    log_weight = tl.minimum(log_weight, largest)
    weight = tl.exp(log_weight)
    tl.store(p + _LOG_WEIGHT * stride, log_weight, mask=inside)
    tl.store(p + _WEIGHT * stride, weight, mask=inside)
    return alpha, weight


@triton.jit
def _open_gates(p, stride, inside, drawn, beta, gamma, zeta):  # type: ignore[no-untyped-def]
    """Gates of a block from limited alphas plus noise; stored."""
    stretched = _sigmoid(drawn / beta) * (zeta - gamma) + gamma
    gate = tl.minimum(tl.maximum(stretched, 0.0), 1.0)
    tl.store(p + _GATE * stride, gate, mask=inside)
    return gate


@triton.jit(do_not_specialize=["key"])
def _strip_kernel(  # type: ignore[no-untyped-def]
    offset_ptr, cell_ptr, order_ptr, row_ptr, table_ptr, dual_ptr, state_ptr, work_ptr, total_ptr, statistic_ptr,
    n_records, n_metrics, key, rate_weight, rate_alpha, unbias, beta, gamma, zeta, shift, l0, l2, largest,
    UPDATE: tl.constexpr, MOVE_GATES: tl.constexpr, RESAMPLE: tl.constexpr,
    BLOCK: tl.constexpr, TILE: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    strip = tl.program_id(0).to(tl.int64)
    first, last = tl.load(offset_ptr + strip), tl.load(offset_ptr + strip + 1)
    stride = n_records.to(tl.int64)
    metric = tl.arange(0, WIDTH)
    cell = tl.load(cell_ptr + strip).to(tl.int64)
    dual = tl.load(dual_ptr + cell * n_metrics + metric, mask=metric < n_metrics, other=0.0)
    total = tl.zeros((TILE, WIDTH), dtype=tl.float32)
    expected = tl.zeros((BLOCK,), dtype=tl.float32)
    squares = tl.zeros((BLOCK,), dtype=tl.float32)
    kept = tl.zeros((BLOCK,), dtype=tl.float32)
    for begin in range(first, last, BLOCK):
        if UPDATE:
            for start in range(begin, min(begin + BLOCK, last), TILE):
                place = start + tl.arange(0, TILE)
                gate = tl.load(state_ptr + _GATE * stride + place, mask=place < last, other=0.0)
                values = _rows(table_ptr, row_ptr, place, gate != 0.0, metric, n_metrics)
                tl.store(work_ptr + place, tl.sum(values * dual[None, :], axis=1), mask=place < last)
            tl.debug_barrier()
        clone = begin + tl.arange(0, BLOCK)
        inside = clone < last
        p = state_ptr + clone
        alpha = tl.load(p + _ALPHA * stride, mask=inside, other=0.0)
        weight = tl.load(p + _WEIGHT * stride, mask=inside, other=0.0)
        gate = tl.load(p + _GATE * stride, mask=inside, other=0.0)
        if UPDATE:
            product = tl.load(work_ptr + clone, mask=inside, other=0.0)
            alpha, weight = _descend(
                p, stride, inside, product, alpha, weight, gate, rate_weight, rate_alpha, unbias, beta, gamma, zeta,
                shift, l0, l2, largest, MOVE_GATES,
            )  # fmt: skip
        else:
            tl.debug_barrier()
        if RESAMPLE:
            drawn = _limited(alpha)
            if RESAMPLE == 2:
                drawn += _noise(key, tl.load(order_ptr + clone, mask=inside, other=0))
            gate = _open_gates(p, stride, inside, drawn, beta, gamma, zeta)
        tl.store(work_ptr + clone, weight * gate, mask=inside)
        expected += tl.where(inside, _sigmoid(_limited(alpha) + shift), 0.0)
        squares += tl.where(inside, weight * weight, 0.0)
        kept += tl.where(inside & (alpha > -shift), 1.0, 0.0)
        tl.debug_barrier()
        for start in range(begin, min(begin + BLOCK, last), TILE):
            place = start + tl.arange(0, TILE)
            share = tl.load(work_ptr + place, mask=place < last, other=0.0)
            total += _rows(table_ptr, row_ptr, place, share != 0.0, metric, n_metrics) * share[:, None]
    tl.store(total_ptr + strip * n_metrics + metric, tl.sum(total, axis=0).to(tl.float64), mask=metric < n_metrics)
    out = statistic_ptr + strip * _N_STATISTICS
    tl.store(out + _EXPECTED, tl.sum(expected, axis=0).to(tl.float64))
    tl.store(out + _SQUARED, tl.sum(squares, axis=0).to(tl.float64))
    tl.store(out + _FINAL, tl.sum(kept, axis=0).to(tl.float64))
