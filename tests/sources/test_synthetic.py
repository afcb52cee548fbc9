"""The synthetic writers: same arguments give the same bytes, marks, distributions."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import SourceError
from tessera.random import generator
from tessera.sources.marks import is_synthetic, read_mark, sidecar_of
from tessera.sources.synthetic import acs_pums, cps_asec, cps_org, irs_puf, scf, sipp
from tessera.sources.synthetic.draws import heavy, normal_of, scaled, stratified
from tessera.sources.synthetic.population import draw_population
from tessera.store import sha256_of

WRITERS: dict[str, Callable[[Path, int], Path]] = {
    "cps_asec": lambda folder, seed: cps_asec.write(folder, households=120, year=2025, seed=seed),
    "irs_puf": lambda folder, seed: irs_puf.write(folder, returns=150, seed=seed),
    "acs_pums": lambda folder, seed: acs_pums.write(folder, households=100, year=2024, seed=seed),
    "sipp": lambda folder, seed: sipp.write(folder, households=60, year=2023, seed=seed),
    "scf": lambda folder, seed: scf.write(folder, families=60, year=2022, seed=seed),
    "cps_org": lambda folder, seed: cps_org.write(folder, households=60, year=2024, seed=seed),
}


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", WRITERS)
def test_same_seed_same_bytes(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / "a", 1)
    WRITERS[name](tmp_path / "b", 1)
    WRITERS[name](tmp_path / "c", 2)
    first, second, other = (_bytes(tmp_path / folder) for folder in "abc")
    assert first == second
    assert all(first[file] != other[file] for file in first)


@pytest.mark.parametrize("name", WRITERS)
def test_every_file_is_marked(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path, 1)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith(".synthetic.json")]
    assert files
    for path in files:
        mark = read_mark(path)
        assert mark is not None and mark.writer == name and mark.sha256 == sha256_of(path)
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                assert b"SYNTHETIC" in archive.read("SYNTHETIC.txt")
                assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            sidecar_of(path).unlink()
            assert is_synthetic(path, sha256_of(path))


def test_sidecar_of_another_file_is_refused(tmp_path: Path) -> None:
    path = WRITERS["irs_puf"](tmp_path, 1)
    path.write_text(path.read_text() + "\n")
    with pytest.raises(SourceError, match=r"sidecar puf_2015\.csv\.synthetic\.json describes .*delete the sidecar"):
        is_synthetic(path, sha256_of(path))


def test_unreadable_sidecar(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a\n")
    sidecar_of(path).write_text("{}")
    with pytest.raises(SourceError, match=r"x\.csv\.synthetic\.json: not a readable mark"):
        read_mark(path)


def test_too_small() -> None:
    with pytest.raises(SourceError, match="5 households; wanted at least"):
        draw_population(5, seed=1, label="x")


def test_writer_refuses_too_few_returns(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="10 returns; wanted at least"):
        irs_puf.write(tmp_path, returns=10, seed=1)


def test_population_is_plausible() -> None:
    population = draw_population(1500, seed=3, label="test")
    person, household = population.person, population.household
    weight = household["weight"].to_numpy()[person["household"].to_numpy()]
    assert weight.sum() == pytest.approx(330e6, rel=0.04)
    assert np.average(person["female"], weights=weight) == pytest.approx(0.507, abs=0.02)
    assert np.average(person["age"] >= 65, weights=weight) == pytest.approx(0.18, abs=0.025)
    assert np.average(person["hispanic"] > 0, weights=weight) == pytest.approx(0.19, abs=0.05)
    owned = (household["tenure"] == 1).to_numpy()
    assert np.average(owned, weights=household["weight"]) == pytest.approx(0.65, abs=0.08)
    capital = person["capital_gains"].to_numpy() * weight
    top = np.sort(capital)[::-1][: len(capital) // 100].sum() / capital.sum()
    assert top > 0.5, "capital gains must be concentrated"
    assert (person["self_employment"] < 0).any() and (person["rent"] < 0).any()


def test_household_and_person_tables_fit() -> None:
    population = draw_population(60, seed=3, label="test")
    person = population.person
    assert set(person["household"]) == set(range(60)) == set(population.household.index)
    assert not person.isna().any().any() and not population.household.isna().any().any()
    assert (person.groupby("household")["line"].max() == person.groupby("household").size()).all()


@settings(max_examples=30, deadline=None)
@given(n=st.integers(0, 500), seed=st.integers(0, 2**32))
def test_stratified_has_one_draw_in_each_part(n: int, seed: int) -> None:
    draws = stratified(generator("t", seed), n)
    assert sorted(np.floor(draws * n).astype(int)) == list(range(n))


def test_normal_quantiles() -> None:
    known = {0.5: 0.0, 0.975: 1.959963984540054, 0.001: -3.090232306167813, 0.02: -2.053748910631823}
    np.testing.assert_allclose(normal_of(np.array(list(known))), list(known.values()), atol=1e-8)


def test_heavy_tail_is_continuous_and_scaled_meets_the_total() -> None:
    edge = heavy(np.array([0.99, 0.99 + 1e-9]), median=2.0, sigma=1.0, alpha=1.5)
    assert edge[1] == pytest.approx(edge[0], rel=1e-4)
    weights = np.array([1.0, 3.0])
    assert scaled(np.array([1.0, 2.0]), weights, 70.0) @ weights == pytest.approx(70.0)
    assert (scaled(np.zeros(2), weights, 70.0) == 0).all()
