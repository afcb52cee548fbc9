"""`tessera targets build`, `show`, `check` and `diff`: parsers, and what they print.

What they do is in `tessera.targets`. Progress goes to standard error, so that `--csv` can be piped.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.cli_package import progress_on_stderr
from tessera.config import paths
from tessera.errors import TargetError

if TYPE_CHECKING:
    import pandas as pd

_LOG = logging.getLogger(__name__)
DATABASE = "policy_targets.duckdb"
PACKAGED = "packaged"
_BUILD = (
    "Build the target database, a DuckDB file, from the packaged figures or from a folder of official files. The file "
    "appears whole or not at all."
)
_SHOW = (
    "Show figures: what was published, what it became, and where it comes from. Without a database, and without one in "
    "the store, the packaged figures are shown."
)
_CHECK = (
    "Check a target database or a table of figures: every row, the hierarchy of places, what the levels, classes and "
    "sources of a concept say beside each other, and that a target configuration selects. Exit code 1 on a refusal."
)
_DIFF = (
    f"Compare two sets of figures, each a target database or a snapshot (*.csv.gz); '{PACKAGED}' is the one that comes "
    "with this version."
)


def add_targets_commands(commands: Any) -> None:
    """Add `targets` to the subcommands of `tessera`."""
    targets = commands.add_parser("targets", help="build, look at, check or compare the target database")
    actions = targets.add_subparsers(required=True, metavar="ACTION")
    build = actions.add_parser("build", help="build the database", description=_BUILD)
    _add_build_options(build)
    build.set_defaults(command=run_build)
    show = actions.add_parser("show", help="figures of an area, variable, source or level", description=_SHOW)
    _add_show_options(show)
    show.set_defaults(command=run_show)
    check = actions.add_parser("check", help="validity, hierarchy and consistency", description=_CHECK)
    _add_check_options(check)
    check.set_defaults(command=run_check)
    diff = actions.add_parser("diff", help="what changed between two sets of figures", description=_DIFF)
    _add_diff_options(diff)
    diff.set_defaults(command=run_diff)


def _add_build_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--official", type=Path, metavar="FOLDER", help="read official files below it, and not the packaged figures")
    add("--download", action="store_true", help="fetch official files that are absent from FOLDER")
    add("--unpinned", action="store_true", help="take files with another sha256 than the pinned one: a new vintage")
    add("--no-reconcile", action="store_true", help="leave the levels as they were published, without scaling")
    add("--output", type=Path, metavar="FILE", help=f"the database (default: assets/{DATABASE} in the store)")
    add("--figures", type=Path, metavar="FILE", help="write the table of figures too, as *.csv.gz")


def _add_show_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--area", metavar="KEY", help="US, CA, CA-12, NYC, ...")
    add("--variable", metavar="NAME", help="of the figure, or named in its domain")
    add("--source", metavar="NAME", help="short name of the source")
    add("--level", choices=("national", "state", "district", "city"))
    add("--domain", metavar="NAMES", help='variables of the domain, joined by commas; "" for everybody')
    add("--config", type=Path, metavar="FILE", help="only what a target configuration selects, by file or name")
    add("--limit", type=_whole, default=40, metavar="N", help="rows at most; 0 for all (default: 40)")
    add("--csv", action="store_true", help="print all rows and columns as CSV")
    add("--database", type=Path, metavar="FILE", help=f"a database or snapshot, or '{PACKAGED}'")


def _add_check_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--database", type=Path, metavar="FILE", help=f"a database or snapshot, or '{PACKAGED}'")
    add("--config", type=Path, metavar="FILE", help="target configuration, by file or name (default: training)")
    add("--strict", action="store_true", help="exit code 1 for a critical inconsistency too")
    add("--limit", type=_whole, default=20, metavar="N", help="inconsistencies shown at most; 0 for all (default: 20)")


def _add_diff_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("before", type=Path, help="database, snapshot or 'packaged'")
    add("after", type=Path, help="database, snapshot or 'packaged'")
    add("--tolerance", type=float, default=1e-9, metavar="X", help="relative, for unchanged (default: 1e-9)")
    add("--limit", type=_whole, default=20, metavar="N", help="figures shown of each kind; 0 for all (default: 20)")
    add("--csv", action="store_true", help="print all of them as CSV")
    add("--exit-code", action="store_true", help="exit code 1 where they differ")


def run_build(options: argparse.Namespace) -> list[str]:
    """Build the database; returns the lines to print."""
    from tessera.targets.database import build_database
    from tessera.targets.listing import severity_lines
    from tessera.targets.report import severities
    from tessera.targets.snapshot import write_snapshot

    output = options.output or store_database()
    with progress_on_stderr():
        figures = _figures(options)
        if options.figures is not None:
            write_snapshot(figures, options.figures)
        built = build_database(output, figures)
    levels = ", ".join(f"{count:,} {level}" for level, count in built.by_level.items())
    lines = [
        f"built           {output}: {output.stat().st_size / 1e6:,.1f} MB",
        f"targets         {built.targets:,} ({levels})",
        f"strata          {built.strata:,}",
        f"set aside       {built.excluded:,} (they contradict others critically; tessera targets check lists them)",
        *severity_lines(severities(output)),
    ]
    width = max(map(len, built.by_source))
    return [*lines, f"{'source':<{width}}  targets", *(f"{n:<{width}}  {c:>7,}" for n, c in built.by_source.items())]


def run_show(options: argparse.Namespace) -> list[str]:
    """Figures that meet the conditions; returns the lines to print."""
    from tessera.targets.listing import figure_lines
    from tessera.targets.lookup import Filter, find_figures
    from tessera.targets.reading import read_figures

    path = _source(options.database)
    figures = read_figures(path)
    if options.config is not None:
        figures = figures[_selected(figures, path, options.config)]
    area = None if options.area is None else options.area.upper()
    found = find_figures(figures, Filter(area, options.variable, options.source, options.level, options.domain))
    if options.csv:
        return found.to_csv(index=False, lineterminator="\n").splitlines()
    return [
        f"{len(found):,} {'figure' if len(found) == 1 else 'figures'} in {_label(path)}",
        *figure_lines(found, options.limit),
    ]


def run_check(options: argparse.Namespace) -> Iterator[str]:
    """Check a database or figures; yields the lines to print as they are known, and raises on a refusal."""
    from tessera.targets.catalogue import VariableCatalogue
    from tessera.targets.hierarchy import check_database
    from tessera.targets.listing import excluded_lines, gap_lines, level_counts, severity_lines
    from tessera.targets.reading import read_figures, read_table
    from tessera.targets.report import excluded_groups, severities
    from tessera.targets.selection import read_targets
    from tessera.targets.validation import check_figures, check_strata

    path = _source(options.database)
    figures = read_figures(path)
    yield f"checking   {_label(path)}"
    check_figures(figures, VariableCatalogue.packaged())
    yield f"rows       {len(figures):,} figures of {figures['source'].nunique()} sources: {level_counts(figures)}"
    with _as_database(figures, path) as database:
        check_strata(read_table(database, "strata"))
        yield f"hierarchy  {check_database(database).text}"
        consistency, compared, aside = (
            read_table(database, "consistency"),
            severities(database),
            excluded_groups(database),
        )
        targets = read_targets(database, options.config)
    yield from severity_lines(compared)
    yield from gap_lines(consistency, options.limit)
    yield f"set aside  {aside['targets'].sum():,} targets contradict others critically, and no fit is given them"
    yield from excluded_lines(aside, options.limit)
    yield f"selected   {len(targets):,} targets by {options.config or 'training'}: {level_counts(targets)}"
    critical = int(compared["critical"].sum())
    if options.strict and critical:
        raise TargetError(f"{critical} comparisons are critical; without --strict their finer sides are set aside.")


def run_diff(options: argparse.Namespace) -> Iterator[str]:
    """Compare two sets of figures; yields the lines to print."""
    from tessera.targets.diff import compare_files
    from tessera.targets.listing import difference_csv, difference_lines

    found = compare_files(_named(options.before), _named(options.after), tolerance=options.tolerance)
    yield from difference_csv(found) if options.csv else difference_lines(found, options.limit)
    if options.exit_code and not found.is_empty:
        raise TargetError(f"{options.before} and {options.after} differ.")


def store_database() -> Path:
    """Where the store's target database is; a run of the graph writes it, and `tessera targets build`."""
    return paths().assets / DATABASE


