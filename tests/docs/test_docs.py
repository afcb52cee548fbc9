"""The documents agree with the tree: paths, modules, make targets and configuration files that they name exist."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from jobs.instance import CONFIG
from tessera import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/methodology.md", "docs/data.md", "deploy/README.md")
IMAGES = ("docs/images/asset_graph.png", "docs/images/report.png")
# A name in backticks is taken for a path of the repository if it begins with one of these folders, and on a page at the
# top also if it looks like a file at the top.
FOLDERS = ("assets", "benchmarks", "deploy", "docs", "jobs", "resources", "sensors", "tessera", "tests")
TOP_FILES = r"[A-Za-z_]+\.(?:md|toml|lock|yaml|py)|Makefile|LICENSE"
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def _read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _prose(page: str) -> str:
    return _FENCE.sub("", _read(page))


def _named_paths(page: str) -> Iterator[str]:
    """Paths that a page names in backticks or links to, relative to the root of the repository; images apart."""
    folder = (ROOT / page).parent
    for name in re.findall(r"`([^`\n]+)`", _prose(page)):
        in_folder = name.split("/")[0] in FOLDERS and re.fullmatch(r"[\w./-]+", name) and "/" in name
        if in_folder or (folder == ROOT and re.fullmatch(TOP_FILES, name)):
            yield name
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", _read(page)):
        if "://" not in link and link not in IMAGES:
            yield (folder / link).resolve().relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_exists(page: str) -> None:
    named = set(_named_paths(page))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_the_finder_of_paths_finds_them() -> None:
    assert {"docs/methodology.md", "deploy/README.md", "LICENSE", "tessera/config.py"} <= set(_named_paths("README.md"))
    assert {"tessera/areas/assemble.py", "definitions.py", "docs/"} <= set(_named_paths("ARCHITECTURE.md"))


def test_the_map_names_every_folder_and_package() -> None:
    named = set(re.findall(r"`([\w/]+)/`", _prose("ARCHITECTURE.md")))
    packages = {f"tessera/{path.parent.name}" for path in (ROOT / "tessera").glob("*/__init__.py")}
    assert set(FOLDERS) | packages <= named


@pytest.mark.parametrize("image", IMAGES)
def test_images_of_the_readme_are_pictures(image: str) -> None:
    assert f"({image})" in _read("README.md")
    assert (ROOT / image).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_a_page_names_exists(page: str) -> None:
    text = _read(page)
    lines = "\n".join(
        re.findall(r"^(?:[A-Z_]+=\S+ )?make .*$", text, re.MULTILINE) + re.findall(r"`(make [^`]+)`", text)
    )
    named = set(re.findall(r"\bmake ([a-z]+)", lines))
    known = set(re.findall(r"^([a-z]+):", _read("Makefile"), re.MULTILINE))
    assert named <= known
    if page == "README.md":
        assert {"run", "test", "ui"} <= named


def test_every_command_of_tessera_that_the_readme_names_parses(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"`tessera ([^`]+)`", _prose("README.md"))
    assert {command.split()[0] for command in commands} >= {"paths", "tree", "areas", "releases", "rollback"}
    for command in commands:
        with pytest.raises(SystemExit) as stopped:
            cli.main([*command.split(), "--help"])
        assert stopped.value.code == 0, command
    assert "usage: tessera" in capsys.readouterr().out


@pytest.mark.parametrize("path", sorted((ROOT / "deploy").glob("*.yaml")), ids=lambda path: path.name)
def test_configuration_parses_and_is_described(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    assert content
    assert f"`{path.name}`" in _read("deploy/README.md")


def test_files_that_the_deployment_page_describes_exist() -> None:
    described = re.findall(r"^\| `([^`]+)` \|", _read("deploy/README.md"), re.MULTILINE)
    assert sorted(described) == sorted(path.name for path in (ROOT / "deploy").glob("*.yaml"))


def test_the_configuration_of_one_machine_is_what_make_run_writes() -> None:
    assert yaml.safe_load(_read("deploy/dagster.yaml")) == CONFIG


def test_dask_has_a_cluster_of_its_own_and_celery_the_launcher_that_exists() -> None:
    dask = yaml.safe_load(_read("deploy/dask.yaml"))
    assert list(dask["execution"]["config"]["cluster"]) == ["local"]
    celery = yaml.safe_load(_read("deploy/celery.yaml"))
    assert celery["run_launcher"]["module"] == "dagster_celery.launcher"
    assert celery["run_monitoring"]["max_runtime_seconds"] > 0


def test_tables_of_the_data_page_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "docs" / "update_data_tables.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_modules_and_limits_of_the_methodology_exist() -> None:
    named = re.findall(r"`(tessera(?:\.\w+)+)`", _prose("docs/methodology.md"))
    assert named
    missing = [
        name
        for name in named
        if not (ROOT / f"{name.replace('.', '/')}.py").exists() and not (ROOT / name.replace(".", "/")).is_dir()
    ]
    assert missing == []
