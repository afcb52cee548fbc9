"""Files of areas: who lies in them, what is summarised, resuming."""

from pathlib import Path

import numpy as np
import pytest

from tessera.areas.assemble import Assembler
from tessera.areas.build import build_area, records_in_area
from tessera.areas.dataset import read_area
from tessera.errors import AreaError
from tessera.geography import areas
from tessera.rules.takeup import published_rates, takeup_probabilities
from tests import builders


@pytest.fixture(scope="module")
def assembler() -> Assembler:
    base = builders.frame(30)
    clones = builders.place(base, builders.real_place_blocks(), 60)
    return Assembler(base, clones, takeup_probabilities(base, published_rates(), seed=4))


def test_states_partition_the_nation_and_districts_their_state(assembler: Assembler) -> None:
    clones = assembler.clones
    everyone = np.concatenate([records_in_area(area, clones) for area in areas.areas_of_kind("state")])
    assert sorted(everyone) == list(range(clones.n_records))
    texas = np.concatenate(
        [records_in_area(area, clones) for area in areas.areas_of_kind("district") if area.state_fips == 48]
    )
    assert sorted(texas) == list(records_in_area(areas.area("TX"), clones))
    city = records_in_area(areas.area("NYC"), clones)
    assert set(clones.county_fips[city]) <= {"36005", "36047", "36061", "36081", "36085"}
    assert len(city) > 0


def test_a_file_holds_the_clones_of_positive_weight(assembler: Assembler, tmp_path: Path) -> None:
    weights = np.where(np.arange(assembler.clones.n_records) % 3 == 0, 0.0, 2.5)
    area = areas.area("CA")
    built = build_area(area, assembler, weights, tmp_path)
    inside = records_in_area(area, assembler.clones)
    assert built.records == int((weights[inside] > 0).sum())
    assert built.weight_sum == pytest.approx(weights[inside].sum())
    assert built.effective_records == pytest.approx(built.records)
    stored = read_area(tmp_path / "states" / "CA.h5")
    assert stored["household_weight"].sum() == pytest.approx(built.weight_sum, rel=1e-6)
    assert built.synthetic


def test_a_finished_file_is_left_alone_and_a_changed_one_rebuilt(assembler: Assembler, tmp_path: Path) -> None:
    weights = np.ones(assembler.clones.n_records)
    first = build_area(areas.area("WY"), assembler, weights, tmp_path)
    path = tmp_path / first.relative_path
    stamp = path.stat().st_mtime_ns
    assert build_area(areas.area("WY"), assembler, weights, tmp_path) == first
    assert path.stat().st_mtime_ns == stamp
    assert build_area(areas.area("WY"), assembler, weights * 2, tmp_path).sha256 != first.sha256
    path.write_bytes(path.read_bytes()[:300])
    assert build_area(areas.area("WY"), assembler, weights, tmp_path).sha256 == first.sha256


def test_an_empty_area_is_named(assembler: Assembler, tmp_path: Path) -> None:
    weights = np.ones(assembler.clones.n_records)
    weights[records_in_area(areas.area("AK"), assembler.clones)] = 0.0
    with pytest.raises(AreaError, match="AK: no clone of positive weight"):
        build_area(areas.area("AK"), assembler, weights, tmp_path)
    assert not (tmp_path / "states").exists()
