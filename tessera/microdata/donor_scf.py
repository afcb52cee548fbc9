"""Donors of net worth and car loans: families of the Survey of Consumer Finances (SCF), summary extract.

Holds the meaning of its columns (Federal Reserve Board, bulletin.macro.txt).

- A family is five rows, its implicates: missing answers imputed five times. All five are donors, with a fifth of the
  family's weight each (WGT is divided already), and they are one group: a forest is not tested on the implicates of
  families that it has seen.
- The reference person is the man of a couple of both sexes, else the older of the two: receivers are described by the
  same person (`donor_receivers`). MARRIED counts partners who live together; receivers, who are known to be married
  only, count theirs as single.
- Incomes are the family's: of the year before the survey, in the file's dollars.
- RACE: 1 white, 2 black, 3 Hispanic, 4 Asian, 5 other. These are no codes of the CPS.
- Car loans are VEH_INST, all instalment loans for vehicles. Interest is of the loans for cars and trucks, balance owed
  times yearly rate (X2218 X2219, X2318 X2319, X2418 X2419, X7169 X7170 of the full public data set, rates in hundredths
  of a percent), where the full data set is at hand; the summary extract knows no rates.

Left out: student loans (EDN_INST is all loans for education of the family, the engine asks for federal ones of a
person) and the parts of net worth (their sum would no longer be the net worth that is drawn).

Dollars. An extract is published in dollars of its own survey year, and published again in those of the newest one:
every amount then has a fraction. The 2019 file of 2020 is in dollars of 2019 (mean net worth 746.8 thousand, median
121.8; published 748.8 and 121.7), that of 2023 in dollars of 2022.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.microdata.asec import FloatArray, require_columns
from tessera.microdata.donor_tables import Donors, RawSurvey, checked_donors, number, race_group, refuse_duplicates
from tessera.microdata.donor_uprating import level

NEWEST_WAVE = 2022
_PRICES = "september_prices"
_NEEDED = [
    *("YY1", "Y1", "WGT", "AGE", "HHSEX", "RACE", "MARRIED", "KIDS", "WAGEINC", "BUSSEFARMINC", "INTDIVINC", "KGINC"),
    *("SSRETINC", "HOUSES", "MRTHEL", "NETWORTH", "VEH_INST", "NOWN", "VEHIC"),
]
_AMOUNTS = ("WAGEINC", "BUSSEFARMINC", "INTDIVINC", "KGINC", "SSRETINC", "NETWORTH", "VEH_INST", "VEHIC")
# Balance and rate of the loans on the first three cars and on all others.
_LOANS = (("X2218", "X2219"), ("X2318", "X2319"), ("X2418", "X2419"), ("X7169", "X7170"))
_RATE_UNIT = 10_000


def scf_donors(raw: RawSurvey) -> Donors:
    """Families with `net_worth`, `auto_loan_balance` and, where rates are at hand, `auto_loan_interest`.

    Raises:
        SourceError: a column is absent, an implicate occurs twice, or a number is missing.
    """
    require_columns(raw.table, _NEEDED, f"{raw.name} table")
    refuse_duplicates(raw.table, ["Y1"], f"{raw.name} table")
    table = raw.table
    to_survey_year = dollars_factor(table, raw.year)
    money = {name: number(table, name) * to_survey_year for name in _AMOUNTS}
    race = number(table, "RACE")
    columns = {
        "age": number(table, "AGE"),
        "is_male": number(table, "HHSEX") == 1,
        "race_group": race_group(race == 1, race == 2, race == 3),
        "is_married": number(table, "MARRIED") == 1,
        "own_children": number(table, "KIDS"),
        "employment_income": money["WAGEINC"],
        "business_income": money["BUSSEFARMINC"],
        "interest_dividend_income": money["INTDIVINC"],
        "capital_gains": money["KGINC"],
        "social_security_pension_income": money["SSRETINC"],
        "owns_home": number(table, "HOUSES") > 0,
        "has_mortgage": number(table, "MRTHEL") > 0,
        "vehicles_owned": number(table, "NOWN"),
        "vehicles_value": money["VEHIC"],
        "net_worth": money["NETWORTH"],
        "auto_loan_balance": money["VEH_INST"],
    }
    values = ["net_worth", "auto_loan_balance"]
    if "loans" in raw.companions:
        columns["auto_loan_interest"] = _interest(raw, columns["auto_loan_balance"])
        values.append("auto_loan_interest")
    groups = table["YY1"].to_numpy(dtype=np.int64)
    return checked_donors(raw.name, columns, values, number(table, "WGT"), raw.year, groups=groups)


def dollars_factor(table: pd.DataFrame, year: int) -> float:
    """What brings amounts of an extract to dollars of its survey year: 1, or prices then over those of the newest wave.

    Args:
        table: the extract.
        year: survey year.
    """
    if year >= NEWEST_WAVE:
        return 1.0
    debts = number(table, "VEH_INST")
    debts = debts[np.isfinite(debts) & (debts != 0)]
    restated = debts.size > 0 and float(np.mean(debts == np.round(debts))) < 0.5
    return level(_PRICES, year) / level(_PRICES, NEWEST_WAVE) if restated else 1.0


def _interest(raw: RawSurvey, balance: FloatArray) -> FloatArray:
    """Interest of a year on car loans, dollars, (n_rows,): 0 for who owes nothing."""
    what = f"{raw.name} full data set"
    loans = raw.companions["loans"]
    require_columns(loans, ["Y1", *(name for pair in _LOANS for name in pair)], what)
    refuse_duplicates(loans, ["Y1"], what)
    terms = loans.set_index("Y1").reindex(raw.table["Y1"])
    # Negative rates and balances are codes ("inapplicable", "none").
    paid = sum(np.maximum(number(terms, owed), 0) * np.maximum(number(terms, rate), 0) for owed, rate in _LOANS)
    return np.where(balance > 0, np.asarray(paid, dtype=np.float64) / _RATE_UNIT, 0.0)
