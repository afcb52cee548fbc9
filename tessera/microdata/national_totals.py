"""National figures of the model year that a frame's weighted totals are held against, and which columns they are of.

Holds `data/national_totals.csv` as records: what is added up on the frame, and which official figure it should come
near. Figures are read from the packaged table of targets (`tessera.targets.snapshot`), brought to the model year
there; the few that it lacks stand in the file itself, with year and source. Measures nothing: that is `quality`.

How the file is written:

    columns    columns of one entity, joined by " + " or " - "; `column==VALUE` is 1 where a column has the value
    figures    figures of the package, joined by " + " or " - ", each `source:variable` or `source:variable@domain`;
               a domain is `filers` (who files a return), `itemizers` (filers of positive income who itemise, as SOI
               counts them) or constraints joined by "&", as `age>=19&medicaid_enrolled==1`
    measure    sum: sum of weight times value; count: weight of units with another value than 0; units: weight of all
               units; agi: sum of weight times the household's proxy of adjusted gross income (`stratify`)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

import pandas as pd

from tessera.errors import TargetError
from tessera.microdata.datafile import read_rows
from tessera.targets.figures import Constraint, constraints_to_json

Measure = Literal["sum", "count", "units", "agi"]
MEASURES: tuple[Measure, ...] = ("sum", "count", "units", "agi")
FILE = "national_totals.csv"
_FILERS: tuple[Constraint, ...] = (("tax_unit_is_filer", "==", 1.0),)
DOMAINS: dict[str, tuple[Constraint, ...]] = {
    "": (),
    "filers": _FILERS,
    "itemizers": (*_FILERS, ("tax_unit_itemizes", "==", 1.0), ("adjusted_gross_income", ">=", 1.0)),
}
_CONSTRAINT = re.compile(r"^(\w+)(==|!=|>=|<=|>|<)(-?[\d.]+)$")


@dataclass(frozen=True)
class Term:
    """A part of a sum: what is added (sign 1) or taken away (sign -1)."""

    sign: int
    name: str


@dataclass(frozen=True)
class NationalTotal:
    """An official figure and what it is of.

    Attributes:
        name: of the total, unique.
        meaning: who and what the official figure covers, in words.
        entity: entity whose units are added up.
        measure: how (see the module).
        columns: columns of the entity, with signs; empty for measures "units" and "agi".
        value: the official figure of the model year, in `unit`.
        unit: "dollar", "person", "household", "return" or "spm_unit".
        year: that the figure describes before it is brought to the model year.
        source: who published it, and in which table.
        url: where.
        packaged: whether it comes from the packaged table of targets.
    """

    name: str
    meaning: str
    entity: str
    measure: Measure
    columns: tuple[Term, ...]
    value: float
    unit: str
    year: int
    source: str
    url: str
    packaged: bool


@cache
def official_totals() -> tuple[NationalTotal, ...]:
    """All official totals, in the order of the file.

    Raises:
        TargetError: a line of the file that cannot be read, or that names no figure of the package, or several.
    """
    from tessera.targets.snapshot import load_snapshot

    return read_totals(list(read_rows(FILE.removesuffix(".csv"))), load_snapshot())


def read_totals(rows: list[dict[str, str]], figures: pd.DataFrame) -> tuple[NationalTotal, ...]:
    """Totals of the file's rows, with figures of a table of official figures (columns of `figures.COLUMNS`).

    Raises:
        TargetError: as `official_totals`.
    """
    national = figures[(figures["geo_level"] == "national") & (figures["reform"] == "")]
    totals = tuple(_total(row, national) for row in rows)
    seen: set[str] = set()
    for total in totals:
        if total.name in seen:
            raise TargetError(f"{FILE}: the name {total.name!r} occurs twice; wanted one line a total.")
        seen.add(total.name)
    return totals


def _total(row: dict[str, str], national: pd.DataFrame) -> NationalTotal:
    name, measure = row["name"], row["measure"]
    if measure not in MEASURES:
        raise TargetError(f"{FILE}, {name}: measure is {measure!r}; wanted one of {', '.join(MEASURES)}.")
    columns = terms(row["columns"])
    if (measure in ("sum", "count")) != bool(columns):
        raise TargetError(
            f"{FILE}, {name}: {len(columns)} columns for the measure {measure}; wanted some for sum, count."
        )
    if bool(row["figures"]) == bool(row["value"]):
        raise TargetError(
            f"{FILE}, {name}: wanted either figures of the package or a value of its own, not both or none."
        )
    published = _packaged(name, terms(row["figures"]), national) if row["figures"] else _own(row)
    return NationalTotal(
        name=name,
        meaning=row["meaning"],
        entity=row["entity"],
        measure=measure,
        columns=columns,
        value=cast(float, published["value"]),
        unit=cast(str, published["unit"]),
        year=cast(int, published["year"]),
        source=cast(str, published["source"]),
        url=cast(str, published["url"]),
        packaged=bool(row["figures"]),
    )


def terms(text: str) -> tuple[Term, ...]:
    """The terms of "a + b - c" with their signs; none of an empty text."""
    parts = text.split()
    signs = {"+": 1, "-": -1}
    names, between = parts[::2], parts[1::2]
    if (parts and len(parts) % 2 == 0) or any(sign not in signs for sign in between):
        raise TargetError(f"{FILE}: cannot read {text!r}; wanted names joined by ' + ' or ' - '.")
    return tuple(Term(sign, name) for sign, name in zip([1, *(signs[s] for s in between)], names, strict=False))


def _own(row: dict[str, str]) -> dict[str, object]:
    """A figure that stands in the file."""
    lacking = [column for column in ("value", "unit", "year", "source", "url") if not row[column]]
    if lacking:
        raise TargetError(f"{FILE}, {row['name']}: no {', '.join(lacking)}; a figure of the file's own names them all.")
    return {**row, "value": float(row["value"]), "year": int(row["year"])}


def _packaged(name: str, parts: tuple[Term, ...], national: pd.DataFrame) -> dict[str, object]:
    """Figures of the package, added up; source and year are those of the first."""
    found = [_figure(name, part.name, national) for part in parts]
    value = sum(part.sign * float(figure["value"]) for part, figure in zip(parts, found, strict=True))
    first = found[0]
    source = "; ".join(dict.fromkeys(f"{figure['source']} ({figure['table']})" for figure in found))
    return {"value": value, "unit": first["unit"], "year": int(first["year"]), "source": source, "url": first["url"]}


def _figure(name: str, rule: str, national: pd.DataFrame) -> pd.Series:
    source, _, rest = rule.partition(":")
    variable, _, domain = rest.partition("@")
    constraints = constraints_to_json(DOMAINS[domain] if domain in DOMAINS else _constraints(name, domain))
    own = (national["source"] == source) & (national["variable"] == variable)
    chosen = national[own & (national["constraints"] == constraints)]
    if len(chosen) != 1:
        raise TargetError(
            f"{FILE}, {name}: {rule!r} is {len(chosen)} national figures of the package; wanted 1. It has "
            f"{int(own.sum())} of that source and variable: tessera targets show --area US --variable {variable}"
        )
    return chosen.iloc[0]


def _constraints(name: str, text: str) -> tuple[Constraint, ...]:
    parts = [_CONSTRAINT.match(part) for part in text.split("&")]
    if not all(parts):
        raise TargetError(
            f"{FILE}, {name}: cannot read the domain {text!r}; wanted filers, itemizers, or constraints such as "
            "age>=19 joined by &."
        )
    return tuple((match[1], match[2], float(match[3])) for match in parts if match)
