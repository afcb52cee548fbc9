"""The IRS data by congressional district: a file in the published format, districts redrawn, and files it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tessera.errors import GeographyError, SourceError
from tessera.geography import redistricting
from tessera.geography.areas import district_key, stratum_districts
from tessera.targets.figures import constraints_to_json
from tessera.targets.loaders import soi_districts, soi_items
from tests.targets import district_file

Edit = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = district_file.write(tmp_path_factory.mktemp("district"), district_file.frame())
    return soi_districts.load(path)


def _of(figures: pd.DataFrame, code: str, bounds: soi_items.Bounds | None = None) -> pd.Series[float]:
    """Values of an item by new district."""
    item = next(item for item in soi_items.items() if item.code == code)
    same = figures["constraints"] == constraints_to_json(item.constraints(bounds))
    return figures[same & (figures["variable"] == item.variable)].set_index("geo_id")["value"]


def _set(frame: pd.DataFrame, state: str, district: str, band: str, column: str, cell: str) -> pd.DataFrame:
    row = (frame["STATE"] == state) & (frame["CONG_DISTRICT"] == district) & (frame["agi_stub"] == band)
    assert row.sum() == 1
    frame.loc[row, column] = cell
    return frame


def test_every_item_for_every_district_of_today(figures: pd.DataFrame) -> None:
    keys = {district_key(code) for code in stratum_districts()}
    assert set(figures["geo_id"]) == keys
    assert set(figures["geo_level"]) == {"district"}
    by_class = 3 * len(soi_districts.DISTRICT_BANDS)
    assert figures.groupby("geo_id").size().unique().tolist() == [len(soi_items.items()) + by_class]
    assert not figures.duplicated(["geo_id", "variable", "constraints"]).any()
    assert set(figures["year"]) == {2022}
    assert len(_of(figures, "N2", (500_000, None))) == 436
    assert set(figures.loc[figures["variable"] == "person_count", "unit"]) == {"person"}


@pytest.mark.parametrize("code", ["N1", "A00100", "N00900", "A00900", "A59664"])
def test_districts_keep_what_their_state_had(figures: pd.DataFrame, code: str) -> None:
    # The file has amounts in thousands of dollars, and A59664 in dollars.
    scale = 1 if code in ("N1", "N00900", "A59664") else 1000
    old = district_file.old_totals(code) * scale
    new = _of(figures, code)
    by_state = new.groupby(new.index.str[:2]).sum()
    for fips, total in old.groupby(old.index // 100).sum().items():
        usps = district_key(int(str(fips)) * 100 + 1)[:2]
        assert by_state[usps] == pytest.approx(total, rel=1e-12)


def test_a_new_district_has_its_share_of_each_old_one(figures: pd.DataFrame) -> None:
    old, new = district_file.old_totals("N1"), _of(figures, "N1")
    # Alaska has one seat, as before; Montana's one district became two, which share it by population of 2020.
    assert new["AK-01"] == pytest.approx(old[201])
    montana = redistricting.load().query("old == 3001").set_index("new")["population"]
    assert new["MT-02"] == pytest.approx(old[3001] * montana[3002] / montana.sum())
    assert new["MT-01"] + new["MT-02"] == pytest.approx(old[3001])
    pairs = redistricting.load().query("new == 612")
    whole = redistricting.load().groupby("old")["population"].sum()
    expected = sum(old[row.old] * row.population / whole[row.old] for row in pairs.itertuples())
    assert new["CA-12"] == pytest.approx(expected)


def test_the_credit_of_three_children_comes_in_dollars_or_thousands(figures: pd.DataFrame, tmp_path: Path) -> None:
    frame = district_file.frame()
    frame["A59664"] = (frame["A59664"].astype(int) // 1000).astype(str)
    corrected = soi_districts.load(district_file.write(tmp_path, frame))
    pd.testing.assert_series_equal(_of(corrected, "A59664"), _of(figures, "A59664"))
    frame["A59664"] = (frame["A59664"].astype(int) * 50).astype(str)
    with pytest.raises(SourceError, match="in no unit of A59664"):
        soi_districts.load(district_file.write(tmp_path, frame))


def test_a_withheld_number_is_left_out_where_it_would_go(figures: pd.DataFrame, tmp_path: Path) -> None:
    frame = _set(district_file.frame(), "CA", "12", "0", "N09600", "0")
    frame = _set(frame, "TX", "1", "3", "N2", "0")
    partly = soi_districts.load(district_file.write(tmp_path, _with_class_in_the_next(frame)))
    touched = {district_key(code) for code in redistricting.load().query("old == 612")["new"]}
    tax = _of(partly, "N09600")
    assert set(_of(figures, "N09600").index) - set(tax.index) == touched
    assert (tax == _of(figures, "N09600")[tax.index]).all()
    of_texas = {district_key(code) for code in redistricting.load().query("old == 4801")["new"]}
    for bounds in soi_districts.DISTRICT_BANDS[1:4]:
        assert set(_of(partly, "N2", bounds).index) == set(_of(figures, "N2").index) - of_texas
    assert of_texas < set(_of(partly, "N2", soi_districts.DISTRICT_BANDS[4]).index)


def _with_class_in_the_next(frame: pd.DataFrame) -> pd.DataFrame:
    """Persons of class 3 of the first district of Texas, set to zero, counted in class 4 as the IRS does."""
    original, row = district_file.frame(), (frame["STATE"] == "TX") & (frame["CONG_DISTRICT"] == "1")
    moved = sum(int(original.loc[row & (original["agi_stub"] == band), "N2"].item()) for band in ("3", "4"))
    return _set(frame, "TX", "1", "4", "N2", str(moved))


def test_pairs_of_ones_own(figures: pd.DataFrame, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(redistricting.to_csv(redistricting.load()), encoding="utf-8")
    path = district_file.write(tmp_path, district_file.frame())
    pd.testing.assert_frame_equal(soi_districts.load(path, pairs), figures)
    other = redistricting.load()
    other.loc[other["old"] == 653, "old"] = 652
    pairs.write_text(redistricting.to_csv(other.groupby(["old", "new"], as_index=False).sum()), encoding="utf-8")
    with pytest.raises(SourceError, match=r"CA-53.*is unknown"):
        soi_districts.load(path, pairs)
    pairs.write_text("old,new\n101,101\n", encoding="utf-8")
    with pytest.raises(SourceError, match="'population' is missing"):
        soi_districts.load(path, pairs)
    pairs.write_text("old,new,population\n101,101,7\n", encoding="utf-8")
    with pytest.raises(GeographyError, match="new district 102 is missing"):
        soi_districts.load(path, pairs)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda frame: frame.drop(columns="N59661"), "column 'N59661' is missing"),
        (lambda frame: frame.rename(columns={"CONG_DISTRICT": "CD"}), "column 'CONG_DISTRICT' is missing"),
        (lambda frame: pd.concat([frame, frame[frame["STATE"] == "VT"]]), "is there twice"),
        (lambda frame: frame[(frame["STATE"] != "US")], "'US', '0'.* is missing"),
        (lambda frame: frame[(frame["STATE"] != "CA") | (frame["CONG_DISTRICT"] != "53")], "CA-53.*is missing"),
        (lambda frame: frame.assign(STATE=frame["STATE"].replace("OH", "PR")), "is not that of 'PR'"),
        (lambda frame: frame.assign(STATEFIPS=frame["STATEFIPS"].replace("39", "40")), "STATEFIPS '40' is not"),
        (lambda frame: _set(frame, "OH", "3", "0", "A00300", "**"), r"OH-03, class 0, column A00300.*suppressed"),
        (lambda frame: _set(frame, "OH", "3", "0", "A00300", ""), r"OH-03, class 0, column A00300.*suppressed"),
        (lambda frame: _set(frame, "OH", "3", "4", "N00300", "-10"), r"class 4, column N00300: '-10' is out of range"),
        (lambda frame: _set(frame, "OH", "3", "4", "CONG_DISTRICT", "x"), "CONG_DISTRICT: 'x' is not a number"),
        (lambda frame: _set(frame, "OH", "3", "4", "N1", "1"), "OH-03, column N1: the AGI classes add up to"),
        (lambda frame: _set(frame, "OH", "3", "0", "A00300", "9"), "OH, column A00300: the districts add up to"),
        (lambda frame: _set(frame, "US", "0", "0", "A00300", "9"), "US, column A00300: the states add up to"),
    ],
)  # fmt: skip
def test_altered_files_are_refused(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        soi_districts.load(district_file.write(tmp_path, edit(district_file.frame())))


def test_other_years_and_no_table_at_all(tmp_path: Path) -> None:
    path = district_file.write(tmp_path, district_file.frame().head(1))
    with pytest.raises(SourceError, match="starts with 21incd"):
        soi_districts.load(path, year=2021)
    path.write_text("<html>gone</html>", encoding="utf-8")
    with pytest.raises(SourceError, match="an HTML or XML page; wanted the CSV file"):
        soi_districts.load(path)
    with pytest.raises(SourceError, match="no such file"):
        soi_districts.load(tmp_path / "absent" / "22incd.csv")


def test_thousands_separators_are_read(figures: pd.DataFrame, tmp_path: Path) -> None:
    frame = district_file.frame()
    frame["A00100"] = [f"{int(cell):,}" for cell in frame["A00100"]]
    read = soi_districts.load(district_file.write(tmp_path, frame))
    pd.testing.assert_series_equal(_of(read, "A00100"), _of(figures, "A00100"))
