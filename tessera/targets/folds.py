"""Hold-out folds of strata: which targets a fit leaves out, to see how well it does on what it was not shown.

    fold = blake2b("{seed}:{definition_hash}", 8 bytes, little-endian) mod folds

A stratum is dealt as a whole, so that the count and the dollars of one place and domain leave the fit together: were
they dealt one by one, the fit would be shown half of what it is tested on. The fold depends on the stratum's own
definition alone: it is the same in every database, whatever else is in it, on every machine and in every version.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import TargetError
from tessera.targets.strata import definition_hash as hash_of

COLUMN = "definition_hash"


def fold(definition_hash: str, folds: int, seed: int = 0) -> int:
    """Fold of a stratum, 0 to folds - 1.

    Args:
        definition_hash: of the stratum (`strata.definition_hash`).
        folds: how many; at least 2.
        seed: another seed deals the strata anew.

    Raises:
        TargetError: fewer than two folds, or no hash.
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise TargetError(f"folds is {folds!r}; wanted a whole number of at least 2.")
    if not isinstance(definition_hash, str) or not definition_hash:
        raise TargetError(f"definition_hash is {definition_hash!r}; wanted the hash of a stratum, as text.")
    digest = hashlib.blake2b(f"{seed}:{definition_hash}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % folds


def folds_of(targets: pd.DataFrame, folds: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Fold of each target, that of its stratum.

    Args:
        targets: with the column definition_hash, or with geo_level, geo_id and constraints to compute it from.
        folds: how many; at least 2.
        seed: another seed deals the strata anew.

    Returns:
        0 to folds - 1, shape (n_targets,).
    """
    hashes = targets[COLUMN] if COLUMN in targets else pd.Series(_hashes(targets), dtype=object)
    numbers, distinct = pd.factorize(hashes)
    if (numbers < 0).any():
        row = int(np.flatnonzero(numbers < 0)[0])
        raise TargetError(f"Target {row} has no {COLUMN}; build the target database again.")
    dealt = np.array([fold(one, folds, seed) for one in distinct], dtype=np.int64)
    return dealt[numbers] if len(distinct) else dealt


def _hashes(targets: pd.DataFrame) -> list[str]:
    missing = [name for name in ("geo_level", "geo_id", "constraints") if name not in targets]
    if missing:
        raise TargetError(
            f"The targets have neither {COLUMN} nor {missing[0]}; wanted {COLUMN}, or geo_level, geo_id, constraints."
        )
    places = targets[["geo_level", "geo_id", "constraints"]]
    known: dict[tuple[str, str, str], str] = {}
    rows = [(str(level), str(place), str(text)) for level, place, text in places.itertuples(index=False)]
    for row in rows:
        if row not in known:
            known[row] = hash_of(*row)
    return [known[row] for row in rows]
