"""`tessera download`: parsers, and what they print. Getting files is in `tessera.sources`.

Without arguments it lists the sources with what is at hand; nothing is downloaded that was not named. Progress goes to
standard error.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera import config
from tessera.cli_package import progress_on_stderr
from tessera.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from tessera.sources.cache import RemoteFile
    from tessera.sources.download import Fetched, Limits

_DOWNLOAD = (
    "Download official files of the sources named, in full or from where an earlier download stopped, and put them "
    "below raw/ in the store. Files at hand stay as they are. Without a source: list them all, with what is at hand."
)
_BLOCKS = "census_blocks"


@dataclass(frozen=True)
class _Source:
    """A source as this command sees it: what it is, its files, whether it must be supplied, and how to get it."""

    note: str
    files: Sequence[RemoteFile]
    licensed: bool
    obtain: Callable[[Path, bool, Limits], list[Fetched]]


def add_download_command(commands: Any) -> None:
    """Add `download` to the subcommands of `tessera`."""
    one = commands.add_parser("download", help="get official source files", description=_DOWNLOAD)
    add = one.add_argument
    add("sources", nargs="*", metavar="SOURCE", help="cps_asec, scf, ...; all: every one that needs no licence")
    add("--home", type=Path, help="the store (default: TESSERA_HOME, or var/ in the checkout)")
    add(
        "--offline",
        action="store_true",
        help="download nothing: say which files are absent, and from where to get them",
    )
    add(
        "--attempts",
        type=_positive(int),
        default=5,
        metavar="N",
        help="failures in a row to give up after (default: 5)",
    )
    add("--stall", type=_positive(float), default=60.0, metavar="SECONDS",
        help="an answer that brings next to nothing for so long is broken off (default: 60)")  # fmt: skip
    add("--files", action="store_true", help="with the list: every file, its address and sha256")
    one.set_defaults(command=run_download)


def run_download(options: argparse.Namespace) -> Iterator[str]:
    """Download sources, or list them; yields the lines to print.

    Raises:
        ConfigError: an unknown source.
        SourceError: files that could not be had; all others have been downloaded before.
        StorageError: the store cannot be written, or its disk is full.
    """
    from tessera.sources.download import Limits

    raw, known = config.paths(options.home).raw, _sources()
    if not options.sources:
        yield from _listed(known, raw, options.files)
        return
    limits = Limits(attempts=options.attempts, stall=options.stall)
    offline = options.offline or config.offline()
    failed = []
    with progress_on_stderr():
        for name in _chosen(options.sources, known):
            try:
                got = known[name].obtain(raw, offline, limits)
            except SourceError as error:
                failed.append(str(error))
                continue
            files = len(known[name].files)
            yield f"{name:<16}{files} of {files} at hand" + (f", {len(got)} just downloaded" if got else "")
    if failed:
        raise SourceError("\n".join(failed))


def _sources() -> dict[str, _Source]:
    """Everything that can be downloaded, by name."""
    from tessera.geography.official_files import block_files, obtain_blocks
    from tessera.sources.registry import SourceFile, obtain_source, sources

    def survey(source: SourceFile) -> _Source:
        return _Source(
            source.note, source.files, source.licensed,
            lambda raw, offline, limits: obtain_source(source, raw, offline=offline, limits=limits),
        )  # fmt: skip

    blocks = block_files()
    return {name: survey(source) for name, source in sources().items()} | {
        _BLOCKS: _Source(
            blocks.note, blocks.all(), False,
            lambda raw, offline, limits: obtain_blocks(raw, blocks, offline=offline, limits=limits),
        )
    }  # fmt: skip


def _chosen(named: Sequence[str], known: dict[str, _Source]) -> list[str]:
    """Names without repetition, in the order given; `all` stands for those that need no licence."""
    unknown = [name for name in named if name not in known and name != "all"]
    if unknown:
        raise ConfigError(f"No source is called {unknown[0]!r}; wanted {', '.join(known)}, or all.")
    free = [name for name, source in known.items() if not source.licensed]
    return list(dict.fromkeys(one for name in named for one in (free if name == "all" else [name])))


def _listed(known: dict[str, _Source], raw: Path, files: bool) -> list[str]:
    """A line a source, and with `files` one a file."""
    from tessera.sources.cache import absent

    lines = [f"{raw}"]
    for name, source in known.items():
        missing = absent(source.files, raw)
        state = f"{len(source.files) - len(missing)} of {len(source.files)} at hand"
        lines.append(f"{name:<16}{state:<20}{source.note}")
        if files:
            lines += [
                f"  {'absent' if file in missing else 'at hand':<9}{file.path}  {file.url}  "
                f"{file.sha256 or 'sha256 not pinned'}"
                for file in source.files
            ]
    return lines


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r}; wanted a number above 0")
        return value

    return parse
