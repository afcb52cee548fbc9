from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.diagnostics.sanity import SanityResult
from tessera.errors import ReleaseError
from tessera.geography.areas import areas
from tessera.release import manifest as manifests
from tessera.release.gate import GateInputs, GateResult, InvariantCheck, evaluate_gate, require
from tessera.release.identity import NO_COMMIT, GitState, git_state, new_identity
from tessera.release.tro import tro_json

Maker = Callable[..., Any]


@given(
    st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(\.dev[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"[0-9a-f]{40}", fullmatch=True),
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)),
)
def test_a_run_id_says_version_commit_and_time(version: str, sha: str, moment: datetime) -> None:
    identity = new_identity(version, GitState(sha, False), moment)
    assert identity.run_id.split("_") == [version, sha[:8], moment.strftime("%Y%m%dT%H%M%SZ")]


def test_identity_is_in_utc() -> None:
    east = datetime(2025, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    identity = new_identity("0.1.0", GitState("ab" * 20, True), east)
    assert identity.run_id == "0.1.0_abababab_20241231T233000Z"
    assert identity.started_at == "2024-12-31T23:30:00Z"


def test_identity_refuses_bad_parts() -> None:
    with pytest.raises(ReleaseError, match="cannot name a folder"):
        new_identity("../0.1", GitState(NO_COMMIT, True))
    with pytest.raises(ReleaseError, match="has no zone"):
        new_identity("0.1.0", GitState(NO_COMMIT, True), datetime(2025, 1, 1))


def test_git_state_of_a_checkout(tmp_path: Path) -> None:
    assert git_state(tmp_path / "nowhere") == GitState(NO_COMMIT, True)

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    assert git_state(tmp_path) == GitState(NO_COMMIT, True)
    (tmp_path / "a.txt").write_text("a")
    git("add", ".")
    git("commit", "-q", "-m", "a")
    assert git_state(tmp_path) == GitState(git("rev-parse", "HEAD"), False)
    (tmp_path / "a.txt").write_text("b")
    assert git_state(tmp_path).dirty


def test_gate_passes_and_lets_through(example: Maker) -> None:
    gate = evaluate_gate(example().gate_inputs)
    assert gate.passed
    assert [rule.name for rule in gate.rules] == [
        "area_files", "sanity_complete", "sanity_passed", "weight_sums", "estimates_finite", "targets_within_10",
        "invariant",
    ]  # fmt: skip
    require(gate)


def _one(frame: Any, column: str, value: object) -> Any:
    changed = frame.copy()
    changed.loc[0, column] = value
    return changed


CHANGES: list[tuple[str, Callable[[GateInputs], dict[str, Any]], set[str]]] = [
    ("file gone", lambda it: {"files": {k: v for k, v in it.files.items() if "WY" not in k}}, {"area_files"}),
    ("file path without file", lambda it: {"files": it.files | {"states/WY.h5": Path("/nowhere")}}, {"area_files"}),
    ("foreign file", lambda it: {"files": it.files | {"states/ZZ.h5": Path("/nowhere")}}, {"area_files"}),
    ("check not run", lambda it: {"sanity": it.sanity[1:]}, {"sanity_complete"}),
    ("no check", lambda it: {"sanity": []}, {"sanity_complete", "sanity_passed"}),
    ("check failed", lambda it: {"sanity": [*it.sanity, SanityResult("WY", "ids", False, "", "")]}, {"sanity_passed"}),
    ("sum not finite", lambda it: {"area_metrics": _one(it.area_metrics, "weight_sum", np.inf)}, {"weight_sums"}),
    ("sum zero", lambda it: {"area_metrics": _one(it.area_metrics, "weight_sum", 0.0)}, {"weight_sums"}),
    ("area not measured", lambda it: {"area_metrics": it.area_metrics.iloc[1:]}, {"weight_sums"}),
    ("estimate not finite", lambda it: {"target_table": _one(it.target_table, "estimate", np.nan)},
     {"estimates_finite", "targets_within_10"}),
    ("no target", lambda it: {"target_table": it.target_table.iloc[:0]}, {"estimates_finite", "targets_within_10"}),
    ("share too low", lambda it: {"min_share_within_10": 0.76}, {"targets_within_10"}),
    ("invariant broken", lambda it: {"invariant": InvariantCheck(51, 1.1e-6)}, {"invariant"}),
    ("invariant not a number", lambda it: {"invariant": InvariantCheck(51, float("nan"))}, {"invariant"}),
    ("invariant of nothing", lambda it: {"invariant": InvariantCheck(0, 0.0)}, {"invariant"}),
    ("invariant not compared", lambda it: {"invariant": None}, {"invariant"}),
    ("nothing expected", lambda it: {"expected": ()}, {"area_files", "sanity_complete", "weight_sums"}),
]  # fmt: skip


@pytest.mark.parametrize(("change", "failing"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_each_rule_closes_the_gate(
    example: Maker, change: Callable[[GateInputs], dict[str, Any]], failing: set[str]
) -> None:
    inputs = example().gate_inputs
    gate = evaluate_gate(dataclasses.replace(inputs, **change(inputs)))
    assert {rule.name for rule in gate.rules if not rule.passed} == failing
    assert not gate.passed
    with pytest.raises(ReleaseError) as raised:
        require(gate)
    assert all(name in str(raised.value) for name in failing)


def test_gate_wants_the_whole_catalogue_by_default(example: Maker) -> None:
    inputs = dataclasses.replace(example().gate_inputs, expected=areas())
    rule = evaluate_gate(inputs).rules[0]
    assert not rule.passed
    assert rule.seen.startswith("5 of 491; missing: cities/CHICAGO.h5")


def test_gate_without_rules_or_with_a_foolish_threshold(example: Maker) -> None:
    with pytest.raises(ReleaseError, match="gate is closed"):
        require(GateResult(True, ()))
    with pytest.raises(ReleaseError, match="wanted a share from 0 to 1"):
        evaluate_gate(dataclasses.replace(example().gate_inputs, min_share_within_10=80))


def test_manifest_is_deterministic_and_complete(example: Maker, tmp_path: Path) -> None:
    manifest = example().manifest
    text = manifests.manifest_json(manifest)
    assert text == manifests.manifest_json(example().manifest)
    shuffled = dataclasses.replace(manifest, config=dict(reversed(list(manifest.config.items()))))
    assert text == manifests.manifest_json(shuffled)
    (tmp_path / "manifest.json").write_text(text)
    content = manifests.read_manifest(tmp_path / "manifest.json")
    assert content["run_id"] == manifest.identity.run_id
    assert content["git"] == {"sha": "ab" * 20, "dirty": False}
    assert content["synthetic"] is True
    assert content["congress"] == 119
    assert content["gate"]["passed"] is True
    by_path = {entry["path"]: entry for entry in content["files"]}
    wy = by_path["states/WY.h5"]
    assert (wy["area"], wy["records"], wy["weight_sum"], wy["ess"]) == ("WY", 10, 1000.0, 8.0)
    assert wy["sha256"] == hashlib.sha256(b"first WY" * 50).hexdigest()
    assert by_path["diagnostics/report.html"]["area"] is None


def test_manifest_writes_null_for_what_is_not_finite(example: Maker) -> None:
    manifest = dataclasses.replace(example().manifest, diagnostics={"a": float("nan"), "b": float("inf"), "c": 1})
    assert json.loads(manifests.manifest_json(manifest))["diagnostics"] == {"a": None, "b": None, "c": 1}
    with pytest.raises(ReleaseError, match="Convert paths and arrays"):
        manifests.manifest_json(dataclasses.replace(manifest, config={"home": Path("/x")}))


def test_file_that_changed_since_it_was_measured(example: Maker) -> None:
    made = example()
    made.files["states/WY.h5"].write_bytes(b"other")
    with pytest.raises(ReleaseError, match=r"WY\.h5.*changed after it was measured"):
        manifests.file_entries(made.files, made.gate_inputs.area_metrics)


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", ".hidden", "a\\b", "a/"])
def test_paths_stay_below_the_release(name: str) -> None:
    with pytest.raises(ReleaseError, match="not a path below a release"):
        manifests.checked_path(name)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 2}', "{"])
def test_manifest_unreadable(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ReleaseError, match=r"manifest\.json"):
        manifests.read_manifest(tmp_path / "manifest.json")


def test_versions_of_packages() -> None:
    versions = manifests.package_versions(("numpy", "no-such-package-here"))
    assert versions["numpy"] == np.__version__
    assert versions["no-such-package-here"] == "not installed"


@given(st.lists(st.binary(max_size=8), max_size=6), st.randoms())
def test_fingerprint_ignores_order_and_sees_content(contents: list[bytes], shuffle: Any) -> None:
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    mixed = list(digests)
    shuffle.shuffle(mixed)
    assert manifests.composition_fingerprint(mixed) == manifests.composition_fingerprint(digests)
    assert manifests.composition_fingerprint([*digests, "00" * 32]) != manifests.composition_fingerprint(digests)


def test_research_object_follows_from_the_manifest(example: Maker) -> None:
    manifest = example().manifest
    text = manifests.manifest_json(manifest)
    assert tro_json(text) == tro_json(text)
    graph = json.loads(tro_json(text))["@graph"][0]
    digests = {item["trov:sha256"] for item in graph["trov:hasComposition"]["trov:hasArtifact"]}
    wanted = {entry.sha256 for entry in manifest.files} | {hashlib.sha256(text.encode()).hexdigest()}
    assert digests == wanted
    fingerprint = graph["trov:hasComposition"]["trov:hasFingerprint"]["trov:sha256"]
    assert fingerprint == manifests.composition_fingerprint(wanted)
    assert graph["schema:creativeWorkStatus"] == "SYNTHETIC DATA"
    places = {item["trov:hasLocation"] for item in graph["trov:hasArrangement"]["trov:hasLocus"]}
    assert places == {entry.path for entry in manifest.files} | {"manifest.json"}
    with pytest.raises(ReleaseError, match="Stage it again"):
        tro_json("{}")
