"""`make run`: the whole graph, stage by stage, through Dagster on the store's persistent instance.

One process, so that the rules engine is loaded once. Every stage is a run of its job that the web UI shows afterwards,
with all its assets, partitions, checks and plots. Prints a line a stage and a summary at the end. A stage whose assets
are up to date is not skipped: it is fast, or leaves finished files alone.
"""

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from jobs.instance import open_home
from jobs.stages import STAGES, Stage
from tessera.config import SCALES, paths
from tessera.errors import TesseraError

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class StageTime:
    """How long a stage took, in seconds."""

    stage: Stage
    seconds: float


class StageFailed(TesseraError):
    """A stage's run failed; holds the errors of its steps."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the graph; returns the exit code: 0 done, 1 a stage failed, 2 bad arguments, 130 stopped."""
    options = _parse(arguments)
    os.environ["TESSERA_SCALE"] = options.scale
    os.environ["TESSERA_SOURCES"] = options.sources
    _configure_output()
    store = paths()
    print(f"Tessera: scale {options.scale}, {options.sources} sources, store {store.home}", flush=True)
    started = time.monotonic()
    wanted = [stage for stage in STAGES if stage.name in (options.stages or [one.name for one in STAGES])]
    from definitions import build_defs

    definitions = build_defs()
    times = []
    with open_home(store.dagster) as instance:
        for number, stage in enumerate(wanted, 1):
            print(f"[{number}/{len(wanted)}] {stage.title} ...", flush=True)
            try:
                times.append(run_stage(definitions, instance, stage))
            except StageFailed as error:
                resume = _resume(wanted[number - 1 :], options)
                print(f"\n{stage.name} failed:\n{error}\n\nAfter mending it, go on with: {resume}")
                return 1
            except KeyboardInterrupt:
                resume = _resume(wanted[number - 1 :], options)
                print(f"\nStopped in {stage.name}; nothing is half-written. Go on with: {resume}")
                return 130
            print(f"[{number}/{len(wanted)}] {stage.title}: {times[-1].seconds:.1f} s", flush=True)
    _summarise(times, time.monotonic() - started, store.home)
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jobs.run", description=__doc__.split("\n\n")[0])
    parser.add_argument("--scale", choices=sorted(SCALES), default=os.environ.get("TESSERA_SCALE", "demo"))
    parser.add_argument(
        "--sources", choices=("synthetic", "official"), default=os.environ.get("TESSERA_SOURCES", "synthetic")
    )
    names = [stage.name for stage in STAGES]
    listed = f"only these, of: {', '.join(names)}"
    parser.add_argument("--stages", nargs="+", choices=names, metavar="STAGE", help=listed)
    return parser.parse_args(arguments)


def _configure_output() -> None:
    """Library log lines on standard output; Dagster's beta notices, which say nothing about the run, nowhere."""
    for category in (dg.BetaWarning, dg.PreviewWarning):
        warnings.filterwarnings("ignore", category=category)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("      %(message)s"))
    logger = logging.getLogger("tessera")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    # The engine gives the root logger a handler of its own as it loads, which would print every line a second time.
    logger.propagate = False


def run_stage(definitions: dg.Definitions, instance: dg.DagsterInstance, stage: Stage) -> StageTime:
    """Run a stage's job over all its partitions, as one run of the instance; checks that fail are printed.

    Raises:
        StageFailed: a step failed; the message has a line for each that did.
    """
    job = definitions.resolve_job_def(stage.job_name)
    tags = {}
    if stage.partitions is not None:
        keys = stage.partitions.get_partition_keys()
        tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    started = time.monotonic()
    result = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False, run_config=_QUIET)
    if not result.success:
        raise StageFailed("\n".join(_errors(result)) or "no step reported an error; see the run in `make ui`")
    failed = [
        f"asset check {event.asset_check_evaluation_data.check_name} of "
        f"{event.asset_check_evaluation_data.asset_key.to_user_string()} did not pass"
        for event in result.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION" and not event.asset_check_evaluation_data.passed
    ]
    for line in failed:
        print(f"      WARNING: {line}", flush=True)
    return StageTime(stage, time.monotonic() - started)


def _errors(result: dg.ExecuteInProcessResult) -> list[str]:
    """The innermost cause of each failed step."""
    lines = []
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            lines.append(f"{event.step_key}: {error.message.strip() if error else 'unknown error'}")
    return lines


def _resume(rest: Sequence[Stage], options: argparse.Namespace) -> str:
    """The command that goes on with the rest of a run, at the same scale and from the same sources."""
    names = " ".join(stage.name for stage in rest)
    return f"{sys.executable} -m jobs.run --scale {options.scale} --sources {options.sources} --stages {names}"


def _summarise(times: Sequence[StageTime], seconds: float, home: Path) -> None:
    from jobs.summary import summary_lines

    print("\nTime by stage:")
    for one in times:
        print(f"  {one.stage.name:<16}{one.seconds:7.1f} s   {one.stage.title}")
    print(f"  {'all':<16}{seconds:7.1f} s")
    print("\n".join(summary_lines(home)))


if __name__ == "__main__":
    sys.exit(main())
