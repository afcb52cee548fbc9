"""The survey as a Frame: CPS ASEC persons, their units and their engine inputs.

Holds the assembly of what the modules of persons (`demographics`, `disability`, `schooling`, `immigration`,
`pregnancy`, `previous_year`, `income`, `expenses`, `benefits`, `tax_units`, ...) make; holds no rule of its own but the
units: SPM units by SPM_ID; families by PF_SEQ (a related subfamily is of the primary family, an unrelated one and a
single non-relative are families of their own); marital units by spouse pointers. Amounts stay those of the income year.
Ids: households, and within them persons and units, are numbered from 0 in file order. The survey's county (GTCO) is
left out: clones are placed anew.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.frame import Frame
from tessera.microdata import benefits, demographics, expenses, income, retirement, spm, work
from tessera.microdata.asec import AsecTables, FloatArray, IntArray, Relations, optional, ordered_persons, relations
from tessera.microdata.business_flags import qualified_flags
from tessera.microdata.disability import disability
from tessera.microdata.immigration import immigration
from tessera.microdata.nutritional_risk import is_at_nutritional_risk
from tessera.microdata.person_checks import check_households
from tessera.microdata.pregnancy import is_pregnant
from tessera.microdata.previous_year import previous_year
from tessera.microdata.schooling import schooling
from tessera.microdata.tax_units import TaxUnits, construct

SOURCES = ("cps", "puf")


def build_cps(raw: AsecTables, previous: AsecTables | None = None, *, seed: int) -> Frame:
    """Engine inputs of every person and unit of an ASEC file.

    Args:
        raw: tables of the reader. An empty household table is allowed: weights then come from the reference person's
            MARSUPWT, which is the household's supplement weight, and the state stays out.
        previous: the survey of the year before, for the incomes of then; without it they are not available.
        seed: seed of the draws (ages of 80-84, immigration status, pregnancy), which PH_SEQ and line number key.

    Returns:
        A validated Frame of the income year, `source` "cps"; only households carry weights.

    Raises:
        SourceError: rows, pointers, weights or units of the file do not hold together, or do not fit `previous`.
    """
    person = ordered_persons(raw.person)
    related = relations(person)
    units = construct(person, raw.income_year)
    links = _links(person, related, units)
    first = _first_rows(links["spm_unit"])
    spm_rows = person.iloc[first].reset_index(drop=True)
    tenure = benefits.spm_tenure(spm_rows)
    household = _households(raw, person, related, links["spm_unit"], tenure)
    people = _persons(person, related, units, links, household, year=raw.income_year, seed=seed)
    before = pd.DataFrame(previous_year(person, raw, previous))
    return Frame(
        household=household,
        tax_unit=pd.DataFrame(
            {
                "tax_unit_id": np.arange(len(units.head)),
                "constructed_filing_status": pd.Categorical(units.filing_status),
            }
        ),
        spm_unit=_spm_units(raw, person, related, links["spm_unit"], spm_rows, tenure),
        family=pd.DataFrame({"family_id": np.arange(links["family"].max() + 1)}),
        marital_unit=pd.DataFrame({"marital_unit_id": np.arange(links["marital_unit"].max() + 1)}),
        person=pd.concat([people, before], axis=1),
        year=raw.income_year,
        synthetic=raw.synthetic,
    ).validate("CPS")


def _links(person: pd.DataFrame, related: Relations, units: TaxUnits) -> dict[str, IntArray]:
    rows = np.arange(len(person))
    family = _dense(related.household, optional(person, "PF_SEQ").astype(np.int64))
    if "SPM_ID" in person:
        spm_unit = _dense(person["SPM_ID"].to_numpy(dtype=np.int64))
        _refuse_split_units(person, related.household, spm_unit)
    else:
        spm_unit = family
    couple = np.where(related.spouse >= 0, np.minimum(rows, related.spouse), rows)
    return {
        "household": related.household,
        "tax_unit": units.tax_unit_id,
        "spm_unit": spm_unit,
        "family": family,
        "marital_unit": _dense(couple),
    }


def _dense(*keys: IntArray) -> IntArray:
    """Number the distinct key tuples 0..n-1 in order of first occurrence, shape (n_persons,)."""
    table = pd.DataFrame(dict(enumerate(keys)))
    return np.asarray(table.groupby(list(table.columns), sort=False).ngroup(), dtype=np.int64)


def _first_rows(unit: IntArray) -> IntArray:
    return np.asarray(np.unique(unit, return_index=True)[1], dtype=np.int64)


def _refuse_split_units(person: pd.DataFrame, household: IntArray, spm_unit: IntArray) -> None:
    home = household[_first_rows(spm_unit)][spm_unit]
    bad = np.flatnonzero(home != household)
    if bad.size:
        row = int(bad[0])
        raise SourceError(
            f"ASEC person table row {row} (PH_SEQ {person['PH_SEQ'].iloc[row]}): SPM_ID {person['SPM_ID'].iloc[row]} "
            f"also occurs in another household; an SPM unit lies within one. Repair the identifiers of the file."
        )


def _persons(
    person: pd.DataFrame,
    related: Relations,
    units: TaxUnits,
    links: dict[str, IntArray],
    household: pd.DataFrame,
    *,
    year: int,
    seed: int,
) -> pd.DataFrame:
    weight = household["household_weight"].to_numpy(dtype=np.float64)[related.household]
    state = optional(household, "state_fips").astype(np.int64)[related.household]
    columns: dict[str, object] = {"person_id": np.arange(len(person))}
    columns |= {f"{entity}_id": ids for entity, ids in links.items()}
    people = demographics.demographics(person, related, seed=seed)
    columns |= people
    columns |= disability(person, related, year)
    columns |= schooling(person)
    columns |= immigration(person, related, weight, survey_year=year + 1, seed=seed)
    pregnant = is_pregnant(person, related, state, seed=seed)
    age = np.asarray(people["age"], dtype=np.float64)
    columns["is_pregnant"] = pregnant
    columns["is_wic_at_nutritional_risk"] = is_at_nutritional_risk(age, pregnant, related, seed=seed)
    columns["tax_unit_role_input"] = pd.Categorical(units.role, categories=demographics.TAX_UNIT_ROLES)
    columns["is_related_to_head_or_spouse"] = units.is_related
    columns |= income.income(person, age)
    columns |= retirement.contributions(person, age, year)
    columns |= qualified_flags(seed, related.sequence, related.line)
    columns |= work.work(person)
    columns |= expenses.expenses(person, age)
    columns |= benefits.coverage(person)
    columns |= benefits.employer_plans(person)
    columns |= benefits.reported_benefits(person)
    return pd.DataFrame(columns)


def _spm_units(
    raw: AsecTables,
    person: pd.DataFrame,
    related: Relations,
    spm_unit: IntArray,
    spm_rows: pd.DataFrame,
    tenure: pd.Categorical[str],
) -> pd.DataFrame:
    first = _first_rows(related.household)
    home = _household_records(raw.household, related.sequence[first])
    columns: dict[str, object] = {"spm_unit_id": np.arange(len(spm_rows)), "spm_unit_tenure_type": tenure}
    columns |= expenses.unit_expenses(spm_rows)
    columns |= spm.reported_amounts(spm_rows)
    columns["receives_housing_assistance"] = spm.housing_assistance(spm_rows, home, spm_unit[related.reference[first]])
    columns |= benefits.unit_benefits(person, spm_unit, spm_rows)
    return pd.DataFrame(columns)


def _households(
    raw: AsecTables, person: pd.DataFrame, related: Relations, spm_unit: IntArray, tenure: pd.Categorical[str]
) -> pd.DataFrame:
    first = _first_rows(related.household)
    reference = related.reference[first]
    sequence = person["PH_SEQ"].to_numpy(dtype=np.int64)[first]
    record = _household_records(raw.household, sequence)
    reference_tenure = pd.Categorical(np.asarray(tenure)[spm_unit[reference]], categories=tenure.categories)
    columns: dict[str, object] = {
        "household_id": np.arange(len(first)),
        "household_weight": _weights(record, person, reference),
        "source": pd.Categorical(["cps"] * len(first), categories=list(SOURCES)),
        "source_household_id": sequence,
        "tenure_type": benefits.household_tenure(
            reference_tenure, None if record is None or "H_TENURE" not in record else optional(record, "H_TENURE")
        ),
    }
    columns["is_in_public_housing"] = spm.public_housing(record, len(first))
    if record is not None and optional(record, "GESTFIPS").any():
        columns["state_fips"] = record["GESTFIPS"].to_numpy(dtype=np.int64)
    return pd.DataFrame(columns)


def _household_records(household: pd.DataFrame | None, sequence: IntArray) -> pd.DataFrame | None:
    """Rows of the household file in the order of `sequence`, or None where the file is not at hand."""
    if household is None or len(household) == 0:
        return None
    check_households(household)
    indexed = household.set_index("H_SEQ")
    orphan = ~np.isin(sequence, indexed.index.to_numpy())
    if orphan.any():
        raise SourceError(
            f"ASEC person table: {int(orphan.sum())} households of persons are not in the household table, the first "
            f"PH_SEQ {sequence[np.flatnonzero(orphan)[0]]}; wanted a row with that H_SEQ. Are both files of one survey?"
        )
    return indexed.loc[sequence].reset_index()


def _weights(record: pd.DataFrame | None, person: pd.DataFrame, reference: IntArray) -> FloatArray:
    if record is not None:
        column, weights = "HSUP_WGT", optional(record, "HSUP_WGT")
    else:
        column, weights = "MARSUPWT", optional(person, "MARSUPWT")[reference]
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if bad.size:
        raise SourceError(
            f"ASEC {column} of household PH_SEQ {person['PH_SEQ'].to_numpy()[reference][bad[0]]} is {weights[bad[0]]}; "
            "wanted a finite number of at least 0. Repair the weight, or drop the household in the source file."
        )
    if not weights.any():
        raise SourceError(
            f"ASEC {column} is absent or zero for every household; wanted weights, as without any a survey "
            "is of no use. Fetch the file again."
        )
    return weights
