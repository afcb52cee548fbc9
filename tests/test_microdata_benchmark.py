"""The benchmark of the microdata stages: its table, and the sizes that it asks for."""

from __future__ import annotations

import argparse

from benchmarks import microdata


def stage(name: str, seconds: float, gigabytes: float) -> dict[str, object]:
    return {
        "stage": name, "seconds": seconds, "peak_bytes": gigabytes * 1e9, "households": 60_000, "persons": 150_123,
        "columns": 146,
    }  # fmt: skip


def test_the_table_has_a_row_a_stage_and_the_limits() -> None:
    figures = {
        "stages": [stage("cps", 12.34, 0.5), stage("extended_cps", 700.0, 3.25)],
        "seconds": 712.34, "peak_bytes": 3.25e9, "workers": 2, "machine": "a machine",
        "limit_seconds": microdata.LIMIT_SECONDS, "limit_bytes": microdata.LIMIT_BYTES,
    }  # fmt: skip
    text = microdata.markdown(figures)
    assert "survey of 150,123 persons" in text and "with 2 workers" in text
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == ["cps", "extended_cps", "all", "must stay below"]
    assert [row[-2:] for row in rows[2:]] == [
        ["12.3 s", "0.50 GB"], ["11.7 min", "3.25 GB"], ["11.9 min", "3.25 GB"], ["25.0 min", "10 GB"],
    ]  # fmt: skip


def test_sizes_are_those_asked_for() -> None:
    arguments = argparse.Namespace(persons=150_000, returns=99, households=12_000)
    scale = microdata._scale(arguments)
    assert (scale.survey_households, scale.puf_returns, scale.households) == (60_000, 99, 12_000)
    # A survey smaller than what stratification would keep is kept whole.
    assert microdata._scale(argparse.Namespace(persons=500, returns=99, households=12_000)).households == 400
