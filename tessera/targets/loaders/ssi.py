"""SSA: Supplemental Security Income, federal payments (nation by age; states from table 7.B1).

The engine's `ssi` is the federal payment. SSA administers state supplements too, so its totals are larger:

`load` reads SSI Monthly Statistics, December 2024, table 1 (HTML page) and the Annual Statistical Supplement's total of
the year. Figures of the nation: person_count with ssi > 0 in all and by age (recipients of a federal payment in
December), and `ssi` = the year's total less twelve times December's state supplements. The monthly sum of supplements
moves by about 1 % within the year, so the rule is off by less than 0.1 % of federal payments. SSA counts the Northern
Mariana Islands too (about a thousand persons). Categories are not read: whoever was disabled before 65 stays disabled
for SSA, whereas the engine calls everybody from 65 on aged.

`load_states` reads table 7.B1 (payments by state) with the same rule, state by state. The states must add up to the
published total of all areas. The transcription that is at hand does not (its states have 1.3 % more dollars and 1.0 %
fewer recipients than its total, and more recipients of supplements in New Jersey than recipients), so it is refused and
no snapshot has it. Recipients by state are not read: 7.B1 counts persons with a supplement only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.figures import Constraint, Figure, Provenance, to_frame
from tessera.targets.loaders import ssa
from tessera.targets.loaders.common import number, read_csv, require_columns, require_each_once, state_by_name
from tessera.targets.loaders.html_table import HtmlRows, read_tables

YEAR = 2024
_MONTHLY = "https://www.ssa.gov/policy/docs/statcomps/ssi_monthly"
_SUPPLEMENT = "https://www.ssa.gov/policy/docs/statcomps/supplement/2025/7b.html"
_WITH_SSI: Constraint = ("ssi", ">", 0)
# Columns of table 1 after the name of the line: heading -> constraints on age.
_AGES: dict[str, tuple[Constraint, ...]] = {
    "All recipients": (),
    "Under 18": (("age", "<", 18),),
    "18\N{EN DASH}64": (("age", ">=", 18), ("age", "<", 65)),
    "65 or older": (("age", ">=", 65),),
}
_COLUMNS = ("All recipients", "Aged", "Blind and disabled", "Under 18", "18\N{EN DASH}64", "65 or older")
_RECIPIENTS, _PAYMENTS = "Number of recipients", "Total payments (thousands of dollars)"
_PANELS = (_RECIPIENTS, _PAYMENTS, "Average monthly payment (dollars)", "Number of awards")
# Federally administered state supplements of December 2024, thousands of dollars (SSI Monthly Statistics, table 17);
# no other state had any.
STATE_SUPPLEMENTS = {
    "CA": 280_698, "DE": 71, "DC": 440, "HI": 1_342, "IA": 211, "MI": 1_267, "MT": 44, "NV": 773, "NJ": 6_548,
    "PA": 1_998, "RI": 105, "VT": 827,
}  # fmt: skip

Panel = dict[str, dict[str, float]]


def load(path: Path, benefits: Path, year: int = YEAR) -> pd.DataFrame:
    """Five figures of the nation: federal payments of the year; recipients in all and of three ages in December.

    Args:
        path: SSI Monthly Statistics of December, table 1, as an HTML page.
        benefits: the transcription of the Annual Statistical Supplement that `ssa.load_benefits` reads.

    Raises:
        SourceError: another month or layout, a missing line, a suppressed cell, ages or kinds of payment that do not
            add up, another year of the supplement.
    """
    panels = read_monthly(path, year)
    total = ssa.read_benefits(benefits, year)[ssa.SSI_PAYMENTS]
    federal = total - 12_000.0 * panels[_PAYMENTS]["State supplementation"]["All recipients"]
    provenance = Provenance(
        "ssa_ssi",
        "SSI Monthly Statistics, table 1; Supplement, table 7.B1",
        f"{_MONTHLY}/{year}-12/table01.html",
        f"December {year}; Supplement {year + 1}",
        year,
    )
    return to_frame(_national(panels[_RECIPIENTS]["Federal payment"], federal), provenance)


def _national(recipients: dict[str, float], federal: float) -> Iterator[Figure]:
    yield Figure("national", "US", "ssi", federal, "dollar")
    for heading, constraints in _AGES.items():
        yield Figure("national", "US", "person_count", recipients[heading], "person", (*constraints, _WITH_SSI))


def load_states(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Federal payments of the year in each of the 51 states: the total of table 7.B1 less state supplements.

    Raises:
        SourceError: a missing column, a missing, repeated or unknown state, categories that do not add up to a state,
            states that do not add up to all areas.
    """
    frame = read_csv(path)
    key = ["geography_level", "geography_name", "ssi_category"]
    require_columns(frame, [*key, "recipient_count", "payment_thousands"], path)
    payments = _by_place(frame, "payment_thousands", path)
    _require_sum(payments, "payment_thousands", path)
    _require_sum(_by_place(frame, "recipient_count", path), "recipient_count", path)
    provenance = Provenance("ssa_ssi_states", "Table 7.B1", _SUPPLEMENT, f"Supplement {year + 1}", year)
    figures = (
        Figure("state", place, "ssi", (payments[place] - 12.0 * STATE_SUPPLEMENTS.get(place, 0)) * 1000.0, "dollar")
        for place in (state.usps for state in states())
    )
    return to_frame(figures, provenance)


