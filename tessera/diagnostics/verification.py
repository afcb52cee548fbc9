"""Verifying a package: in a sample of areas, every target row with support against the engine on a written file.

For an area, clones r of it with weights w are written to a file as every area file is. The matrix's side is M w with
the weights of all other clones at zero: every target that any of the clones can be in, the area's own, those of its
parts and its share of those of the nation. The engine's side starts from the file alone: `Microsimulation` loads it,
metrics are evaluated on what it computes, households are put into cells by the district and county that the file gives
them, and A sums the cells. Differences are relative to the sum of the sizes, A |B| w, as in `invariant`: weights are
stored in single precision, and where gains and losses cancel, their rounding is all that is left.

An area of more clones than a machine can simulate at once is verified on a random sample of its clones; the result says
so. A sum over fewer clones is a sum of the same values, so that what is compared is the same: rows, cells and take-up.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.areas.assemble import Assembler
from tessera.areas.build import records_in_area
from tessera.areas.dataset import read_area, write_area
from tessera.diagnostics.invariant import relative_difference
from tessera.errors import MatrixError
from tessera.geography.areas import Area, AreaKind, area, areas_of_kind
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.evaluation import evaluate
from tessera.matrix.metrics import compile_metrics
from tessera.parallel import fork_map
from tessera.random import generator
from tessera.rules.values import EntityValues

_LOGGER = logging.getLogger(__name__)
FloatArray = npt.NDArray[np.float64]
TOLERANCE = 1e-6
KINDS: tuple[AreaKind, ...] = ("national", "state", "district", "city")
COLUMNS = ("area", "name", "matrix", "engine", "relative_difference")


class FileRules(Protocol):
    """What verification needs of an engine: values and weights of a written file, loaded as its users load it."""

    def load(self) -> None:
        """Load the engine now, before workers are forked."""
        ...

    def compute_file(self, path: Path, variables: Sequence[str]) -> tuple[EntityValues, FloatArray]:
        """Values of variables, each at its own entity, and household weights."""
        ...


@dataclass(frozen=True)
class Verified:
    """One area's comparison.

    Attributes:
        area: key; kind: of the area.
        records: clones in the file; of: clones of positive weight in the area, more where a sample was taken.
        rows: one row a target with support among the clones, columns `COLUMNS`.
    """

    area: str
    kind: str
    records: int
    of: int
    rows: pd.DataFrame

    @property
    def largest(self) -> float:
        """Largest relative difference; NaN if there is one."""
        # Not pandas' max: it would skip a NaN, and a comparison that gave NaN must not pass.
        return float(np.max(self.rows["relative_difference"].to_numpy(), initial=0.0))


def sample_areas(n: int, seed: int) -> list[Area]:
    """The nation and n random areas of every other kind, or all where there are fewer, in catalogue order."""
    chosen: list[Area] = []
    for kind in KINDS:
        known = areas_of_kind(kind)
        order = generator(f"verify/{kind}", seed).permutation(len(known))
        chosen += [known[index] for index in sorted(order[: max(1, n)].tolist())]
    return chosen


def verify_package(
    matrix: CalibrationMatrix,
    weights: FloatArray,
    assembler: Assembler,
    rules: FileRules,
    chosen: Sequence[Area],
    folder: Path,
    *,
    most: int,
    seed: int = 0,
    workers: int = 1,
) -> list[Verified]:
    """Compare every target row with support in some areas with the engine.

    Args:
        matrix: of n_records clones.
        weights: of all clones, households, shape (n_records,).
        assembler: of the same clones.
        rules: loads the files.
        chosen: areas.
        folder: for the files, which stay there.
        most: clones of a file; of larger areas a random sample is taken.
        seed: of the samples.
        workers: processes, forked after the engine is loaded.

    Raises:
        MatrixError: an area without a clone of positive weight.
    """
    _LOGGER.info("verify: loading the rules engine, then %d areas", len(chosen))
    rules.load()
    samples = [_records(one, assembler, weights, most, seed) for one in chosen]
    _ = matrix.factors, matrix.layout  # made once, and shared with the workers

    def compare(number: int) -> Verified:
        one, (records, of) = chosen[number], samples[number]
        path = folder / one.relative_path
        write_area(assembler.assemble(records, weights[records]), path)
        rows = _compared(matrix, records, weights[records], path, rules)
        found = Verified(one.key, one.kind, len(records), of, rows.assign(area=one.key)[list(COLUMNS)])
        _LOGGER.info(
            "verify: %s, area %d of %d: %d target rows, largest relative difference %.1e",
            one.key, number + 1, len(chosen), len(rows), found.largest,
        )  # fmt: skip
        return found

    return fork_map(compare, range(len(chosen)), workers)


def check_verified(results: Sequence[Verified], tolerance: float = TOLERANCE, worst: int = 10) -> None:
    """Raise `MatrixError`, with the worst rows, where a difference exceeds the tolerance."""
    rows = pd.concat([one.rows for one in results], ignore_index=True)
    difference = rows["relative_difference"].to_numpy()
    bad = rows[~(difference <= tolerance)]
    if bad.empty:
        return
    listed = bad.sort_values("relative_difference", ascending=False, na_position="first").head(worst)
    lines = [
        f"  {row.area:<12}{row.name:<60} matrix {row.matrix:.10g}  engine {row.engine:.10g}  "
        f"difference {row.relative_difference:.2e}"
        for row in listed.itertuples(index=False)
    ]
    raise MatrixError(
        f"{len(bad)} of {len(rows)} target rows differ between the matrix and the engine by more than {tolerance:g} "
        "relative; the worst are:\n" + "\n".join(lines) + "\nThe package was made from other values than the files: "
        "build state values and package again with the engine that is installed now."
    )


def _records(
    one: Area, assembler: Assembler, weights: FloatArray, most: int, seed: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Clones of an area's file, ascending, and how many of positive weight the area has."""
    inside = records_in_area(one, assembler.clones)
    inside = inside[weights[inside] > 0]
    if len(inside) == 0:
        raise MatrixError(f"{one.key}: no clone of positive weight lies in the area; choose another seed or weights.")
    if len(inside) <= most:
        return inside, len(inside)
    drawn = generator(f"verify/records/{one.key}", seed).choice(len(inside), most, replace=False)
    return inside[np.sort(drawn)], len(inside)


