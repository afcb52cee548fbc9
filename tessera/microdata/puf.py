"""The tax file as a Frame: one household a return, with filer, spouse and dependants, in dollars of the model year.

Holds the refusal of unusable rows and the order of the steps; each step is a module:

    puf_aggregates    take the aggregate records apart, bucket totals kept
    puf_amounts       codes of the file to engine inputs
    puf_demographics  codes of age, sex and earnings for returns without a record
    puf_persons       persons of a return and whose the amounts are
    puf_business      inputs of the deduction for qualified business income
    puf_uprating      growth to the model year: every amount once, after everything else; flags and codes never

All variables of `tax_variables` stand on persons, float64, flags as 0 or 1. Column `puf_social_security` is the total
benefit, which the engine takes by kind and `extend` splits; those of the tax unit stand with its head until then.
Deferrals of wages (`pre_tax_contributions`) are a formula of the engine and left out.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.frame import Frame
from tessera.microdata.asec import FloatArray, require_columns
from tessera.microdata.demographics import TAX_UNIT_ROLES
from tessera.microdata.puf_aggregates import disaggregate
from tessera.microdata.puf_amounts import map_amounts
from tessera.microdata.puf_business import with_business
from tessera.microdata.puf_demographics import DEMOGRAPHICS, fill_demographics
from tessera.microdata.puf_persons import SPOUSE, Persons, allocate, expand
from tessera.microdata.puf_uprating import uprate
from tessera.microdata.tax_units import STATUSES
from tessera.microdata.tax_variables import tax_variables
from tessera.sources.irs_puf import AGGREGATES

DESCRIPTION = ("RECID", "S006", "MARS", "XTOT", "DSI", "E00100")
MARS_STATUS = {1: "SINGLE", 2: "JOINT", 3: "SEPARATE", 4: "HEAD_OF_HOUSEHOLD", 5: "SURVIVING_SPOUSE"}


class TaxFile(Protocol):
    """What the reader of the tax file hands over; `companions` may hold the table "demographics", keyed by RECID."""

    @property
    def table(self) -> pd.DataFrame: ...

    @property
    def year(self) -> int: ...

    @property
    def synthetic(self) -> bool: ...

    @property
    def companions(self) -> dict[str, pd.DataFrame]: ...


def build_puf(raw: TaxFile, *, year: int, seed: int, n_jobs: int = 1) -> Frame:
    """Returns of the tax file as households of persons.

    Args:
        raw: table of the reader; S006 with its two decimals applied.
        year: year to which amounts and weights are uprated.
        seed: seed of all draws (donors of aggregate records, demographic codes, ages, sexes, shares, businesses).
        n_jobs: workers of the forests; the result does not depend on them.

    Returns:
        A validated Frame, `source` "puf", `source_household_id` the RECID.

    Raises:
        SourceError: an absent column, no row, a duplicated RECID, a missing value, a negative weight, an unknown
            status, no demographic record, or a year without growth factors.
    """
    returns = fill_demographics(disaggregate(_returns(raw), seed=seed), seed=seed, n_jobs=n_jobs)
    persons = expand(returns, seed=seed)
    amounts = with_business(allocate(map_amounts(returns), returns, persons, seed=seed), persons, seed=seed)
    grown, weight_factor = uprate(amounts, raw.year, year)
    weights = returns["weight"].to_numpy(dtype=np.float64) * weight_factor
    return _frame(returns, persons, grown, weights, year=year, synthetic=raw.synthetic).validate("PUF")


def _returns(raw: TaxFile) -> pd.DataFrame:
    """Rows of the file with their weight and, where there is one, their demographic record."""
    table = raw.table.reset_index(drop=True)
    require_columns(table, DESCRIPTION, "tax file")
    if len(table) == 0:
        raise SourceError("tax file: it has no rows; wanted at least one return. Check that the file is complete.")
    _refuse(table["RECID"].duplicated(), table, "RECID occurs twice", "one row a return")
    codes = [c for c in table.columns if c in DESCRIPTION or str(c)[:1] in "EPT"]
    missing = ~np.isfinite(table[codes].to_numpy(dtype=np.float64))
    if missing.any():
        row, place = np.argwhere(missing)[0]
        _refuse(pd.Series(np.arange(len(table)) == row), table, f"{codes[place]} is missing", "a number")
    _refuse(table["S006"] < 0, table, "weight S006 is below 0", "0 or more")
    known = table["MARS"].isin(list(MARS_STATUS)) | table["RECID"].isin(AGGREGATES)
    _refuse(~known, table, "MARS is no filing status", "1 to 5")
    returns = table.assign(weight=table["S006"].astype(np.float64))
    if returns["weight"].sum() <= 0:
        raise SourceError(f"tax file: the weights S006 of all {len(table)} rows are 0; wanted some above 0.")
    if "AGERANGE" not in returns and "demographics" in raw.companions:
        extra = raw.companions["demographics"]
        require_columns(extra, ["RECID", *DEMOGRAPHICS], "demographic file")
        _refuse(extra["RECID"].duplicated(), extra, "RECID occurs twice", "one row a return", "demographic file")
        returns = returns.merge(extra[["RECID", *DEMOGRAPHICS]], on="RECID", how="left")
    return returns


def _refuse(bad: pd.Series, table: pd.DataFrame, what: str, wanted: str, file: str = "tax file") -> None:
    """Refuse a table with bad rows, naming the first."""
    rows = np.flatnonzero(bad.to_numpy())
    if rows.size:
        row = int(rows[0])
        raise SourceError(
            f"{file} row {row} (RECID {table['RECID'].iloc[row]}): {what} ({rows.size} such row(s)); wanted {wanted}. "
            "Repair the file or get it again."
        )


def _frame(
    returns: pd.DataFrame,
    persons: Persons,
    amounts: dict[str, FloatArray],
    weights: FloatArray,
    *,
    year: int,
    synthetic: bool,
) -> Frame:
    n, ids = len(returns), np.arange(len(returns))
    role = np.array(["HEAD", "SPOUSE", "DEPENDENT"])[persons.role]
    columns: dict[str, object] = {"person_id": np.arange(len(persons.unit))}
    columns |= {f"{entity}_id": persons.unit for entity in ("household", "tax_unit", "spm_unit", "family")}
    # Head and spouse share a marital unit; every dependant has one.
    columns["marital_unit_id"] = np.cumsum(persons.slot != SPOUSE) - 1
    columns |= {"age": persons.age, "is_female": persons.is_female}
    columns["tax_unit_role_input"] = pd.Categorical(role, categories=TAX_UNIT_ROLES)
    columns |= {variable.name: amounts[variable.name] for variable in tax_variables()}
    status = returns["MARS"].map(MARS_STATUS).to_numpy()
    household = pd.DataFrame(
        {
            "household_id": ids,
            "household_weight": weights,
            "source": pd.Categorical(["puf"] * n, categories=["cps", "puf"]),
            "source_household_id": returns["RECID"].to_numpy(dtype=np.int64),
        }
    )
    return Frame(
        household=household,
        tax_unit=pd.DataFrame(
            {"tax_unit_id": ids, "constructed_filing_status": pd.Categorical(status, categories=sorted(STATUSES))}
        ),
        spm_unit=pd.DataFrame({"spm_unit_id": ids}),
        family=pd.DataFrame({"family_id": ids}),
        marital_unit=pd.DataFrame({"marital_unit_id": np.arange(int((persons.slot != SPOUSE).sum()))}),
        person=pd.DataFrame(columns),
        year=year,
        synthetic=synthetic,
    )
