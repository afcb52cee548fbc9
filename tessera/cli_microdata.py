"""`tessera microdata build`, `totals`, `quality` and `columns`: parsers, and what they print.

What they do is in `tessera.road.microdata`, `tessera.microdata` and `tessera.sources`. Progress goes to standard error,
so that `--csv` can be piped.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.cli_package import add_absence_options, progress_on_stderr
from tessera.config import ROOT_SEED, SCALES, paths, scale
from tessera.errors import ConfigError, StorageError
from tessera.road.microdata import STAGES, MadeStage, MicrodataRoad, absent_sources, fallback

if TYPE_CHECKING:
    import pandas as pd

IMPUTED = ("extended_cps", "source_imputed_cps")
_BUILD = (
    "Build the base file from the source files: survey and tax file, extended survey, stratified survey, and what the "
    "donor surveys give. Every stage is stored in the home; a run that was stopped goes on where it was, and a stage "
    "whose inputs have changed is made again. `tessera package build` and this command share their stages."
)
_TOTALS = (
    "Weighted national totals of the stored stages beside official figures of the model year, as ratios; with --stage, "
    "of one stage with amounts and sources."
)
_QUALITY = (
    "How the imputed variables of a stored stage came out: quantile loss on donors that the trees saw and on others, "
    "as a share of the mean amount, and the share of zeros among donors and receivers."
)
_COLUMNS = (
    "Columns of an official source file that the readers need, with unit, universe and meaning; or of a stage, with "
    "entity, origin and how each is made. Without a name: how many columns each has."
)


def add_microdata_commands(commands: Any) -> None:
    """Add `microdata` to the subcommands of `tessera`."""
    microdata = commands.add_parser("microdata", help="build or look at the survey, tax file and base file")
    actions = microdata.add_subparsers(required=True, metavar="ACTION")
    build = actions.add_parser("build", help="build the base file, or a stage of it", description=_BUILD)
    _add_build_options(build)
    build.set_defaults(command=run_build)
    totals = actions.add_parser("totals", help="weighted totals beside official figures", description=_TOTALS)
    _add_place_options(totals)
    totals.add_argument("--stage", choices=STAGES, help="only this stage, with amounts (default: all that are stored)")
    totals.add_argument("--all", action="store_true", help="every column of the stage, with or without official figure")
    totals.add_argument("--csv", action="store_true", help="print numbers as CSV")
    totals.set_defaults(command=run_totals)
    quality = actions.add_parser("quality", help="quality of the imputed variables", description=_QUALITY)
    _add_place_options(quality)
    quality.add_argument("--stage", choices=IMPUTED, default=IMPUTED[0], help=f"(default: {IMPUTED[0]})")
    quality.add_argument("--chain", metavar="NAME", help="only this chain of imputations")
    quality.add_argument(
        "--limit", type=_whole, default=0, metavar="N", help="rows at most, the worst first; 0 for all"
    )
    quality.add_argument("--csv", action="store_true", help="print all columns as CSV")
    quality.set_defaults(command=run_quality)
    columns = actions.add_parser(
        "columns", help="columns of a source or stage, and their meaning", description=_COLUMNS
    )
    columns.add_argument("name", nargs="?", metavar="NAME", help="cps_asec, irs_puf, ... or a stage, such as cps")
    columns.add_argument("--record", metavar="RECORD", help="only this record of a source, or entity of a stage")
    columns.add_argument("--csv", action="store_true", help="print all columns of the catalogue as CSV")
    columns.set_defaults(command=run_columns)


def _add_place_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--home", type=Path, help="the store (default: TESSERA_HOME, or var/ in the checkout)")
    add("--scale", choices=tuple(SCALES), default=os.environ.get("TESSERA_SCALE", "demo"),
        help="how large (default: TESSERA_SCALE, or demo)")  # fmt: skip


def _add_build_options(parser: argparse.ArgumentParser) -> None:
    _add_place_options(parser)
    add = parser.add_argument
    add("--stage", choices=STAGES, default=STAGES[-1], help=f"last stage to build (default: {STAGES[-1]})")
    add("--sources", choices=("synthetic", "official"), default=os.environ.get("TESSERA_SOURCES", "synthetic"),
        help="of raw/ (default: TESSERA_SOURCES, or synthetic)")  # fmt: skip
    add_absence_options(parser)
    add("--seed", type=int, default=ROOT_SEED, help="root seed")
    add("--workers", type=_count, default=os.cpu_count() or 1, metavar="N",
        help="workers of the imputation; the result is the same (default: all processors)")  # fmt: skip


def run_build(options: argparse.Namespace) -> Iterator[str]:
    """Build stages; yields the lines to print as stages are there."""
    from tessera.road.microdata import build_microdata

    road = MicrodataRoad(
        paths(options.home), scale(options.scale), options.sources, options.seed, options.workers,
        absent_sources(options.absent), fallback(options.donor_fallback),
    )  # fmt: skip
    with progress_on_stderr():
        made = build_microdata(road, until=options.stage)
    yield f"{'stage':<20}{'':<6}{'seconds':>9}{'memory':>10}{'households':>12}{'persons':>11}  file"
    for one in made.values():
        yield _stage_line(one)
    yield f"{'in all':<26}{sum(one.cost.seconds for one in made.values()):>9,.1f}"


def _stage_line(one: MadeStage) -> str:
    frame = one.stage.value
    memory = f"{one.cost.peak_bytes / 1e6:,.0f} MB" if one.cost.peak_bytes else ""
    return (
        f"{one.name:<20}{'kept' if one.stage.reused else 'made':<6}{one.cost.seconds:>9,.1f}{memory:>10}"
        f"{frame.count('household'):>12,}{frame.count('person'):>11,}  {one.stage.path}"
        f"{'  SYNTHETIC' if frame.synthetic else ''}"
    )


def run_totals(options: argparse.Namespace) -> list[str]:
    """Totals of stored stages; returns the lines to print."""
    from tessera.microdata import quality
    from tessera.road.microdata import stored_stage

    road = _road(options)
    if options.all and options.stage is None:
        raise ConfigError("tessera microdata totals: --all is of one stage; name it with --stage.")
    if options.stage is not None:
        frame = stored_stage(road, options.stage)
        table = quality.weighted_totals(frame) if options.all else quality.national_comparison(frame)
        title = f"{options.stage}: weighted totals{'' if options.all else ' beside official figures of the model year'}"
    else:
        stored = [name for name in STAGES if (road.folder / f"{name}.h5").is_file()]
        if not stored:
            stored_stage(road, STAGES[-1])  # says how to build it
        table = quality.compare_stages({name: stored_stage(road, name) for name in stored})
        title = "weighted totals as ratios to official figures of the model year, stage by stage"
    if options.csv:
        return _csv(table)
    shown = quality.readable(table).drop(columns=["unit"], errors="ignore")
    return [title, *_aligned(shown)]


def run_quality(options: argparse.Namespace) -> list[str]:
    """Quality of a stage's imputations; returns the lines to print."""
    from tessera.microdata.quality import quality_summary, read_quality, readable
    from tessera.road.microdata import quality_path

    road = _road(options)
    path = quality_path(road, options.stage)
    if not path.is_file():
        raise StorageError(
            f"{path} is not there: the stage {options.stage} was not built at scale {road.scale.name} in this store. "
            f"Build it: tessera microdata build --scale {road.scale.name} --stage {options.stage}"
        )
    table = read_quality(path)
    if options.chain is not None:
        known = sorted(table["chain"].unique())
        if options.chain not in known:
            raise ConfigError(f"No chain {options.chain!r} in {path}; wanted one of {', '.join(known)}.")
        table = table[table["chain"] == options.chain]
    if options.limit:
        table = table.sort_values("test_loss", ascending=False, kind="stable").head(options.limit)
    if options.csv:
        return _csv(table)
    return [f"{options.stage}: {len(table)} imputed variables", *_aligned(readable(quality_summary(table)))]


