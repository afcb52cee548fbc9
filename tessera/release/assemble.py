"""What goes into a release: the area files and diagnostics of a run, and the manifest that describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from tessera.config import MODEL_YEAR, Scale, SourceMode
from tessera.diagnostics.targets import summarise_targets
from tessera.geography.areas import areas
from tessera.release.manifest import Manifest, diagnostics_summary, file_entries, package_versions


def release_files(area_table: pd.DataFrame, area_folder: Path, diagnostics_folder: Path) -> dict[str, Path]:
    """Path below the release -> file: every area file of the table, and every file of the diagnostics."""
    keys = set(area_table["key"])
    files = {one.relative_path: area_folder / one.relative_path for one in areas() if one.key in keys}
    for path in sorted(diagnostics_folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            files[f"diagnostics/{path.name}"] = path
    return files


def release_manifest(
    passed: Mapping[str, Any],
    files: Mapping[str, Path],
    area_table: pd.DataFrame,
    target_diagnostics: Mapping[str, pd.DataFrame],
    scale: Scale,
    source_mode: SourceMode,
    seed: int,
) -> Manifest:
    """The manifest of a release.

    Args:
        passed: what the gate let through: `identity`, `gate`, `sources`, `synthetic`.
        files: path below the release -> file.
        area_table: one row an area.
        target_diagnostics: `table` and `unachievable`.
        scale, source_mode, seed: configuration of the run.
    """
    summary = summarise_targets(target_diagnostics["table"], target_diagnostics["unachievable"])
    return Manifest(
        identity=passed["identity"],
        packages=package_versions(),
        config={"scale": asdict(scale), "source_mode": source_mode, "model_year": MODEL_YEAR},
        seeds={"root": seed},
        synthetic=bool(passed["synthetic"]),
        sources=tuple(passed["sources"]),
        files=file_entries(files, area_table),
        diagnostics=diagnostics_summary(summary),
        gate=passed["gate"],
    )
