"""Checkpoints: the state of a fit in one HDF5 file, from which it goes on as if it had never stopped.

Written atomically, so that a kill leaves the previous one. A checkpoint names the matrix, initial weights and options
it belongs to and is refused by others: silently going on with another fit's state is how two fits get mixed up.

Layout (version 3): attributes format, version, fingerprint, options (JSON), epoch, sampled, price, digest (of all the
rest); datasets records, totals, statistics, history, log_epochs, log_estimates.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tessera.calibration.options import FitOptions
from tessera.calibration.recipe.state import HISTORY, FitState
from tessera.errors import FitError, StorageError
from tessera.hdf5 import new_hdf5
from tessera.store import atomic_path

_FORMAT, _VERSION = "tessera-fit-checkpoint", 4
_ARRAYS = ("records", "totals", "statistics", "history", "log_epochs", "log_estimates")
# What h5py and the digest raise for a file that was cut short or changed.
_DAMAGE = (OSError, LookupError, ValueError, TypeError, RuntimeError, AttributeError)
# Options that change no number, and so may differ on resuming.
_FREE = ("threads", "device")


def save(path: Path, state: FitState, fingerprint: str, options: FitOptions) -> Path:
    """Write a checkpoint atomically; returns the path."""
    attributes = {
        "format": _FORMAT, "version": _VERSION, "fingerprint": fingerprint, "options": json.dumps(options.as_dict()),
        "epoch": state.epoch, "sampled": state.sampled, "price": state.price,
    }  # fmt: skip
    arrays: dict[str, npt.NDArray[Any]] = {
        "records": state.records,
        "totals": state.totals,
        "statistics": state.statistics,
        "history": np.array(state.history, dtype=np.float64).reshape(-1, len(HISTORY)),
        "log_epochs": np.array(state.log_epochs, dtype=np.int64),
        "log_estimates": np.array(state.log_estimates, dtype=np.float64),
    }
    with atomic_path(path) as temporary, new_hdf5(temporary) as file:
        file.attrs.update(attributes, digest=_digest(attributes, arrays))
        for name, array in arrays.items():
            file[name] = array
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
            attributes = dict(file.attrs)
            _check_format(path, attributes)
            arrays = {name: file[name][()] for name in _ARRAYS}
        digest = attributes.pop("digest")
        if digest != _digest(attributes, arrays):
            raise ValueError("its contents do not have the digest that they were written with")
    except _DAMAGE as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"{path}: not a readable checkpoint ({error}). Remove it and fit from the start, or name an intact one."
        ) from error
    _check_owner(path, attributes, fingerprint, options)
    return FitState(
        epoch=int(attributes["epoch"]),
        sampled=int(attributes["sampled"]),
        price=float(attributes["price"]),
        records=arrays["records"],
        totals=arrays["totals"],
        statistics=arrays["statistics"],
        history=[tuple(row) for row in arrays["history"].tolist()],
        log_epochs=arrays["log_epochs"].tolist(),
        log_estimates=list(arrays["log_estimates"]),
    )


def _digest(attributes: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Hash of everything in a checkpoint, as HDF5 does not notice a changed byte."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in attributes.items()}
    digest = hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=16)
    for name in _ARRAYS:
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes() if array.size == 0 else array.data)
    return digest.hexdigest()


def _check_format(path: Path, attributes: Mapping[str, Any]) -> None:
    if attributes.get("format") != _FORMAT or attributes.get("version") != _VERSION:
        raise StorageError(
            f"{path}: has format {attributes.get('format')!r}, version {attributes.get('version')}; "
            f"wanted {_FORMAT!r}, version {_VERSION}. Remove it and fit from the start, or name another one."
        )


def _check_owner(path: Path, attributes: Mapping[str, Any], fingerprint: str, options: FitOptions) -> None:
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
