"""The extended survey: every household once as interviewed and once with tax-file incomes.

Holds the order of the steps, the columns and the stacking; each step is a module of its own.

- The *survey half* (`source` "cps") keeps what was reported. What a survey does not ask is drawn from the tax file
  given family and reported incomes (`survey_half`). What the survey counts inside another amount ("tax_only" in
  `tax_variables`) is 0.
- The *tax half* (`source` "puf") keeps persons, units, benefits and coverage. Every variable of the tax file is drawn
  for heads and spouses given their family alone (`tax_half`). Social Security goes to kinds and weeks without work
  follow the compensation (`reconcile`), retirement contributions follow the incomes (`contributions`), so do hours,
  weeks and expenses (`survey_only`) and occupations (`occupations`). Dependants keep their own incomes.

In both halves tuition goes to who studies (`tuition`).

Left out: balances and years of mortgages. Where a unit has no balance the engine deducts its whole
`home_mortgage_interest`, and the tax file's amount is what was left after the limit on debt (26 USC 163(h)(3)): the
deduction is the one drawn. A reform of that limit finds no debt to limit.

Weights: both halves carry half of the household's weight. They are two readings of the same household, so together they
count it once, either total is an estimate of the population, and a fit that starts here starts from a population rather
than from a half of zero weight.

Entities: values of "tax_unit" variables are those of head and spouse together, in the table of tax units. Flags, drawn
as 0 and 1, are stored as bool.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import FrameError
from tessera.frame import ENTITIES, GROUP_ENTITIES, Frame
from tessera.microdata.chains import Chains
from tessera.microdata.contributions import draw_contributions
from tessera.microdata.imputation import Progress
from tessera.microdata.occupations import match_occupations
from tessera.microdata.reconcile import WEEKS, reconciled
from tessera.microdata.retirement import CONTRIBUTIONS
from tessera.microdata.survey_filers import survey_filers
from tessera.microdata.survey_half import draw_survey_half
from tessera.microdata.survey_only import COVERAGE, draw_survey_only
from tessera.microdata.survey_variables import CHAINED, survey_variables
from tessera.microdata.tax_half import draw_tax_half, tax_donors
from tessera.microdata.tax_variables import TaxVariable, tax_variables
from tessera.microdata.totals import TOTAL_SOCIAL_SECURITY, TOTALS
from tessera.microdata.tuition import with_students

logger = logging.getLogger(__name__)
Column = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Extended:
    """The extended survey and how well it was imputed.

    Attributes:
        frame: survey half, then tax half.
        quality: one row an output of each chain, columns of `imputation_quality.QUALITY`.
    """

    frame: Frame
    quality: pd.DataFrame


def extend(cps: Frame, puf: Frame, *, seed: int, n_jobs: int = 1, progress: Progress | None = None) -> Extended:
    """Survey half and tax half, in this order.

    Args:
        cps: the survey (`build_cps`).
        puf: the tax file (`build_puf`).
        seed: seed of forests and draws.
        n_jobs: workers over the variables of a chain; values do not depend on it.
        progress: called after each variable with variables done, variables in all and the name of the last.

    Returns:
        A validated Frame with twice the survey's households, and the quality of every chain. Ids of the tax half
        follow those of the survey half.

    Raises:
        FrameError: the tax file lacks a variable of `tax_variables`, a tax unit has not exactly one head, a value is
            missing.
    """
    variables = tax_variables()
    _refuse_absent(puf, variables)
    names = [variable.name for variable in variables]
    donors = tax_donors(puf, names, seed=seed)
    asked = _drawn_for_survey(cps, variables)
    chains = Chains(seed, n_jobs, progress, planned=_planned(len(names), len(asked)))
    survey = _filled(cps.person, draw_survey_half(chains, donors, cps, asked))
    tax = _filled(cps.person, _tax_columns(chains, cps, draw_tax_half(chains, donors, cps, names)))
    halves = [_half(cps, person, source, variables) for person, source in ((survey, "cps"), (tax, "puf"))]
    frame = with_students(_stacked(halves[0], halves[1], synthetic=cps.synthetic or puf.synthetic))
    chains.finish("extended CPS")
    return Extended(frame.validate("extended CPS"), chains.table())


def _tax_columns(chains: Chains, cps: Frame, drawn: pd.DataFrame) -> pd.DataFrame:
    """All columns of the tax half that differ from the survey's, indexed by person row of heads and spouses."""
    chained = [v.name for v in survey_variables() if v.treatment in CHAINED]
    people = survey_filers(
        cps, drawn, [name for name in (*chained, *CONTRIBUTIONS, *COVERAGE, WEEKS) if name in cps.person]
    )
    only = draw_survey_only(chains, people)
    tables = [
        people.drawn[list(drawn.columns)].drop(columns=TOTAL_SOCIAL_SECURITY),
        # These stand in place of what was drawn: wages before deferrals, capped contributions, parts of totals.
        draw_contributions(chains, people, year=cps.year),
        reconciled(chains, people),
        only,
        match_occupations(people, only, seed=chains.seed),
    ]
    return pd.DataFrame({name: table[name] for table in tables for name in table.columns})


