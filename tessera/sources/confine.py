"""Where a file of a catalogue may lie: below the folder given, whatever the catalogue says. Opens nothing."""

from __future__ import annotations

import re
from pathlib import Path

from tessera.errors import SourceError

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")


def path_below(folder: Path, relative_path: str) -> Path:
    """The path of a file below a folder.

    Args:
        folder: the folder that nothing may leave; it need not exist.
        relative_path: parts separated by `/`. A part may not be empty, `.` or `..`, nor begin with a dot: hidden names
            are those of unfinished downloads.

    Raises:
        SourceError: a path that is absolute, that leaves the folder by its parts or by a symbolic link, or that is a
            folder.
    """
    fault = _fault(relative_path)
    if fault:
        raise SourceError(
            f"{relative_path!r} {fault}; wanted a path below {folder}, such as 'irs_soi/22incd.csv'. Correct the "
            "catalogue that names it."
        )
    path, root = folder / relative_path, folder.resolve()
    if not path.parent.resolve().is_relative_to(root):
        raise SourceError(
            f"{path}: a symbolic link leads out of {root}, to {path.parent.resolve()}; wanted a folder below it. "
            "Replace the link by a folder, or move all source files to the other disk."
        )
    if path.is_dir():
        raise SourceError(f"{path}: is a folder; wanted a file, or nothing yet. Move it away and run again.")
    return path


def _fault(relative_path: str) -> str:
    """What is wrong with a path's text, "" if nothing is."""
    parts = relative_path.split("/")
    faults = {
        "is empty": not relative_path,
        "holds a control character": bool(_UNPRINTABLE.search(relative_path)),
        "is a path of another system": "\\" in relative_path or bool(_DRIVE.match(relative_path)),
        "is absolute": relative_path.startswith("/"),
        "leads out of the folder": ".." in parts,
        "has an empty or hidden part": any(not part.strip() or part.startswith(".") for part in parts),
    }
    return next((words for words, is_so in faults.items() if is_so), "")
