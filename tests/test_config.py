"""Scales and the map of the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessera import config
from tessera.errors import ConfigError


def test_scales_grow_and_go_by_their_names() -> None:
    tiny, demo, production = (config.scale(name) for name in ("tiny", "demo", "production"))
    # A tiny run has more clones of its few households than the demo: each district needs some.
    for size in ("survey_households", "puf_returns", "households", "blocks_per_district", "local_epochs"):
        assert 0 < getattr(tiny, size) < getattr(demo, size) <= getattr(production, size)
    for name, scale in config.SCALES.items():
        assert scale.name == name
        # Every household is there twice after the tax half has joined, and stratification keeps some of them.
        assert scale.households <= 2 * scale.survey_households


def test_an_unknown_scale_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'huge'; wanted one of tiny, demo, production"):
        config.scale("huge")


def test_the_store_is_where_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path / "env"))
    assert config.paths().home == tmp_path / "env"
    assert config.paths(tmp_path / "given").home == tmp_path / "given"
    monkeypatch.delenv("TESSERA_HOME")
    assert config.paths().home == Path(config.__file__).resolve().parents[1] / "var"


def test_everything_lies_below_home_and_nothing_twice(tmp_path: Path) -> None:
    store = config.paths(tmp_path)
    places = [store.raw, store.assets, store.dagster, store.run("r"), store.staging("r"), store.release]
    assert len(set(places)) == len(places)
    assert all(place.is_relative_to(tmp_path) for place in places)
    assert store.current_release.parent == store.release
    assert not any(tmp_path.iterdir())
