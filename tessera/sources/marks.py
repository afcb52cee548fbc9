"""The marks of synthetic files: a sidecar `<file>.synthetic.json` and, in zips, a member `SYNTHETIC.txt`.

The sidecar holds writer, seed, settings and the file's sha256, so that a run knows whether the file at hand is the one
that it would write. The sidecar is written just before its file is put in place and remembers the file it replaces, so
a writer killed in between leaves nothing unexplained. A sidecar that describes another file is refused rather than
guessed about.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

from tessera.errors import SourceError
from tessera.store import sha256_of, write_text

MEMBER = "SYNTHETIC.txt"
NOTICE = (
    "SYNTHETIC DATA. No person, household or return in this archive exists. Written by Tessera in the format of the\n"
    "official file, from published national distributions, for development and demonstration only.\n"
)


@dataclass(frozen=True)
class Mark:
    """What a synthetic file was written with. `settings` are the writer's sizes ("households": 1500, ...).

    `previous` is the sha256 of the synthetic file that was replaced, "" if there was none.
    """

    writer: str
    seed: int
    settings: dict[str, int]
    sha256: str
    previous: str = ""

    def describes(self, sha256: str) -> bool:
        """Whether a file with this sha256 is the marked one, or the one that it was about to replace."""
        return sha256 in (self.sha256, self.previous)


def sidecar_of(path: Path) -> Path:
    """Path of the sidecar of a source file."""
    return path.with_name(f"{path.name}.synthetic.json")


def write_mark(path: Path, *, sha256: str, writer: str, seed: int, settings: dict[str, int]) -> Mark:
    """Write the sidecar of a file that is about to be put in place with the given sha256; returns the mark."""
    previous = sha256_of(path) if path.exists() and sidecar_of(path).exists() else ""
    mark = Mark(writer=writer, seed=seed, settings=settings, sha256=sha256, previous=previous)
    write_text(sidecar_of(path), json.dumps({"synthetic": True, **asdict(mark)}, indent=2, sort_keys=True) + "\n")
    return mark


def read_mark(path: Path) -> Mark | None:
    """The mark of a file, or None if it has no sidecar.

    Raises:
        SourceError: the sidecar cannot be read.
    """
    sidecar = sidecar_of(path)
    if not sidecar.exists():
        return None
    try:
        stored = json.loads(sidecar.read_text(encoding="utf-8"))
        return Mark(
            writer=str(stored["writer"]),
            seed=int(stored["seed"]),
            settings={str(key): int(value) for key, value in stored["settings"].items()},
            sha256=str(stored["sha256"]),
            previous=str(stored.get("previous", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{sidecar}: not a readable mark of a synthetic file ({error!r}); wanted JSON with writer, seed, settings "
            "and sha256. Delete it together with the file it describes and run again."
        ) from error


def is_synthetic(path: Path, sha256: str) -> bool:
    """Whether a file bears a mark. `sha256` is that of the file as it is now.

    Raises:
        SourceError: the sidecar describes a file with another sha256.
    """
    mark = read_mark(path)
    if mark is not None and not mark.describes(sha256):
        raise SourceError(
            f"{path}: its sidecar {sidecar_of(path).name} describes a synthetic file with sha256 "
            f"{mark.sha256[:12]}..., "
            f"but the file has {sha256[:12]}.... If the file is official now, delete the sidecar; if not, delete both "
            "and run again."
        )
    if mark is not None:
        return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(Path(name).name == MEMBER for name in archive.namelist())