def _figures(options: argparse.Namespace) -> pd.DataFrame:
    """The figures to build from."""
    from tessera.targets.official import download
    from tessera.targets.reconcile import unscaled
    from tessera.targets.snapshot import build_snapshot, load_snapshot

    if options.official is None:
        for given, flag in ((options.download, "--download"), (options.unpinned, "--unpinned")):
            if given:
                raise TargetError(f"{flag} needs --official FOLDER: the packaged figures are read from no file.")
        return unscaled(load_snapshot()) if options.no_reconcile else load_snapshot()
    if options.download:
        download(options.official, pinned=not options.unpinned)
    return build_snapshot(
        options.official, reconcile=not options.no_reconcile, pinned=not options.unpinned, progress=_progress
    )


def _progress(done: int, total: int, title: str) -> None:
    _LOG.info("%d of %d: %s", done + 1, total, title)


def _source(given: Path | None) -> Path | None:
    """The file to read: as given, or the store's database; None for the packaged figures."""
    if given is not None:
        return _named(given)
    return store_database() if store_database().is_file() else None


def _named(given: Path) -> Path | None:
    return None if str(given) == PACKAGED and not given.exists() else given


def _label(path: Path | None) -> str:
    return "the packaged figures" if path is None else str(path)


@contextmanager
def _as_database(figures: pd.DataFrame, path: Path | None) -> Iterator[Path]:
    """The database at a path; one in a temporary folder, where the figures come from elsewhere."""
    from tessera.targets.database import build_database
    from tessera.targets.reading import is_snapshot

    if path is not None and not is_snapshot(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tessera-targets-") as folder:
        yield build_database(Path(folder) / DATABASE, figures).path


def _selected(figures: pd.DataFrame, path: Path | None, config: Path) -> pd.Series:
    """Which figures a target configuration selects; one to compare is taken as well as one to fit."""
    import pandas as pd

    from tessera.targets.diff import KEY
    from tessera.targets.selection import read_comparison

    key = list(KEY)
    with _as_database(figures, path) as database:
        chosen = read_comparison(database, config)
    wanted = pd.MultiIndex.from_frame(chosen[key])
    return pd.Series(pd.MultiIndex.from_frame(figures[key]).isin(wanted), index=figures.index)


def _whole(text: str) -> int:
    if text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}; wanted a whole number of at least 0")
