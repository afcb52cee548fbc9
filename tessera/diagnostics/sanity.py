"""Checks of a written area file that can fail: what is missing fails, nothing is skipped.

Reads flat HDF5 (`variable/period`) with h5py and nothing else, so that it holds for a file of any origin. Holds no
rules engine: whether the file computes in `Microsimulation` is tested elsewhere. Each check yields one `SanityResult`
an area; `seen` and `wanted` say what was found and what would have passed.

Layout (`{entity}` is one of household, tax_unit, spm_unit, family, marital_unit): `{entity}_id` and `person_id` count
from 0, `person_{entity}_id` links persons to units, `household_weight` is the only weight and is float32. The file
attribute `synthetic` says whether any of it comes from a synthetic source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from tessera.frame import ENTITIES, GROUP_ENTITIES
from tessera.geography.areas import Area

REQUIRED_VARIABLES = (
    "age",
    "employment_income_before_lsr",
    "self_employment_income_before_lsr",
    "state_fips",
    "county_fips",
    "congressional_district_geoid",
)
TAKEUP_VARIABLES = (
    "takes_up_snap_if_eligible",
    "takes_up_ssi_if_eligible",
    "takes_up_tanf_if_eligible",
    "takes_up_medicaid_if_eligible",
    "takes_up_aca_if_eligible",
    "takes_up_head_start_if_eligible",
    "takes_up_early_head_start_if_eligible",
    "takes_up_dc_ptc",
    "would_file_taxes_voluntarily",
)
# One float32 rounding is 2**-24; four of them leave room for a sum that was itself taken in another order.
WEIGHT_SUM_TOLERANCE = 2.0**-22

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class SanityResult:
    """Outcome of one check of one area file."""

    area: str
    check: str
    passed: bool
    seen: str
    wanted: str


@dataclass(frozen=True)
class Expectations:
    """What a file must hold.

    Attributes:
        year: the dataset's year, the first period of the alphabetically first variable.
        weight_sum: sum of the weights that the fit gave the area's records, in households.
        synthetic: whether the run used a synthetic source.
        required: variables that must be present besides ids, links and the weight.
        takeup: take-up variables that must be present and boolean.
    """

    year: int
    weight_sum: float
    synthetic: bool
    required: tuple[str, ...] = REQUIRED_VARIABLES
    takeup: tuple[str, ...] = TAKEUP_VARIABLES


@dataclass(frozen=True)
class _Contents:
    """Arrays of a file: the first period of each variable by name, all of them by `variable/period`, and strays."""

    arrays: dict[str, Array]
    every: dict[str, Array]
    periods: dict[str, list[str]]
    misplaced: tuple[str, ...]
    synthetic: object


_Finding = tuple[bool, str, str]  # passed, seen, wanted


def check_area_file(path: Path, area: Area, expected: Expectations) -> list[SanityResult]:
    """Run every check on one area file.

    Args:
        path: the file; one that is absent or unreadable fails the check `readable` and with it all others.
        area: its row in the catalogue.
        expected: what it must hold.

    Returns:
        One result a check, always the same checks in the same order.
    """
    try:
        contents = _read(path)
    except OSError as error:
        return [
            SanityResult(area.key, name, False, f"{path}: cannot be read ({error})", "a readable HDF5 file")
            for name in ("readable", *_CHECKS)
        ]
    results = [SanityResult(area.key, "readable", True, f"{len(contents.arrays)} variables", "a readable HDF5 file")]
    for name, check in _CHECKS.items():
        results.append(SanityResult(area.key, name, *check(contents, area, expected)))
    return results


def check_names() -> tuple[str, ...]:
    """Names of the checks that every area file undergoes."""
    return ("readable", *_CHECKS)


def failures(results: Iterable[SanityResult]) -> list[SanityResult]:
    """The results that did not pass."""
    return [result for result in results if not result.passed]


def _read(path: Path) -> _Contents:
    every: dict[str, Array] = {}
    periods: dict[str, list[str]] = {}
    misplaced = []
    with h5py.File(path, "r") as file:
        synthetic = file.attrs.get("synthetic")
        for name in sorted(file):
            group = file[name]
            keys = sorted(group) if isinstance(group, h5py.Group) else []
            if not keys or not all(isinstance(group[key], h5py.Dataset) for key in keys):
                misplaced.append(name)
                continue
            periods[name] = keys
            every |= {f"{name}/{key}": np.asarray(group[key][()]) for key in keys}
    first = {name: every[f"{name}/{keys[0]}"] for name, keys in periods.items()}
    return _Contents(first, every, periods, tuple(misplaced), synthetic)


def _layout(contents: _Contents, area: Area, expected: Expectations) -> _Finding:
    seen = f"{len(contents.arrays)} variables, misplaced: {_some(contents.misplaced) or 'none'}"
    return bool(contents.arrays) and not contents.misplaced, seen, "only variable/period arrays"


def _dataset_year(contents: _Contents, area: Area, expected: Expectations) -> _Finding:
    year = str(expected.year)
    wanted = f"the alphabetically first variable at {year}, no variable at another year"
    first = min(contents.periods, default=None)
    if first is None:
        return False, "no variable", wanted
    strays = [name for name, keys in contents.periods.items() if not all(key.startswith(year) for key in keys)]
    seen = f"{first}/{contents.periods[first][0]}, of another year: {_some(strays) or 'none'}"
    return contents.periods[first][0] == year and not strays, seen, wanted


def _required(contents: _Contents, area: Area, expected: Expectations) -> _Finding:
    links = [f"person_{entity}_id" for entity in GROUP_ENTITIES]
    wanted = [*(f"{entity}_id" for entity in ENTITIES), *links, "household_weight", *expected.required]
    missing = [name for name in wanted if name not in contents.arrays]
    return not missing, f"missing: {_some(missing) or 'none'}", f"{len(wanted)} variables present"


def _ids(contents: _Contents, area: Area, expected: Expectations) -> _Finding:
    bad = []
    for entity in ENTITIES:
        ids = contents.arrays.get(f"{entity}_id")
        if ids is None or ids.ndim != 1 or ids.size == 0:
            bad.append(f"{entity}_id absent or empty")
        elif ids.dtype != np.int32:
            bad.append(f"{entity}_id is {ids.dtype}")
        elif not _numbered(ids, entity):
            bad.append(f"{entity}_id has {np.unique(ids).size} distinct of {ids.size}, {ids.min()} to {ids.max()}")
    return not bad, _some(bad) or "all six", "int32, each of 0..n-1 once; persons distinct, 0 or more"


def _numbered(ids: Array, entity: str) -> bool:
    """Groups count from 0 without gaps; a person keeps one id in all files, so a file has some of them, each once."""
    if entity == "person":
        return np.unique(ids).size == ids.size and int(ids.min()) >= 0
    return np.array_equal(np.sort(ids), np.arange(ids.size))


def _links(contents: _Contents, area: Area, expected: Expectations) -> _Finding:
    persons = contents.arrays.get("person_id", np.empty(0))
    bad = [text for entity in GROUP_ENTITIES if (text := _broken_link(contents, entity, persons.size))]
    return not bad, _some(bad) or "all five", "every person in a unit that exists, every unit with a person"


def _broken_link(contents: _Contents, entity: str, n_persons: int) -> str:
    name = f"person_{entity}_id"
    link, ids = contents.arrays.get(name), contents.arrays.get(f"{entity}_id")
    if link is None or ids is None or link.dtype.kind not in "iu" or ids.dtype.kind not in "iu":
        return f"{name} absent or not integer"
    if link.shape != (n_persons,):
        return f"{name} has shape {link.shape} for {n_persons} persons"
    orphans = int((~np.isin(link, ids)).sum())
    empty = int((~np.isin(ids, link)).sum())
    return f"{name}: {orphans} orphan person(s), {empty} empty unit(s)" if orphans or empty else ""


def _lengths(contents: _Contents, area: Area, expected: Expectations) -> _Finding:
    counts = {contents.arrays[f"{entity}_id"].size for entity in ENTITIES if f"{entity}_id" in contents.arrays}
    shapes = {(count,) for count in counts}
    bad = [f"{name} {array.shape}" for name, array in contents.every.items() if array.shape not in shapes]
    passed = bool(counts) and not bad
    return passed, _some(bad) or f"{len(contents.every)} arrays", f"vectors of one of the lengths {sorted(counts)}"


def _weights(contents: _Contents, area: Area, expected: Expectations) -> _Finding:
    wanted = "float32, one a household, finite, not negative, not all zero, and no other weight"
    weights = contents.arrays.get("household_weight")
    if weights is None or weights.dtype.kind != "f":
        return False, "household_weight absent or not floating", wanted
    others = [name for name in contents.arrays if name.endswith("_weight") and name != "household_weight"]
    n_households = contents.arrays.get("household_id", np.empty(0)).size
    values = weights.astype(np.float64)
    with np.errstate(invalid="ignore"):
        n_bad = int((~np.isfinite(values) | (values < 0)).sum())
        all_zero = not np.any(values > 0)
    passed = (
        weights.dtype == np.float32 and weights.shape == (n_households,) and not n_bad and not all_zero and not others
    )
    seen = (
        f"{weights.dtype} {weights.shape} for {n_households} households, {n_bad} negative or not finite, "
        f"{'all zero' if all_zero else 'some positive'}, other weights: {_some(others) or 'none'}"
    )
    return passed, seen, wanted


def _weight_sum(contents: _Contents, area: Area, expected: Expectations) -> _Finding:
    wanted = f"{expected.weight_sum:.6f} within {WEIGHT_SUM_TOLERANCE:.1e} relative"
    weights = contents.arrays.get("household_weight")
    if weights is None or weights.dtype.kind != "f":
        return False, "household_weight absent or not floating", wanted
    total = float(weights.sum(dtype=np.float64))
    allowed = WEIGHT_SUM_TOLERANCE * abs(expected.weight_sum)
    return bool(abs(total - expected.weight_sum) <= allowed), f"{total:.6f}", wanted


def _finite(contents: _Contents, area: Area, expected: Expectations) -> _Finding:
    floats = {name: array for name, array in contents.every.items() if array.dtype.kind == "f"}
    bad = [f"{name} ({n})" for name, array in floats.items() if (n := int((~np.isfinite(array)).sum()))]
    passed = len(floats) > 1 and not bad  # a file whose only floats are its weights holds no amounts to check
    seen = f"{len(floats)} float arrays, not finite: {_some(bad) or 'none'}"
    return passed, seen, "weights and amounts, without NaN or infinity"


def _texts(contents: _Contents, area: Area, expected: Expectations) -> _Finding:
    bad = []
    for name, array in contents.every.items():
        if array.dtype.kind == "S":
            flat = np.frombuffer(np.ascontiguousarray(array).tobytes(), dtype=np.uint8)
            if flat.size and flat.max() > 127:
                bad.append(name)
        elif array.dtype.kind not in "biuf":
            bad.append(f"{name} ({array.dtype})")
    return not bad, f"not ASCII: {_some(bad) or 'none'}", "numbers, booleans and fixed-width ASCII text"


def _takeup(contents: _Contents, area: Area, expected: Expectations) -> _Finding:
    prefixes = ("takes_up_", "would_file_")
    present = {path: array for path, array in contents.every.items() if path.startswith(prefixes)}
    bad = [f"{name} absent" for name in expected.takeup if name not in contents.arrays]
    others = {name: contents.arrays[name] for name in expected.takeup if name in contents.arrays}
    for name, array in {**others, **present}.items():
        if array.dtype.kind not in "biu" or not np.isin(array, (0, 1)).all():
            bad.append(f"{name} ({array.dtype}) is not boolean")
    return not bad, _some(bad) or f"{len(present)} arrays", f"{len(expected.takeup)} variables or more, true or false"


def _geography(contents: _Contents, area: Area, expected: Expectations) -> _Finding:
    states = contents.arrays.get("state_fips")
    districts = contents.arrays.get("congressional_district_geoid")
    if states is None or districts is None or not states.size or not districts.size:
        return False, "state_fips or congressional_district_geoid absent or empty", "both present"
    wanted_states = {area.state_fips} if area.state_fips is not None else None
    allowed = set(area.district_codes)
    seen_states, seen_districts = set(np.unique(states).tolist()), set(np.unique(districts).tolist())
    passed = wanted_states is None or seen_states == wanted_states
    passed = passed and (not allowed or seen_districts <= allowed)
    seen = f"{len(seen_states)} state(s), {len(seen_districts)} district(s): {_some(map(str, sorted(seen_districts)))}"
    place = "any state" if wanted_states is None else f"state {area.state_fips}"
    return passed, seen, f"{place}, {len(allowed) or 'any'} district(s) of the area at most"


def _synthetic_mark(contents: _Contents, area: Area, expected: Expectations) -> _Finding:
    seen = contents.synthetic
    passed = isinstance(seen, (bool, np.bool_)) and bool(seen) == expected.synthetic
    return passed, f"attribute synthetic is {seen}", f"attribute synthetic is {expected.synthetic}"


def _some(items: Iterable[str], n: int = 6) -> str:
    listed = list(items)
    return ", ".join(listed[:n]) + (f" and {len(listed) - n} more" if len(listed) > n else "")


_CHECKS: dict[str, Callable[[_Contents, Area, Expectations], _Finding]] = {
    "layout": _layout,
    "dataset_year": _dataset_year,
    "required_variables": _required,
    "ids": _ids,
    "links": _links,
    "lengths": _lengths,
    "weights": _weights,
    "weight_sum": _weight_sum,
    "finite_values": _finite,
    "texts": _texts,
    "takeup_booleans": _takeup,
    "geography": _geography,
    "synthetic_mark": _synthetic_mark,
}
