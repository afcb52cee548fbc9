"""The target database: a DuckDB file of strata, constraints, targets and sources, built in one go from figures.

With them: the factors that brought figures to the model year, the report of what agrees with what, and the targets that
a critical contradiction sets aside. Everything is checked before a byte is written, and the file appears whole or not
at all. The schema is `schema.sql`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pandas as pd

from tessera.duckdb_file import new_duckdb
from tessera.store import atomic_path
from tessera.targets import consistency, uprating, validation
from tessera.targets import strata as stratification
from tessera.targets.catalogue import VariableCatalogue
from tessera.targets.figures import GEO_LEVELS, constraints_from_json

_LOG = logging.getLogger(__name__)
_SOURCE = ["source", "table", "vintage", "year", "url"]
_ORDER = ["geo_level", "geo_id", "source", "variable", "reform", "constraints"]
_TARGET_COLUMNS = ["target_id", "name", "stratum_id", "source_id", "variable", "reform", "period", "unit", "value",
                   "raw_value", "uprating", "reconciliation"]  # fmt: skip


@dataclass(frozen=True)
class DatabaseSummary:
    """What was written: numbers of targets, strata, sources, of targets by level and source, and of those set aside."""

    path: Path
    targets: int
    strata: int
    sources: int
    by_level: Mapping[str, int]
    by_source: Mapping[str, int]
    excluded: int = 0


def build_database(path: Path, figures: pd.DataFrame, *, variables: VariableCatalogue | None = None) -> DatabaseSummary:
    """Write a target database from figures.

    Args:
        path: the file; replaced if it is there.
        figures: columns of `figures.COLUMNS`, one row a target.
        variables: the variables that targets may use; the packaged list by default.

    Raises:
        TargetError: a row that is refused (see `validation`); the file is as it was.
        StorageError: the file cannot be written.
    """
    validation.check_figures(figures, variables or VariableCatalogue.packaged())
    # Sums of floats depend on their order: the same figures in another order have to give the same tables.
    figures = figures.sort_values(_ORDER, ignore_index=True)
    strata = stratification.build_strata(figures)
    validation.check_strata(strata)
    tables = _tables(figures, strata)
    with atomic_path(path) as temporary:
        _write(temporary, tables)
    targets = tables["targets"]
    _LOG.info("wrote %d targets in %d strata to %s", len(targets), len(strata), path)
    levels = figures["geo_level"].value_counts()
    return DatabaseSummary(
        path=path,
        targets=len(targets),
        strata=len(strata),
        sources=len(tables["sources"]),
        by_level={level: int(levels.get(level, 0)) for level in GEO_LEVELS},
        by_source={str(name): int(count) for name, count in figures["source"].value_counts().sort_index().items()},
        excluded=len(tables["excluded"]),
    )


def target_name(geo_id: str, variable: str, constraints: str, reform: str, source: str) -> str:
    """Unique readable name: `CA-12/person_count[age>=5,age<10]@census_acs_s0101`."""
    return _name(geo_id, variable, _domain_text(constraints), reform, source)


def _name(geo_id: str, variable: str, domain: str, reform: str, source: str) -> str:
    return f"{geo_id}/{f'{reform}:' if reform else ''}{variable}{domain}@{source}"


def _domain_text(constraints: str) -> str:
    """A domain in brackets; the lower bound first, as one reads a range."""
    rows = constraints_from_json(constraints)
    ordered = sorted(rows, key=lambda row: (row[0], not row[1].startswith((">", "=")), row[1]))
    domain = ",".join(f"{name}{operation}{value:.15g}" for name, operation, value in ordered)
    return f"[{domain}]" if domain else ""


def _tables(figures: pd.DataFrame, strata: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables of the schema by name, in an order that their references allow."""
    sources = _sources(figures)
    targets = _targets(figures, strata, sources)
    compared = consistency.compare(figures)
    position = targets.pop("_position")
    identity = pd.Series(targets["target_id"].to_numpy(), index=position)
    aside = consistency.set_aside(compared)
    return {
        "sources": sources,
        "strata": strata,
        "stratum_constraints": _constraints(strata),
        "targets": targets,
        "uprating_factors": uprating.applied_factors(figures),
        "consistency": consistency.summary(compared),
        "excluded": pd.DataFrame({"target_id": identity[aside.index].to_numpy(), "reason": aside.to_numpy()}),
    }


def _sources(figures: pd.DataFrame) -> pd.DataFrame:
    sources = figures[_SOURCE].drop_duplicates().sort_values(_SOURCE, ignore_index=True)
    return sources.assign(source_id=range(len(sources)))


def _targets(figures: pd.DataFrame, strata: pd.DataFrame, sources: pd.DataFrame) -> pd.DataFrame:
    """Rows of `targets`, and beside them `_position`, the row of the figures that each is."""
    keyed = figures.assign(_position=range(len(figures))).merge(
        strata[["stratum_id", "geo_level", "geo_id", "constraints"]], on=["geo_level", "geo_id", "constraints"]
    )
    keyed = keyed.merge(sources, on=_SOURCE)
    domains = {text: _domain_text(text) for text in keyed["constraints"].unique()}
    keyed["name"] = [
        _name(place, variable, domains[text], reform, source)
        for place, variable, text, reform, source in keyed[
            ["geo_id", "variable", "constraints", "reform", "source"]
        ].itertuples(index=False)
    ]
    levels = keyed["geo_level"].map({level: position for position, level in enumerate(GEO_LEVELS)})
    keyed = keyed.assign(_level=levels).sort_values(["_level", "stratum_id", "name"], ignore_index=True)
    return keyed.assign(target_id=range(len(keyed)))[[*_TARGET_COLUMNS, "_position"]]


def _constraints(strata: pd.DataFrame) -> pd.DataFrame:
    parsed = {text: constraints_from_json(text) for text in strata["constraints"].unique()}
    rows = [
        (stratum, *constraint)
        for stratum, level, place, text in strata[["stratum_id", "geo_level", "geo_id", "constraints"]].itertuples(
            index=False
        )
        for constraint in (*stratification.geographic_constraints(level, place), *parsed[text])
    ]
    return pd.DataFrame(rows, columns=["stratum_id", "constraint_variable", "operation", "value"])


def _write(path: Path, tables: dict[str, pd.DataFrame]) -> None:
    schema = resources.files("tessera.targets").joinpath("schema.sql").read_text(encoding="utf-8")
    with new_duckdb(path) as connection:
        connection.execute(schema)
        for name, table in tables.items():
            columns = ", ".join(f'"{column}"' for column in table.columns)
            connection.register("incoming", table)
            connection.execute(f"insert into {name} ({columns}) select {columns} from incoming")
            connection.unregister("incoming")
