"""Target errors of a fit, summarised: how many targets are met within 1, 5 and 10 %, where, and which are worst.

Holds arithmetic on the target table and its files (CSV and DuckDB); holds no fit, no plots and no HTML.

The target table has one row a fitted target (`TARGET_COLUMNS`): `target` and `estimate` in dollars or counts,
`error = estimate - target`, `rel_error = error / |target|`, `abs_rel_error = |rel_error|`. A target is met within p
when `abs_rel_error <= p`; a target of zero is met only by an estimate of zero and enters no mean error, whatever its
row says; an estimate that is not finite is never met.
Targets that no record supports left the fit: they are listed apart, with the reason, and enter no share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.duckdb_file import new_duckdb
from tessera.errors import TargetError
from tessera.store import atomic_path

TARGET_COLUMNS = (
    "name", "variable", "geo_level", "geo_id", "target", "estimate", "error", "rel_error", "abs_rel_error", "source",
)  # fmt: skip
UNACHIEVABLE_COLUMNS = ("name", "variable", "geo_level", "geo_id", "target", "source", "reason")
LEVELS = ("national", "state", "district", "city")
TOLERANCES = (0.01, 0.05, 0.10)

_WORST = 25


@dataclass(frozen=True)
class TargetSummary:
    """Summary of the errors of a fit's targets.

    Attributes:
        n_targets: targets that were fitted.
        n_not_finite: of those, how many have an estimate or target that is not finite.
        share_within_1, share_within_5, share_within_10: shares met, 0 to 1; NaN when there is no target.
        mean_abs_rel_error, median_abs_rel_error: over targets other than zero, with finite numbers.
        by_level, by_variable, by_source: one row a group: the group, n_targets, the three shares, mean, median and
            largest absolute relative error.
        worst: the 25 targets furthest off, worst first, with the table's columns.
        heat_map: one row a (variable, geo_level): n_targets, mean_abs_rel_error, share_within_10.
        unachievable: one row a target that left the fit, with `reason` (`UNACHIEVABLE_COLUMNS`).
    """

    n_targets: int
    n_not_finite: int
    share_within_1: float
    share_within_5: float
    share_within_10: float
    mean_abs_rel_error: float
    median_abs_rel_error: float
    by_level: pd.DataFrame
    by_variable: pd.DataFrame
    by_source: pd.DataFrame
    worst: pd.DataFrame
    heat_map: pd.DataFrame
    unachievable: pd.DataFrame


def summarise_targets(table: pd.DataFrame, unachievable: pd.DataFrame | None = None) -> TargetSummary:
    """Summarise the target table of a fit.

    Args:
        table: one row a fitted target, columns `TARGET_COLUMNS` (more are allowed).
        unachievable: one row a target that left the fit, columns `UNACHIEVABLE_COLUMNS`; none if absent.

    Raises:
        TargetError: a column is missing, a level is unknown, or a target is both fitted and unachievable.
    """
    checked = _checked(table)
    apart = _checked_unachievable(unachievable, checked)
    overall = _statistics(checked)
    return TargetSummary(
        n_targets=len(checked),
        n_not_finite=int((~finite_rows(checked)).sum()),
        share_within_1=overall["share_within_1"],
        share_within_5=overall["share_within_5"],
        share_within_10=overall["share_within_10"],
        mean_abs_rel_error=overall["mean_abs_rel_error"],
        median_abs_rel_error=overall["median_abs_rel_error"],
        by_level=_in_level_order(_grouped(checked, ["geo_level"])),
        by_variable=_grouped(checked, ["variable"]).sort_values("share_within_10", kind="stable", ignore_index=True),
        by_source=_grouped(checked, ["source"]),
        worst=worst_targets(checked),
        heat_map=_grouped(checked, ["variable", "geo_level"])[
            ["variable", "geo_level", "n_targets", "mean_abs_rel_error", "share_within_10"]
        ],
        unachievable=apart,
    )


def within(table: pd.DataFrame, tolerance: float) -> npt.NDArray[np.bool_]:
    """Whether each target is met within a relative tolerance, shape (n_targets,)."""
    error = table["abs_rel_error"].to_numpy(dtype=np.float64)
    exact = table["estimate"].to_numpy(np.float64) == 0
    near = np.nan_to_num(error, nan=np.inf) <= tolerance
    met: npt.NDArray[np.bool_] = finite_rows(table) & np.where(table["target"].to_numpy(np.float64) == 0, exact, near)
    return met


def finite_errors(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Absolute relative errors, NaN where the target is zero or a number is not finite, shape (n_targets,)."""
    error = table["abs_rel_error"].to_numpy(dtype=np.float64)
    relative = finite_rows(table) & (table["target"].to_numpy(np.float64) != 0) & np.isfinite(error)
    errors: npt.NDArray[np.float64] = np.where(relative, error, np.nan)
    return errors


