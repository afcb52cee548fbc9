"""Identity of a run: version, commit and time, computed once and passed on.

Holds the one place that asks git and the clock. Whatever comes later takes a `RunIdentity`, so that two artefacts of a
run cannot disagree about which run they are of. A run id reads `{version}_{first 8 of the commit}_{UTC time}`.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tessera import __version__
from tessera.config import Paths
from tessera.errors import ReleaseError
from tessera.store import write_text

NO_COMMIT = "0" * 40

_RUN_ID = re.compile(r"(?P<version>[A-Za-z0-9][A-Za-z0-9.+-]*)_(?P<sha8>[0-9a-f]{8})_(?P<time>\d{8}T\d{6}Z)")
_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class GitState:
    """Commit of a checkout (`NO_COMMIT` where there is none) and whether files differ from it."""

    sha: str
    dirty: bool


@dataclass(frozen=True)
class RunIdentity:
    """Identity of a run.

    Attributes:
        run_id: `{version}_{sha8}_{YYYYMMDDTHHMMSSZ}`, also the name of its folder.
        version: of the tessera package.
        git: commit and dirty flag.
        started_at: UTC, ISO 8601 to the second.
    """

    run_id: str
    version: str
    git: GitState
    started_at: str


def git_state(folder: Path) -> GitState:
    """State of the checkout that holds `folder`; `NO_COMMIT` and dirty outside a checkout or before a first commit."""
    sha = _git(folder, "rev-parse", "HEAD")
    if sha is None or not re.fullmatch(r"[0-9a-f]{40,64}", sha):
        return GitState(NO_COMMIT, True)
    changes = _git(folder, "status", "--porcelain")
    return GitState(sha, changes is None or changes != "")


def new_identity(version: str, git: GitState, now: datetime | None = None) -> RunIdentity:
    """The identity of a run that starts now.

    Args:
        version: of the package; letters, digits, `.`, `+` and `-`.
        git: from `git_state`.
        now: an aware time; the clock's if absent.

    Raises:
        ReleaseError: the version cannot be part of a folder name, or the time has no zone.
    """
    moment = now or datetime.now(UTC)
    if moment.tzinfo is None:
        raise ReleaseError(f"Run identity: the time {moment.isoformat()} has no zone; wanted an aware one, say UTC.")
    moment = moment.astimezone(UTC)
    run_id = f"{version}_{git.sha[:8]}_{moment.strftime(_TIME)}"
    if not _RUN_ID.fullmatch(run_id):
        raise ReleaseError(
            f"Run identity: {run_id!r} cannot name a folder; wanted a version of letters, digits, '.', '+' and '-'."
        )
    return RunIdentity(run_id, version, git, moment.replace(microsecond=0).isoformat().replace("+00:00", "Z"))


def identity_of_content(store: Paths, content: Sequence[str]) -> RunIdentity:
    """The identity of the run that made some content: the known one if there is one, else a new one.

    So a report, staging or promotion that is done again keeps its run id, and with it its bytes. Kept in
    `runs/{run_id}/identity.json`.

    Args:
        store: where runs are kept.
        content: sha256 of the area files and whatever else tells one content from another, in order.
    """
    known = known_identity(store, content)
    if known is not None:
        return known
    identity = new_identity(__version__, git_state(Path(__file__).parent))
    record = json.dumps({"content": _digest(content), "identity": asdict(identity)}, indent=1, sort_keys=True)
    write_text(store.run(identity.run_id) / "identity.json", record + "\n")
    return identity


def known_identity(store: Paths, content: Sequence[str]) -> RunIdentity | None:
    """The identity under which this commit made the same content before, if it did; arguments as above."""
    git = git_state(Path(__file__).parent)
    for path in sorted((store.home / "runs").glob("*/identity.json"), reverse=True):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["content"] == _digest(content) and record["identity"]["git"] == asdict(git):
            return RunIdentity(**{**record["identity"], "git": GitState(**record["identity"]["git"])})
    return None


def _digest(content: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(content).encode("utf-8")).hexdigest()


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
