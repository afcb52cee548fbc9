"""Which targets a fit uses: include and exclude rules in YAML, applied to the target database in SQL (read-only).

A rule is a mapping with any of `variable`, `geo_level`, `domain` (the domain's variables in alphabetical order, joined
by commas; "" for everybody), `source`, and `constraint` (one [variable, operation, value] that the stratum must have).
`include` rules select (all, without any), `exclude` rules then remove. A rule that matches nothing is an error, and so
are two sources for one concept at one place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from tessera.errors import TargetError

if TYPE_CHECKING:
    import duckdb

TRAINING = "training.yaml"
COLUMNS = ("target_id", "name", "variable", "geo_level", "geo_id", "constraints", "value", "period", "source", "unit",
           "stratum_id", "reform")  # fmt: skip
_KEYS = ("variable", "geo_level", "domain", "source")


@dataclass(frozen=True)
class Rule:
    """A condition on targets: the columns that must be equal, and a constraint that the stratum must have."""

    equal: tuple[tuple[str, str], ...]
    constraint: tuple[str, str, float] | None

    @property
    def text(self) -> str:
        """The rule in words."""
        parts = [f"{column}={value!r}" for column, value in self.equal]
        return ", ".join(parts + ([f"constraint={self.constraint}"] if self.constraint else []))

    def where(self) -> tuple[str, list[object]]:
        """SQL condition on `target_overview` and its parameters."""
        parts = [f"{column} = ?" for column, _ in self.equal]
        parameters: list[object] = [value for _, value in self.equal]
        if self.constraint:
            parts.append(
                "stratum_id in (select stratum_id from stratum_constraints "
                "where constraint_variable = ? and operation = ? and value = ?)"
            )
            parameters.extend(self.constraint)
        return " and ".join(parts), parameters


@dataclass(frozen=True)
class Selection:
    """A target configuration: rules that include (none: everything) and rules that then exclude."""

    include: tuple[Rule, ...]
    exclude: tuple[Rule, ...]


def read_selection(config: Path | None = None) -> Selection:
    """A target configuration from a YAML file; the packaged training set by default.

    Raises:
        TargetError: no such file, no YAML mapping, an unknown key.
    """
    label = str(config) if config is not None else TRAINING
    if config is not None and not config.is_file():
        raise TargetError(f"{config}: no such target configuration; leave it out for the packaged training set.")
    packaged = resources.files("tessera.targets").joinpath(TRAINING)
    text = packaged.read_text(encoding="utf-8") if config is None else config.read_text(encoding="utf-8")
    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise TargetError(f"{label}: not readable as YAML ({error}).") from error
    if not isinstance(content, dict) or set(content) - {"include", "exclude"}:
        raise TargetError(f"{label}: wanted a mapping with include and exclude alone; it reads {str(content)[:60]!r}.")
    return Selection(
        tuple(_rule(entry, label) for entry in content.get("include") or []),
        tuple(_rule(entry, label) for entry in content.get("exclude") or []),
    )


def read_targets(database: Path, config: Path | None = None) -> pd.DataFrame:
    """The targets that a configuration selects.

    Args:
        database: written by `build_database`; opened read-only.
        config: a YAML file; the packaged training set by default.

    Returns:
        Columns of `COLUMNS`, in order of target_id.

    Raises:
        TargetError: no such database, a rule that matches nothing, nothing left, two sources for one concept.
    """
    selection = read_selection(config)
    with _open(database) as connection:
        included = [_matching(connection, rule, database) for rule in selection.include]
        excluded = [_matching(connection, rule, database) for rule in selection.exclude]
        targets = connection.execute(f"select {', '.join(COLUMNS)} from target_overview order by target_id").df()
    chosen = set().union(*included) if included else set(targets["target_id"])
    chosen -= set().union(*excluded)
    targets = targets[targets["target_id"].isin(chosen)].reset_index(drop=True)
    if targets.empty:
        raise TargetError(f"{config or TRAINING} leaves no target of {database}; its exclude rules remove all of them.")
    _check_one_source(targets, config)
    return targets


def read_all_targets(database: Path) -> pd.DataFrame:
    """Every target of a database (columns of `COLUMNS`), with the sources that contradict each other among them."""
    with _open(database) as connection:
        return connection.execute(f"select {', '.join(COLUMNS)} from target_overview order by target_id").df()


def _rule(entry: Any, label: str) -> Rule:
    if not isinstance(entry, dict) or not entry or set(entry) - {*_KEYS, "constraint"}:
        raise TargetError(f"{label}: rule {entry!r}; wanted a mapping with any of {', '.join(_KEYS)}, constraint.")
    constraint = entry.get("constraint")
    if constraint is not None and not (isinstance(constraint, list) and len(constraint) == 3):
        raise TargetError(f"{label}: rule {entry!r}; constraint is written [variable, operation, value].")
    equal = tuple((key, str(entry[key])) for key in _KEYS if key in entry)
    triple = (str(constraint[0]), str(constraint[1]), float(constraint[2])) if constraint else None
    return Rule(equal, triple)


def _matching(connection: duckdb.DuckDBPyConnection, rule: Rule, database: Path) -> set[int]:
    condition, parameters = rule.where()
    found = connection.execute(f"select target_id from target_overview where {condition}", parameters).fetchall()
    if found:
        return {int(row[0]) for row in found}
    column, value = rule.equal[0] if rule.equal else ("variable", "")
    known = connection.execute(f"select distinct {column} from target_overview order by 1").fetchall()
    raise TargetError(
        f"The rule {rule.text} matches no target of {database}. {column} {value!r} among "
        f"{', '.join(repr(row[0]) for row in known[:12])} ...: correct the rule, or remove it."
    )


def _check_one_source(targets: pd.DataFrame, config: Path | None) -> None:
    concept = ["variable", "geo_id", "constraints", "reform", "period"]
    twice = targets[targets.duplicated(concept, keep=False)]
    if len(twice):
        names = twice.sort_values(concept)["name"].head(2).tolist()
        raise TargetError(
            f"{config or TRAINING} selects two sources for one concept: {names[0]} and {names[1]} ({len(twice)} such). "
            "Name the source in the include rule, or exclude one."
        )


@contextmanager
def _open(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    if not database.is_file():
        raise TargetError(
            f"{database}: no such target database; build it with tessera.targets.database.build_database."
        )
    try:
        connection = duckdb.connect(str(database), read_only=True)
    except duckdb.Error as error:
        raise TargetError(f"{database}: not a readable target database ({error}); build it again.") from error
    try:
        yield connection
    finally:
        connection.close()
