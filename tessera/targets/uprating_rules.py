"""Which growth brings the figures of a source from their year to the model year: the rules of `uprating_rules.csv`.

Columns: source; variable (a name, a name with one of the variables of its domain such as `tax_unit_count[eitc]`, or `*`
for the rest of the source; the most specific rule counts); year; follows; why. `follows` is one of

- `population`, `births`, `cpi`: the nation's resident population, its population below one year, consumer prices;
- `cbo:LINE`: a line of CBO's income by source;
- `soi:VARIABLE`: the nation's amount of that variable in IRS SOI Publication 1304, then CBO's line of it;
- `soi_returns`, `soi_returns:VARIABLE`: the nation's returns, in all or with that variable (a gain or a loss), then the
  population;
- `agi_class`: the nation's returns or AGI of the same class of AGI, then the population or CBO's AGI;
- `marketplace:persons`, `marketplace:credit`: the state's marketplace coverage and premium tax credits;
- `none`: kept as published.

Holds no factors; `growth` measures them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from tessera.errors import TargetError

RULES = "uprating_rules.csv"
HEADER = ("source", "variable", "year", "follows", "why")
PLAIN = ("population", "births", "cpi", "soi_returns", "agi_class", "none")
NAMED = ("cbo", "soi", "soi_returns", "marketplace")
_VARIABLE = re.compile(r"\*|[a-z]\w*(\[[a-z]\w*\])?")


@dataclass(frozen=True)
class UpratingRule:
    """One line of the rules: what the figures of a source, variable and year follow, and why."""

    source: str
    variable: str
    year: int
    follows: str
    why: str


@dataclass(frozen=True)
class UpratingRules:
    """All rules, by source, variable (as written in the file) and year."""

    by_key: dict[tuple[str, str, int], UpratingRule]

    @classmethod
    def packaged(cls) -> UpratingRules:
        """The rules of the package."""
        return _packaged()

    @classmethod
    def read(cls, path: Path) -> UpratingRules:
        """Rules of one's own: a CSV file with the columns of `HEADER`.

        Raises:
            TargetError: another header, a line that cannot be read, two rules for the same figures.
        """
        return cls._from_lines(path.read_text(encoding="utf-8").splitlines(), str(path))

    def find(self, source: str, variable: str, domain: Iterable[str], year: int) -> UpratingRule | None:
        """The most specific rule for figures of a source, variable, domain (its variables) and year; None without."""
        named = [f"{variable}[{name}]" for name in sorted(domain)]
        found = (self.by_key.get((source, key, year)) for key in (*named, variable, "*"))
        return next((rule for rule in found if rule is not None), None)

    @classmethod
    def _from_lines(cls, lines: Iterable[str], label: str) -> UpratingRules:
        reader = csv.DictReader(lines)
        if tuple(reader.fieldnames or ()) != HEADER:
            raise TargetError(f"{label}: columns are {reader.fieldnames}; wanted {', '.join(HEADER)}.")
        by_key: dict[tuple[str, str, int], UpratingRule] = {}
        for number, row in enumerate(reader, start=2):
            rule = _rule(row, f"{label}, line {number}")
            key = rule.source, rule.variable, rule.year
            if key in by_key:
                raise TargetError(f"{label}, line {number}: a second rule for {key}; remove one of them.")
            by_key[key] = rule
        return cls(by_key)


@cache
def _packaged() -> UpratingRules:
    text = resources.files("tessera.targets").joinpath(RULES).read_text(encoding="utf-8")
    return UpratingRules._from_lines(text.splitlines(), RULES)


def _rule(row: dict[str, str | None], where: str) -> UpratingRule:
    cells = {name: row.get(name) or "" for name in HEADER}
    if None in row or not all(cells.values()):
        raise TargetError(f"{where}: {list(row.values())}; wanted five cells, none empty; quote cells with commas.")
    if not _VARIABLE.fullmatch(cells["variable"]):
        raise TargetError(f"{where}: variable is {cells['variable']!r}; wanted a name, name[variable] or *.")
    kind, _, name = cells["follows"].partition(":")
    if not (kind in NAMED and name) and cells["follows"] not in PLAIN:
        raise TargetError(
            f"{where}: follows is {cells['follows']!r}; wanted one of {', '.join(PLAIN)}, or one of "
            f"{', '.join(NAMED)} with a name after a colon."
        )
    if not cells["year"].isdigit():
        raise TargetError(f"{where}: year is {cells['year']!r}; wanted a year such as 2022.")
    return UpratingRule(cells["source"], cells["variable"], int(cells["year"]), cells["follows"], cells["why"])