def read_monthly(path: Path, year: int) -> dict[str, Panel]:
    """Table 1: panel -> line -> column -> number, with the sums checked.

    Raises:
        SourceError: see `load`.
    """
    text, tables = read_tables(path)
    title = f"SSI Monthly Statistics, December {year}"
    if title not in text or f"by type of payment, eligibility category, and age, December {year}" not in text:
        raise SourceError(f"{path}: wanted table 1 of {title}; the page begins {text[:80]!r}.")
    panels = _panels(tables[0], path)
    counts = panels[_RECIPIENTS]
    _require_parts(counts, ("Federal payment only", "Federal payment and state supplementation",
                            "State supplementation only"), "Total", path)  # fmt: skip
    _require_parts(counts, ("Federal payment only", "Federal payment and state supplementation"), "Federal payment",
                   path)  # fmt: skip
    _require_parts(panels[_PAYMENTS], ("Federal payments", "State supplementation"), "Total", path)
    return panels


def _panels(rows: HtmlRows, path: Path) -> dict[str, Panel]:
    heading = ["Type of payment", "All recipients", "Eligibility category", "Age"]
    if [list(row) for row in rows[:2]] != [heading, list(_COLUMNS[1:])]:
        raise SourceError(f"{path}: the headings are {rows[:2]}; wanted {heading} above {list(_COLUMNS[1:])}.")
    panels: dict[str, Panel] = {}
    for row in rows[2:]:
        if len(row) == 2 and row[1] in _PANELS:
            panels[row[1]] = {}
        elif len(row) == 1 + len(_COLUMNS) and panels:
            panel = list(panels)[-1]
            if row[0] in panels[panel]:
                raise SourceError(f"{path}: {panel}: the line {row[0]!r} is there twice.")
            cells = zip(_COLUMNS, row[1:], strict=True)
            panels[panel][row[0]] = {
                name: number(cell, path, f"{panel}, {row[0]}, {name}", minimum=0) for name, cell in cells
            }
    require_each_once(panels, _PANELS, path, "panel")
    _require_lines(panels, path)
    return panels


def _require_lines(panels: dict[str, Panel], path: Path) -> None:
    for panel, lines in ((_RECIPIENTS, ("Total", "Federal payment")), (_PAYMENTS, ("Total", "State supplementation"))):
        for line in lines:
            if line not in panels[panel]:
                raise SourceError(f"{path}: {panel}: no line {line!r}; it has {', '.join(panels[panel])}.")
            row = panels[panel][line]
            for parts in (_COLUMNS[1:3], _COLUMNS[3:]):
                added = sum(row[name] for name in parts)
                if abs(added - row["All recipients"]) > 2:
                    raise SourceError(
                        f"{path}: {panel}, {line}: {', '.join(parts)} add up to {added:.0f}, "
                        f"all recipients are {row['All recipients']:.0f}."
                    )


def _require_parts(panel: Panel, parts: tuple[str, ...], total: str, path: Path) -> None:
    missing = [line for line in (*parts, total) if line not in panel]
    if missing:
        raise SourceError(f"{path}: no line {missing[0]!r}; the panel has {', '.join(panel)}.")
    for column in _COLUMNS:
        added = sum(panel[line][column] for line in parts)
        if abs(added - panel[total][column]) > 2:
            raise SourceError(
                f"{path}: {', '.join(parts)} add up to {added:.0f} in column {column}, {total} is "
                f"{panel[total][column]:.0f}."
            )


def _by_place(frame: pd.DataFrame, column: str, path: Path) -> dict[str, float]:
    """A column of the rows of all categories by place (US for all areas); the categories must add up to it."""
    sums: dict[str, float] = {}
    totals: dict[str, float] = {}
    seen: list[str] = []
    for row in frame.to_dict("records"):
        nation = row["geography_level"] == "country"
        place = "US" if nation else state_by_name(row["geography_name"], path).usps
        value = number(row[column], path, f"{place}, {row['ssi_category']}, {column}", minimum=0)
        seen.append(f"{place} {row['ssi_category']}")
        if row["ssi_category"] == "total":
            totals[place] = value
        else:
            sums[place] = sums.get(place, 0.0) + value
    wanted = [f"{place} {category}" for place in ("US", *(state.usps for state in states()))
              for category in ("total", "aged", "blind", "disabled")]  # fmt: skip
    require_each_once(seen, wanted, path, "row")
    for place, total in totals.items():
        if abs(sums[place] - total) > 3:
            raise SourceError(f"{path}: {place}, {column}: categories add up to {sums[place]:.0f}, total {total:.0f}.")
    return totals


def _require_sum(values: dict[str, float], column: str, path: Path) -> None:
    # All areas hold the Northern Mariana Islands and persons of unknown state besides: less than 0.1 %.
    added = sum(value for place, value in values.items() if place != "US")
    if not 0.999 * values["US"] <= added <= values["US"]:
        raise SourceError(
            f"{path}: {column}: the states add up to {added:.0f}, all areas are {values['US']:.0f}; wanted the states "
            "within 0.1 % below. The copy differs from SSA's table: take it from the publication again."
        )
