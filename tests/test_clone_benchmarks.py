"""The benchmarks of clones and take-up: they run, print one JSON object, and re-state the reference as described."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import clones, population, reference_clones, reference_takeup, takeup
from tessera.geography import areas

ROOT = Path(__file__).resolve().parents[1]
SIZE = ["--households", "60", "--clones", "20", "--no-curve", "--json"]


@pytest.fixture(scope="module", params=["clones", "takeup"])
def printed(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, Any]]]:
    blocks = ["--blocks", "44000", "--repeats", "1"] if request.param == "clones" else ["--chunk", "500"]
    command = [sys.executable, str(ROOT / "benchmarks" / f"{request.param}.py"), *SIZE, *blocks]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    yield request.param, json.loads(done.stdout.strip().splitlines()[-1])


def test_one_json_object_comes_last(printed: tuple[str, dict[str, Any]]) -> None:
    name, figures = printed
    assert figures["n_clones"] == 20 and figures["records"] == 1200
    assert figures["seconds"] > 0 and figures["peak_mb"] > 0
    assert figures["ratio"] == figures["reference_seconds"] / figures["seconds"]
    assert "60 households" in figures["reference_measured_on"]
    if name == "clones":
        assert figures["collisions"] == 0
        assert figures["reference_collisions"] >= 0
    else:
        assert figures["programmes"] > figures["reference_programmes"] == 9
        persons = len(population.households(60).person)
        assert figures["draws"] > 20 * 6 * persons


def test_the_section_says_how_the_reference_was_measured(printed: tuple[str, dict[str, Any]]) -> None:
    name, figures = printed
    text = {"clones": clones, "takeup": takeup}[name].markdown(figures | {"curve": [figures]})
    assert text.startswith("## ")
    assert figures["reference_measured_on"] in text
    assert text.count("| ours, 20 clones | 1,200 |") == 2
    assert "| the reference's algorithm, 20 clones | 1,200 |" in text


def test_the_reference_is_left_with_collisions_near_the_number_of_districts() -> None:
    few = population.census(population.N_DISTRICTS * 2)
    income = np.ones(population.N_DISTRICTS)
    chances, top_chances, district = clones._chances(few, income)
    assert chances.sum() == pytest.approx(1) and top_chances.sum() == pytest.approx(1)
    of_district = np.bincount(district, chances)
    np.testing.assert_allclose(of_district, 1 / population.N_DISTRICTS)
    run = reference_clones.assign(430, np.zeros(10, dtype=bool), chances, top_chances, district, seed=1)
    assert 0 < run.collisions < 0.03 * 4300
    assert run.choices > 430
    easy = reference_clones.assign(5, np.zeros(10, dtype=bool), chances, top_chances, district, seed=1)
    assert easy.collisions == 0


def test_the_reference_takes_up_at_its_rates_whatever_else_is_drawn() -> None:
    household = np.repeat(np.arange(400), 3)
    ids, block = np.arange(400) + 50, np.arange(400) // 2
    rates = np.where(block < 100, 0.2, 0.9)
    taken = reference_takeup.draw_clone("takes_up_x", household, ids, block, rates, 3)
    assert taken[:600].mean() == pytest.approx(0.2, abs=0.06)
    assert taken[600:].mean() == pytest.approx(0.9, abs=0.06)
    fewer = reference_takeup.draw_clone("takes_up_x", household[:30], ids[:10], block[:10], rates[:10], 3)
    np.testing.assert_array_equal(fewer, taken[:30])


def test_the_population_is_of_census_size() -> None:
    blocks = population.census(50_000).validate("benchmark")
    assert len(blocks.population) == 50_000
    assert len(np.unique(blocks.district)) == len(areas.stratum_districts())
    frame = population.households(400)
    assert 2.2 < len(frame.person) / 400 < 2.8
    assert 1.05 < len(frame.tax_unit) / 400 < 1.6
