"""Checkpoints: the state of a fit in one HDF5 file, from which it goes on as if it had never stopped.

Written atomically, so that a kill leaves the previous one. A checkpoint names the matrix, initial weights and options
it belongs to and is refused by others: silently going on with another fit's state is how two fits get mixed up.

Layout (version 2): attributes format, version, fingerprint, options (JSON), epoch, sampled, price; datasets records,
totals, statistics, history, log_epochs, log_estimates.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tessera.calibration.options import FitOptions
from tessera.calibration.state import HISTORY, FitState
from tessera.errors import FitError, StorageError
from tessera.hdf5 import new_hdf5
from tessera.store import atomic_path

_FORMAT, _VERSION = "tessera-fit-checkpoint", 2
# Options that change no number, and so may differ on resuming.
_FREE = ("threads", "device")


def save(path: Path, state: FitState, fingerprint: str, options: FitOptions) -> Path:
    """Write a checkpoint atomically; returns the path."""
    with atomic_path(path) as temporary, new_hdf5(temporary) as file:
        file.attrs.update(
            format=_FORMAT, version=_VERSION, fingerprint=fingerprint, options=json.dumps(options.as_dict()),
            epoch=state.epoch, sampled=state.sampled, price=state.price,
        )  # fmt: skip
        file["records"], file["totals"], file["statistics"] = state.records, state.totals, state.statistics
        file["history"] = np.array(state.history, dtype=np.float64).reshape(-1, len(HISTORY))
        file["log_epochs"] = np.array(state.log_epochs, dtype=np.int64)
        file["log_estimates"] = np.array(state.log_estimates, dtype=np.float64)
    return path


def load(path: Path, fingerprint: str, options: FitOptions) -> FitState:
    """The state in a checkpoint.

    Raises:
        StorageError: a file that is missing, damaged, foreign or of another version.
        FitError: a checkpoint of another matrix, of other initial weights or of other options.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            _check(path, dict(file.attrs), fingerprint, options)
            return FitState(
                epoch=int(file.attrs["epoch"]),
                sampled=int(file.attrs["sampled"]),
                price=float(file.attrs["price"]),
                records=file["records"][()],
                totals=file["totals"][()],
                statistics=file["statistics"][()],
                history=[tuple(row) for row in file["history"][()].tolist()],
                log_epochs=file["log_epochs"][()].tolist(),
                log_estimates=list(file["log_estimates"][()]),
            )
    except (OSError, KeyError) as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"{path}: not a readable checkpoint ({error}). Remove it and fit from the start, or name an intact one."
        ) from error


def _check(path: Path, attributes: dict[str, Any], fingerprint: str, options: FitOptions) -> None:
    if attributes.get("format") != _FORMAT or int(attributes.get("version", 0)) != _VERSION:
        raise StorageError(
            f"{path}: has format {attributes.get('format')!r}, version {attributes.get('version')}; "
            f"wanted {_FORMAT!r}, version {_VERSION}."
        )
    if attributes["fingerprint"] != fingerprint:
        raise FitError(
            f"{path}: belongs to another matrix or other initial weights (fingerprint {attributes['fingerprint']}, "
            f"this fit's is {fingerprint}). Fit from the start, or use the matrix that the checkpoint was made with."
        )
    stored, wanted = json.loads(attributes["options"]), json.loads(json.dumps(options.as_dict()))
    changed = [name for name in wanted if name not in _FREE and stored.get(name) != wanted[name]]
    if changed:
        name = changed[0]
        raise FitError(
            f"{path}: was made with {name} = {stored.get(name)}, this fit has {wanted[name]} "
            f"({len(changed)} options differ). Resume with the same options, or fit from the start."
        )
