"""Blocks and clones as assets: what they say about the country, and what official sources miss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.clones import block_distribution, clones
from assets.sources import census_blocks
from resources.io_manager import PytreeIOManager
from resources.settings import Settings
from tessera.errors import SourceError
from tests import builders


@dg.asset
def source_imputed_cps() -> Any:
    return builders.frame(30)


def run(home: Path, sources: str) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [source_imputed_cps, census_blocks, block_distribution, clones],
            instance=instance,
            resources={
                "settings": Settings(home=str(home), scale_name="tiny", sources=sources),
                "io_manager": PytreeIOManager(base_dir=str(home / "assets")),
            },
        )


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    event = result.asset_materializations_for_node(asset)[0]
    return {name: value.value for name, value in event.metadata.items()}


def test_metadata_say_what_holds_a_clone(tmp_path: Path) -> None:
    result = run(tmp_path, "synthetic")
    blocks, placed = metadata(result, "census_blocks"), metadata(result, "clones")
    assert blocks["districts"] == 436
    assert blocks["counties"] == 3143
    assert blocks["counties without a rating area in the engine"] == 32
    assert 0.9 < blocks["share of people with cbsa_code"] < 1
    assert blocks["share of people with puma"] == 0
    assert placed["collisions"] == 0
    for kind in ("blocks", "tracts", "counties", "districts", "metropolitan areas"):
        assert placed[f"{kind} with a clone"] > 0
        assert 0 < placed[f"share of {kind} with a clone"] <= 1
    assert placed["counties with a clone"] / blocks["counties"] == placed["share of counties with a clone"]


def test_official_sources_name_the_files_that_are_absent(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"106 of 106 official block files are absent"):
        run(tmp_path, "official")
