"""Which targets a fit uses: include and exclude rules in YAML, applied to the target database in SQL (read-only).

A rule is a mapping with any of `variable`, `geo_level`, `geo_id`, `domain` (the domain's variables in alphabetical
order, joined by commas; "" for everybody), `source`, and `constraint` (one [variable, operation, value] that the
stratum must have). A list of values stands for a rule each. `include` rules select (all, without any), `exclude` rules
then remove. A rule that matches nothing is an error, and so are two sources for one concept at one place.

`extends` names a configuration whose rules come first. `purpose: compare` is for reading and not for fitting: several
sources of one concept may stand beside each other, and targets that the database has set aside as contradictory stay.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from tessera.errors import TargetError
from tessera.targets.reading import open_database, table_names

if TYPE_CHECKING:
    import duckdb

_LOG = logging.getLogger(__name__)
TRAINING = "training.yaml"
TRAINING_SET = Path("training")
# Configurations in the package, by the name that may be given in place of a file.
PACKAGED = ("training", "production", "validation")
VALIDATION_SET = Path("validation")
PURPOSES = ("fit", "compare")
COLUMNS = ("target_id", "name", "variable", "geo_level", "geo_id", "constraints", "value", "period", "source", "unit",
           "stratum_id", "reform", "definition_hash")  # fmt: skip
EXCLUDED = "excluded"
_KEYS = ("variable", "geo_level", "geo_id", "domain", "source")
_TOP = ("include", "exclude", "extends", "purpose")


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
    """A target configuration.

    Attributes:
        include: rules that select; without any, everything is selected.
        exclude: rules that then remove.
        purpose: `fit`, or `compare` for a set that is read and not fitted.
    """

    include: tuple[Rule, ...]
    exclude: tuple[Rule, ...]
    purpose: str = "fit"


def read_selection(config: Path | None = None, *, comparing: bool = False) -> Selection:
    """A target configuration.

    Args:
        config: a YAML file, or the name of a packaged one (`training`, `production`, `validation`); the packaged
            training set by default.
        comparing: take a configuration whose purpose is to compare as well.

    Raises:
        TargetError: no such file, no YAML mapping, an unknown key or purpose, configurations that extend each other, a
            set to compare where one to fit is wanted.
    """
    selection = _read(config, ())
    if selection.purpose != PURPOSES[0] and not comparing:
        raise TargetError(
            f"{config}: its purpose is to {selection.purpose}, and its targets may contradict each other; wanted a "
            f"configuration to {PURPOSES[0]}, such as {PACKAGED[0]} or {PACKAGED[1]}."
        )
    return selection


def read_targets(database: Path, config: Path | None = None) -> pd.DataFrame:
    """The targets that a configuration selects for a fit.

    Args:
        database: written by `build_database`; opened read-only.
        config: as in `read_selection`.

    Returns:
        Columns of `COLUMNS`, in order of target_id. Targets that the database has set aside are not among them.

    Raises:
        TargetError: no such database, a rule that matches nothing, nothing left, two sources for one concept.
    """
    targets = _apply(database, config, read_selection(config))
    aside = targets.pop("set_aside")
    if aside.any():
        _LOG.warning("%d selected targets contradict others and are not fitted (table %s)", aside.sum(), EXCLUDED)
        targets = targets[~aside].reset_index(drop=True)
    _check_one_source(targets, config)
    return targets


def read_comparison(database: Path, config: Path | None = None) -> pd.DataFrame:
    """The targets that a configuration selects, for looking at: contradictions among them are no error.

    Args:
        database: as in `read_targets`.
        config: as in `read_selection`; the packaged validation set by default.

    Returns:
        Columns of `COLUMNS`, then set_aside (the database lists it as too far from others of its concept), in order of
        target_id.
    """
    chosen = VALIDATION_SET if config is None else config
    return _apply(database, chosen, read_selection(chosen, comparing=True))


def _read(config: Path | None, above: tuple[str, ...]) -> Selection:
    label, text = _text(config)
    if label in above:
        raise TargetError(f"{label}: extends itself ({' -> '.join((*above, label))}); remove one extends.")
    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise TargetError(f"{label}: not readable as YAML ({error}).") from error
    if not isinstance(content, dict) or set(content) - set(_TOP):
        raise TargetError(f"{label}: wanted a mapping with {', '.join(_TOP)} alone; it reads {str(content)[:60]!r}.")
    purpose = content.get("purpose", PURPOSES[0])
    if purpose not in PURPOSES:
        raise TargetError(f"{label}: purpose is {purpose!r}; wanted one of {', '.join(PURPOSES)}.")
    base = Selection((), ())
    if content.get("extends"):
        base = _read(_beside(config, str(content["extends"])), (*above, label))
    return Selection(
        base.include + _rules(content, "include", label), base.exclude + _rules(content, "exclude", label), purpose
    )


def _text(config: Path | None) -> tuple[str, str]:
    """Label and content of a configuration: a file, or a packaged one by its name."""
    if config is not None and config.is_file():
        return str(config), config.read_text(encoding="utf-8")
    name = TRAINING.removesuffix(".yaml") if config is None else str(config)
    if name not in PACKAGED:
        raise TargetError(
            f"{config}: no such target configuration; name a YAML file or one of {', '.join(PACKAGED)}, or leave it "
            "out for the packaged training set."
        )
    file = resources.files("tessera.targets").joinpath(f"{name}.yaml")
    return f"{name}.yaml", file.read_text(encoding="utf-8")


def _beside(config: Path | None, named: str) -> Path:
    """The configuration that another one extends: a packaged name, or a file beside it."""
    return Path(named) if named in PACKAGED or config is None else config.parent / named


def _rules(content: dict[str, Any], kind: str, label: str) -> tuple[Rule, ...]:
    entries = content.get(kind) or []
    if not isinstance(entries, list):
        raise TargetError(f"{label}: {kind} is {str(entries)[:60]!r}; wanted a list of rules.")
    return tuple(rule for entry in entries for rule in _expanded(entry, label))


def _expanded(entry: Any, label: str) -> list[Rule]:
    """The rules that an entry stands for: one for every combination of its lists' values."""
    if not isinstance(entry, dict) or not entry or set(entry) - {*_KEYS, "constraint"}:
        raise TargetError(f"{label}: rule {entry!r}; wanted a mapping with any of {', '.join(_KEYS)}, constraint.")
    constraint = entry.get("constraint")
    triple: tuple[str, str, float] | None = None
    if constraint is not None:
        try:
            variable, operation, value = constraint
            triple = str(variable), str(operation), float(value)
        except (TypeError, ValueError) as error:
            raise TargetError(
                f"{label}: rule {entry!r}; constraint is written [variable, operation, number]."
            ) from error
    keys = [key for key in _KEYS if key in entry]
    values = [entry[key] if isinstance(entry[key], list) else [entry[key]] for key in keys]
    for key, listed in zip(keys, values, strict=True):
        if not listed or any(isinstance(one, dict | list) or one is None for one in listed):
            raise TargetError(f"{label}: rule {entry!r}; {key} is {entry[key]!r}, wanted a value or a list of values.")
    chosen = itertools.product(*([str(one) for one in listed] for listed in values))
    return [Rule(tuple(zip(keys, combination, strict=True)), triple) for combination in chosen]


