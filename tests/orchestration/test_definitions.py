"""The code location: keys, groups, partitions and lineage as designed; light to import."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from definitions import build_defs
from jobs.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
GROUPS = {
    "sources": {"cps_asec", "irs_puf", "acs_pums", "sipp", "scf", "cps_org", "census_blocks", "official_targets"},
    "targets": {"policy_targets"},
    "microdata": {"cps", "puf", "extended_cps", "stratified_cps", "source_imputed_cps"},
    "clones": {"block_distribution", "clones"},
    "rules": {"takeup_rates"},
    "simulation": {"state_values"},
    "calibration": {
        "calibration_matrix",
        "local_weights",
        "local_fit_log",
        "national_weights",
        "national_fit_log",
    },
    "areas": {"national_dataset", "state_dataset", "district_dataset", "city_dataset"},
    "diagnostics": {"area_metrics", "target_diagnostics", "diagnostics_report"},
    "release": {"release_gate", "staged_release", "promoted_release"},
}
PARENTS = {
    "cps": {"cps_asec"},
    "extended_cps": {"cps", "puf"},
    "stratified_cps": {"extended_cps"},
    "source_imputed_cps": {"stratified_cps", "acs_pums", "sipp", "scf", "cps_org"},
    "policy_targets": {"official_targets"},
    "block_distribution": {"census_blocks"},
    "clones": {"source_imputed_cps", "block_distribution"},
    "state_values": {"policy_targets", "source_imputed_cps", "clones", "takeup_rates"},
    "calibration_matrix": {"policy_targets", "clones", "state_values"},
    "local_weights": {"calibration_matrix"},
    "state_dataset": {"source_imputed_cps", "block_distribution", "clones", "takeup_rates", "local_weights"},
    "national_dataset": {"source_imputed_cps", "block_distribution", "clones", "takeup_rates", "national_weights"},
    "release_gate": {"diagnostics_report", "area_metrics", "target_diagnostics"},
    "staged_release": {"release_gate", "area_metrics", "target_diagnostics"},
    "promoted_release": {"staged_release"},
}
PARTITIONS = {"state_values": 51, "state_dataset": 51, "district_dataset": 435, "city_dataset": 4}


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_defs()


def test_definitions_load(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)
    names = {job.name for job in definitions.resolve_all_job_defs()}
    assert {stage.job_name for stage in STAGES} <= names


def test_keys_and_groups_are_the_designs(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found: dict[str, set[str]] = {}
    for key in graph.get_all_asset_keys():
        found.setdefault(str(graph.get(key).group_name), set()).add(key.to_user_string())
    assert found == GROUPS


def test_lineage_is_the_designs(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for child, parents in PARENTS.items():
        assert {key.to_user_string() for key in graph.get(dg.AssetKey(child)).parent_keys} == parents, child


def test_partitions_are_the_catalogues(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        partitions = graph.get(key).partitions_def
        count = len(partitions.get_partition_keys()) if partitions else 0
        assert count == PARTITIONS.get(key.to_user_string(), 0), key


def test_every_asset_says_what_it_is_and_whose(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description and len(node.description) > 30, key
        assert node.owners, key
        assert node.kinds, key


def test_every_stage_is_a_job_and_every_asset_in_one(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    covered: set[dg.AssetKey] = set()
    for stage in STAGES:
        job = definitions.resolve_job_def(stage.job_name)
        keys = set(job.asset_layer.executable_asset_keys)
        assert not covered & keys, stage
        covered |= keys
    assert covered == set(graph.get_all_asset_keys())


def test_definitions_are_imported_without_anything_heavy() -> None:
    heavy = ("torch", "policyengine_us", "scipy", "pandas", "numba", "sklearn", "h5py", "matplotlib", "duckdb")
    code = f"import definitions, sys; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_library_does_not_know_the_scheduler() -> None:
    offenders = [
        path
        for path in (ROOT / "tessera").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith(("import dagster", "from dagster"))
    ]
    assert offenders == []
