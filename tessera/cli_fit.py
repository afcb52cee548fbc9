"""`tessera fit`: a calibration package in; weights, logs and diagnostics out. The options are in `cli_fit_options`.

The reference's commands work as they are written, but for the module's name and the package's path.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.calibration.progress import ProgressLine, duration
from tessera.calibration.request import FitRequest
from tessera.cli_fit_options import given_settings
from tessera.errors import FitError, StorageError

if TYPE_CHECKING:
    from tessera.calibration.outputs import Written
    from tessera.calibration.run import Checkpoints, FitOutcome
    from tessera.matrix.package import CalibrationPackage


def run_fit_command(options: argparse.Namespace, *, parser: argparse.ArgumentParser, given: Sequence[str]) -> list[str]:
    """Fit as the options say; returns the lines to print.

    Args:
        options: parsed.
        parser: of the command, to refuse senseless settings as bad arguments (exit code 2).
        given: the arguments, for the command that resumes.

    Raises:
        TesseraError: data, files or a device with which the fit cannot run.
        KeyboardInterrupt: stopped; its text says how to go on.
    """
    try:
        request = FitRequest(options.preset, options.mode, given_settings(options))
    except FitError as error:
        parser.error(str(error))
    if options.output is not None and options.output.suffix != ".npy":
        parser.error(f"--output {options.output}: wanted a file that ends in .npy")
    from tessera.calibration.outputs import figures, run_config, write_outputs
    from tessera.calibration.run import run_fit

    package = _package(options)
    output = options.output or options.package_path.with_name(f"{options.package_path.stem}_fit") / "weights.npy"
    checkpoints = _checkpoints(options, output)
    line = ProgressLine()
    try:
        outcome = run_fit(package, request, progress=line, checkpoints=checkpoints)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_resume(checkpoints.path, given)) from None
    finally:
        line.close()
    facts = {"package_path": str(options.package_path.resolve()), "target_config": _text(options.target_config)}
    written = write_outputs(package, outcome, output, facts)
    if options.checkpoint_output is None:
        _default_checkpoint(output).unlink(missing_ok=True)
    if options.json:
        files = {role: path for role, path in written.files.items() if role != "run_config"}
        config = run_config(package, outcome, files, facts)
        return [json.dumps({**config, "paths": {role: str(path) for role, path in written.files.items()}})]
    return _report(outcome, figures(package, outcome), written)


def _package(options: argparse.Namespace) -> CalibrationPackage:
    """The package with the targets and initial weights that are asked for."""
    from tessera.calibration.run import with_initial_weights
    from tessera.matrix.package import read_package

    package = read_package(options.package_path)
    if options.target_config is not None:
        from tessera.matrix.target_choice import choose_targets
        from tessera.targets.selection import read_selection

        package = choose_targets(package, read_selection(options.target_config), str(options.target_config))
    if options.initial_weights is not None:
        package = with_initial_weights(package, options.initial_weights)
    return package


def _checkpoints(options: argparse.Namespace, output: Path) -> Checkpoints:
    """Where checkpoints go; one to resume from is put there first."""
    from tessera.calibration.run import Checkpoints

    source = options.resume_from
    path = options.checkpoint_output or source or _default_checkpoint(output)
    if source is None:
        if path.exists():
            note = "is of an earlier fit that did not end; this one starts anew (--resume-from goes on from it)"
            print(f"tessera: the checkpoint {path} {note}.", file=sys.stderr)
        return Checkpoints(path, options.checkpoint_every)
    if options.mode != "recipe":
        raise FitError("--resume-from: mode calibrate is short and keeps no checkpoints. Leave it out.")
    if source.suffix == ".npy":
        raise FitError(f"--resume-from {source}: these are weights; start from them with --initial-weights {source}.")
    if not source.is_file():
        raise StorageError(f"--resume-from {source}: no such checkpoint. Leave the option out to fit from the start.")
    if path.resolve() != source.resolve():
        from tessera.store import atomic_path

        with atomic_path(path) as temporary:
            shutil.copyfile(source, temporary)
    return Checkpoints(path, options.checkpoint_every, resume=True)


def _default_checkpoint(output: Path) -> Path:
    return output.with_name(f"{output.stem}.checkpoint.h5")


def _how_to_resume(checkpoint: Path, given: Sequence[str]) -> str:
    """What to say to somebody who stopped a fit."""
    if not checkpoint.exists():
        return "stopped before the first checkpoint (see --checkpoint-every); nothing was written."
    arguments = list(given)
    for place, argument in enumerate(arguments):
        if argument == "--resume-from":
            del arguments[place : place + 2]
            break
    command = shlex.join(["tessera", "fit", *arguments, "--resume-from", str(checkpoint)])
    return f"stopped; the last checkpoint is intact. Go on with:\n{command}"


def _report(outcome: FitOutcome, found: dict[str, Any], written: Written) -> list[str]:
    request = outcome.request
    count = found.get("held_out_targets", 0)
    return [
        f"Fitted {found['targets']:,} targets ({request.mode}, {request.preset}) in {duration(outcome.seconds)}; "
        f"{found['unachievable']:,} more are unachievable.",
        f"Fitted: {_shares(found, '')}. {found['records']:,} records, effective sample size "
        f"{found['effective_sample_size']:,.0f}.",
        *([f"Held out, {count:,} targets: {_shares(found, 'held_out_')}."] if count else []),
        *(f"{role:<22}{path}" for role, path in written.files.items()),
    ]


def _shares(found: dict[str, Any], prefix: str) -> str:
    shares = [f"{found[f'{prefix}share_within_{level}_percent']:.1%}" for level in (1, 5, 10)]
    return f"{' / '.join(shares)} of targets within 1 / 5 / 10 %"


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())