def _make_overview(connection: duckdb.DuckDBPyConnection) -> None:
    """What rules look at, joined once, so that every rule reads one narrow table."""
    columns = ", ".join(("target_id", "stratum_id", *_KEYS))
    connection.execute(f"create temporary table overview as select {columns} from target_overview")


def _read_rows(connection: duckdb.DuckDBPyConnection, chosen: set[int]) -> pd.DataFrame:
    """The chosen targets with `COLUMNS`."""
    columns = ", ".join(f"target_overview.{column}" for column in COLUMNS if column != "definition_hash")
    connection.register("chosen", pd.DataFrame({"target_id": pd.Series(sorted(chosen), dtype="int64")}))
    return connection.execute(
        f"select {columns}, strata.definition_hash from target_overview join strata using (stratum_id) "
        "semi join chosen using (target_id) order by target_id"
    ).df()


def _apply(database: Path, config: Path | None, selection: Selection) -> pd.DataFrame:
    """Targets that rules select, with the column set_aside."""
    with open_database(database) as connection:
        _make_overview(connection)
        chosen = _chosen(connection, selection, database)
        aside = _set_aside(connection)
        targets = _read_rows(connection, chosen)
    if targets.empty:
        raise TargetError(f"{config or TRAINING} leaves no target of {database}; its exclude rules remove all of them.")
    return targets.assign(set_aside=targets["target_id"].isin(aside))


def _chosen(connection: duckdb.DuckDBPyConnection, selection: Selection, database: Path) -> set[int]:
    included = [_matching(connection, rule, database) for rule in selection.include]
    excluded = [_matching(connection, rule, database) for rule in selection.exclude]
    if not included:
        included = [{int(row[0]) for row in connection.execute("select target_id from overview").fetchall()}]
    return set().union(*included) - set().union(*excluded)


def _matching(connection: duckdb.DuckDBPyConnection, rule: Rule, database: Path) -> set[int]:
    condition, parameters = rule.where()
    found = connection.execute(f"select target_id from overview where {condition or 'true'}", parameters).fetchall()
    if found:
        return {int(row[0]) for row in found}
    raise TargetError(f"The rule {rule.text} matches no target of {database}. {_advice(connection, rule)}")


def _advice(connection: duckdb.DuckDBPyConnection, rule: Rule) -> str:
    """Which condition of a rule without a match is at fault, and what the database has in its place.

    Conditions are taken in turn, as long as targets are left; the first that leaves none is named.
    """
    kept: tuple[tuple[str, str], ...] = ()
    for column, value in rule.equal:
        condition, parameters = Rule((*kept, (column, value)), None).where()
        if connection.execute(f"select 1 from overview where {condition} limit 1", parameters).fetchone() is None:
            before, given = Rule(kept, None).where()
            known = connection.execute(
                f"select distinct {column} from overview where {before or 'true'} order by 1", given
            ).fetchall()
            shown = ", ".join(repr(row[0]) for row in known[:12]) + (" ..." if len(known) > 12 else "")
            with_those = f" with {Rule(kept, None).text}" if kept else ""
            return f"{column} {value!r} is not among the targets{with_those}, which have {shown}: correct or remove it."
        kept = (*kept, (column, value))
    return f"No stratum of those targets has the constraint {rule.constraint}: correct or remove it."


def _set_aside(connection: duckdb.DuckDBPyConnection) -> set[int]:
    """Targets that the database lists as too far from others of their concept to be fitted with them."""
    if EXCLUDED not in table_names(connection):
        return set()
    return {int(row[0]) for row in connection.execute(f"select target_id from {EXCLUDED}").fetchall()}


def _check_one_source(targets: pd.DataFrame, config: Path | None) -> None:
    concept = ["variable", "geo_id", "constraints", "reform", "period"]
    twice = targets[targets.duplicated(concept, keep=False)]
    if len(twice):
        names = twice.sort_values(concept)["name"].head(2).tolist()
        raise TargetError(
            f"{config or TRAINING} selects two sources for one concept: {names[0]} and {names[1]} ({len(twice)} such). "
            "Name the source in the include rule, or exclude one."
        )