def finite_rows(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each target has a finite target and a finite estimate, shape (n_targets,)."""
    columns = table[["target", "estimate"]].to_numpy(dtype=np.float64)
    finite: npt.NDArray[np.bool_] = np.isfinite(columns).all(axis=1)
    return finite


def worst_targets(table: pd.DataFrame, n: int = _WORST) -> pd.DataFrame:
    """The `n` targets furthest off, worst first; estimates that are not finite come before all others."""
    rank = np.where(finite_rows(table), table["abs_rel_error"].to_numpy(dtype=np.float64), np.inf)
    rank = np.nan_to_num(rank, nan=-1.0, posinf=np.inf)
    order = np.lexsort((table["name"].to_numpy(dtype=str), -rank))[:n]
    return table.iloc[order][list(TARGET_COLUMNS)].reset_index(drop=True)


def sum_of_areas(table: pd.DataFrame) -> pd.DataFrame:
    """Sums of the state and district rows of a quantity beside its national row.

    A quantity is a variable with its constraints (column `constraints`; the variable alone where the table has none).
    A level is summed only when it is complete: 51 states, or 436 districts, each once.

    Returns:
        One row a (quantity, level): `quantity`, `geo_level`, `n_areas`, `target`, `estimate`, `national_target`,
        `national_estimate`, `estimate_ratio` (sum of the estimates over the national estimate), `target_ratio`.
    """
    complete = {"state": 51, "district": 436}
    keys = ["variable", "constraints"] if "constraints" in table else ["variable"]
    rows = []
    for quantity, group in table.groupby(keys, sort=True):
        national = group[group["geo_level"] == "national"]
        if len(national) != 1:
            continue
        for level, wanted in complete.items():
            part = group[group["geo_level"] == level]
            if len(part) == wanted and part["geo_id"].is_unique:
                rows.append(_sum_row(quantity, level, part, national.iloc[0]))
    columns = [
        "quantity", "geo_level", "n_areas", "target", "estimate", "national_target", "national_estimate",
        "estimate_ratio", "target_ratio",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def write_target_diagnostics(
    table: pd.DataFrame, folder: Path, unachievable: pd.DataFrame | None = None
) -> tuple[Path, ...]:
    """Write every target and its summaries as CSV files and as one DuckDB database; returns the paths written.

    Files: `targets.csv`, `by_level.csv`, `by_variable.csv`, `by_source.csv`, `worst.csv`, `heat_map.csv`,
    `sum_of_areas.csv`, `unachievable.csv`, and `target_diagnostics.duckdb` with a table of each name. Each is atomic.
    """
    summary = summarise_targets(table, unachievable)
    tables = {
        "targets": table,
        "by_level": summary.by_level,
        "by_variable": summary.by_variable,
        "by_source": summary.by_source,
        "worst": summary.worst,
        "heat_map": summary.heat_map,
        "sum_of_areas": sum_of_areas(table),
        "unachievable": summary.unachievable,
    }
    written = []
    for name, content in tables.items():
        path = folder / f"{name}.csv"
        with atomic_path(path) as temporary:
            content.to_csv(temporary, index=False)
        written.append(path)
    database = folder / "target_diagnostics.duckdb"
    if not _holds(database, tables):
        with atomic_path(database) as temporary:
            _write_duckdb(tables, temporary)
    return (*written, database)


def _holds(path: Path, tables: Mapping[str, pd.DataFrame]) -> bool:
    """Whether a database is there with exactly these tables.

    It is then left alone: DuckDB gives every file it creates an identifier of its own, so that a release whose
    diagnostics are written again would differ from itself.
    """
    import duckdb

    if not path.is_file():
        return False
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            known = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
            return known == set(tables) and all(_same(connection, name, table) for name, table in tables.items())
    except duckdb.Error:
        return False


def _same(connection: Any, name: str, table: pd.DataFrame) -> bool:
    connection.register("incoming", table)
    stored = connection.execute(f'SELECT * FROM "{name}"').df()
    wanted = connection.execute("SELECT * FROM incoming").df()
    connection.unregister("incoming")
    return bool(stored.equals(wanted))


def _write_duckdb(tables: Mapping[str, pd.DataFrame], path: Path) -> None:
    with new_duckdb(path) as connection:
        for name, content in tables.items():
            connection.register("incoming", content)
            connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM incoming')
            connection.unregister("incoming")


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    missing = [column for column in TARGET_COLUMNS if column not in table]
    if missing:
        raise TargetError(
            f"Target table: column(s) {', '.join(missing)} are missing; seen {', '.join(map(str, table.columns))}; "
            f"wanted {', '.join(TARGET_COLUMNS)}. Pass the fit's target table."
        )
    unknown = sorted(set(table["geo_level"].astype(str)) - set(LEVELS))
    if unknown:
        raise TargetError(f"Target table: geo_level {unknown[0]!r} is unknown; wanted one of {', '.join(LEVELS)}.")
    return table


def _checked_unachievable(unachievable: pd.DataFrame | None, table: pd.DataFrame) -> pd.DataFrame:
    if unachievable is None:
        return pd.DataFrame(columns=list(UNACHIEVABLE_COLUMNS))
    missing = [column for column in UNACHIEVABLE_COLUMNS if column not in unachievable]
    if missing:
        raise TargetError(
            f"Unachievable targets: column(s) {', '.join(missing)} are missing; wanted "
            f"{', '.join(UNACHIEVABLE_COLUMNS)}. Make the table with unachievable_targets()."
        )
    both = sorted(set(unachievable["name"]) & set(table["name"]))
    if both:
        raise TargetError(
            f"Unachievable targets: {both[0]!r} (and {len(both) - 1} more) is also in the fit's table; a target is "
            "either fitted or unachievable. Drop it from one of the two."
        )
    return unachievable[list(UNACHIEVABLE_COLUMNS)].reset_index(drop=True)


def _statistics(table: pd.DataFrame) -> dict[str, float]:
    error = finite_errors(table)
    error = error[np.isfinite(error)]
    shares = {
        f"share_within_{round(100 * tolerance)}": float(within(table, tolerance).mean()) if len(table) else float("nan")
        for tolerance in TOLERANCES
    }
    return shares | {
        "mean_abs_rel_error": float(error.mean()) if error.size else float("nan"),
        "median_abs_rel_error": float(np.median(error)) if error.size else float("nan"),
        "max_abs_rel_error": float(error.max()) if error.size else float("nan"),
    }


def _grouped(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    statistics = ["share_within_1", "share_within_5", "share_within_10"]
    errors = ["mean_abs_rel_error", "median_abs_rel_error", "max_abs_rel_error"]
    rows = []
    for key, group in table.groupby(keys, sort=True, observed=True):
        rows.append(dict(zip(keys, key, strict=True)) | {"n_targets": len(group)} | _statistics(group))
    return pd.DataFrame(rows, columns=[*keys, "n_targets", *statistics, *errors])


def _in_level_order(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values("geo_level", key=lambda column: column.map(LEVELS.index), ignore_index=True)


def _sum_row(quantity: object, level: str, part: pd.DataFrame, national: pd.Series) -> dict[str, object]:
    names = [str(piece) for piece in quantity] if isinstance(quantity, tuple) else [str(quantity)]
    label = names[0] if len(names) == 1 or names[1] in ("", "[]") else f"{names[0]} {names[1]}"
    target, estimate = float(part["target"].sum()), float(part["estimate"].sum())
    national_target, national_estimate = float(national["target"]), float(national["estimate"])
    return {
        "quantity": label,
        "geo_level": level,
        "n_areas": len(part),
        "target": target,
        "estimate": estimate,
        "national_target": national_target,
        "national_estimate": national_estimate,
        "estimate_ratio": estimate / national_estimate if national_estimate else float("nan"),
        "target_ratio": target / national_target if national_target else float("nan"),
    }
