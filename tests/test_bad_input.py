"""What a user may get wrong, one by one: the error names the file, row or area, and earlier outputs are intact.

Sources, targets and areas have more cases in their own tests; here is the whole list at one place. The disk is full in
two ways: the kernel refuses to let a file grow (as a quota or a full disk does), and fsync finds no space.
"""

from __future__ import annotations

import os
import resource
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera import store
from tessera.areas.assemble import Assembler
from tessera.areas.build import build_area, records_in_area
from tessera.areas.dataset import write_area
from tessera.errors import AreaError, FrameError, SourceError, StorageError, TargetError
from tessera.geography import areas
from tessera.pytree.io import dump_tree, load_tree
from tessera.rules.takeup import published_rates, takeup_probabilities
from tessera.sources import cps_asec
from tessera.sources.synthetic import cps_asec as asec_writer
from tessera.targets.database import build_database
from tessera.targets.snapshot import load_snapshot
from tests import builders

PERSON, HOUSEHOLD = "pppub25.csv", "hhpub25.csv"


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asec_writer.write(tmp_path_factory.mktemp("survey"), households=60, year=2025, seed=1)


@pytest.fixture(scope="module")
def figures() -> pd.DataFrame:
    table = load_snapshot()
    return table[table["geo_id"].isin(["US", "VT", "VT-01"])].reset_index(drop=True)


@pytest.fixture(scope="module")
def assembler() -> Assembler:
    base = builders.frame(40)
    placed = builders.place(base, builders.real_place_blocks(), 20)
    return Assembler(base, placed, takeup_probabilities(base, published_rates(), seed=1))


# --- sources ----------------------------------------------------------------------------------------------------------


def _edited(source: Path, target: Path, member: str, edit: Callable[[list[str]], list[str]]) -> Path:
    """A copy of a zip in which the lines of one member went through a function."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith(member):
                content = "\n".join(edit(content.decode().split("\n"))).encode()
            copy.writestr(name, content)
    return target


def _cell(lines: list[str], line: int, column: str, value: str) -> list[str]:
    fields = lines[line - 1].split(",")
    fields[lines[0].split(",").index(column)] = value
    return [*lines[: line - 1], ",".join(fields), *lines[line:]]


def test_a_missing_zip(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"asecpub25csv\.zip: source file does not exist\. Fetch"):
        cps_asec.read(tmp_path / "asecpub25csv.zip")


def test_a_truncated_zip(survey: Path, tmp_path: Path) -> None:
    cut = tmp_path / survey.name
    cut.write_bytes(survey.read_bytes()[:9_000])
    with pytest.raises(SourceError, match=rf"{survey.name}: the archive is truncated .* 9,000 bytes"):
        cps_asec.read(cut)


@pytest.mark.parametrize(
    ("member", "edit", "message"),
    [
        (PERSON, lambda lines: [lines[0].replace("WSAL_VAL", "WAGES"), *lines[1:]], r"lacks the needed .* WSAL_VAL;"),
        (PERSON, lambda lines: _cell(lines, 7, "MARSUPWT", "heavy"), r"line 7, column MARSUPWT .* holds 'heavy'"),
        (HOUSEHOLD, lambda lines: [*lines[:3], lines[2], *lines[3:]], r"H_SEQ \d+ occurs on lines 3, 4; wanted once"),
    ],
    ids=["needed column", "weight that is no number", "household twice"],
)
def test_a_damaged_member(survey: Path, tmp_path: Path, member: str, edit: Callable, message: str) -> None:
    damaged = _edited(survey, tmp_path / survey.name, member, edit)
    with pytest.raises(SourceError, match=rf"{survey.name} \(member {member}\): .*{message}"):
        cps_asec.read(damaged)


def test_a_household_twice_in_a_frame() -> None:
    base = builders.frame(9)
    base.household.loc[4, "household_id"] = base.household["household_id"].iloc[3]
    with pytest.raises(FrameError, match=r"base: table household row 4: household_id 37 occurs twice"):
        base.validate("base")


# --- targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("variable", "snpa", "unknown variable 'snpa'; near: .*snap"),
        ("geo_id", "ZZ", "no state is called 'ZZ'"),
        ("constraints", '[["age",">=",9],["age","<",9]]', "nobody can have age in the empty range from 9"),
    ],
    ids=["variable", "state", "constraints"],
)
def test_a_bad_target(figures: pd.DataFrame, tmp_path: Path, column: str, value: str, message: str) -> None:
    path = tmp_path / "targets.duckdb"
    build_database(path, figures)
    before = path.read_bytes()
    row = int(np.flatnonzero(figures["geo_level"] == "state")[2])
    bad = figures.copy()
    bad.loc[row, column] = value
    with pytest.raises(TargetError, match=rf"Row {row} .*{message}"):
        build_database(path, bad)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# --- areas ------------------------------------------------------------------------------------------------------------


def test_an_empty_area(assembler: Assembler, tmp_path: Path) -> None:
    weights = np.ones(assembler.clones.n_records)
    written = build_area(areas.area("AK"), assembler, weights, tmp_path)
    inside = records_in_area(areas.area("AK"), assembler.clones)
    weights[inside] = 0.0
    with pytest.raises(AreaError, match=rf"AK: no clone of positive weight .*\({len(inside)} clones do at all\)"):
        build_area(areas.area("AK"), assembler, weights, tmp_path)
    assert store.sha256_of(tmp_path / written.relative_path) == written.sha256


# --- a full disk ------------------------------------------------------------------------------------------------------

Write = Callable[[Path, int], Path]


@contextmanager
def _no_file_may_grow() -> Iterator[None]:
    """The kernel refuses every write beyond 4 kB of a file, in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def _no_space_at_fsync() -> Iterator[None]:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        yield


