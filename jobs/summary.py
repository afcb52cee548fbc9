"""What a finished run tells at its end: where files and report are, and how well the targets were met.

Read from the promoted release's manifest, so that it says what was shipped.
"""

import json
import resource
from pathlib import Path

from tessera.config import paths


def summary_lines(home: Path) -> list[str]:
    """Lines about the release that `release/current` names; one line where there is none."""
    store = paths(home)
    manifest_path = store.current_release / "manifest.json"
    if not manifest_path.exists():
        return ["", "No release was promoted."]
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    folder = store.current_release.resolve()
    figures = manifest["diagnostics"]
    areas = [entry for entry in manifest["files"] if entry["area"]]
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1e6
    marked = "SYNTHETIC DATA: for trying out, not for analysis." if manifest["synthetic"] else "Official sources."
    return [
        "",
        f"{len(areas)} area files: {folder}",
        f"Report: {folder / 'diagnostics' / 'report.html'}",
        f"Targets: {figures['n_targets']:,} with support, {figures['share_within_10']:.1%} within 10 %, "
        f"{figures['share_within_5']:.1%} within 5 %; {figures['n_unachievable']:,} without support (see the report).",
        marked,
        f"Largest process: {peak:.1f} GB. Look at it all in the web UI: make ui",
    ]
