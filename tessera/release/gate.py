"""The gate of a release: every rule is evaluated, each with what was seen and wanted, and any failure blocks.

Holds rules on results that other stages computed; computes no estimate and reads no area file. A rule with nothing to
look at fails: no area, no target or no comparison is not a pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.diagnostics.areas import AreaMeasures
from tessera.diagnostics.sanity import SanityResult, check_names
from tessera.diagnostics.targets import finite_rows, within
from tessera.errors import ReleaseError
from tessera.geography.areas import Area, areas
from tessera.pytree.storage.fingerprint import tree_sha256

INVARIANT_TOLERANCE = 1e-6
TARGET_TOLERANCE = 0.10


@dataclass(frozen=True)
class RuleResult:
    """Outcome of one rule."""

    name: str
    passed: bool
    seen: str
    wanted: str


@dataclass(frozen=True)
class GateResult:
    """Outcome of the gate: passed when every rule is."""

    passed: bool
    rules: tuple[RuleResult, ...]

    def as_table(self) -> pd.DataFrame:
        """One row a rule: name, passed, seen, wanted."""
        return pd.DataFrame([asdict(rule) for rule in self.rules], columns=["name", "passed", "seen", "wanted"])


@dataclass(frozen=True)
class InvariantCheck:
    """Comparison of `M w` with what the rules engine computes on the written files.

    Attributes:
        n_values: pairs of numbers compared.
        max_relative_difference: the largest, float32 storage aside.
    """

    n_values: int
    max_relative_difference: float


@dataclass(frozen=True)
class GateInputs:
    """What the gate looks at.

    Attributes:
        files: path below the release (`states/CA.h5`) -> file, for all that is to be released.
        sanity: results of every check of every area file.
        area_metrics: table of areas with `key` and `weight_sum`.
        target_table: the fit's target table, supported targets only.
        min_share_within_10: share of supported targets that must be met within 10 %, 0 to 1.
        invariant: comparison of matrix and files; None where it was not made, which fails.
        expected: areas that must be there; the whole catalogue unless a part is released knowingly.
    """

    files: Mapping[str, Path]
    sanity: Sequence[SanityResult]
    area_metrics: pd.DataFrame
    target_table: pd.DataFrame
    min_share_within_10: float
    invariant: InvariantCheck | None
    expected: tuple[Area, ...] = areas()


def evaluate_gate(inputs: GateInputs) -> GateResult:
    """Evaluate every rule; raises nothing about the results themselves (see `require`)."""
    if not 0 <= inputs.min_share_within_10 <= 1:
        raise ReleaseError(
            f"Gate: the threshold min_share_within_10 is {inputs.min_share_within_10}; wanted a share from 0 to 1."
        )
    rules = (
        _area_files(inputs),
        _sanity_complete(inputs),
        _sanity_passed(inputs),
        _weight_sums(inputs),
        _estimates_finite(inputs),
        _targets_met(inputs),
        _invariant(inputs),
    )
    return GateResult(all(rule.passed for rule in rules), rules)


def gate_of(measures: AreaMeasures, table: pd.DataFrame, area_folder: Path, minimum_within_10: float) -> GateResult:
    """The release gate's outcome for a run's measures and target table."""
    files = {
        one.relative_path: area_folder / one.relative_path for one in areas() if one.key in set(measures.areas["key"])
    }
    return evaluate_gate(
        GateInputs(
            files=files,
            sanity=measures.sanity,
            area_metrics=measures.areas,
            target_table=table,
            min_share_within_10=minimum_within_10,
            invariant=InvariantCheck(len(measures.verified), measures.max_relative_difference),
        )
    )


def judged_content(
    measures: AreaMeasures, target_diagnostics: Mapping[str, pd.DataFrame], minimum_within_10: float
) -> str:
    """sha256 of all that the gate judges, which it hands on with its outcome."""
    return tree_sha256([measures.areas, dict(target_diagnostics), minimum_within_10])


def require_judged(judged: str, content: str) -> None:
    """Raise `ReleaseError` if what the gate let through is not what is here now.

    A gate that fails leaves the value of an earlier, open one behind.
    """
    if judged != content:
        raise ReleaseError(
            "staged_release: what release_gate let through is not what is here now (area files, targets or the share "
            "wanted within 10 % differ). Materialise release_gate again, then staged_release."
        )


def require(gate: GateResult) -> None:
    """Raise `ReleaseError` listing the rules that fail, if any does."""
    failing = [rule for rule in gate.rules if not rule.passed]
    if not failing and gate.passed and gate.rules:
        return
    lines = "; ".join(f"{rule.name}: seen {rule.seen}, wanted {rule.wanted}" for rule in failing) or "no rule passed"
    raise ReleaseError(
        f"The release gate is closed, {len(failing)} of {len(gate.rules)} rules fail: {lines}. "
        "Nothing was staged. Correct the stage named, materialise it and what follows, then evaluate the gate again."
    )


def _area_files(inputs: GateInputs) -> RuleResult:
    wanted = {area.relative_path for area in inputs.expected}
    there = {name for name, path in inputs.files.items() if path.is_file() and path.stat().st_size > 0}
    folders = tuple({name.split("/")[0] + "/" for name in wanted})
    missing = sorted(wanted - there)
    foreign = sorted(name for name in inputs.files if name.startswith(folders) and name not in wanted)
    seen = f"{len(wanted & there)} of {len(wanted)}; missing: {_some(missing)}; not in the catalogue: {_some(foreign)}"
    return RuleResult("area_files", bool(wanted) and not missing and not foreign, seen, f"{len(wanted)} area files")


def _sanity_complete(inputs: GateInputs) -> RuleResult:
    ran = {(result.area, result.check) for result in inputs.sanity}
    wanted = {(area.key, check) for area in inputs.expected for check in check_names()}
    absent = sorted(f"{area}: {check}" for area, check in wanted - ran)
    seen = f"{len(wanted) - len(absent)} of {len(wanted)}; not run: {_some(absent)}"
    return RuleResult("sanity_complete", bool(wanted) and not absent, seen, f"{len(wanted)} checks run")


def _sanity_passed(inputs: GateInputs) -> RuleResult:
    failed = [f"{result.area}: {result.check} ({result.seen})" for result in inputs.sanity if not result.passed]
    seen = f"{len(failed)} of {len(inputs.sanity)} failed: {_some(failed)}"
    return RuleResult("sanity_passed", bool(inputs.sanity) and not failed, seen, "no failed check")


def _weight_sums(inputs: GateInputs) -> RuleResult:
    sums = dict(zip(inputs.area_metrics["key"], inputs.area_metrics["weight_sum"].astype(float), strict=True))
    bad = [
        f"{area.key}: {sums.get(area.key, 'absent')}"
        for area in inputs.expected
        if not (np.isfinite(sums.get(area.key, np.nan)) and sums[area.key] > 0)
    ]
    seen = f"{len(inputs.expected) - len(bad)} of {len(inputs.expected)}; otherwise: {_some(bad)}"
    return RuleResult("weight_sums", bool(inputs.expected) and not bad, seen, "a finite positive sum for each area")


def _estimates_finite(inputs: GateInputs) -> RuleResult:
    table = inputs.target_table
    bad = table.loc[~finite_rows(table), "name"].astype(str).tolist()
    seen = f"{len(bad)} of {len(table)} not finite: {_some(bad)}"
    return RuleResult("estimates_finite", len(table) > 0 and not bad, seen, "every target and estimate finite")


def _targets_met(inputs: GateInputs) -> RuleResult:
    met = within(inputs.target_table, TARGET_TOLERANCE)
    share = float(met.mean()) if met.size else float("nan")
    seen = f"{100 * share:.2f} % of {met.size:,} supported targets"
    wanted = f"at least {100 * inputs.min_share_within_10:.2f} % within {100 * TARGET_TOLERANCE:.0f} %"
    return RuleResult("targets_within_10", bool(share >= inputs.min_share_within_10), seen, wanted)


def _invariant(inputs: GateInputs) -> RuleResult:
    wanted = f"matrix and files within {INVARIANT_TOLERANCE:.0e} relative"
    check = inputs.invariant
    if check is None:
        return RuleResult("invariant", False, "not compared", wanted)
    passed = check.n_values > 0 and 0 <= check.max_relative_difference <= INVARIANT_TOLERANCE
    seen = f"{check.max_relative_difference:.3e} at most, of {check.n_values:,} values"
    return RuleResult("invariant", bool(passed), seen, wanted)


def _some(items: Iterable[str], n: int = 5) -> str:
    listed = list(items)
    return (", ".join(listed[:n]) + (f" and {len(listed) - n} more" if len(listed) > n else "")) or "none"
