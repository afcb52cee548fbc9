"""How much each target weighs in the loss: groups, multipliers and the fold held out. Functions of the target table.

    g_t = n_targets / (n_groups * size of t's group) * multiplier of the group,  0 for a target held out

Folds are dealt by a hash of a target's stratum, so that all figures of a place and domain are held out together, and a
target stays in its fold whatever else is in the table.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.calibration.options import FitOptions
from tessera.errors import FitError
from tessera.targets.folds import COLUMN, folds_of

_COLUMNS = {
    "variable": ("variable",),
    "level": ("geo_level",),
    "level_variable": ("geo_level", "variable"),
    "source": ("source",),
}

FloatArray = npt.NDArray[np.float64]


def target_weights(targets: pd.DataFrame, options: FitOptions) -> FloatArray:
    """Weight of each target in the loss, shape (n_targets,).

    Raises:
        FitError: a multiplier for a group that no target is in, groups by a column that the table lacks, or nothing
            left to fit.
    """
    weight = _group_weights(targets, options) * ~held_out(targets, options.holdout_folds, options.holdout_fold)
    if not (weight > 0).any():
        raise FitError(
            f"No target is left in the loss: all {len(targets)} are held out or have the multiplier 0. Change "
            "holdout_fold or group_multipliers."
        )
    return weight


def held_out(targets: pd.DataFrame, folds: int, fold: int | None) -> npt.NDArray[np.bool_]:
    """Whether each target is in the fold that is held out, shape (n_targets,)."""
    if fold is None:
        return np.zeros(len(targets), dtype=bool)
    return fold_of(targets, folds) == fold


def fold_of(targets: pd.DataFrame, folds: int) -> npt.NDArray[np.int64]:
    """Fold of each target, 0 to folds - 1, shape (n_targets,): by its stratum, or by name in a table without strata.

    Tables of the target database have the stratum's `definition_hash`; packages of earlier versions do not.
    """
    if COLUMN in targets:
        return folds_of(targets, folds)
    digests = (hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in targets["name"])
    return np.array([int.from_bytes(digest, "little") % folds for digest in digests], dtype=np.int64)


def _group_weights(targets: pd.DataFrame, options: FitOptions) -> FloatArray:
    weight = np.ones(len(targets))
    if options.loss_groups == "none":
        if options.group_multipliers:
            raise FitError(
                "FitOptions.group_multipliers is set while loss_groups is 'none'; name the groups with loss_groups, "
                f"one of {', '.join(_COLUMNS)}."
            )
        return weight
    columns = _COLUMNS[options.loss_groups]
    missing = [column for column in columns if column not in targets]
    if missing:
        raise FitError(f"loss_groups is {options.loss_groups!r}, but the targets have no column {missing[0]}.")
    keys = _names(targets[columns[0]])
    for column in columns[1:]:
        keys = keys + "/" + _names(targets[column])
    number, names = pd.factorize(keys, sort=True)
    weight = len(targets) / (len(names) * np.bincount(number)[number])
    for group, factor in options.group_multipliers:
        if group not in names:
            raise FitError(f"group_multipliers names {group!r}; the groups are {', '.join(map(str, names[:12]))}, ...")
        weight = np.where(keys.to_numpy() == group, weight * factor, weight)
    return np.asarray(weight, dtype=np.float64)


def _names(column: pd.Series) -> pd.Series:
    """Values as text; those missing make a group of their own."""
    return column.astype(object).where(column.notna(), "unknown").astype(str)
