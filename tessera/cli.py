"""`tessera`: the library's own command line. What runs in the workflow engine starts with `make run` instead.

Exit codes: 0 done, 1 a `TesseraError` (its message on standard error), 2 bad arguments, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tessera import __version__
from tessera.cli_download import add_download_command
from tessera.cli_fit import run_fit_command
from tessera.cli_fit_options import add_fit_options, joined
from tessera.cli_microdata import add_microdata_commands
from tessera.cli_package import add_package_commands
from tessera.cli_targets import add_targets_commands
from tessera.config import paths
from tessera.errors import TesseraError

_FIT_USAGE = "tessera fit --package-path FILE [--preset local|national] [--output FILE] [option ...]"
_FIT = "Find weights of every record that bring the package's estimates to its targets, and write them with their logs."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    given = joined(sys.argv[1:] if arguments is None else arguments)
    options = _parser(given).parse_args(given)
    try:
        for line in options.command(options):
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has left, as `head` does. The interpreter flushes again at its end, and must find somewhere to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except TesseraError as error:
        print(f"tessera: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stopped:
        print(f"tessera: {stopped or 'stopped'}", file=sys.stderr)
        return 130
    return 0


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; the many options of `fit` are only made where they are asked for."""
    parser = argparse.ArgumentParser(prog="tessera", description="Representative household datasets for every area.")
    parser.add_argument("--version", action="version", version=f"tessera {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser
    one = add("paths", help="where the store is and what lies where in it")
    one.set_defaults(command=_paths)
    one = add("tree", help="structure, shapes and types of a stored asset")
    one.add_argument("file", type=Path)
    one.set_defaults(command=_tree)
    one = add("areas", help="the catalogue of areas")
    one.add_argument("--kind", choices=("national", "state", "district", "city"))
    one.set_defaults(command=_areas)
    one = add("fit", help="fit weights to the targets of a calibration package", description=_FIT, usage=_FIT_USAGE)
    if given[:1] == ["fit"]:
        add_fit_options(one)
        one.set_defaults(command=partial(run_fit_command, parser=one, given=given[1:]))
    add_download_command(commands)
    add_microdata_commands(commands)
    add_package_commands(commands)
    add_targets_commands(commands)
    one = add("releases", help="released versions, the current one marked")
    one.set_defaults(command=_releases)
    one = add("rollback", help="make an earlier version the current one")
    one.add_argument("version")
    one.set_defaults(command=_rollback)
    return parser


def _paths(_options: argparse.Namespace) -> list[str]:
    store = paths()
    named = {
        "home": store.home,
        "raw": store.raw,
        "assets": store.assets,
        "dagster": store.dagster,
        "runs": store.home / "runs",
        "staging": store.home / "staging",
        "release": store.release,
        "current": store.current_release,
    }
    return [f"{name:<9}{path}{'' if path.exists() else '  (not there yet)'}" for name, path in named.items()]


def _tree(options: argparse.Namespace) -> list[str]:
    from tessera.pytree.io import format_tree

    return [format_tree(options.file)]


def _areas(options: argparse.Namespace) -> list[str]:
    from tessera.geography.areas import areas

    return [
        f"{area.key:<12}{area.kind:<10}{area.relative_path:<26}{area.name}"
        for area in areas()
        if options.kind in (None, area.kind)
    ]


def _releases(_options: argparse.Namespace) -> list[str]:
    from tessera.release.promotion import list_versions

    versions = list_versions(paths().release)
    if not versions:
        return [f"No release in {paths().release}. Make one with: make run"]
    return [
        f"{'*' if one.current else ' '} {one.version}  {one.started_at}{'  SYNTHETIC' if one.synthetic else ''}"
        for one in versions
    ]


def _rollback(options: argparse.Namespace) -> list[str]:
    from tessera.release.promotion import rollback

    promoted = rollback(paths().release, options.version)
    return [f"The current release is {promoted.version} (before: {promoted.previous or 'none'})."]


if __name__ == "__main__":
    sys.exit(main())
