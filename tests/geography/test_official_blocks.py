"""Blocks from the official files: every code arrives at its block, and through clones at the area files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.areas.assemble import Assembler
from tessera.config import Paths
from tessera.geography import areas, official_blocks
from tessera.geography.blocks import Blocks
from tessera.geography.clones import Clones
from tessera.geography.coverage import coverage, covered_areas
from tessera.geography.crosswalk import WIDTHS
from tessera.geography.official_files import BlockFiles, block_files
from tessera.geography.summary import summary_of
from tessera.pytree.io import dump_tree, load_tree
from tessera.release.provenance import source_entries
from tessera.rules.takeup import takeup_probabilities
from tessera.rules.takeup_rates import published_rates
from tessera.sources import bytefile
from tests import builders
from tests.geography import official_writer as writer


@pytest.fixture(scope="module")
def country() -> pd.DataFrame:
    return writer.water(writer.small_country())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, country: pd.DataFrame) -> Paths:
    paths = Paths(tmp_path_factory.mktemp("home"))
    writer.write_files(paths.raw, country)
    return paths


@pytest.fixture(scope="module")
def files() -> BlockFiles:
    return writer.unpinned()


@pytest.fixture(scope="module")
def blocks(home: Paths, files: BlockFiles) -> Blocks:
    return official_blocks.official_blocks(home.raw, files)


@pytest.fixture(scope="module")
def clones(blocks: Blocks) -> Clones:
    return builders.place(builders.frame(12), blocks, 300)


def expected_places(country: pd.DataFrame) -> pd.DataFrame:
    """What the writer wrote, by block code, in the words of `Blocks.places`; codes of Zs are no areas."""
    wanted = country[country["people"] > 0].set_index("block", drop=False)
    return pd.DataFrame(
        {
            "block_geoid": wanted["block"],
            "tract_geoid": wanted["tract"],
            "county_fips": wanted["county_fips"],
            "state": [areas.district_key(code)[:2] for code in wanted["district"]],
            "district": [areas.district_key(code) for code in wanted["district"]],
            **{name: wanted[name].replace({"ZZZ": "", "ZZZZZZ": ""}) for name in WIDTHS},
        }
    )


def test_every_populated_block_has_its_codes(blocks: Blocks, country: pd.DataFrame) -> None:
    found = blocks.places(np.arange(len(blocks.block_geoid)))
    wanted = expected_places(country).loc[found["block_geoid"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.astype(str), wanted.astype(str))
    assert len(found) == (country["people"] > 0).sum()
    people = country.set_index("block")["people"][found["block_geoid"]]
    assert (blocks.population == people.to_numpy()).all()
    assert not blocks.synthetic


def test_every_district_is_there_and_seats_are_numbered(blocks: Blocks, country: pd.DataFrame) -> None:
    assert set(country["cdfp"]) >= {"00", "98", "ZZ", "01"}
    assert sorted(set(blocks.district)) == list(areas.stratum_districts())
    assert {201, 1101, 5601} <= set(blocks.district)
    connecticut = set(blocks.county_fips[blocks.district // 100 == 9])
    assert connecticut <= {f"090{number:02d}" for number in range(1, 16, 2)}
    assert connecticut


def test_what_is_left_out_is_counted(blocks: Blocks, country: pd.DataFrame) -> None:
    counts = blocks.counts
    assert counts is not None
    assert (counts.in_files, counts.unpopulated) == (len(country), (country["people"] == 0).sum())
    assert (counts.without_district, counts.outside_states) == (1, 1)
    assert counts.absent_layers == ("CA vtd", "DC sldl", "HI vtd", "NE sldl", "OR vtd")
    figures = summary_of(blocks)
    assert figures["population"] == country["people"].sum()
    assert figures["blocks left out, nobody lives there"] == counts.unpopulated
    with_zcta = country.loc[country["zcta"] != "", "people"].sum() / country["people"].sum()
    assert figures["share of people with zcta"] == pytest.approx(with_zcta)
    assert figures["states without areas of a kind"] == "CA vtd, DC sldl, HI vtd, NE sldl, OR vtd"


def test_workers_and_chunks_do_not_matter(blocks: Blocks, home: Paths, files: BlockFiles, monkeypatch) -> None:
    monkeypatch.setattr(bytefile, "_CHUNK_BYTES", 1000)
    again = official_blocks.official_blocks(home.raw, files, workers=2)
    assert (again.block_geoid == blocks.block_geoid).all()
    assert again.crosswalk is not None and blocks.crosswalk is not None
    for name, codes in blocks.crosswalk.layers().items():
        assert (again.crosswalk.layers()[name] == codes).all(), name
    assert again.counts == blocks.counts


def test_the_table_is_an_asset(blocks: Blocks, tmp_path: Path) -> None:
    for name, table in {"official": blocks, "synthetic": builders.real_place_blocks()}.items():
        dump_tree(table, tmp_path / f"{name}.h5")
        loaded = load_tree(tmp_path / f"{name}.h5")
        assert isinstance(loaded, Blocks)
        assert loaded.validate().block_geoid.dtype == "S15"
        rows = np.arange(0, len(table.block_geoid), 7)
        pd.testing.assert_frame_equal(loaded.places(rows), table.places(rows))
        assert loaded.counts == table.counts


def test_each_clone_lies_where_its_block_lies(blocks: Blocks, clones: Clones, country: pd.DataFrame) -> None:
    places = blocks.places(clones.block)
    wanted = expected_places(country).loc[clones.block_geoid.astype("<U15")].reset_index(drop=True)
    pd.testing.assert_frame_equal(places.astype(str), wanted.astype(str))
    assert (places["county_fips"].to_numpy() == clones.county_fips).all()
    assert (places["district"].to_numpy() == [areas.district_key(code) for code in clones.district]).all()
    assert not clones.collisions()


def test_area_files_carry_the_crosswalk(blocks: Blocks, clones: Clones) -> None:
    base = builders.frame(12)
    takeup = takeup_probabilities(base, published_rates(), seed=1)
    records = np.flatnonzero(clones.state_fips == 6)[::3]
    dataset = Assembler(base, clones, takeup, blocks.crosswalk).assemble(records)
    places = blocks.places(clones.block[records])
    for name, width in WIDTHS.items():
        stored = dataset.arrays[name]
        assert stored.dtype == f"S{width}"
        assert dataset.entity_of[name] == "household"
        assert stored.astype(str).tolist() == places[name].tolist(), name
    assert set(dataset.arrays["vtd"]) == {b""}  # California published no voting districts
    plain = Assembler(base, clones, takeup).assemble(records)
    assert set(dataset.arrays) - set(plain.arrays) == set(WIDTHS)


def test_files_carry_only_the_layers_that_the_table_knows() -> None:
    base, table = builders.frame(8), builders.real_place_blocks()
    placed = builders.place(base, table, 20)
    takeup = takeup_probabilities(base, published_rates(), seed=1)
    dataset = Assembler(base, placed, takeup, table.crosswalk).assemble(np.arange(40))
    assert set(WIDTHS) & set(dataset.arrays) == {"cbsa_code"}
    angeles = placed.county_fips[:40] == "06037"
    assert set(dataset.arrays["cbsa_code"][angeles]) <= {b"31080"}


def test_coverage_counts_areas_once(blocks: Blocks, clones: Clones) -> None:
    places = blocks.places(np.arange(len(blocks.block_geoid)))
    held = np.zeros(len(places), dtype=bool)
    held[clones.block] = True
    scoped = {
        "tracts": places["tract_geoid"],
        "counties": places["county_fips"],
        "districts": places["district"],
        "metropolitan areas": places["cbsa_code"],
        "PUMAs": places["state"] + places["puma"],
        "places": (places["state"] + places["place"]).where(places["place"] != "", ""),
        "ZCTAs": places["zcta"],
        "upper state districts": places["state"] + places["sldu"],
        "lower state districts": (places["state"] + places["sldl"]).where(places["sldl"] != "", ""),
        "voting districts": (places["county_fips"] + places["vtd"]).where(places["vtd"] != "", ""),
    }
    found = {covered.kind: covered for covered in covered_areas(clones, blocks)}
    assert set(found) == {"blocks", *scoped}
    assert (found["blocks"].populated, found["blocks"].held) == (len(places), held.sum())
    for kind, ids in scoped.items():
        coded = ids != ""
        assert found[kind].populated == ids[coded].nunique(), kind
        assert found[kind].held == ids[coded & held].nunique(), kind
        assert 0 < found[kind].held <= found[kind].populated
    metadata = coverage(clones, blocks)
    assert metadata["ZCTAs with a clone"] == found["ZCTAs"].held
    assert metadata["share of ZCTAs with a clone"] == found["ZCTAs"].held / found["ZCTAs"].populated


def test_few_clones_cover_few_areas() -> None:
    table = builders.real_place_blocks()
    few, many = (coverage(builders.place(builders.frame(5), table, n), table) for n in (3, 200))
    assert few["counties with a clone"] <= 15
    assert few["share of districts with a clone"] < many["share of districts with a clone"] <= 1
    assert "PUMAs with a clone" not in many


def test_the_catalogue_has_the_collected_urls(shared_data: Path) -> None:
    import json

    collected = json.loads((shared_data / "docs" / "official_sources.json").read_text(encoding="utf-8"))["geography"]
    files = block_files()
    assert (files.equivalency.url, files.equivalency.sha256) == (
        collected["cd119"]["url"],
        collected["cd119"]["sha256"],
    )
    assert files.tract_pumas.url == collected["tract_puma"]["url"]
    assert files.zctas.url == collected["zcta_block"]["url"]
    template = collected["pl94"]["url"]
    assert files.population["NY"].url == template.format(State_Name="New_York", usps="ny")
    assert files.assignment["DC"].url == collected["baf2020"]["url"].format(fips="11", USPS="DC")
    assert len({file.path for file in files.all()}) == len({file.url for file in files.all()}) == 106


def test_a_release_names_the_block_files(home: Paths) -> None:
    named = {entry.name: entry for entry in source_entries(home)}
    entry = named["census_blocks: census_blocks/wy2020.pl.zip"]
    assert entry.url.endswith("/Wyoming/wy2020.pl.zip")
    assert len([name for name in named if name.startswith("census_blocks: ")]) == 106
