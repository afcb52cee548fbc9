"""`tessera package build`, `tessera package show` and `tessera verify-package`: parsers, and what they print.

Building and verifying are in `tessera.road` and `tessera.diagnostics.verification`. Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.config import ROOT_SEED, SCALES, Scale, paths, scale

if TYPE_CHECKING:
    from tessera.diagnostics.verification import Verified
    from tessera.rules.engine import PolicyEngine

_BUILD = (
    "Build the calibration package from sources to matrix. Every stage is stored in the home; a run that was stopped "
    "goes on where it was, and a stage whose inputs have changed is made again."
)
_VERIFY = (
    "Write area files of a random sample of areas with the package's weights, load each in the rules engine, and "
    "compare every target row with support there. Exit code 1 where any differs by more than the tolerance."
)
_MOST_RECORDS = 20_000


def add_package_commands(commands: Any) -> None:
    """Add `package` and `verify-package` to the subcommands of `tessera`."""
    package = commands.add_parser("package", help="build or look at a calibration package")
    actions = package.add_subparsers(required=True, metavar="ACTION")
    build = actions.add_parser("build", help="build it from sources to matrix", description=_BUILD)
    _add_build_options(build)
    build.set_defaults(command=run_build)
    show = actions.add_parser("show", help="sizes, targets and provenance of a package")
    show.add_argument("file", type=Path)
    show.add_argument("--json", action="store_true", help="print one JSON object")
    show.set_defaults(command=run_show)
    verify = commands.add_parser("verify-package", help="compare a package with the rules engine", description=_VERIFY)
    _add_verify_options(verify)
    verify.set_defaults(command=run_verify)


def _add_build_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--scale", choices=tuple(SCALES), default="demo", help="how large (default: demo)")
    add("--households", type=_count, metavar="N", help="households of the base file, in place of the scale's")
    add("--clones", type=_count, metavar="N", help="clones of each household, in place of the scale's")
    add("--home", type=Path, help="the store (default: TESSERA_HOME, or var/ in the checkout)")
    add("--sources", choices=("synthetic", "official"), default="synthetic", help="of raw/ (default: synthetic)")
    add("--seed", type=int, default=ROOT_SEED, help="root seed")
    add("--workers", type=_count, default=os.cpu_count() or 1, metavar="N", help="processes of the rules engine")
    add_absence_options(parser)
    add("--target-config", type=Path, metavar="FILE", help="which targets (default: the packaged training set)")
    add("--initial-weights", choices=("design", "uniform"), default="design",
        help="design: survey weights by inclusion; uniform: a district's households in equal parts")  # fmt: skip
    add("--output", type=Path, metavar="FILE", help="the package (default: package/SCALE/package.h5 in the home)")


def _add_verify_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, help="the package")
    add("--areas", type=_count, default=3, metavar="N",
        help="random states, districts and cities, N of each, and the nation (default: 3)")  # fmt: skip
    add("--records", type=_count, default=_MOST_RECORDS, metavar="N",
        help=f"clones of a file at most; larger areas are sampled (default: {_MOST_RECORDS:,})")  # fmt: skip
    add("--seed", type=int, default=0, help="of the samples")
    add("--weights", type=Path, metavar="FILE", help="weights.npy of a fit, in place of the initial weights")
    add("--home", type=Path, help="the store in which the package was built")
    add("--workers", type=_count, default=1, metavar="N", help="processes of the rules engine")
    add("--tolerance", type=float, default=1e-6, metavar="X", help="largest relative difference (default: 1e-6)")
    add("--keep", type=Path, metavar="FOLDER", help="keep the area files here")
    add("--json", action="store_true", help="print one JSON object")


def add_absence_options(parser: argparse.ArgumentParser) -> None:
    """Add what a run does without, and what it does instead."""
    add = parser.add_argument
    add("--absent", default=os.environ.get("TESSERA_ABSENT_SOURCES", ""), metavar="NAMES",
        help="sources to do without, of irs_puf (a synthetic one takes its place), acs_pums, sipp, scf and cps_org, "
        "joined by commas (default: TESSERA_ABSENT_SOURCES, or none)")  # fmt: skip
    add("--donor-fallback", choices=("leave_out", "zero"),
        default=os.environ.get("TESSERA_DONOR_FALLBACK", "leave_out"),
        help="what becomes of the variables of absent donors: left out, so that the engine takes its defaults, or 0 "
        "(default: TESSERA_DONOR_FALLBACK, or leave_out)")  # fmt: skip


def run_build(options: argparse.Namespace) -> list[str]:
    """Build a package; returns the lines to print."""
    from tessera.matrix.package import read_package
    from tessera.road.microdata import absent_sources, fallback
    from tessera.road.package import Road, build_along

    road = Road(
        paths=paths(options.home),
        scale=_scale(options),
        sources=options.sources,
        seed=options.seed,
        workers=options.workers,
        config=options.target_config,
        weights=options.initial_weights,
        output=None if options.output is None else options.output.resolve(),
        absent=absent_sources(options.absent),
        fallback=fallback(options.donor_fallback),
    )
    with progress_on_stderr():
        built = build_along(road, engine())
    return [
        f"{'kept' if built.reused else 'built':<16}{road.package}",
        *_lines(road.package, read_package(road.package)),
    ]


def run_show(options: argparse.Namespace) -> list[str]:
    """What a package holds; returns the lines to print."""
    from tessera.matrix.package import read_package

    package = read_package(options.file)
    if options.json:
        from tessera.matrix.summary import package_facts

        return [json.dumps({"path": str(options.file.resolve()), **package_facts(package)})]
    return _lines(options.file, package)


def run_verify(options: argparse.Namespace) -> list[str]:
    """Compare a package with the engine; returns the lines to print."""
    from tessera.calibration.run import with_initial_weights
    from tessera.diagnostics.verification import check_verified, sample_areas, verify_package
    from tessera.matrix.package import read_package
    from tessera.road.inputs import assembler_of

    package = read_package(options.file)
    if options.weights is not None:
        package = with_initial_weights(package, options.weights)
    rules = engine()
    with progress_on_stderr(), _folder(options.keep) as folder:
        assembler = assembler_of(package, paths(options.home), rules)
        results = verify_package(
            package.matrix, package.initial_weights, assembler, rules, sample_areas(options.areas, options.seed),
            folder, most=options.records, seed=options.seed, workers=options.workers,
        )  # fmt: skip
    check_verified(results, options.tolerance)
    if options.json:
        areas = [{"area": one.area, "records": one.records, "of": one.of, "rows": len(one.rows),
                  "largest": one.largest} for one in results]  # fmt: skip
        return [json.dumps({"tolerance": options.tolerance, "areas": areas})]
    return _verified_lines(results, options.tolerance)


def engine() -> PolicyEngine:
    """The rules engine; nothing is loaded yet."""
    from tessera.rules.engine import PolicyEngine

    return PolicyEngine()


@contextmanager
def progress_on_stderr() -> Iterator[None]:
    """Show the library's progress messages on standard error."""
    logger = logging.getLogger("tessera")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # an engine that gives the root logger a handler would show every line twice
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        yield kept
        return
    folder = Path(tempfile.mkdtemp(prefix="tessera-verify-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _scale(options: argparse.Namespace) -> Scale:
    """The preset, with another number of households or clones if asked for, and then another name."""
    preset = scale(options.scale)
    households, clones = options.households or preset.households, options.clones or preset.clones
    if (households, clones) == (preset.households, preset.clones):
        return preset
    return replace(preset, name=f"{preset.name}-{households}x{clones}", households=households, clones=clones)


def _lines(path: Path, package: Any) -> list[str]:
    from tessera.matrix.summary import package_facts, targets_by_level

    facts = package_facts(package)
    table = targets_by_level(package.matrix)
    width = max(map(len, facts))
    lines = [f"{path}: {path.stat().st_size / 1e6:,.1f} MB"]
    lines += [f"  {name:<{width}}  {_text(name, fact)}" for name, fact in facts.items()]
    lines += ["targets              supported  unachievable"]
    lines += [f"  {level:<19}{row.supported:>9,}  {row.unachievable:>12,}" for level, row in table.iterrows()]
    lost = package.matrix.unachievable
    for reason, rows in lost.groupby("reason", sort=True):
        names = ", ".join(rows["name"].head(3))
        lines.append(f"unachievable, {len(rows):,}: {reason} ({names}{' ...' if len(rows) > 3 else ''})")
    return lines


def _verified_lines(results: list[Verified], tolerance: float) -> list[str]:
    lines = [f"{'area':<14}{'clones':>9}{'target rows':>13}   largest relative difference"]
    for one in results:
        note = f"   (a random sample of its {one.of:,} clones)" if one.records < one.of else ""
        lines.append(f"{one.area:<14}{one.records:>9,}{len(one.rows):>13,}   {one.largest:.2e}{note}")
    rows = sum(len(one.rows) for one in results)
    return [*lines, f"All {rows:,} target rows agree with the engine within {tolerance:g}."]


def _text(name: str, fact: Any) -> str:
    if isinstance(fact, bool) or not isinstance(fact, int | float) or name in ("seed", "year"):
        return str(fact).replace("\n", "; ")
    return f"{fact:,}" if isinstance(fact, int) else f"{fact:,.0f}"


def _count(text: str) -> int:
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}; wanted a whole number of at least 1")
