"""The tax file as a Frame: one household a return, with filer, spouse and dependants, in dollars of the model year.

Holds the map from the file's codes to engine inputs, the persons of a return and the order of the steps: map, take
aggregate records apart (`puf_aggregates`), uprate once (`puf_uprating`), expand to persons. Wages, self-employment
and farm income of a couple are split by EARNSPLIT; other amounts of a couple stand with its head, as the tax is
joint. Column `puf_social_security` is the total benefit, which the engine takes by kind and `extend` splits. The
codes mean what they do in the 2015 public-use file.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.frame import Frame
from tessera.microdata.asec import FloatArray, IntArray, optional, require_columns
from tessera.microdata.demographics import TAX_UNIT_ROLES
from tessera.microdata.puf_aggregates import disaggregate
from tessera.microdata.puf_uprating import uprate
from tessera.microdata.tax_units import STATUSES
from tessera.random import uniform

# Engine input: columns added and columns subtracted.
AMOUNTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "employment_income_before_lsr": (("E00200",), ()),
    "taxable_interest_income": (("E00300",), ()),
    "tax_exempt_interest_income": (("E00400",), ()),
    "qualified_dividend_income": (("E00650",), ()),
    "non_qualified_dividend_income": (("E00600",), ("E00650",)),
    "alimony_income": (("E00800",), ()),
    "self_employment_income_before_lsr": (("E00900",), ()),
    "short_term_capital_gains": (("P22250",), ()),
    "long_term_capital_gains_before_response": (("P23250",), ()),
    "non_sch_d_capital_gains": (("E01100",), ()),
    "taxable_ira_distributions": (("E01400",), ()),
    "taxable_private_pension_income": (("E01700",), ()),
    "tax_exempt_private_pension_income": (("E01500",), ("E01700",)),
    "farm_operations_income": (("E02100",), ()),
    "unemployment_compensation": (("E02300",), ()),
    "puf_social_security": (("E02400",), ()),
    "rental_income": (("E25850",), ("E25860",)),
    "partnership_income": (("E25940", "E25980"), ("E25920", "E25960")),
    "s_corp_income": (("E26170", "E26190"), ("E26160", "E26180")),
    "estate_income": (("E26390",), ("E26400",)),
    "farm_rent_income": (("E27200",), ()),
    "real_estate_taxes": (("E18500",), ()),
    "home_mortgage_interest": (("E19200",), ()),
    "charitable_cash_donations": (("E19800",), ()),
    "charitable_non_cash_donations": (("E20100",), ()),
    "student_loan_interest": (("E03210",), ()),
}
# Some vintages leave these out; they then count as zero.
OPTIONAL = ("E00800", "E01100", "E03210", "E26160", "E26170", "E27200")
DESCRIPTION = ("RECID", "S006", "MARS", "XTOT", "DSI", "E00100")
DEMOGRAPHICS = ("AGERANGE", "GENDER", "EARNSPLIT", "AGEDP1", "AGEDP2", "AGEDP3")
EARNED = ("employment_income_before_lsr", "self_employment_income_before_lsr", "farm_operations_income")
# Lowest age of each code, and one above the highest.
FILER_AGES = {1: (18, 26), 2: (26, 35), 3: (35, 45), 4: (45, 55), 5: (55, 65), 6: (65, 86)}
DEPENDENT_FILER_AGES = {1: (14, 18), 2: (18, 26), 3: (26, 40)}
CHILD_AGES = {1: (0, 5), 2: (5, 13), 3: (13, 17), 4: (17, 19), 5: (19, 24), 6: (24, 40)}
# EARNSPLIT: the head earns three quarters or more (1), between (2), under a quarter (3); the spouse's share.
SPOUSE_SHARES = {1: (0.0, 0.25), 2: (0.25, 0.75), 3: (0.75, 1.0)}
MARS_STATUS = {1: "SINGLE", 2: "JOINT", 3: "SEPARATE", 4: "HEAD_OF_HOUSEHOLD", 5: "SURVIVING_SPOUSE"}
# Share of couples of one sex: an assumption of the same size as the survey's.
SAME_SEX = 0.04
MAX_DEPENDENTS = 3


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


def build_puf(raw: TaxFile, *, year: int, seed: int) -> Frame:
    """Returns of the tax file as households of persons.

    Args:
        raw: table of the reader; S006 with its two decimals applied.
        year: year to which amounts and weights are uprated.
        seed: seed of all draws (ages within codes, sexes, shares of earnings, donors of aggregate records).

    Returns:
        A validated Frame, `source` "puf", `source_household_id` the RECID.

    Raises:
        SourceError: an absent column, a duplicated RECID, a missing value or a year without growth factors.
    """
    returns = _returns(raw)
    amounts = map_amounts(returns)
    returns, amounts = disaggregate(returns, amounts, seed=seed)
    returns = _with_demographics(returns, amounts, seed=seed)
    amounts, weight_factor = uprate(amounts, raw.year, year)
    returns = returns.assign(weight=returns["weight"] * weight_factor)
    return _expand(returns, amounts, year=year, synthetic=raw.synthetic, seed=seed).validate("PUF")


def map_amounts(returns: pd.DataFrame) -> pd.DataFrame:
    """Engine inputs of each return from the file's codes, dollars of the file's year, one column a variable."""
    needed = sorted({c for plus, minus in AMOUNTS.values() for c in (*plus, *minus) if c not in OPTIONAL})
    require_columns(returns, needed, "tax file")
    columns = {}
    for name, (plus, minus) in AMOUNTS.items():
        total = np.zeros(len(returns))
        for column in plus:
            total = total + optional(returns, column)
        for column in minus:
            total = total - optional(returns, column)
        columns[name] = total
    return pd.DataFrame(columns)


def _returns(raw: TaxFile) -> pd.DataFrame:
    table = raw.table
    require_columns(table, DESCRIPTION, "tax file")
    twice = table["RECID"].duplicated().to_numpy()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise SourceError(
            f"tax file row {row}: RECID {table['RECID'].iloc[row]} occurs twice; wanted one row a return."
        )
    codes = [c for c in table.columns if c in DESCRIPTION or c[:1] in "EP"]
    missing = table[codes].isna()
    if missing.to_numpy().any():
        column = str(missing.any().idxmax())
        row = int(np.flatnonzero(missing[column].to_numpy())[0])
        raise SourceError(
            f"tax file row {row} (RECID {table['RECID'].iloc[row]}): {column} is missing; wanted a number."
        )
    returns = table.assign(weight=table["S006"].to_numpy(dtype=np.float64))
    if "AGERANGE" not in returns and "demographics" in raw.companions:
        extra = raw.companions["demographics"]
        returns = returns.merge(extra[["RECID", *[c for c in DEMOGRAPHICS if c in extra]]], on="RECID", how="left")
    return returns.reset_index(drop=True)


def _with_demographics(returns: pd.DataFrame, amounts: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Fill absent demographic codes from a return drawn among those alike (status, retired, dependants)."""
    table = pd.DataFrame({c: returns.get(c, np.nan) for c in DEMOGRAPHICS}, index=returns.index)
    known = (table["AGERANGE"].fillna(0) > 0).to_numpy()
    if not known.any():
        raise SourceError(
            "tax file: no return has a demographic record (AGERANGE); wanted the demographic companion file."
        )
    lacking = np.flatnonzero(~known)
    retired = amounts["puf_social_security"].to_numpy() > 0
    alike = pd.DataFrame({"mars": returns["MARS"], "retired": retired, "one": np.minimum(returns["XTOT"], 5)})
    cell = alike.groupby(list(alike.columns)).ngroup().to_numpy()
    draws = uniform(f"puf_demographics/{seed}", returns["RECID"].to_numpy(dtype=np.int64))[lacking]
    pool = np.flatnonzero(known)
    pool = pool[np.argsort(cell[pool], kind="stable")]
    start, end = (np.searchsorted(cell[pool], cell[lacking], side=side) for side in ("left", "right"))
    alone = start == end
    start, end = np.where(alone, 0, start), np.where(alone, len(pool), end)
    donors = pool[start + (draws * (end - start)).astype(np.int64)]
    table.iloc[lacking] = table.iloc[donors].to_numpy()
    return returns.drop(columns=[c for c in DEMOGRAPHICS if c in returns]).join(table.fillna(0).astype(np.int64))


