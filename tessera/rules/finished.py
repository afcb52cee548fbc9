"""FinishedStates: state values that are done, in memory or in files that outlive a run that was stopped.

A file is looked for under the hash of what the values were made from; values of other inputs are never taken. Files
are written whole or not at all. Holds no computation.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.pytree.partitions import PartitionedTree

if TYPE_CHECKING:
    from tessera.rules.state_values import StateValues

_LOGGER = logging.getLogger(__name__)
_DIGITS = 16


class FinishedStates:
    """Finished states of one set of inputs.

    Args:
        folder: where files of finished states lie; None keeps them in memory.
        sha256: of the inputs.
    """

    def __init__(self, folder: Path | None, sha256: str) -> None:
        self._folder = None if folder is None else folder / sha256[:_DIGITS]
        self._sha256 = sha256
        self._held: dict[str, StateValues] = {}
        self._forget_others(folder)

    def _forget_others(self, folder: Path | None) -> None:
        """Remove states of other inputs: they would never be looked for again, but by going back to those inputs."""
        for other in sorted(folder.iterdir()) if folder is not None and folder.is_dir() else ():
            if other != self._folder and re.fullmatch(rf"[0-9a-f]{{{_DIGITS}}}", other.name):
                shutil.rmtree(other, ignore_errors=True)

    def __contains__(self, usps: str) -> bool:
        return usps in self._held or (self._folder is not None and self._is_sound(self._folder / f"{usps}.h5"))

    def _is_sound(self, path: Path) -> bool:
        """Whether a file can be read and is of these inputs; anything else is made again."""
        from tessera.errors import StorageError
        from tessera.pytree.io import load_tree

        if not path.exists():
            return False
        try:
            return str(load_tree(path, ("inputs_sha256",))) == self._sha256
        except StorageError as error:
            _LOGGER.warning("%s is damaged (%s); the state is computed again", path, error)
            return False

    def keep(self, states: dict[str, StateValues]) -> dict[str, StateValues]:
        """Write states to the folder, if there is one, and give back what is to be held in memory instead."""
        if self._folder is None:
            return states
        from tessera.pytree.io import dump_tree

        for usps, values in states.items():
            dump_tree(values, self._folder / f"{usps}.h5")
        return {}

    def add(self, states: Mapping[str, StateValues]) -> None:
        """Hold states in memory."""
        self._held.update(states)

    def of(self, keys: Sequence[str]) -> Mapping[str, Any]:
        """States by postal code, in order; those in files are read one at a time."""
        if self._folder is None:
            return {usps: self._held[usps] for usps in keys}
        return PartitionedTree({usps: self._folder / f"{usps}.h5" for usps in keys}, name="state_values")
