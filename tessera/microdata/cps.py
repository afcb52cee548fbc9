"""The survey as a Frame: CPS ASEC persons, their units and their engine inputs.

Holds the assembly of what `demographics`, `income`, `expenses`, `benefits` and `tax_units` make; holds no rule of its
own but the units (SPM units by SPM_ID, families by PF_SEQ, marital units by spouse pointers). Amounts stay those of the
income year. Ids: households, and within them persons and units, are numbered from 0 in file order.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.frame import Frame
from tessera.microdata import benefits, demographics, expenses, income
from tessera.microdata.asec import AsecTables, FloatArray, IntArray, Relations, optional, ordered_persons, relations
from tessera.microdata.tax_units import TaxUnits, construct

SOURCES = ("cps", "puf")


def build_cps(raw: AsecTables, *, seed: int) -> Frame:
    """Engine inputs of every person and unit of an ASEC file.

    Args:
        raw: tables of the reader. An empty household table is allowed: weights then come from the reference person's
            MARSUPWT, which is the household's supplement weight, and the state stays out.
        seed: seed of the age draws.

    Returns:
        A validated Frame of the income year, `source` "cps"; only households carry weights.

    Raises:
        SourceError: rows, pointers, weights or units of the file do not hold together.
    """
    person = ordered_persons(raw.person)
    related = relations(person)
    units = construct(person, raw.income_year)
    links = _links(person, related, units)
    first = _first_rows(links["spm_unit"])
    spm_rows = person.iloc[first].reset_index(drop=True)
    tenure = benefits.spm_tenure(spm_rows)
    return Frame(
        household=_households(raw, person, related, links["spm_unit"], tenure),
        tax_unit=pd.DataFrame(
            {
                "tax_unit_id": np.arange(len(units.head)),
                "constructed_filing_status": pd.Categorical(units.filing_status),
            }
        ),
        spm_unit=_spm_units(person, links["spm_unit"], spm_rows, tenure),
        family=pd.DataFrame({"family_id": np.arange(links["family"].max() + 1)}),
        marital_unit=pd.DataFrame({"marital_unit_id": np.arange(links["marital_unit"].max() + 1)}),
        person=_persons(person, related, units, links, seed=seed),
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
    person: pd.DataFrame, related: Relations, units: TaxUnits, links: dict[str, IntArray], *, seed: int
) -> pd.DataFrame:
    household = related.household
    member = np.arange(len(person)) - _first_rows(household)[household]
    columns: dict[str, object] = {"person_id": np.arange(len(person))}
    columns |= {f"{entity}_id": ids for entity, ids in links.items()}
    people = demographics.demographics(person, related, member, seed=seed)
    columns |= people
    columns["tax_unit_role_input"] = pd.Categorical(units.role, categories=demographics.TAX_UNIT_ROLES)
    columns |= income.income(person, np.asarray(people["age"], dtype=np.float64))
    columns |= income.work(person)
    columns |= expenses.expenses(person)
    columns |= benefits.coverage(person)
    columns |= benefits.reported_benefits(person)
    return pd.DataFrame(columns)


def _spm_units(
    person: pd.DataFrame, spm_unit: IntArray, spm_rows: pd.DataFrame, tenure: pd.Categorical[str]
) -> pd.DataFrame:
    columns: dict[str, object] = {"spm_unit_id": np.arange(len(spm_rows)), "spm_unit_tenure_type": tenure}
    columns |= expenses.unit_expenses(spm_rows)
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
    if record is not None and optional(record, "GESTFIPS").any():
        columns["state_fips"] = record["GESTFIPS"].to_numpy(dtype=np.int64)
    return pd.DataFrame(columns)


def _household_records(household: pd.DataFrame | None, sequence: IntArray) -> pd.DataFrame | None:
    """Rows of the household file in the order of `sequence`, or None where the file is not at hand."""
    if household is None or len(household) == 0:
        return None
    twice = household["H_SEQ"].duplicated().to_numpy()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise SourceError(f"ASEC household table row {row}: H_SEQ {household['H_SEQ'].iloc[row]} occurs twice.")
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
            "wanted a finite number of at least 0."
        )
    if not weights.any():
        raise SourceError(
            f"ASEC {column} is absent or zero for every household; a survey without weights is of no use."
        )
    return weights