def _expand(returns: pd.DataFrame, amounts: pd.DataFrame, *, year: int, synthetic: bool, seed: int) -> Frame:
    n = len(returns)
    joint = returns["MARS"].to_numpy() == 2
    filers = 1 + joint.astype(np.int64)
    dependents = np.clip(returns["XTOT"].to_numpy(dtype=np.int64) - filers, 0, MAX_DEPENDENTS)
    dependents = np.where(returns["DSI"].to_numpy() == 1, 0, dependents)
    unit = np.concatenate([np.arange(n), np.flatnonzero(joint), *(np.flatnonzero(dependents > k) for k in range(3))])
    slot = np.concatenate(
        [np.zeros(n), np.ones(int(joint.sum())), *(np.full(int((dependents > k).sum()), 2 + k) for k in range(3))]
    ).astype(np.int64)
    order = np.lexsort((slot, unit))
    unit, slot = unit[order].astype(np.int64), slot[order]
    role = np.where(slot == 0, "HEAD", np.where(slot == 1, "SPOUSE", "DEPENDENT"))
    age, female = _ages(returns, unit, slot, seed), _sexes(returns, unit, slot, seed)
    columns: dict[str, object] = {"person_id": np.arange(len(unit))}
    columns |= {f"{entity}_id": unit for entity in ("household", "tax_unit", "spm_unit", "family")}
    # Head and spouse share a marital unit; every dependant has one.
    columns["marital_unit_id"] = np.cumsum(slot != 1) - 1
    columns |= {"age": age, "is_female": female}
    columns["tax_unit_role_input"] = pd.Categorical(role, categories=TAX_UNIT_ROLES)
    columns |= _person_amounts(returns, amounts, unit, slot, seed)
    status = returns["MARS"].map(MARS_STATUS).fillna("SINGLE")
    household = pd.DataFrame(
        {
            "household_id": np.arange(n),
            "household_weight": returns["weight"].to_numpy(dtype=np.float64),
            "source": pd.Categorical(["puf"] * n, categories=["cps", "puf"]),
            "source_household_id": returns["RECID"].to_numpy(dtype=np.int64),
        }
    )
    ids = np.arange(n)
    return Frame(
        household=household,
        tax_unit=pd.DataFrame(
            {"tax_unit_id": ids, "constructed_filing_status": pd.Categorical(status, categories=sorted(STATUSES))}
        ),
        spm_unit=pd.DataFrame({"spm_unit_id": ids}),
        family=pd.DataFrame({"family_id": ids}),
        marital_unit=pd.DataFrame({"marital_unit_id": np.arange(int((slot != 1).sum()))}),
        person=pd.DataFrame(columns),
        year=year,
        synthetic=synthetic,
    )


