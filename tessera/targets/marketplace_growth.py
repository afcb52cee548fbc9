"""How marketplace coverage and its tax credits grew by state between plan years, from official files.

Credits did not grow as population, prices or incomes: from 2022 to 2024 enrolment rose by half, doubled in some states
and stood still in others. Factors by state, with the nation under `US`:

- persons: average month of marketplace enrolment (KFF's table of CMS's reports), later year over earlier;
- credit: persons times the growth of the average credit a month, plan selections of both years (CMS). A state that
  reported no average for a year (Nevada, 2022) takes the growth of the average of all that did.

Both averages are of plan selections: paid-for coverage (`aca_effectuated`) ends with 2023, and its averages differ from
those of selections by up to a sixth (the District of Columbia, 2022). Holds no rules and no figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tessera.geography.areas import states
from tessera.targets.figures import MODEL_YEAR
from tessera.targets.loaders import aca_marketplace, kff_marketplace

NATION = "US"
_Selections = dict[str, tuple[float, float | None]]


@dataclass(frozen=True)
class MarketplaceGrowth:
    """Factors by place (51 states and `US`): persons covered, and dollars of credit."""

    persons: dict[str, float]
    credit: dict[str, float]


def measure(kff: Path, before: Path, after: Path, year: int) -> MarketplaceGrowth:
    """Growth from a plan year to the model year.

    Args:
        kff: KFF page with both years.
        before: CMS state-level file of plan selections of `year`.
        after: the same of the model year.
        year: the year to start from.

    Raises:
        SourceError: a file that is not what its loader knows, or that lacks the year.
    """
    persons = _persons(kff_marketplace.read(kff, year), kff_marketplace.read(kff, MODEL_YEAR))
    average = _average(aca_marketplace.read(before, year), aca_marketplace.read(after, MODEL_YEAR))
    return MarketplaceGrowth(persons, {place: factor * average[place] for place, factor in persons.items()})


def _persons(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    of_states = {state.usps: after[state.usps] / before[state.usps] for state in states()}
    return {NATION: sum(after.values()) / sum(before.values()), **of_states}


def _average(before: _Selections, after: _Selections) -> dict[str, float]:
    """Growth of the average credit; of the nation between the averages over consumers of the states with both."""
    both = [usps for usps in before if before[usps][1] is not None and after[usps][1] is not None]
    nation = _mean(after, both) / _mean(before, both)
    of_states = {usps: (after[usps][1] or 0.0) / (before[usps][1] or 1.0) for usps in both}
    return {NATION: nation, **{state.usps: of_states.get(state.usps, nation) for state in states()}}


def _mean(selections: _Selections, places: list[str]) -> float:
    """Average credit over the consumers of some states, dollars a month."""
    dollars = sum(selections[usps][0] * (selections[usps][1] or 0.0) for usps in places)
    return dollars / sum(selections[usps][0] for usps in places)
