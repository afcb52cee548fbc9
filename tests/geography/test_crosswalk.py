"""The crosswalk and the block table: what they refuse, the packaged areas of counties, and what the engine knows."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import AreaError, GeographyError, SourceError
from tessera.geography import county_cbsa, county_shares
from tessera.geography.blocks import Blocks
from tessera.geography.crosswalk import WIDTHS, crosswalk_of
from tessera.geography.rating_areas import WITHOUT_RATING_AREA, residents_without_rating_area
from tests import builders


@pytest.fixture(scope="module")
def blocks() -> Blocks:
    return builders.real_place_blocks()


def engine_folder() -> Path:
    """Where the engine is installed; it is not loaded."""
    package = importlib.util.find_spec("policyengine_us")
    assert package is not None and package.origin is not None
    return Path(package.origin).parent


def test_synthetic_blocks_know_the_area_of_their_county_and_nothing_else(blocks: Blocks) -> None:
    assert blocks.crosswalk is not None
    assert blocks.crosswalk.known() == ("cbsa_code",)
    known = county_cbsa.cbsa_of(blocks.county_fips.astype("S5"))
    assert (blocks.crosswalk.cbsa_code == known).all()
    rows = blocks.places(np.flatnonzero(np.isin(blocks.county_fips, ["36061", "30055"])))
    assert set(rows.loc[rows["county_fips"] == "36061", "cbsa_code"]) == {"35620"}
    assert set(rows.loc[rows["county_fips"] == "30055", "cbsa_code"]) == {""}  # McCone County, Montana: in no area
    assert set(rows["puma"]) == set(rows["zcta"]) == {""}


def test_a_layer_that_is_not_known_is_empty() -> None:
    crosswalk = crosswalk_of({"zcta": np.array([b"00501", b""])}, 2)
    assert crosswalk.known() == ("zcta",)
    assert {name: codes.dtype.itemsize for name, codes in crosswalk.layers().items()} == WIDTHS
    assert crosswalk.take(np.array([1, 0, 0])).zcta.tolist() == [b"", b"00501", b"00501"]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"zip": np.array([b"00501"] * 2)}, "no layer 'zip'; wanted some of cbsa_code"),
        ({"zcta": np.array([b"00501"])}, r"layer zcta is \|S5 of shape \(1,\); wanted S5 of shape \(2,\)"),
        ({"sldu": np.array([b"0001"] * 2)}, r"layer sldu is \|S4"),
        ({"zcta": np.array(["00501"] * 2)}, r"layer zcta is <U5"),
    ],
)
def test_layers_that_do_not_fit_are_refused(layers: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(GeographyError, match=message):
        crosswalk_of(layers, 2)


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        (3, b"010010201001", r"'010010201001' \(row 3\) is no block code; wanted 15 digits"),
        (3, b"01001020100100A", "is no block code"),
        (3, "0100102010010Ñ".encode("latin-1"), r"'0100102010010\\xd1' \(row 3\) is no block code"),
        (3, b"", r"'' \(row 3\) is no block code"),
        (
            3,
            b"720010201001000",
            r"block 720010201001000 \(row 3\) is by its code not in the state of its district, AL-01",
        ),
    ],
)
def test_block_codes_are_checked(blocks: Blocks, row: int, code: bytes, message: str) -> None:
    codes = blocks.block_geoid.copy()
    codes[row] = code
    with pytest.raises(GeographyError, match=message):
        dataclasses.replace(blocks, block_geoid=codes).validate()


def test_other_faults_of_a_table_are_named(blocks: Blocks) -> None:
    codes = blocks.block_geoid.copy()
    codes[1] = codes[0]
    with pytest.raises(GeographyError, match=rf"block {codes[0].decode()} occurs twice \(1 such\)"):
        dataclasses.replace(blocks, block_geoid=codes).validate()
    with pytest.raises(GeographyError, match=r"block codes are <U15; wanted ASCII bytes, S15"):
        dataclasses.replace(blocks, block_geoid=blocks.block_geoid.astype("<U15")).validate()
    with pytest.raises(GeographyError, match=r"crosswalk has 4 rows for \d+ blocks"):
        dataclasses.replace(blocks, crosswalk=crosswalk_of({}, 4)).validate()
    with pytest.raises(GeographyError, match=r"lies in district 653, which the 119th Congress does not have"):
        dataclasses.replace(blocks, district=np.where(blocks.district == 652, 653, blocks.district)).validate()


def test_clones_of_another_table_are_refused(blocks: Blocks) -> None:
    from tessera.areas.assemble import Assembler
    from tessera.rules.takeup import takeup_probabilities
    from tessera.rules.takeup_rates import published_rates

    base = builders.frame(5)
    placed = builders.place(base, blocks, 30)
    takeup = takeup_probabilities(base, published_rates(), seed=1)
    with pytest.raises(AreaError, match=r"crosswalk has 10 blocks: they are of different tables"):
        Assembler(base, placed, takeup, crosswalk_of({}, 10))


def test_packaged_areas_of_counties_are_what_the_estimates_list(shared_data: Path) -> None:
    built = county_cbsa.build(shared_data / "geography" / "cbsa-est2019-alldata.csv")
    packaged = Path(county_cbsa.__file__).with_name(county_cbsa.PACKAGED).read_text(encoding="utf-8")
    assert county_cbsa.to_csv(built) == packaged
    assert len(built) == 1840
    assert set(built["county_fips"]) <= set(county_shares.load()["county_fips"])
    assert (built["county_fips"].str[:2] == "09").sum() == 8  # all of Connecticut's


def test_damaged_estimates_are_named(tmp_path: Path) -> None:
    path = tmp_path / "cbsa.csv"
    with pytest.raises(SourceError, match=r"no such file; get it from https://www2\.census\.gov"):
        county_cbsa.build(path)
    good = pd.DataFrame({"CBSA": ["10180"], "STCOU": ["48059"], "LSAD": ["County or equivalent"]})
    for frame, message in (
        (good.drop(columns="STCOU"), "column 'STCOU' is missing"),
        (good.assign(STCOU="48O59"), r"line 2 has county '48O59'"),
        (pd.concat([good, good]), "county 48059 lies in two areas"),
    ):
        frame.to_csv(path, index=False)
        with pytest.raises(SourceError, match=message):
            county_cbsa.build(path)


def test_counties_without_a_rating_area_are_those_of_the_engine(blocks: Blocks) -> None:
    folder = engine_folder() / "parameters" / "gov" / "hhs" / "medicaid" / "geography"
    listed = set(pd.read_csv(folder / "aca_rating_areas.csv")["county"])
    counties = county_shares.load().drop_duplicates("county_fips")
    assert set(counties.loc[~counties["county"].isin(listed), "county_fips"]) == set(WITHOUT_RATING_AREA)
    residents = residents_without_rating_area(blocks)
    assert set(residents) <= WITHOUT_RATING_AREA
    for fips, people in residents.items():
        assert people == blocks.population[blocks.county_fips == fips].sum() > 0


def test_no_formula_of_the_engine_reads_the_layers() -> None:
    # Simulations do without the layers that files carry: that is right only as long as nothing is computed from them.
    asked = re.compile(rb"""\(\s*["'](%s)["']""" % b"|".join(name.encode() for name in WIDTHS))
    modules = [path for part in ("variables", "tools") for path in (engine_folder() / part).rglob("*.py")]
    assert len(modules) > 1000
    assert [path for path in modules if "tests" not in path.parts and asked.search(path.read_bytes())] == []
