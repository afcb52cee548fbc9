"""The matrix benchmark at its smallest: it runs, and its last line is one JSON object with what it must say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_one_json_object_comes_last(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "matrix.py"), "--scale", "tiny", "--json"]
    done = subprocess.run(
        [*command, "--record", str(tmp_path / "page.md")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert {"seconds", "peak_mb", "n_clones", "nnz_b", "nnz_m", "n_targets", "situations", "value_rows", "package_mb",
            "matvec_s", "rmatvec_s", "triad_gb_s", "over_floor"} <= set(found)  # fmt: skip
    assert found["n_clones"] == 7200 and found["n_targets"] > 17_000 and found["synthetic_values"] is True
    assert found["nnz_m"] > found["nnz_b"] > found["nnz_table"] > found["value_rows"] > 0
    assert "made-up state values" in (tmp_path / "page.md").read_text()
