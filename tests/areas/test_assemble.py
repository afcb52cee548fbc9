"""Assembly and the area file: links, provenance, bytes, bad input."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tessera.areas.assemble import Assembler
from tessera.areas.dataset import AreaDataset, read_area, write_area
from tessera.errors import AreaError, StorageError
from tessera.frame import ENTITIES, GROUP_ENTITIES
from tessera.rules.takeup import published_rates, takeup_probabilities
from tests import builders


@pytest.fixture(scope="module")
def assembler() -> Assembler:
    base = builders.frame(25)
    clones = builders.place(base, builders.real_place_blocks(), 30)
    return Assembler(base, clones, takeup_probabilities(base, published_rates(), seed=4))


def test_every_copy_keeps_its_members_and_their_values(assembler: Assembler) -> None:
    records = np.array([5, 700, 31, 5 + 25])
    dataset = assembler.assemble(records, np.arange(4.0) + 1)
    base = assembler.frame
    for entity in ENTITIES:
        assert dataset.arrays[f"{entity}_id"].dtype == np.int32
    for entity in GROUP_ENTITIES:
        assert (dataset.arrays[f"{entity}_id"] == np.arange(dataset.counts[entity])).all()
    for row, record in enumerate(records):
        household = assembler.clones.household[record]
        original = base.person[base.unit_of_person("household") == household]
        copied = dataset.arrays["person_household_id"] == row
        assert (dataset.arrays["age"][copied] == original["age"].to_numpy(np.float32)).all()
        for entity in GROUP_ENTITIES:
            links = dataset.arrays[f"person_{entity}_id"][copied]
            theirs = original[f"{entity}_id"].to_numpy()
            same = links[:, None] == links[None, :]
            assert (same == (theirs[:, None] == theirs[None, :])).all()


def test_a_person_has_the_same_id_in_every_dataset(assembler: Assembler) -> None:
    everyone = assembler.assemble(np.arange(assembler.clones.n_records))
    assert len(np.unique(everyone.arrays["person_id"])) == everyone.counts["person"]
    for record in (3, 411):
        alone = assembler.assemble(np.array([record])).arrays["person_id"]
        assert (everyone.arrays["person_id"][everyone.arrays["person_household_id"] == record] == alone).all()


def test_places_weights_and_provenance_travel(assembler: Assembler) -> None:
    records = np.arange(100)
    dataset = assembler.assemble(records, np.full(100, 12.5))
    arrays = dataset.arrays
    assert arrays["household_weight"].dtype == np.float32
    assert not [name for name in arrays if name.endswith("_weight") and name != "household_weight"]
    assert (arrays["county_fips"].astype("U") == assembler.clones.county_fips[records]).all()
    assert (arrays["state_fips"] == arrays["congressional_district_geoid"] // 100).all()
    assert (arrays["source_household_id"] == assembler.clones.household[records] + 900).all()
    assert set(arrays["source"].astype("U")) == {"cps"}
    assert (arrays["clone"] == assembler.clones.clone[records]).all()
    los_angeles = arrays["county_fips"] == b"06037"
    assert (arrays["zip_code"][los_angeles] == b"90001").all()
    assert dataset.synthetic


def test_reported_receipts_and_other_names_the_engine_does_not_know_stay_out(assembler: Assembler) -> None:
    names = set(assembler.assemble(np.arange(3)).arrays)
    assert "ssi_reported" in names
    assert not names & {"snap_reported", "tanf_reported"}


def test_the_file_round_trips_and_has_the_same_bytes_twice(assembler: Assembler, tmp_path: Path) -> None:
    dataset = assembler.assemble(np.arange(60), np.linspace(0.5, 2.0, 60))
    one, two = (write_area(dataset, tmp_path / name) for name in ("one.h5", "two.h5"))
    assert one.read_bytes() == two.read_bytes()
    stored = read_area(one)
    assert set(stored) == set(dataset.arrays)
    for name, values in dataset.arrays.items():
        assert stored[name].dtype == values.dtype
        assert (stored[name] == values).all()
    with h5py.File(one) as file:
        first = sorted(file)[0]
        assert list(file[first]) == [str(builders.YEAR)]
        assert file.attrs["synthetic"]


def test_an_empty_area_is_refused_and_the_previous_file_stays(assembler: Assembler, tmp_path: Path) -> None:
    path = write_area(assembler.assemble(np.arange(3)), tmp_path / "CA-12.h5")
    before = path.read_bytes()
    with pytest.raises(AreaError, match=r"CA-12\.h5: no household"):
        write_area(assembler.assemble(np.array([], dtype=int)), path)
    assert path.read_bytes() == before


def test_arrays_of_another_length_are_refused(assembler: Assembler, tmp_path: Path) -> None:
    good = assembler.assemble(np.arange(3))
    arrays = {**good.arrays, "age": good.arrays["age"][:-1]}
    broken = AreaDataset(arrays, good.entity_of, good.counts, good.year, True)
    with pytest.raises(AreaError, match="age has"):
        write_area(broken, tmp_path / "x.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_previous_file(assembler: Assembler, tmp_path: Path, monkeypatch) -> None:
    path = write_area(assembler.assemble(np.arange(3)), tmp_path / "US.h5")
    before = path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write_area(assembler.assemble(np.arange(4)), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["US.h5"]


def test_a_truncated_file_is_named(assembler: Assembler, tmp_path: Path) -> None:
    path = write_area(assembler.assemble(np.arange(3)), tmp_path / "WY.h5")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(AreaError, match=r"WY\.h5: cannot be read"):
        read_area(path)


def test_clones_of_another_frame_are_refused(assembler: Assembler) -> None:
    with pytest.raises(AreaError, match="Materialise clones again"):
        Assembler(builders.frame(9), assembler.clones, assembler.takeup)