def run_columns(options: argparse.Namespace) -> list[str]:
    """Columns of a source or stage; returns the lines to print."""
    from tessera.microdata.catalogue import source_columns, source_summary, stage_columns, stage_summary
    from tessera.sources.registry import sources

    if options.name is None:
        return [*_aligned(source_summary()), "", *_aligned(stage_summary())]
    if options.name in STAGES:
        table, group = stage_columns(options.name), "entity"
    elif options.name in sources():
        table, group = source_columns(options.name), "record"
    else:
        raise ConfigError(
            f"No source or stage is called {options.name!r}; wanted one of {', '.join((*sources(), *STAGES))}."
        )
    if options.record is not None:
        known = list(dict.fromkeys(table[group]))
        if options.record not in known:
            raise ConfigError(f"{options.name} has no {group} {options.record!r}; wanted one of {', '.join(known)}.")
        table = table[table[group] == options.record]
    if options.csv:
        return _csv(table)
    return [f"{options.name}: {len(table)} columns", *_aligned(table)]


def _road(options: argparse.Namespace) -> MicrodataRoad:
    return MicrodataRoad(paths(options.home), scale(options.scale))


def _csv(table: pd.DataFrame) -> list[str]:
    return table.to_csv(index=False, lineterminator="\n").splitlines()


def _aligned(table: pd.DataFrame) -> list[str]:
    """A table as lines, columns as wide as their widest cell; the last one takes what it needs."""
    from tessera.targets.listing import aligned

    rows = [
        [f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in table.itertuples(index=False)
    ]
    return aligned(tuple(map(str, table.columns)), rows)


def _whole(text: str) -> int:
    if text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}; wanted a whole number of at least 0")


def _count(text: str) -> int:
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}; wanted a whole number of at least 1")
