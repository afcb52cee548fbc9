"""Health of an area's weights, and the table with one row an area that the gate, report and manifest read.

Holds arithmetic on weight vectors; reads no files. Formulas, over the records with a weight above zero (Kish 1965,
"Survey Sampling", section 11.7):

    effective sample size  ess  = (sum w)**2 / sum w**2
    design effect          deff = n_nonzero / ess
    top-1 % share               = sum of the largest ceil(n_nonzero / 100) weights / sum w
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.diagnostics.targets import finite_errors, within
from tessera.errors import AreaError
from tessera.geography.areas import areas

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class WeightsHealth:
    """Weights of one set of records.

    Attributes:
        n_records: records, with or without weight.
        n_nonzero: records with a weight above zero.
        weight_sum: households that the weights stand for.
        ess: effective sample size, in records.
        design_effect: n_nonzero / ess, 1 for equal weights.
        top_1_share: share of the weight that the heaviest 1 % of the weighted records carry.
        max_weight: the largest weight.
        max_ratio: the largest ratio to a design weight; NaN where no design weights were given.
    """

    n_records: int
    n_nonzero: int
    weight_sum: float
    ess: float
    design_effect: float
    top_1_share: float
    max_weight: float
    max_ratio: float


@dataclass(frozen=True)
class AreaMetric:
    """One row of the table of areas.

    Attributes:
        key, kind: of the catalogue (`CA-12`, `district`).
        records, persons: household and person rows of the file.
        weight_sum: households that the file stands for.
        ess, max_weight: effective sample size and largest weight.
        bytes, sha256: of the file.
        n_targets: fitted targets of the area; 0 for a city.
        share_within_10, mean_abs_rel_error: of those targets; NaN where there are none.
    """

    key: str
    kind: str
    records: int
    persons: int
    weight_sum: float
    ess: float
    max_weight: float
    bytes: int
    sha256: str
    n_targets: int = 0
    share_within_10: float = float("nan")
    mean_abs_rel_error: float = float("nan")


AREA_METRIC_COLUMNS = tuple(field.name for field in fields(AreaMetric))


def weights_health(weights: FloatArray, design_weights: FloatArray | None = None, *, where: str = "") -> WeightsHealth:
    """Health of a vector of weights.

    Args:
        weights: shape (n_records,), in households; finite and not negative.
        design_weights: shape (n_records,), what the fit started from; optional.
        where: area or asset that error messages name.

    Raises:
        AreaError: a weight is negative or not finite, or the shapes differ.
    """
    values = _checked(weights, where)
    nonzero = values[values > 0]
    total, squares = float(nonzero.sum()), float(np.square(nonzero).sum())
    ess = total**2 / squares if squares > 0 else 0.0
    n_top = -(-nonzero.size // 100)
    top = float(np.partition(nonzero, nonzero.size - n_top)[-n_top:].sum()) if nonzero.size else 0.0
    return WeightsHealth(
        n_records=int(values.size),
        n_nonzero=int(nonzero.size),
        weight_sum=total,
        ess=ess,
        design_effect=nonzero.size / ess if ess else float("nan"),
        top_1_share=top / total if total else float("nan"),
        max_weight=float(values.max(initial=0.0)),
        max_ratio=_max_ratio(values, design_weights, where),
    )


def area_metrics(rows: Iterable[AreaMetric], target_table: pd.DataFrame | None = None) -> pd.DataFrame:
    """The table of areas, in catalogue order, columns `AREA_METRIC_COLUMNS`.

    Args:
        rows: one an area, in any order.
        target_table: the fit's target table; where given, it fills the three columns about targets. Targets of the
            district of Columbia's delegate (`DC-01`) count for the area `DC`, whose file they describe.

    Raises:
        AreaError: an area comes twice or is not in the catalogue.
    """
    frame = pd.DataFrame([asdict(row) for row in rows], columns=list(AREA_METRIC_COLUMNS))
    repeated = frame["key"][frame["key"].duplicated()]
    if len(repeated):
        raise AreaError(f"Area metrics: {repeated.iloc[0]!r} comes more than once; wanted one row an area.")
    order = {area.key: position for position, area in enumerate(areas())}
    unknown = [key for key in frame["key"] if key not in order]
    if unknown:
        raise AreaError(f"Area metrics: {unknown[0]!r} is not in the catalogue; keys look like US, CA, CA-12, NYC.")
    frame = frame.sort_values("key", key=lambda column: column.map(order), ignore_index=True)
    return frame if target_table is None else _with_targets(frame, target_table)


def _with_targets(frame: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    per_target = pd.DataFrame(
        {
            "key": table["geo_id"].astype(str).replace("DC-01", "DC"),
            "met": within(table, 0.10),
            "error": finite_errors(table),
        }
    )
    grouped = per_target.groupby("key").agg(
        n_targets=("met", "size"), share_within_10=("met", "mean"), mean_abs_rel_error=("error", "mean")
    )
    filled = grouped.reindex(frame["key"])
    result = frame.copy()
    result["n_targets"] = filled["n_targets"].fillna(0).to_numpy(dtype=np.int64)
    for column in ("share_within_10", "mean_abs_rel_error"):
        result[column] = filled[column].to_numpy(dtype=np.float64)
    return result


def _checked(weights: FloatArray, where: str) -> npt.NDArray[np.float64]:
    values = np.asarray(weights, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values) | (values < 0))
    if values.ndim != 1 or bad.size:
        seen = f"shape {values.shape}" if values.ndim != 1 else f"{values[bad[0]]} in row {bad[0]}, {bad.size} in all"
        raise AreaError(f"Weights{' of ' + where if where else ''}: {seen}; wanted a vector, finite and not negative.")
    return values


def _max_ratio(values: npt.NDArray[np.float64], design: FloatArray | None, where: str) -> float:
    if design is None:
        return float("nan")
    start = np.asarray(design, dtype=np.float64)
    if start.shape != values.shape:
        raise AreaError(
            f"Design weights{' of ' + where if where else ''}: shape {start.shape}; wanted that of the weights, "
            f"{values.shape}."
        )
    used = start > 0
    if np.any(values[~used] > 0):
        return float("inf")
    return float((values[used] / start[used]).max(initial=0.0))
