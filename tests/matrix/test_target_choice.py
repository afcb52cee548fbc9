"""Target configurations on a package: rules select what they say, and a rule without effect is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tessera.errors import TargetError
from tessera.matrix.package import EXCLUSIONS, CalibrationPackage
from tessera.matrix.target_choice import choose_targets
from tessera.targets.selection import read_selection
from tests.packages import example_package


def chosen(package: CalibrationPackage, folder: Path, text: str) -> CalibrationPackage:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return choose_targets(package, read_selection(path), str(path))


def test_rules_include_then_exclude(tmp_path: Path) -> None:
    package = example_package()
    text = """
    include:
      - {variable: snap}
      - {variable: person_count, domain: age}
    exclude:
      - {variable: snap, geo_level: district}
      - {constraint: [age, ">=", 18], geo_level: national}
    """
    found = chosen(package, tmp_path, text)
    assert sorted(found.matrix.targets["name"]) == sorted(
        ["US/snap", "CA/snap", "TX/snap", "CA/person_count/adults", "TX/person_count/adults",
         "CA-02/person_count/adults", "DC-01/person_count/adults"]
    )  # fmt: skip
    assert found.matrix.unachievable.empty
    assert found.matrix.metric_ids == ("snap", "person_count[age>=18]")


def test_what_is_left_has_the_same_estimates(tmp_path: Path) -> None:
    package = example_package()
    weights = np.random.Generator(np.random.Philox(1)).lognormal(0, 1, package.matrix.n_records)
    found = chosen(package, tmp_path, "exclude: [{variable: ssi}, {geo_level: state, source: census}]")
    before = dict(zip(package.matrix.targets["name"], package.matrix.matvec(weights), strict=True))
    after = dict(zip(found.matrix.targets["name"], found.matrix.matvec(weights), strict=True))
    assert 0 < len(after) < len(before)
    assert after == pytest.approx({name: before[name] for name in after}, rel=1e-12)
    assert set(found.matrix.unachievable["variable"]) == {"tanf", "net_loss"}
    assert found.matrix.fingerprint != package.matrix.fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("include: [{variable: snapp}]", "variable='snapp' matches no target .* 'person_count', 'snap', 'ssi'"),
        ("exclude: [{variable: snap, domain: age}]", "variable='snap', domain='age' matches no target"),
        ("exclude: [{constraint: [age, '<', 18]}]", "matches no target"),
        ("include: [{variable: tanf}]", "leaves none of the package's 20 supported targets"),
        ("exclude: [{source: usda}, {source: ssa}, {source: census}]", "leaves none"),
        ("include: [{programme: snap}]", "wanted a mapping with any of"),
    ],
)
def test_rules_without_effect_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        chosen(example_package(), tmp_path, text)


def test_an_exclude_rule_that_built_the_package_has_done_its_work(tmp_path: Path) -> None:
    text = "exclude: [{variable: rent}]"
    package = example_package()
    with pytest.raises(TargetError, match="variable='rent' matches no target"):
        chosen(package, tmp_path, text)
    built = replace(package, provenance={**package.provenance, EXCLUSIONS: "variable='rent'\nvariable='x'"})
    assert chosen(built, tmp_path, text).matrix.n_targets == package.matrix.n_targets
