"""The presets of the fit: local, dense enough for every district; national, sparse enough for fast national runs.

Penalties, temperature and epochs are those of the published recipe (policyengine-us-data, calibration presets).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tessera.calibration.options import Device, FitOptions
from tessera.errors import FitError

PRESETS = {
    "local": FitOptions(lambda_l0=1e-7, lambda_l2=1e-8, beta=0.65, epochs=1000),
    "national": FitOptions(lambda_l0=1e-4, lambda_l2=1e-12, beta=0.65, epochs=4000),
}


def preset(name: str, **changes: Any) -> FitOptions:
    """The options of a preset, with changes by name; raises `FitError` for an unknown preset or option."""
    if name not in PRESETS:
        raise FitError(f"Unknown preset {name!r}; wanted one of {', '.join(PRESETS)}.")
    unknown = sorted(set(changes) - set(PRESETS[name].as_dict()))
    if unknown:
        raise FitError(f"FitOptions has no {', '.join(unknown)}; it has {', '.join(PRESETS[name].as_dict())}.")
    return replace(PRESETS[name], **changes)


def fit_options(name: str, epochs: int, lambda_l0: float, seed: int, device: Device) -> FitOptions:
    """A preset at a run's epochs, seed and device; a negative `lambda_l0` keeps the preset's."""
    changes: dict[str, Any] = {"epochs": epochs, "seed": seed, "device": device}
    if lambda_l0 >= 0:
        changes["lambda_l0"] = lambda_l0
    return preset(name, **changes)
