"""The fit as assets: in this process or in one of its own it is the same fit, watched live, and errors say why."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from assets.calibration import FitConfig, local_fit, national_fit
from resources.accelerator import Accelerator, accelerator_from_environment
from resources.io_manager import PytreeIOManager
from resources.settings import Settings
from tessera.calibration.request import FitRequest
from tessera.calibration.run import run_fit
from tessera.errors import ConfigError
from tessera.matrix.package import CalibrationPackage
from tests.packages import example_package

Fit = Callable[..., dg.ExecuteInProcessResult]


@dg.asset
def calibration_matrix() -> Any:
    return example_package().to_tree()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def run_assets(tmp_path: Path, instance: dg.DagsterInstance) -> Fit:
    """Materialises a package and one fit on it."""

    def call(
        accelerator: Accelerator, config: dict[str, Any], name: str = "local", **more: Any
    ) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [calibration_matrix, {"local": local_fit, "national": national_fit}[name]],
            instance=instance,
            resources={
                "settings": Settings(home=str(tmp_path), scale_name="tiny"),
                "accelerator": accelerator,
                "io_manager": PytreeIOManager(base_dir=str(tmp_path / "assets")),
            },
            run_config=dg.RunConfig(ops={f"{name}_fit": {"config": {"mode": "recipe", **config}}}),
            **more,
        )

    return call


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    found = result.asset_materializations_for_node(f"{asset.split('_', maxsplit=1)[0]}_fit")
    (event,) = [one for one in found if one.asset_key.to_user_string() == asset]
    return {label: value.value for label, value in event.metadata.items()}


def test_both_ways_are_the_same_fit(run_assets: Fit, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    config = {"epochs": 300, "log_frequency": 100}
    expected = run_fit(example_package(), FitRequest("local", "recipe", {**config, "device": "cpu"}))
    for launch in ("in_process", "subprocess"):
        accelerator = Accelerator(device="cpu", launch=launch, observe_seconds=0.0)
        result = run_assets(accelerator, config)
        value = result.output_for_node("local_fit", "local_weights")
        np.testing.assert_array_equal(value["weights"], expected.weights)
        np.testing.assert_array_equal(value["gates"], expected.gates)
        log = result.output_for_node("local_fit", "local_fit_log")
        assert len(log["history"]) == 500
        assert log["package_sha256"] == example_package().sha256
        assert log["result"]["state"]["CA"]["snap"].index.tolist() == ["CA/snap"]
        described = metadata(result, "local_weights")
        assert described["device"] == "cpu" and described["share of targets within 10 %"] == 1.0
        assert described["loss"].startswith("![loss of the local fit](data:image/png;base64,")
        assert ("peak memory MB" in described) == (launch == "subprocess")
    files = {path.name for path in (tmp_path / "fits" / "local").iterdir()}
    assert {"weights.npy", "calibration_log.csv", "unified_diagnostics.csv", "unified_run_config.json"} <= files
    assert not any("checkpoint" in name or "exchange" in name for name in files)


@pytest.mark.parametrize("launch", ["in_process", "subprocess"])
def test_a_fit_is_observed_while_it_runs(run_assets: Fit, instance: dg.DagsterInstance, launch: str) -> None:
    result = run_assets(Accelerator(device="cpu", launch=launch, observe_seconds=0.05), {"epochs": 3000})
    records = instance.fetch_observations(dg.AssetKey("local_weights"), limit=2000).records
    observed = [record.asset_observation for record in reversed(records)]
    assert set(observed[0].metadata) == {
        "epoch", "epochs", "loss", "records", "share of targets within 10 %", "seconds left",
    }  # fmt: skip
    epochs = [one.metadata["epoch"].value for one in observed]
    assert len(epochs) >= 2
    assert epochs == sorted(set(epochs)) and epochs[-1] < 3200
    # Stored as the fit ran, and not all at its end.
    assert records[0].timestamp - records[-1].timestamp > 0.2
    done = instance.get_latest_materialization_event(dg.AssetKey("local_weights"))
    assert done is not None and records[0].timestamp < done.timestamp
    assert metadata(result, "local_weights")["steps"] == 3200


def test_modes_and_budgets_come_from_the_run_configuration(run_assets: Fit) -> None:
    accelerator = Accelerator(device="cpu")
    result = run_assets(accelerator, {"mode": "calibrate", "records": 200}, "national")
    weights = result.output_for_node("national_fit", "national_weights")["weights"]
    assert 0 < np.count_nonzero(weights) <= 200
    log = result.output_for_node("national_fit", "national_fit_log")
    assert log["options"]["mode"] == "calibrate" and set(log["tables"]) == {"duals", "conflicts"}
    result = run_assets(accelerator, {"records": 150, "epochs": 200}, "national")
    assert np.count_nonzero(result.output_for_node("national_fit", "national_weights")["weights"]) <= 150


def test_the_assets_calibrate_unless_told_otherwise() -> None:
    assert FitConfig().mode == "calibrate"
    assert "mode" in FitConfig.to_fields_dict()


@pytest.mark.parametrize("launch", ["in_process", "subprocess"])
def test_what_is_missing_is_named(run_assets: Fit, launch: str) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has a CUDA device")
    result = run_assets(Accelerator(device="cuda", launch=launch), {"epochs": 5}, raise_on_error=False)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    messages, error = [], failure.step_failure_data.error
    while error is not None:
        messages.append(error.message)
        error = error.cause
    assert any("cuda" in message and "FitError" in message for message in messages), messages


def test_a_fit_that_was_killed_goes_on_from_its_checkpoint(
    run_assets: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tessera.calibration import exchange

    config = {"epochs": 300}
    request = FitRequest("local", "recipe", {"seed": 42, "epochs": 300, "device": "cpu"})
    package = CalibrationPackage.from_tree(example_package().to_tree())
    folder = tmp_path / "fits" / "local"
    checkpoints = exchange.checkpoints_in(folder, package, request)

    def kill(report: Any) -> None:
        if report.step == 250:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_fit(package, request, progress=kill, checkpoints=checkpoints)
    assert checkpoints.path.is_file()
    result = run_assets(Accelerator(device="cpu", observe_seconds=0.0), config)
    value = result.output_for_node("local_fit", "local_weights")
    np.testing.assert_array_equal(value["weights"], run_fit(package, request).weights)
    observed = [event for event in result.all_events if event.event_type_value == "ASSET_OBSERVATION"]
    assert len(observed) <= 300
    assert not checkpoints.path.exists()


def test_the_environment_chooses_device_and_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TESSERA_DEVICE", "TESSERA_FIT_LAUNCH"):
        monkeypatch.delenv(name, raising=False)
    assert (accelerator_from_environment().device, accelerator_from_environment().launch) == ("auto", "in_process")
    monkeypatch.setenv("TESSERA_DEVICE", "cpu")
    monkeypatch.setenv("TESSERA_FIT_LAUNCH", "subprocess")
    assert (accelerator_from_environment().device, accelerator_from_environment().launch) == ("cpu", "subprocess")
    monkeypatch.setenv("TESSERA_DEVICE", "tpu")
    with pytest.raises(ConfigError, match="TESSERA_DEVICE is 'tpu'; wanted one of auto, cpu, cuda"):
        accelerator_from_environment()


def test_fits_wait_for_each_other() -> None:
    assert {local_fit.op.pool, national_fit.op.pool} == {"gpu"}
    assert os.environ.get("TESSERA_DEVICE") in (None, "auto", "cpu", "cuda")
