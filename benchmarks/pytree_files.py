"""Dump and load of large arrays against h5py writing and reading the same arrays with nothing around it."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.pytree_cases import Figure, race

_ARRAYS = 10


def throughput(folder: Path, nbytes: int, repeats: int) -> list[Figure]:
    """Shares of h5py's raw speed, with files that the system holds in memory, and with waiting for the disk.

    Args:
        folder: on the disk to be measured.
        nbytes: of 10 arrays of random float64, all together.
        repeats: of each; a write that waits for the disk is repeated half as often.
    """
    rng = np.random.default_rng(7)
    tree = {f"array {i}": rng.random(nbytes // 8 // _ARRAYS) for i in range(_ARRAYS)}
    figures = []
    for durable in (False, True):
        times = race(*_writers(tree, folder, durable), max(2, repeats // (2 if durable else 1)))
        how = "both waiting for the disk" if durable else "neither waiting for the disk"
        figures.append(_speed(f"dump{'_durable' if durable else ''}", f"dump {nbytes / 1e9:g} GB, {how}", times))
    times = race(*_readers(tree, folder), repeats)
    figures.append(_speed("load", f"load {nbytes / 1e9:g} GB, everything checked, file in memory", times))
    return figures


def _speed(name: str, what: str, times: tuple[float, float]) -> Figure:
    ours, raw = times
    return Figure(name, what, raw / ours, "x h5py's raw speed", 0.5, at_least=True, ours=ours, reference=raw)


def _writers(tree: dict[str, Any], folder: Path, durable: bool) -> tuple[Callable[[], Any], Callable[[], Any]]:
    from tessera.pytree import dump_tree

    def ours() -> None:
        _remove(folder)
        dump_tree(tree, folder / "ours.h5", durable=durable)

    def raw() -> None:
        _remove(folder)
        with h5py.File(folder / "raw.h5", "w") as file:
            for name, array in tree.items():
                file.create_dataset(name, data=array)
        if durable:
            descriptor = os.open(folder / "raw.h5", os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    return ours, raw


def _readers(tree: dict[str, Any], folder: Path) -> tuple[Callable[[], Any], Callable[[], Any]]:
    from tessera.pytree import dump_tree, load_tree

    _remove(folder)
    dump_tree(tree, folder / "ours.h5")
    with h5py.File(folder / "raw.h5", "w") as file:
        for name, array in tree.items():
            file.create_dataset(name, data=array)
    os.sync()

    def ours() -> Any:
        return load_tree(folder / "ours.h5")

    def raw() -> Any:
        with h5py.File(folder / "raw.h5", "r") as file:
            return {name: file[name][()] for name in file}

    loaded = ours()
    assert all(np.array_equal(loaded[name], array) for name, array in tree.items())
    del loaded
    gc.collect()
    return ours, raw


def _remove(folder: Path) -> None:
    """Both files, so that each write starts from nothing and the disk holds one at a time."""
    for name in ("ours.h5", "raw.h5"):
        (folder / name).unlink(missing_ok=True)
