"""StageStore: results of stages in files, each with what it was made from, so that a run goes on where one stopped.

A stage is a name, its inputs (settings and content hashes of earlier stages) and a function that makes its value. The
value is stored as a tree with its inputs beside it, atomically. A stored stage is used again only if its inputs are
those of now; otherwise it is made anew, and the log says which input differs. A value that comes out as it was has the
hash that it had, so that what follows is still used. Holds no stage.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tessera.durations import duration
from tessera.errors import StorageError, StructureError

_LOGGER = logging.getLogger(__name__)
Input = str | int | float | bool
_SHOWN = 16  # characters of a hash that tell hashes apart


@dataclass(frozen=True)
class Stage:
    """A stage that is stored.

    Attributes:
        path: its file.
        sha256: of its value.
        reused: whether it was there already.
    """

    path: Path
    sha256: str
    reused: bool

    @cached_property
    def value(self) -> Any:
        """The value, read from the file when it is first asked for."""
        from tessera.pytree.io import load_tree

        return load_tree(self.path, ("value",))


class StageStore:
    """Stages of one road.

    Args:
        folder: of the files.
        total: number of stages, for the log.
    """

    def __init__(self, folder: Path, total: int) -> None:
        self.folder = folder
        self._total = total
        self._done = 0
        self._started = time.monotonic()

    def stage(
        self,
        name: str,
        inputs: Mapping[str, Input],
        make: Callable[[], Any],
        altered: Callable[[Any], str] | None = None,
    ) -> Stage:
        """The stored stage, or a new one.

        Args:
            name: of the stage and its file.
            inputs: everything that the value depends on, by name.
            make: makes the value; called only where no stored one will do.
            altered: why a stored value will not do although its inputs are the same; empty where it will.

        Raises:
            StorageError: the value cannot be stored; an earlier file is as it was.
        """
        from tessera.pytree.io import dump_tree
        from tessera.pytree.storage.fingerprint import tree_sha256

        path = self.folder / f"{name}.h5"
        text = json.dumps(dict(inputs), sort_keys=True)
        sha256, reason = self._stored(path, text)
        if sha256 is not None and altered is not None:
            reason = altered(Stage(path, sha256, True).value)
        if sha256 is not None and not reason:
            self._log(name, "kept, its inputs are the same")
            return Stage(path, sha256, True)
        _LOGGER.info("[%d/%d] %s: making it%s", self._done + 1, self._total, name, f"; {reason}" if reason else "")
        started = time.monotonic()
        value = make()
        sha256 = tree_sha256(value)
        dump_tree({"inputs": text, "sha256": sha256, "value": value}, path)
        self._log(name, f"made in {duration(time.monotonic() - started)}")
        return Stage(path, sha256, False)

    def _stored(self, path: Path, text: str) -> tuple[str | None, str]:
        """Hash of a stored value that will do; or none, and why."""
        from tessera.pytree.io import load_tree

        if not path.exists():
            return None, ""
        try:
            stored, sha256 = (load_tree(path, (part,)) for part in ("inputs", "sha256"))
        except (StorageError, StructureError) as error:
            return None, f"the stored one cannot be read ({error})"
        if stored == text:
            return str(sha256), ""
        return None, f"the stored one was made from other inputs: {difference(json.loads(stored), json.loads(text))}"

    def _log(self, name: str, note: str) -> None:
        self._done += 1
        elapsed = duration(time.monotonic() - self._started)
        _LOGGER.info("[%d/%d] %s: %s (%s since the start)", self._done, self._total, name, note, elapsed)


def difference(stored: Mapping[str, Input], wanted: Mapping[str, Input]) -> str:
    """The inputs that differ, in words: `seed was 1, is 2`."""
    parts = []
    for name in sorted({*stored, *wanted}):
        before, now = (_short(side[name]) if name in side else "not there" for side in (stored, wanted))
        if before != now:
            parts.append(f"{name} was {before}, is {now}")
    return "; ".join(parts)


def _short(value: Input) -> str:
    text = str(value)
    return text[:_SHOWN] if len(text) == 64 else text
