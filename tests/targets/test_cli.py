"""`tessera targets`: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from tessera import cli_targets
from tessera.cli import main
from tessera.targets import snapshot
from tessera.targets.database import build_database
from tessera.targets.diff import compare_files
from tessera.targets.figures import COLUMNS
from tessera.targets.snapshot import write_snapshot
from tests.targets.small import small_figures

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `tessera targets ...` on an empty store: exit code, standard output, standard error."""
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path / "store"))

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["targets", *map(str, arguments)])
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return build_database(tmp_path / "small.duckdb", small_figures()).path


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text("include: [{source: census}, {source: usda}]", encoding="utf-8")
    return path


def test_show_an_area_and_a_variable_of_the_packaged_figures(run: Run) -> None:
    code, out, _ = run(
        "show", "--area", "CA-12", "--variable", "snap", "--source", "census_acs_s2201", "--domain", "snap"
    )
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "1 figure in the packaged figures"
    assert lines[1].split()[:4] == ["figure", "value", "unit", "source"]
    assert lines[2].startswith("CA-12/household_count[snap>0]")
    assert "40,962 x reconciliation" in lines[2] and "S2201 district" in lines[2]


def test_show_takes_the_stores_database_where_there_is_one(run: Run) -> None:
    build_database(cli_targets.store_database(), small_figures())
    code, out, _ = run("show", "--area", "wy")
    assert code == 0
    assert out.splitlines()[0] == f"4 figures in {cli_targets.store_database()}"
    assert [line.split()[0] for line in out.splitlines()[2:]] == [
        "WY/household_count[snap>0]", "WY/person_count", "WY/person_count[age>=65]", "WY/snap",
    ]  # fmt: skip
    assert run("show", "--area", "wy", "--database", "packaged")[1].splitlines()[0].endswith("the packaged figures")


def test_show_is_cut_at_the_limit_and_says_so(run: Run, small: Path) -> None:
    _, out, _ = run("show", "--level", "district", "--limit", "3", "--database", small)
    assert len(out.splitlines()) == 2 + 3 + 1
    assert out.splitlines()[-1].startswith("... and 869 more figures")
    _, out, _ = run("show", "--level", "district", "--limit", "0", "--database", small)
    assert len(out.splitlines()) == 2 + 2 * 436


def test_show_as_csv_has_every_row_and_column(run: Run, small: Path) -> None:
    _, out, _ = run("show", "--level", "district", "--csv", "--limit", "3", "--database", small)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 2 * 436
    assert tuple(rows[0]) == COLUMNS
    assert float(rows[0]["value"]) == 100.0


def test_show_what_a_configuration_selects(run: Run, small: Path, rules: Path) -> None:
    assert "paper" in run("show", "--area", "US", "--database", small)[1]
    code, out, _ = run("show", "--area", "US", "--database", small, "--config", rules)
    assert code == 0 and "paper" not in out and "US/snap" in out
    stored = write_snapshot(small_figures(), small.with_name("small.csv.gz"))
    assert (
        run("show", "--area", "US", "--database", stored, "--config", rules)[1].splitlines()[1:] == out.splitlines()[1:]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--area", "CA-99"), "Areas look like US, CA, CA-12, NYC; near: CA"),
        (("--variable", "snpa"), "Known: 'snap'"),
        (("--area", "CA-12", "--variable", "snap"), "Without the area there are levels national, state."),
        (("--database", "absent.duckdb"), "absent.duckdb: no such file"),
        (("--config", "absent.yaml"), "no such target configuration"),
    ],
)
def test_show_says_what_there_is_instead(run: Run, small: Path, arguments: tuple[str, ...], message: str) -> None:
    given = arguments if "--database" in arguments else (*arguments, "--database", small)
    code, out, error = run("show", *given)
    assert (code, out) == (1, "")
    assert error.startswith("tessera: ") and message in error and "Traceback" not in error