def _survey(folder: Path, version: int) -> Path:
    return asec_writer.write(folder, households=60, year=2025, seed=version)


def _tree(folder: Path, version: int) -> Path:
    dump_tree({"many": [np.arange(500) + version] * 50, "big": np.full(9_000, version)}, folder / "asset.h5")
    return folder / "asset.h5"


@pytest.fixture(params=["area", "tree", "target database", "survey", "bytes"])
def write(request: pytest.FixtureRequest) -> Write:
    """Writes a file of some kind to a folder; versions differ in content."""
    if request.param == "area":
        made: Assembler = request.getfixturevalue("assembler")
        return lambda folder, version: write_area(made.assemble(np.arange(200) + version), folder / "CA.h5")
    if request.param == "target database":
        table: pd.DataFrame = request.getfixturevalue("figures")
        return lambda folder, version: build_database(folder / "targets.duckdb", table.iloc[version:]).path
    if request.param == "bytes":
        return lambda folder, version: store.write_bytes(folder / "some.bin", bytes([version]) * 10_000)
    return {"tree": _tree, "survey": _survey}[request.param]


@pytest.mark.parametrize("fault", [_no_file_may_grow, _no_space_at_fsync], ids=["write", "fsync"])
def test_a_full_disk(write: Write, fault: Callable[[], AbstractContextManager[None]], tmp_path: Path) -> None:
    path = write(tmp_path, 1)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with fault(), pytest.raises(StorageError, match=rf"{path.name}.*: cannot be written .*(space|large).* is intact"):
        write(tmp_path, 2)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert write(tmp_path, 2).read_bytes() != before[path.name]


def test_a_full_disk_before_the_first_file(tmp_path: Path) -> None:
    with _no_file_may_grow(), pytest.raises(StorageError, match=r"asset\.h5: cannot be written"):
        _tree(tmp_path, 1)
    assert list(tmp_path.iterdir()) == []
    assert load_tree(_tree(tmp_path, 1), ("big",)).sum() == 9_000
