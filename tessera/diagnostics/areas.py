"""Measures of all area files of a run: the table of areas, the checks of every file, the invariant on a sample of them.

Joins what `weights`, `sanity` and `invariant` each know of one area. Which areas are verified with the engine is fixed,
so that runs can be compared: three states, five districts and a city, among them places whose county matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.areas.build import AreaFile
from tessera.calibration.log import target_table
from tessera.config import MODEL_YEAR
from tessera.diagnostics.invariant import verify_areas
from tessera.diagnostics.sanity import Expectations, SanityResult, check_area_file
from tessera.diagnostics.weights import AreaMetric, area_metrics
from tessera.geography.areas import area
from tessera.geography.clones import Clones
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.parallel import fork_map
from tessera.rules.engine import PolicyEngine

VERIFIED = ("DC", "NM", "WY", "AK-01", "CA-34", "FL-13", "NM-02", "NY-12", "CHICAGO")
_CHECK_COLUMNS = [field.name for field in fields(SanityResult)]


@dataclass(frozen=True)
class AreaMeasures:
    """What is known of the area files of a run.

    Attributes:
        areas: one row an area (`weights.AREA_METRIC_COLUMNS`).
        checks: one row a check of a file: area, check, passed, seen, wanted. A table, because stored as objects the
            seven thousand results would be as many leaves of a tree and take ten seconds to read.
        verified: one row a verified area and metric: area, metric, matrix, engine, relative_difference.
        synthetic: true where any file is.
    """

    areas: pd.DataFrame
    checks: pd.DataFrame
    verified: pd.DataFrame
    synthetic: bool

    @property
    def sanity(self) -> tuple[SanityResult, ...]:
        """Results of every check of every file."""
        return tuple(SanityResult(*row) for row in self.checks[_CHECK_COLUMNS].itertuples(index=False, name=None))

    @property
    def content(self) -> list[str]:
        """sha256 of every area file, in catalogue order: what tells this run's files from another's."""
        return [str(digest) for digest in self.areas["sha256"]]

    @property
    def max_relative_difference(self) -> float:
        """Largest relative difference between matrix and engine over all verified areas and metrics."""
        # Not pandas' max: it would skip a NaN, and a comparison that gave NaN must not pass the gate.
        return float(np.max(self.verified["relative_difference"].to_numpy(), initial=0.0))


def measure_areas(
    files: Sequence[AreaFile],
    matrix: CalibrationMatrix,
    clones: Clones,
    local_weights: npt.NDArray[np.float64],
    national_weights: npt.NDArray[np.float64],
    folder: Path,
    engine: PolicyEngine,
    *,
    synthetic: bool,
    workers: int = 1,
    verified: Sequence[str] = VERIFIED,
) -> AreaMeasures:
    """Measure, check and verify the files of a run.

    Args:
        files: summaries of all area files.
        matrix, clones: that the weights were fitted on.
        local_weights: behind states, districts and cities, shape (n_records,).
        national_weights: behind the national file, shape (n_records,).
        folder: of the area files.
        engine: loads the verified files.
        synthetic: whether any source of the run is synthetic, which every file must then say.
        workers: processes for the engine.
        verified: keys of the areas that the engine is run on.
    """
    table = shipped_targets(matrix, local_weights, national_weights)
    checked = fork_map(lambda file: _check(file, folder, synthetic), files, workers)
    compared = verify_areas(
        [area(key) for key in verified], matrix, clones, local_weights, folder, engine, workers=workers
    )
    return AreaMeasures(
        areas=area_metrics([_row(file) for file in files], table),
        checks=pd.DataFrame([astuple(result) for results in checked for result in results], columns=_CHECK_COLUMNS),
        verified=pd.concat([one.metrics.assign(area=one.area) for one in compared], ignore_index=True),
        synthetic=synthetic or any(file.synthetic for file in files),
    )


def shipped_targets(
    matrix: CalibrationMatrix, local_weights: npt.NDArray[np.float64], national_weights: npt.NDArray[np.float64]
) -> pd.DataFrame:
    """Every supported target on the weights that ship for its area: national ones for the nation, else local ones.

    Args:
        matrix: of n_targets targets.
        local_weights, national_weights: shape (n_records,), households.

    Returns:
        As `tessera.calibration.log.target_table`, in the matrix's order.
    """
    local, national = (target_table(matrix, weights) for weights in (local_weights, national_weights))
    return local.where(local["geo_level"] != "national", national)


def _check(file: AreaFile, folder: Path, synthetic: bool) -> list[SanityResult]:
    expected = Expectations(year=MODEL_YEAR, weight_sum=file.weight_sum, synthetic=synthetic)
    return check_area_file(folder / file.relative_path, area(file.key), expected)


def _row(file: AreaFile) -> AreaMetric:
    return AreaMetric(
        key=file.key,
        kind=file.kind,
        records=file.records,
        persons=file.persons,
        weight_sum=file.weight_sum,
        ess=file.effective_records,
        max_weight=file.max_weight,
        bytes=file.bytes,
        sha256=file.sha256,
    )
