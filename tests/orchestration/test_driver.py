"""`make run`: exit codes, and what a person reads when a stage fails."""

import logging
import shlex
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from jobs import run
from jobs.stages import STAGES


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty store named by the environment, which the driver changes; both are as before afterwards."""
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path))
    for name in ("TESSERA_SCALE", "TESSERA_SOURCES", "DAGSTER_HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    logger = logging.getLogger("tessera")
    handlers, level = list(logger.handlers), logger.level
    yield tmp_path
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_a_failed_stage_says_what_failed_and_how_to_go_on(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--scale", "tiny", "--stages", "targets", "microdata"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Tessera: scale tiny, synthetic sources, store {home}"
    assert lines[1].startswith("[1/2]") and not any(line.startswith("[2/2]") for line in lines)
    assert "targets failed:" in lines
    error = next(line for line in lines if line.startswith("policy_targets: "))
    assert "official_targets" in error and str(home) in error
    resume = next(line for line in lines if "go on with: " in line).split("go on with: ")[1]
    words = shlex.split(resume)
    assert words[1:3] == ["-m", "jobs.run"]
    options = run._parse(words[3:])
    assert (options.scale, options.sources, options.stages) == ("tiny", "synthetic", ["targets", "microdata"])


def test_the_failed_run_is_recorded(home: Path) -> None:
    from jobs.instance import open_home

    assert run.main(["--stages", "targets"]) == 1
    with open_home(home / "dagster") as instance:
        (recorded,) = instance.get_runs()
        assert recorded.status == dg.DagsterRunStatus.FAILURE
        assert recorded.tags["tessera/stage"] == "targets"


def test_a_stage_that_passes_and_what_is_left_to_say(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def one() -> dg.Definitions:
        @dg.asset
        def fine() -> None: ...

        return dg.Definitions(assets=[fine], jobs=[dg.define_asset_job("build_targets", dg.AssetSelection.all())])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("definitions.build_defs", one)
        assert run.main(["--stages", "targets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("[1/1] target database: ") and line.endswith(" s") for line in lines)
    assert "No release was promoted." in lines


def test_a_stopped_run_says_how_to_go_on(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_stage", interrupted)
    assert run.main(["--scale", "tiny", "--stages", "clones", "release"]) == 130
    assert "--scale tiny --sources synthetic --stages clones release" in capsys.readouterr().out


def test_a_check_that_fails_is_told_and_does_not_stop(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def warned() -> dg.Definitions:
        @dg.asset
        def doubtful() -> None: ...

        @dg.asset_check(asset=doubtful)
        def is_sure() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=False)

        job = dg.define_asset_job("build_targets", dg.AssetSelection.all())
        return dg.Definitions(assets=[doubtful], asset_checks=[is_sure], jobs=[job])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("definitions.build_defs", warned)
        assert run.main(["--stages", "targets"]) == 0
    assert "WARNING: asset check is_sure of doubtful did not pass" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--scale", "huge"], ["--sources", "guessed"], ["--stages", "tragets"], ["x"]])
def test_bad_arguments_exit_with_two(home: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run.main(arguments)
    assert ended.value.code == 2
    assert arguments[-1] in capsys.readouterr().err
    assert list(home.iterdir()) == []


def test_help_lists_the_stages(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run.main(["--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert ", ".join(stage.name for stage in STAGES) in text
