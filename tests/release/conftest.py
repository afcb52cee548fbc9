"""A small release over a part of the catalogue: made-up bytes, a passing gate, a manifest that lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from tessera.diagnostics.sanity import SanityResult, check_names
from tessera.diagnostics.weights import AreaMetric, area_metrics
from tessera.geography.areas import Area, area
from tessera.release.gate import GateInputs, InvariantCheck, evaluate_gate
from tessera.release.identity import GitState, new_identity
from tessera.release.manifest import Manifest, SourceEntry, file_entries
from tessera.store import sha256_of

AREAS: tuple[Area, ...] = tuple(area(key) for key in ("US", "WY", "CA", "CA-12", "NYC"))


@dataclass(frozen=True)
class Example:
    """Files of a run, what the gate looks at, and the manifest."""

    files: dict[str, Path]
    gate_inputs: GateInputs
    manifest: Manifest


@pytest.fixture
def example(tmp_path: Path) -> Callable[..., Example]:
    """A function that makes a run's files; `text` changes their bytes, `minute` the run id."""

    def make(text: str = "first", minute: int = 0) -> Example:
        run = tmp_path / f"run-{text}-{minute}"
        files: dict[str, Path] = {}
        rows = []
        for item in AREAS:
            path = run / item.relative_path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{text} {item.key}".encode() * 50)
            files[item.relative_path] = path
            size = path.stat().st_size
            rows.append(AreaMetric(item.key, item.kind, 10, 24, 1000.0, 8.0, 200.0, size, sha256_of(path)))
        report = run / "report.html"
        report.write_text(f"<p>{text}</p>")
        files["diagnostics/report.html"] = report
        metrics = area_metrics(rows)
        inputs = GateInputs(
            files=files,
            sanity=[SanityResult(item.key, name, True, "", "") for item in AREAS for name in check_names()],
            area_metrics=metrics,
            target_table=_targets(),
            min_share_within_10=0.75,
            invariant=InvariantCheck(51, 2e-8),
            expected=AREAS,
        )
        manifest = Manifest(
            identity=new_identity("0.1.0", GitState("ab" * 20, False), datetime(2025, 1, 2, 3, minute, tzinfo=UTC)),
            packages={"numpy": "2.4.0"},
            config={"scale": "demo", "min_share_within_10": 0.75},
            seeds={"root": 20240101},
            synthetic=True,
            sources=(SourceEntry("cps_asec", "cd" * 32, "https://www2.census.gov/", "2025", True),),
            files=file_entries(files, metrics),
            diagnostics={"share_within_10": 0.75},
            gate=evaluate_gate(inputs),
        )
        return Example(files, inputs, manifest)

    return make


def _targets() -> pd.DataFrame:
    table = pd.DataFrame({"target": [100.0, 100, 100, 100], "estimate": [101.0, 100, 95, 150]})
    table["error"] = table["estimate"] - table["target"]
    table["rel_error"] = table["error"] / table["target"]
    table["abs_rel_error"] = table["rel_error"].abs()
    return table.assign(name=list("abcd"), variable="snap", geo_level="national", geo_id="US", source="usda")
