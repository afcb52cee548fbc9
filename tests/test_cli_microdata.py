"""`tessera microdata`: what it builds, keeps, prints and refuses."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tessera.cli import main
from tessera.config import paths, scale
from tessera.microdata.imputation_quality import QUALITY
from tessera.microdata.quality import write_quality
from tessera.road.microdata import MicrodataRoad, quality_path
from tessera.road.stages import StageStore
from tests import builders

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on a store of its own: exit code, standard output, standard error."""
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path / "store"))
    for name in ("SCALE", "SOURCES", "ABSENT_SOURCES", "DONOR_FALLBACK"):
        monkeypatch.delenv(f"TESSERA_{name}", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(("microdata", *arguments))
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


@pytest.fixture
def stored(tmp_path: Path) -> MicrodataRoad:
    """A store with two stages, made up, and the quality of one of them."""
    road = MicrodataRoad(paths(tmp_path / "store"), scale("tiny"))
    store = StageStore(road.folder, 2)
    store.stage("cps", {"n": 1}, lambda: builders.frame(30))
    store.stage("stratified_cps", {"n": 1}, lambda: builders.frame(10))
    rows = [
        dict.fromkeys(QUALITY, 0.5)
        | {"chain": chain, "output": output, "order": number, "n_train": 9, "n_receivers": 4, "test_loss": loss}
        for number, (chain, output, loss) in enumerate(
            [("tax half, heads", "wages", 0.2), ("tax half, heads", "gains", 0.9), ("hours", "hours", 0.1)]
        )
    ]
    write_quality(pd.DataFrame(rows, columns=list(QUALITY)), quality_path(road, "extended_cps"))
    return road


def test_build_makes_a_stage_and_then_keeps_it(run: Run, tmp_path: Path) -> None:
    code, out, err = run("build", "--stage", "puf", "--scale", "tiny", "--workers", "1")
    assert code == 0, err
    header, line, total = out.splitlines()
    assert header.split() == ["stage", "seconds", "memory", "households", "persons", "file"]
    assert line.startswith("puf") and " made " in line and line.endswith("SYNTHETIC")
    assert str(tmp_path / "store" / "package" / "tiny" / "puf.h5") in line
    assert total.startswith("in all")
    assert "[1/1] puf: made in" in err and "writing synthetic irs_puf" in err
    # Nothing else was asked for, so nothing else was written.
    assert sorted(path.name for path in (tmp_path / "store" / "raw").iterdir() if path.suffix == ".csv") == [
        "demographics_2015.csv", "puf_2015.csv",
    ]  # fmt: skip
    code, out, err = run("build", "--stage", "puf", "--scale", "tiny")
    assert code == 0 and " kept " in out and "kept, its inputs are the same" in err
    code, _, err = run("build", "--stage", "puf", "--scale", "tiny", "--seed", "5")
    assert code == 0 and "made from other inputs" in err and "seed was" in err


def test_an_official_build_names_the_files_that_it_lacks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_OFFLINE", "1")
    code, _, err = run("build", "--stage", "cps", "--scale", "tiny", "--sources", "official")
    assert code == 1 and "asecpub25csv.zip" in err
    code, _, err = run("build", "--stage", "puf", "--scale", "tiny", "--sources", "official")
    assert code == 1 and "puf_2015.csv" in err


def test_a_synthetic_tax_file_takes_the_place_of_an_absent_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_OFFLINE", "1")
    code, out, err = run("build", "--stage", "puf", "--scale", "tiny", "--sources", "official", "--absent", "irs_puf")
    assert code == 0, err
    assert out.splitlines()[1].endswith("SYNTHETIC")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "--absent", "cps_asec"), "cps_asec cannot be left out; wanted some of irs_puf, acs_pums"),
        (("totals", "--all"), "--all is of one stage; name it with --stage"),
        (("totals",), "has not been built at scale demo. Build it: tessera microdata build --scale demo"),
        (("totals", "--stage", "puf", "--scale", "tiny"), "the stage puf has not been built at scale tiny"),
        (("quality", "--scale", "tiny"), "extended_cps_quality.csv is not there"),
        (("columns", "cps_asce"), "No source or stage is called 'cps_asce'; wanted one of cps_asec"),
        (("columns", "acs_pums", "--record", "family"), "acs_pums has no record 'family'; wanted one of"),
    ],
)
def test_refusals(run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run(*arguments)
    assert code == 1
    assert message in err and err.startswith("tessera: ")
    assert out == ""


def test_totals_of_stored_stages(run: Run, stored: MicrodataRoad) -> None:
    code, out, _ = run("totals", "--scale", "tiny")
    assert code == 0
    lines = out.splitlines()
    assert lines[1].split() == ["name", "official", "cps", "stratified_cps"]
    assert next(line for line in lines if line.startswith("population")).split()[1:4] == ["340.1", "m", "persons"]
    code, out, _ = run("totals", "--scale", "tiny", "--stage", "cps")
    assert code == 0 and "cbo_income" in out and "trn $" in out
    code, out, _ = run("totals", "--scale", "tiny", "--stage", "cps", "--all", "--csv")
    table = list(csv.DictReader(io.StringIO(out)))
    assert {"person_count", "unemployment_compensation", "snap_reported"} <= {row["variable"] for row in table}


def test_quality_by_chain_and_the_worst_first(run: Run, stored: MicrodataRoad) -> None:
    code, out, _ = run("quality", "--scale", "tiny")
    assert code == 0 and out.startswith("extended_cps: 3 imputed variables")
    code, out, _ = run("quality", "--scale", "tiny", "--chain", "tax half, heads", "--limit", "1")
    assert code == 0 and "gains" in out and "wages" not in out
    code, out, _ = run("quality", "--scale", "tiny", "--csv")
    assert out.splitlines()[0] == ",".join(QUALITY)
    code, _, err = run("quality", "--scale", "tiny", "--chain", "nobody")
    assert code == 1 and "No chain 'nobody'" in err and "hours, tax half, heads" in err


def test_columns_of_sources_and_stages(run: Run) -> None:
    code, out, _ = run("columns")
    assert code == 0 and "cps_asec" in out and "source_imputed_cps" in out
    code, out, _ = run("columns", "irs_puf", "--record", "demographics")
    assert code == 0
    assert "AGERANGE" in out and "E00200" not in out
    code, out, _ = run("columns", "source_imputed_cps", "--record", "household")
    assert code == 0 and "net_worth" in out and "scf.NETWORTH" in out
    code, out, _ = run("columns", "cps_asec", "--csv")
    table = list(csv.DictReader(io.StringIO(out)))
    assert all(row["meaning"] and row["unit"] for row in table)
    assert {"person", "household", "family"} == {row["record"] for row in table}


@pytest.mark.parametrize("action", ["build", "totals", "quality", "columns"])
def test_help_says_what_it_does(run: Run, action: str) -> None:
    code, out, _ = run(action, "--help")
    assert code == 0
    assert f"usage: tessera microdata {action}" in out and len(out) > 500