def _compared(
    matrix: CalibrationMatrix, records: npt.NDArray[np.int64], weights: FloatArray, path: Path, rules: FileRules
) -> pd.DataFrame:
    """Both sides of every target row that has support among some clones."""
    part = matrix.subset(records)
    sizes = part.value_table.copy()
    sizes.data = np.abs(sizes.data)
    gross = replace(part, value_table=sizes).matvec(weights)
    supported = np.flatnonzero(gross > 0)
    ours, theirs = part.matvec(weights), _engine_side(matrix, path, rules)
    difference = relative_difference(ours, theirs, gross)
    # A row that the matrix has no support for must not have any in the file either.
    rows = np.union1d(supported, np.flatnonzero(theirs != 0))
    return pd.DataFrame(
        {
            "name": matrix.targets["name"].to_numpy()[rows].astype(str),
            "matrix": ours[rows],
            "engine": theirs[rows],
            "relative_difference": difference[rows],
        }
    )


def _engine_side(matrix: CalibrationMatrix, path: Path, rules: FileRules) -> FloatArray:
    """Estimates of all targets from a file alone, float64, shape (n_targets,)."""
    metrics = compile_metrics(pd.concat([matrix.targets, matrix.unachievable], ignore_index=True))
    values, weights = rules.compute_file(path, metrics.variables)
    place = {name: number for number, name in enumerate(metrics.ids)}
    order = [place[name] for name in matrix.metric_ids]
    table = evaluate(metrics, values)[:, order]
    stored = read_area(path)
    totals = np.zeros((matrix.n_cells, matrix.n_metrics))
    cell = _cells_of_file(matrix, stored)
    for number in np.unique(cell):
        here = np.flatnonzero(cell == number)
        totals[number] = table[here].T @ weights[here]
    return np.asarray(matrix.aggregation @ totals.ravel())


def _cells_of_file(matrix: CalibrationMatrix, stored: Mapping[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.int64]:
    """Cell of each household of a file, by the district and county that the file gives it."""
    number = {
        (int(code), str(city)): cell
        for cell, (code, city) in enumerate(zip(matrix.cells, matrix.cell_city, strict=True))
    }
    district = stored["congressional_district_geoid"].astype(np.int64)
    county = stored["county_fips"].astype(np.int64)
    cities = [str(key) for key in np.unique(matrix.cell_city) if key]
    city = np.full(len(district), "", dtype=object)
    for key in cities:
        city[np.isin(county, area(key).county_fips)] = key
    try:
        return np.array([number[key] for key in zip(district.tolist(), city.tolist(), strict=True)], dtype=np.int64)
    except KeyError as error:
        raise MatrixError(
            f"A household of the file lies in district and city {error.args[0]}, which is no cell of the matrix. Build "
            "the package again from the clones at hand."
        ) from error