def _ages(returns: pd.DataFrame, unit: IntArray, slot: IntArray, seed: int) -> FloatArray:
    """Ages in years; a spouse is as old as the head."""
    low, high = np.zeros(len(unit)), np.ones(len(unit))
    filer = slot <= 1
    dependent_filer = returns["DSI"].to_numpy()[unit] == 1
    bands = [
        (filer & ~dependent_filer, "AGERANGE", FILER_AGES),
        (filer & dependent_filer, "AGERANGE", DEPENDENT_FILER_AGES),
        *((slot == 1 + k, f"AGEDP{k}", CHILD_AGES) for k in (1, 2, 3)),
    ]
    for mask, column, codes in bands:
        lower = {code: bounds[0] for code, bounds in codes.items()}
        upper = {code: bounds[1] for code, bounds in codes.items()}
        code = returns[column].clip(1, max(codes))
        low = np.where(mask, code.map(lower).to_numpy()[unit], low)
        high = np.where(mask, code.map(upper).to_numpy()[unit], high)
    recid = returns["RECID"].to_numpy(dtype=np.int64)[unit]
    draw = uniform(f"puf_age/{seed}", recid, np.where(slot == 1, 0, slot))
    return np.asarray(np.floor(low + draw * (high - low)), dtype=np.float64)


def _sexes(returns: pd.DataFrame, unit: IntArray, slot: IntArray, seed: int) -> FloatArray:
    head_female = (returns["GENDER"].to_numpy() == 2)[unit]
    draw = uniform(f"puf_sex/{seed}", returns["RECID"].to_numpy(dtype=np.int64)[unit], slot)
    spouse = np.where(draw < SAME_SEX, head_female, ~head_female)
    return np.select([slot == 0, slot == 1], [head_female, spouse], default=draw < 0.5).astype(bool)


def _person_amounts(
    returns: pd.DataFrame, amounts: pd.DataFrame, unit: IntArray, slot: IntArray, seed: int
) -> dict[str, FloatArray]:
    joint = returns["MARS"].to_numpy() == 2
    code = returns["EARNSPLIT"].clip(1, 3)
    low, high = (code.map({k: bounds[side] for k, bounds in SPOUSE_SHARES.items()}).to_numpy() for side in (0, 1))
    draw = uniform(f"puf_earnings/{seed}", returns["RECID"].to_numpy(dtype=np.int64))
    share = np.where(joint & (returns["EARNSPLIT"].to_numpy() > 0), low + draw * (high - low), 0.0)
    result = {}
    for name in amounts.columns:
        value = amounts[name].to_numpy(dtype=np.float64)
        spouse = value * share if name in EARNED else np.zeros(len(value))
        result[str(name)] = np.select([slot == 0, slot == 1], [(value - spouse)[unit], spouse[unit]], default=0.0)
    return result
