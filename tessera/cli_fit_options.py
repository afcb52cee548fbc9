"""The options of `tessera fit`: flags, what they mean, and their defaults, which are those of the options themselves.

Holds the parser only. An option that is not given is not in the parsed namespace, so that a preset is changed by what
was asked for and by nothing else.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from tessera.calibration.dual_options import DISTANCES, DualOptions
from tessera.calibration.options import FitOptions
from tessera.calibration.presets import PRESETS
from tessera.calibration.request import CALIBRATE_PRESETS, MODES, preset_names

_EXPONENT = re.compile(r"-\d*\.?\d+[eE][+-]?\d+")


@dataclass(frozen=True)
class Setting:
    """A flag that sets a field of `FitOptions` or `DualOptions`."""

    flag: str
    name: str
    kind: Callable[[str], Any]
    meaning: str
    metavar: str = "X"
    choices: tuple[str, ...] | None = None


def _multiplier(text: str) -> list[Any]:
    group, _, factor = text.rpartition("=")
    try:
        return [group or text, float(factor)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; wanted GROUP=FACTOR, as in district/snap=2") from None


def _number_or_none(text: str) -> float | None:
    try:
        return None if text == "none" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; wanted a number or none") from None


BOTH = (
    Setting("--records", "records", int, "record budget: keep about so many records; lambda_l0 is found for it", "N"),
    Setting("--seed", "seed", int, "of every random number of the fit", "N"),
    Setting("--threads", "threads", int, "threads of the CPU; results do not depend on it (default: all)", "N"),
    Setting("--relative-floor", "relative_floor", float, "added to the target's size where errors are relative to it"),
    Setting("--holdout-folds", "holdout_folds", int, "number of folds that targets are dealt into by name", "N"),
    Setting(
        "--holdout-fold", "holdout_fold", int, "leave this fold (from 0) out of the loss; it stays in the logs", "N"
    ),
)
RECIPE = (
    Setting("--epochs", "epochs", int, "steps with sampled gates", "N"),
    Setting("--lambda-l0", "lambda_l0", float, "price of a record that is kept"),
    Setting("--lambda-l2", "lambda_l2", float, "price of a squared weight"),
    Setting("--beta", "beta", float, "temperature of the gates"),
    Setting("--gamma", "gamma", float, "lower end that gates are stretched to, below 0"),
    Setting("--zeta", "zeta", float, "upper end that gates are stretched to, above 1"),
    Setting("--learning-rate", "learning_rate", float, "of Adam"),
    Setting("--decay-share", "decay_share", float, "share of the epochs, at the end, over which the rate falls"),
    Setting("--polish-epochs", "polish_epochs", int, "further steps with the final gates held fixed; 0 for none", "N"),
    Setting("--polish-rate", "polish_rate", float, "learning rate at the start of the polish"),
    Setting("--keep-probability", "keep_probability", float, "of every gate at the start"),
    Setting("--log-weight-jitter", "log_weight_jitter", float, "noise on the starting log-weights, standard deviation"),
    Setting("--gate-jitter", "gate_jitter", float, "noise on the starting gate parameters, standard deviation"),
    Setting("--loss", "loss", str, "errors relative to the target, or in its unit", "KIND", ("relative", "squared")),
    Setting("--max-weight-ratio", "max_weight_ratio", float, "largest weight, in mean initial weights"),
    Setting("--loss-groups", "loss_groups", str, "targets grouped by this weigh the same in the loss", "BY",
            ("none", "variable", "level", "level_variable", "source")),
    Setting("--group-multiplier", "group_multipliers", _multiplier, "factor of one group, repeatable", "GROUP=FACTOR"),
    Setting("--l2-mean-weight", "l2_mean_weight", _number_or_none, "mean weight that lambda_l2 refers to, or none"),
    Setting("--no-shrink", "shrink", bool, "visit records whose gate will hardly open again (default: leave out)"),
    Setting("--patience", "patience", int, "end the epochs early when the loss rests for so many", "N"),
    Setting("--plateau", "plateau", float, "smallest relative fall of the loss that counts as falling"),
    Setting("--log-freq", "log_frequency", int, "epochs between entries of calibration_log.csv (default: the end only)",
            "N"),
    Setting("--device", "device", str, "auto takes a GPU where there is one", "KIND", ("auto", "cpu", "cuda")),
)  # fmt: skip
CALIBRATE = (
    Setting("--distance", "distance", str, "from the initial weights", "KIND", DISTANCES),
    Setting("--lower", "lower", float, "smallest weight, as a multiple of the initial one"),
    Setting("--upper", "upper", float, "largest weight, as a multiple of the initial one"),
    Setting(
        "--thinning",
        "thinning",
        str,
        "how a budget is met: draw, or gates where it is near the number of targets",
    ),
    Setting("--gate-epochs", "gate_epochs", int, "epochs of thinning by gates"),
    Setting("--sparse-upper", "sparse_upper", float, "the same of a record drawn for a budget"),
    Setting("--tolerance", "tolerance", float, "relative error that a target is let have"),
    Setting("--max-iterations", "max_iterations", int, "Newton steps at most", "N"),
    Setting("--gradient-tolerance", "gradient_tolerance", float, "dual gradient at which it has converged"),
)
SETTINGS = (*BOTH, *RECIPE, *CALIBRATE)


FILES = (
    ("--output", "weights, .npy; logs and tables go beside it (default: PACKAGE_fit/weights.npy beside the package)"),
    ("--target-config", "YAML with include and exclude rules on the package's targets (default: all of them)"),
    ("--initial-weights", "start from these weights (.npy of an earlier fit) instead of the package's"),
    ("--resume-from", "go on from a checkpoint of the same package and options, as if never stopped"),
    ("--checkpoint-output", "where checkpoints go, and stay (default: OUTPUT.checkpoint.h5, removed at the end)"),
)


def add_fit_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tessera fit` to its parser."""
    files = parser.add_argument_group("files")
    package = "calibration package: the stored asset calibration_matrix (calibration_matrix.h5)"
    files.add_argument("--package-path", type=Path, required=True, metavar="FILE", help=package)
    for flag, meaning in FILES:
        files.add_argument(flag, type=Path, metavar="FILE", help=meaning)
    every = "steps between two checkpoints (default: 100)"
    files.add_argument("--checkpoint-every", type=_positive, default=100, metavar="N", help=every)
    files.add_argument("--json", action="store_true", help="print the run configuration and paths as one JSON object")
    which = parser.add_argument_group("which fit")
    presets = "local: dense enough for every district; national: few records (default: local)"
    which.add_argument("--preset", choices=preset_names(), default="local", help=presets)
    modes = (
        "recipe: sampled gates and Adam; calibrate: bounded distance to the initial weights by Newton on the dual "
        "(default: recipe)"
    )
    which.add_argument("--mode", choices=MODES, default="recipe", help=modes)
    for title, settings in (("both modes", BOTH), ("mode recipe", RECIPE), ("mode calibrate", CALIBRATE)):
        group = parser.add_argument_group(title)
        for one in settings:
            _add(group, one)