def _refuse_absent(puf: Frame, variables: tuple[TaxVariable, ...]) -> None:
    absent = [variable.name for variable in variables if variable.name not in puf.person]
    if absent:
        raise FrameError(
            f"extended CPS: the persons of the tax file lack {', '.join(absent)}; wanted every variable of "
            "tessera/microdata/data/tax_variables.csv. Materialise puf again."
        )


def _drawn_for_survey(cps: Frame, variables: tuple[TaxVariable, ...]) -> list[str]:
    """Variables that the survey half gains: those it does not ask, or whose column its vintage lacks."""
    names = []
    for variable in variables:
        if variable.name == TOTAL_SOCIAL_SECURITY or variable.survey == "tax_only":
            continue
        if variable.survey == "asks" and variable.name in cps.person:
            continue
        if variable.survey == "asks":
            logger.warning("survey half: persons have no %s, which a survey asks; it is drawn", variable.name)
        names.append(variable.name)
    return names


def _planned(n_tax: int, n_survey: int) -> int:
    """About how many variables all chains have: those of heads, perhaps a quarter of spouses, and the survey's own."""
    chained = sum(variable.treatment in CHAINED for variable in survey_variables())
    parts = sum(len(total.parts) + len(total.of_which) for total in TOTALS)
    return round(1.25 * (n_tax + n_survey)) + chained + parts + len(CONTRIBUTIONS)


def _filled(person: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """Persons with columns replaced, or added with 0 elsewhere, in the rows that `values` is indexed by.

    A column of the survey keeps its type: whole numbers are rounded, flags are true from one half on.
    """
    rows = values.index.to_numpy()
    columns: dict[str, Column] = {}
    for name in map(str, values.columns):
        new = values[name].to_numpy()
        if name not in person:
            column = np.zeros(len(person))
        else:
            column = person[name].to_numpy().copy()
            if column.dtype == bool:
                new = new >= 0.5
            elif np.issubdtype(column.dtype, np.integer):
                new = np.rint(new)
            else:
                column = column.astype(np.float64)
        column[rows] = new
        columns[name] = column
    return _with_columns(person, columns)


def _half(cps: Frame, person: pd.DataFrame, source: str, variables: tuple[TaxVariable, ...]) -> Frame:
    """One half: variables of the tax file on their entities with their types, half of the weight, the provenance."""
    unit = cps.unit_of_person("tax_unit")
    n_units = cps.count("tax_unit")
    values: dict[str, Column] = {}
    units: dict[str, Column] = {}
    for variable in variables:
        if variable.name == TOTAL_SOCIAL_SECURITY:
            continue
        # What the survey has inside another amount.
        column = person[variable.name].to_numpy() if variable.name in person else np.zeros(len(person))
        if variable.entity == "tax_unit":
            units[variable.name] = np.bincount(unit, weights=column, minlength=n_units)
        else:
            values[variable.name] = column >= 0.5 if variable.kind == "flag" else column.astype(np.float64)
    n = cps.count("household")
    household = cps.household.assign(
        household_weight=cps.weights / 2, source=pd.Categorical([source] * n, categories=["cps", "puf"])
    )
    moved = _with_columns(person.drop(columns=list(units), errors="ignore"), values)
    return replace(cps, household=household, tax_unit=cps.tax_unit.assign(**units), person=moved)


def _with_columns(table: pd.DataFrame, columns: Mapping[str, Column]) -> pd.DataFrame:
    """The table with columns replaced or added, in one piece: a hundred columns put in one by one fragment it."""
    old = {str(name): table[name] for name in table.columns}
    return pd.DataFrame({**old, **columns}, index=table.index)


def _stacked(survey: Frame, tax: Frame, *, synthetic: bool) -> Frame:
    """One Frame of both halves; the ids of the second follow those of the first."""
    offsets = {entity: int(survey.table(entity)[f"{entity}_id"].max()) + 1 for entity in ENTITIES}
    tables = {}
    for entity in ENTITIES:
        second = tax.table(entity)
        links = [entity] if entity != "person" else ["person", *GROUP_ENTITIES]
        moved = {f"{name}_id": second[f"{name}_id"] + offsets[name] for name in links}
        first = survey.table(entity)
        tables[entity] = pd.concat([first, second.assign(**moved)[list(first.columns)]], ignore_index=True)
    return Frame(**tables, year=survey.year, synthetic=synthetic)
