"""A store on which the whole graph ran once, at a very small scale and with made-up engine values; and copies of it."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from definitions import build_defs
from jobs.instance import open_home
from jobs.run import run_stage
from jobs.stages import STAGES, Stage
from resources.io_manager import PytreeIOManager
from resources.settings import Settings
from tessera import config
from tests.stub_engine import StubRulesEngine

# Few households, and clones enough that every district holds some after the fits.
SCALE = config.Scale("test", 300, 400, 60, 120, 4, 30, 30, 5_000)


def stage_named(name: str) -> Stage:
    return next(stage for stage in STAGES if stage.name == name)


@dataclass(frozen=True)
class Store:
    """A store and the definitions that work on it, with the double in place of the engine."""

    settings: Settings

    @property
    def home(self) -> Path:
        return Path(self.settings.home)

    @property
    def io_manager(self) -> PytreeIOManager:
        return PytreeIOManager(base_dir=str(self.settings.paths.assets))

    def definitions(self, **changes: Any) -> dg.Definitions:
        settings = Settings(**{**self.settings.model_dump(), **changes})
        overrides = {"settings": settings, "rules_engine": StubRulesEngine(), "io_manager": self.io_manager}
        return build_defs(resource_overrides=overrides)

    def value(self, asset: str, partition: str | None = None) -> Any:
        from tessera.pytree.io import load_tree

        return load_tree(self.io_manager.path_of(dg.AssetKey(asset), partition))

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The store's persistent instance; the process's DAGSTER_HOME is as before afterwards."""
        before = os.environ.get("DAGSTER_HOME")
        try:
            with open_home(self.settings.paths.dagster) as instance:
                yield instance
        finally:
            os.environ.pop("DAGSTER_HOME", None)
            if before is not None:
                os.environ["DAGSTER_HOME"] = before

    def run(self, *stages: str, **changes: Any) -> None:
        """Stages, by the runner of `make run`."""
        definitions = self.definitions(**changes)
        with self.instance() as instance:
            for name in stages:
                run_stage(definitions, instance, stage_named(name))


@pytest.fixture(scope="session")
def small_scale() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(config.SCALES, SCALE.name, SCALE)
        yield


@pytest.fixture(scope="session")
def make_store(small_scale: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Store]:
    def make(**settings: Any) -> Store:
        home = tmp_path_factory.mktemp("home")
        chosen = {"scale_name": SCALE.name, "workers": 2, "minimum_within_10": 0.0, **settings}
        return Store(Settings(home=str(home), **chosen))

    return make


@pytest.fixture(scope="session")
def whole_run(make_store: Callable[..., Store]) -> Store:
    """A store on which every stage ran, and passed; tests leave it as it is."""
    store = make_store()
    store.run(*(stage.name for stage in STAGES))
    return store


@pytest.fixture
def copied_run(whole_run: Store, make_store: Callable[..., Store]) -> Store:
    """A copy of the store after the whole run, to change at will: assets, runs, release; its instance is new."""
    store = make_store()
    for name in ("assets", "raw", "runs", "release"):
        # Links do: every file of a store is replaced and never written into.
        shutil.copytree(whole_run.home / name, store.home / name, copy_function=os.link, symlinks=True)
    return store