def joined(arguments: Sequence[str]) -> list[str]:
    """The arguments with a negative number in exponent form joined to its flag, which argparse takes for a flag."""
    result: list[str] = []
    for argument in arguments:
        if _EXPONENT.fullmatch(argument) and result and result[-1].startswith("--") and "=" not in result[-1]:
            result[-1] = f"{result[-1]}={argument}"
        else:
            result.append(argument)
    return result


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, by name of the field."""
    return {one.name: getattr(options, one.name) for one in SETTINGS if hasattr(options, one.name)}


def _add(group: argparse._ArgumentGroup, one: Setting) -> None:
    common: dict[str, Any] = {"dest": one.name, "default": argparse.SUPPRESS, "help": _help(one)}
    if one.name == "shrink":
        group.add_argument(one.flag, action="store_false", **common)
        return
    action = "append" if one.name == "group_multipliers" else "store"
    metavar = None if one.choices else one.metavar
    group.add_argument(one.flag, action=action, type=one.kind, choices=one.choices, metavar=metavar, **common)


def _help(one: Setting) -> str:
    """Meaning and default; "%" is a format in argparse."""
    if "(default" in one.meaning:
        return one.meaning
    by_preset = {name: _default(one.name, name) for name in preset_names()}
    if set(by_preset.values()) == {None}:
        return f"{one.meaning} (default: none)"
    values = list(by_preset.values())
    shown = str(values[0]) if len(set(values)) == 1 else ", ".join(f"{n} {v}" for n, v in by_preset.items())
    return f"{one.meaning} (default: {shown})".replace("%", "%%")


def _default(name: str, preset: str) -> Any:
    if any(one.name == name for one in fields(FitOptions)):
        value = getattr(PRESETS[preset], name)
        return None if value == () else value
    return _dual_default(name, preset)


def _dual_default(name: str, preset: str) -> Any:
    known = {one.name: one.default for one in fields(DualOptions) if one.default is not MISSING}
    return CALIBRATE_PRESETS[preset].get(name, known.get(name))


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; wanted a whole number of at least 1")
    return int(text)
