"""FitRequest: which fit is wanted, in a form that a command line, a run configuration and another process can hand on.

Holds a mode, a preset and changes to it by name, checked when it is made. Two modes:

    recipe      hard concrete gates and Adam, the published recipe (`fit`, options `FitOptions`)
    calibrate   a bounded distance to the initial weights by Newton on the dual (`dual`, options `DualOptions`)

The presets of the recipe are those of `presets`. In mode calibrate, local keeps every record, and national keeps about
50,000, the size that the recipe's national preset is meant for; a matrix of fewer records keeps all of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

from tessera.calibration.dual_options import DualOptions
from tessera.calibration.options import Device, FitOptions
from tessera.calibration.presets import PRESETS, preset
from tessera.config import Scale
from tessera.errors import FitError

Mode = Literal["recipe", "calibrate"]
MODES: tuple[Mode, ...] = ("recipe", "calibrate")
CALIBRATE_PRESETS: Mapping[str, Mapping[str, Any]] = {"local": {}, "national": {"records": 50_000}}


@dataclass(frozen=True)
class FitRequest:
    """A wanted fit.

    Attributes:
        preset: local or national.
        mode: recipe or calibrate.
        changes: options that differ from the preset, by name; plain numbers, texts and lists.

    Raises:
        FitError: on making one with an unknown mode, preset or option, or with a value that the option refuses.
    """

    preset: str = "local"
    mode: Mode = "recipe"
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise FitError(f"Unknown mode {self.mode!r}; wanted one of {', '.join(MODES)}.")
        _ = self.options

    @cached_property
    def options(self) -> FitOptions | DualOptions:
        """The settings, of the mode's own class."""
        return self.recipe_options() if self.mode == "recipe" else self.dual_options()

    def recipe_options(self) -> FitOptions:
        """The settings of mode recipe."""
        return preset(self.preset, **_tuples(self.changes))

    def dual_options(self) -> DualOptions:
        """The settings of mode calibrate."""
        if self.preset not in CALIBRATE_PRESETS:
            raise FitError(f"Unknown preset {self.preset!r}; wanted one of {', '.join(CALIBRATE_PRESETS)}.")
        known = {one.name for one in fields(DualOptions)}
        unknown = sorted(set(self.changes) - known)
        if unknown:
            raise FitError(
                f"Mode calibrate has no option {', '.join(unknown)}; it has {', '.join(sorted(known))}. Leave it "
                "out, or take mode recipe."
            )
        return DualOptions(**{**CALIBRATE_PRESETS[self.preset], **_tuples(self.changes)})

    @property
    def identity(self) -> str:
        """Hash of mode and settings, those left out that change no number; names files that belong to one fit."""
        settings = {key: value for key, value in self.settings().items() if key not in ("threads", "device")}
        text = json.dumps([self.mode, settings], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def settings(self) -> dict[str, Any]:
        """Every setting by name, as plain values."""
        return {one.name: getattr(self.options, one.name) for one in fields(self.options)}

    def as_dict(self) -> dict[str, Any]:
        """The request as plain values; `from_dict` reads it back."""
        return {"preset": self.preset, "mode": self.mode, "changes": dict(self.changes)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> FitRequest:
        """The request of `as_dict`; raises `FitError` for anything else."""
        if set(content) != {"preset", "mode", "changes"} or not isinstance(content["changes"], Mapping):
            raise FitError(f"A request has preset, mode and changes; this has {', '.join(map(str, content))}.")
        return cls(content["preset"], content["mode"], dict(content["changes"]))


def fit_request(
    name: str,
    scale: Scale,
    *,
    mode: Mode,
    records: int,
    epochs: int,
    lambda_l0: float,
    log_frequency: int,
    seed: int,
    device: Device,
) -> FitRequest:
    """The request of a run's configuration.

    Args:
        name: of the preset, local or national.
        scale: whose epochs are taken where the configuration has none.
        mode: recipe or calibrate.
        records, epochs, log_frequency: 0 takes the preset's (the scale's).
        lambda_l0: below 0 takes the preset's.
        seed: of every random number.
        device: of mode recipe.

    Raises:
        FitError: a setting that the mode does not have, or that is out of range.
    """
    changes: dict[str, Any] = {"seed": seed}
    if records:
        changes["records"] = records
    if mode == "recipe":
        changes["epochs"] = epochs or (scale.local_epochs if name == "local" else scale.national_epochs)
        changes["device"] = device
    elif epochs:
        changes["epochs"] = epochs  # refused with a message: a mode's own options are not passed over in silence
    elif name == "national":
        changes.setdefault("records", scale.national_records)
    if lambda_l0 >= 0:
        changes["lambda_l0"] = lambda_l0
    if log_frequency:
        changes["log_frequency"] = log_frequency
    return FitRequest(name, mode, changes)


def preset_names() -> tuple[str, ...]:
    """Names of the presets."""
    return tuple(PRESETS)


def _tuples(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes with lists as tuples, which is what options hold and JSON cannot say."""
    return {
        name: tuple(tuple(item) if isinstance(item, list) else item for item in value)
        if isinstance(value, list)
        else value
        for name, value in changes.items()
    }