def test_build_writes_the_stores_database_from_the_packaged_figures(run: Run, tmp_path: Path) -> None:
    figures = tmp_path / "figures.csv.gz"
    code, out, _ = run("build", "--figures", figures)
    database = cli_targets.store_database()
    assert code == 0 and out.startswith(f"built           {database}")
    assert compare_files(None, database, tolerance=0.0).is_empty
    assert compare_files(None, figures, tolerance=0.0).is_empty
    assert "census_acs_s0101" in out and "states to nation" in out


def test_build_without_scaling(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scaled = small_figures()
    districts = scaled["geo_level"] == "district"
    scaled["reconciliation"] = scaled["reconciliation"].mask(districts, 1.25)
    scaled["raw_value"] = scaled["raw_value"].mask(districts, scaled["value"] / 1.25)
    monkeypatch.setattr(snapshot, "load_snapshot", scaled.copy)
    assert run("build", "--output", tmp_path / "scaled.duckdb")[0] == 0
    assert run("build", "--no-reconcile", "--output", tmp_path / "plain.duckdb")[0] == 0
    found = compare_files(tmp_path / "scaled.duckdb", tmp_path / "plain.duckdb")
    assert len(found.changed) == districts.sum() == 2 * 436
    assert set(found.changed["because"]) == {"reconciliation"}
    assert found.changed["change"].to_numpy() == pytest.approx(-0.2)
    assert len(found.added) == len(found.removed) == 0


def test_build_from_official_files_hands_its_options_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def build(folder: Path, **options: Any) -> pd.DataFrame:
        options.pop("progress")(0, 1, "the only file")
        seen.update(options, folder=folder)
        return small_figures()

    monkeypatch.setattr(snapshot, "build_snapshot", build)
    output = tmp_path / "official.duckdb"
    code, _, error = run("build", "--official", tmp_path, "--no-reconcile", "--unpinned", "--output", output)
    assert code == 0 and "1 of 1: the only file" in error
    assert seen == {"folder": tmp_path, "reconcile": False, "pinned": False}
    with duckdb.connect(str(output), read_only=True) as connection:
        assert connection.execute("select count(*) from targets").fetchone() == (len(small_figures()),)


def test_build_asks_for_what_is_absent(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, error = run("build", "--official", tmp_path / "nothing")
    assert (code, out) == (1, "")
    assert "no such file" in error and "https://" in error
    monkeypatch.setenv("TESSERA_OFFLINE", "1")
    code, out, error = run("build", "--official", tmp_path / "nothing", "--download")
    assert (code, out) == (1, "")
    assert "targets: " in error and "are absent from" in error and "TESSERA_OFFLINE" in error
    assert not cli_targets.store_database().exists()


@pytest.mark.parametrize("flag", ["--download", "--unpinned"])
def test_build_takes_no_options_of_files_without_a_folder(run: Run, flag: str) -> None:
    code, _, error = run("build", flag)
    assert code == 1 and f"{flag} needs --official FOLDER" in error


def test_a_failed_build_leaves_the_old_database(run: Run, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = small.read_bytes()
    monkeypatch.setattr(snapshot, "load_snapshot", lambda: small_figures().assign(value=float("nan")))
    code, _, error = run("build", "--output", small)
    assert code == 1 and "value is nan" in error
    assert small.read_bytes() == before


def test_check_of_the_packaged_figures(run: Run) -> None:
    code, out, _ = run("check")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["checking"].endswith("the packaged figures")
    assert "1 national, 51 state, 436 district" in lines["hierarchy"]
    assert " by training: " in lines["selected"]
    assert "districts to state" in out


def test_check_lists_contradictions_and_is_strict_on_demand(run: Run, tmp_path: Path, rules: Path) -> None:
    database = build_database(tmp_path / "bad.duckdb", small_figures(national_snap=2_550.0)).path
    code, out, _ = run("check", "--database", database, "--config", rules)
    assert code == 0
    assert "critical  -50.0%  sources" in out
    assert "set aside  1 targets" in out
    assert "selected   1,079 targets" in out
    code, out, error = run("check", "--database", database, "--config", rules, "--strict")
    assert code == 1 and "critical" in out and "1 comparisons are critical" in error


def test_check_refuses_with_what_it_had_found_so_far(run: Run, small: Path, rules: Path) -> None:
    with duckdb.connect(str(small)) as connection:
        connection.execute("update targets set value = 'nan'::double where name = 'WY/snap@usda'")
    code, out, error = run("check", "--database", small, "--config", rules)
    assert code == 1 and out.startswith("checking")
    assert "usda: WY snap" in error and "value is nan" in error


def test_check_refuses_a_broken_hierarchy_and_a_rule_without_effect(run: Run, small: Path, rules: Path) -> None:
    assert run("check", "--database", small, "--config", rules)[0] == 0
    code, out, error = run("check", "--database", small)
    assert code == 1 and "hierarchy" in out and "matches no target" in error
    with duckdb.connect(str(small)) as connection:
        connection.execute("delete from stratum_constraints where constraint_variable = 'age'")
    code, out, error = run("check", "--database", small, "--config", rules)
    assert code == 1 and "rows" in out and "hierarchy" not in out
    assert "wanted those that it states" in error


def test_diff_of_what_is_the_same(run: Run, small: Path) -> None:
    code, out, error = run("diff", small, small, "--exit-code")
    assert (code, error) == (0, "")
    assert out.splitlines() == [f"0 added, 0 removed, 0 changed, {len(small_figures()):,} unchanged"]


def test_diff_of_what_is_not(run: Run, small: Path, tmp_path: Path) -> None:
    other = build_database(
        tmp_path / "other.duckdb", small_figures(national_snap=5_610.0).query("geo_id != 'WY-01'")
    ).path
    code, out, error = run("diff", small, other)
    assert (code, error) == (0, "")
    assert out.startswith("0 added, 2 removed, 1 changed")
    assert "US/snap@paper" in out and "+10.00%" in out and "raw_value" in out
    assert "WY-01/person_count[age>=65]@census" in out
    code, again, error = run("diff", small, other, "--exit-code")
    assert code == 1 and again == out and "differ" in error
    rows = list(csv.DictReader(io.StringIO(run("diff", small, other, "--csv")[1])))
    assert [row["what"] for row in rows] == ["removed", "removed", "changed"]
    assert (rows[2]["before"], rows[2]["after"], rows[2]["geo_id"]) == ("5100.0", "5610.0", "US")


def test_diff_with_the_packaged_figures(run: Run, small: Path) -> None:
    code, out, _ = run("diff", "packaged", small, "--limit", "2")
    assert code == 0
    assert out.startswith(f"{len(small_figures()):,} added, {len(snapshot.load_snapshot()):,} removed, 0 changed")
    assert "more removed figures" in out


@pytest.mark.parametrize(
    "arguments", [(), ("nonsense",), ("diff", "one"), ("show", "--level", "county"), ("show", "--limit", "-1")]
)
def test_bad_arguments_are_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as left:
        run(*arguments)
    assert left.value.code == 2


def test_the_database_is_replaced_while_somebody_reads_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    database = build_database(cli_targets.store_database(), small_figures()).path
    later = small_figures().query("source != 'paper'")
    monkeypatch.setattr(snapshot, "load_snapshot", later.copy)
    with duckdb.connect(str(database), read_only=True) as looking:
        assert looking.execute("select count(*) from target_overview").fetchone() == (len(small_figures()),)
        assert run("build")[0] == 0
        assert looking.execute("select count(*) from targets").fetchone() == (len(small_figures()),)
    with duckdb.connect(str(database), read_only=True) as looking:
        assert looking.execute("select count(*) from targets").fetchone() == (len(later),)


def test_a_reader_that_leaves_is_no_error(small: Path) -> None:
    command = [sys.executable, "-m", "tessera.cli", "targets", "show", "--csv", "--database", str(small)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(b"source,table")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
