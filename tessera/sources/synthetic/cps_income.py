"""Income, expense and tax codes of the CPS for synthetic persons.

Holds recoding only: every amount and source was drawn by `incomes`, `details` and `homes`. Amounts are dollars a year.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.sources.synthetic.draws import Flags, Integers
from tessera.sources.synthetic.homes import MONEY

Codes = dict[str, npt.NDArray[np.int64]]
_FIELD_LIMIT = 9_999_999
OLD = 58  # from this age on distributions are asked in one pair of questions, below it in another
_AMOUNTS = {
    "WSAL_VAL": "wages", "SEMP_VAL": "self_employment", "FRSE_VAL": "farm", "TRDINT_VAL": "interest",
    "RINT_VAL1": "retirement_interest", "DIV_VAL": "dividends", "RNT_VAL": "rent", "CAP_VAL": "capital_gains",
    "SS_VAL": "social_security", "SSI_VAL": "ssi", "UC_VAL": "unemployment", "PAW_VAL": "public_assistance",
    "VET_VAL": "veterans", "WC_VAL": "workers_compensation", "DIS_VAL1": "disability", "DIS_VAL2": "second_disability",
    "SRVS_VAL": "survivors", "SUR_VAL1": "survivors", "PNSN_VAL": "pension", "ANN_VAL": "annuity",
    "CSP_VAL": "child_support", "ED_VAL": "education_aid", "FIN_VAL": "financial_aid", "RETCB_VAL": "contributions",
    "CHSP_VAL": "child_support_paid", "PHIP_VAL": "premiums", "PMED_VAL": "medical", "POTC_VAL": "over_the_counter",
    "PEMCPREM": "part_b",
}  # fmt: skip
_CODES = {
    "RESNSS1": "social_security_reason", "RESNSS2": "second_reason", "RESNSSI1": "ssi_reason",
    "DIS_SC1": "disability_source",
    "DIS_SC2": "second_disability_source", "SUR_SC1": "survivor_source", "PEN_SC1": "pension_source",
    "PEN_SC2": "second_pension_source", "I_ERNVAL": "allocated", "I_SEVAL": "allocated_business",
    "OI_OFF": "other_source",
}  # fmt: skip
_NONE = ("RESNSSI2", "RINT_VAL2", "SUR_SC2", "SUR_VAL2")
_TAXED = (
    "WSAL_VAL", "SEMP_VAL", "FRSE_VAL", "TRDINT_VAL", "DIV_VAL", "RNT_VAL", "CAP_VAL", "UC_VAL", "PNSN_VAL", "ANN_VAL",
)  # fmt: skip
_MUST_FILE, _CHILD_ALONE = 14_600, 15


def income_codes(person: pd.DataFrame) -> Codes:
    """Amounts with their sources, totals, and whether a benefit was received; each of shape (n_persons,)."""
    codes = {code: np.clip(person[name].to_numpy(), -_FIELD_LIMIT, _FIELD_LIMIT) for code, name in _AMOUNTS.items()}
    codes |= {code: person[name].to_numpy() for code, name in _CODES.items()}
    codes |= {code: np.zeros(len(person), dtype=np.int64) for code in _NONE}
    adult = person["age"].to_numpy() >= _CHILD_ALONE
    for name, has in (("SS_YN", codes["SS_VAL"] > 0), ("SSI_YN", codes["SSI_VAL"] > 0)):
        codes[name] = np.select([~adult & ~has, has], [0, 1], 2)
    # A quarter of a second pension's pensions come from the second source.
    second = np.where(codes["PEN_SC2"] > 0, codes["PNSN_VAL"] // 4, 0)
    codes |= {
        "INT_VAL": codes["TRDINT_VAL"] + codes["RINT_VAL1"],
        "PAW_TYP": np.where(codes["PAW_VAL"] > 0, 1 + (codes["PAW_VAL"] // 100) % 10 // 7, 0),
        "PEN_VAL1": codes["PNSN_VAL"] - second, "PEN_VAL2": second,
        "OI_VAL": person["alimony"].to_numpy() + person["other_income"].to_numpy(),
        "PEARNVAL": codes["WSAL_VAL"] + codes["SEMP_VAL"] + codes["FRSE_VAL"],
        "PTOTVAL": person[list(MONEY)].to_numpy().sum(axis=1),
        "MOOP": codes["PHIP_VAL"] + codes["PMED_VAL"] + codes["POTC_VAL"],
        **_distributions(person),
    }  # fmt: skip
    return codes


def tax_codes(person: pd.DataFrame, codes: Codes, sequence: Integers) -> Codes:
    """The Census tax model's TAX_ID, FILESTAT, DEP_STAT and AGI: couples file jointly, parents claim minors at home.

    Args:
        person: with ages and pointers.
        codes: the result of `income_codes`.
        sequence: H_SEQ of each person.
    """
    line, age = person["line"].to_numpy(), person["age"].to_numpy()
    spouse, parent = person["spouse"].to_numpy(), person["parent1"].to_numpy()
    claimed = (age < 18) & (parent > 0) & (spouse == 0)
    couple_head = np.where(spouse > 0, np.minimum(line, spouse), line)
    place = {key: row for row, key in enumerate(zip(sequence, line, strict=True))}
    of_parent = np.array([place.get(key, -1) for key in zip(sequence, parent, strict=True)])
    head = np.where(claimed, couple_head[np.maximum(of_parent, 0)], couple_head)
    unit = sequence * 100 + head
    income = np.sum([codes[name] for name in _TAXED], axis=0)
    _, index = np.unique(unit, return_inverse=True)
    together = np.bincount(index, weights=np.where(claimed, 0, income))[index].astype(np.int64)
    children = np.bincount(index, weights=claimed)[index] > 0
    return {
        "TAX_ID": unit, "DEP_STAT": np.where(claimed, head, 0),
        "FILESTAT": _status(claimed, spouse > 0, children, together, age, index),
        "AGI": np.where(line == head, np.maximum(together, 0), 0),
    }  # fmt: skip


def _status(
    claimed: Flags, married: Flags, children: Flags, income: Integers, age: Integers, unit: Integers
) -> Integers:
    old = np.bincount(unit, weights=married & (age >= 65))[unit]
    files = ~claimed & (income >= np.where(married, 2, 1) * _MUST_FILE)
    joint = np.select([old == 0, old == 1], [1, 2], 3)
    return np.where(files, np.where(married, joint, np.where(children, 4, 5)), 6).astype(np.int64)


def _distributions(person: pd.DataFrame) -> Codes:
    old = person["age"].to_numpy() >= OLD
    parts: Codes = {}
    for number, value, source in (("1", "distributions", "account"), ("2", "second_distributions", "second_account")):
        amount, code = person[value].to_numpy(), np.where(person[value] > 0, person[source], 0)
        parts |= {
            f"DST_VAL{number}": np.where(old, amount, 0), f"DST_SC{number}": np.where(old, code, 0),
            f"DST_VAL{number}_YNG": np.where(old, 0, amount), f"DST_SC{number}_YNG": np.where(old, 0, code),
        }  # fmt: skip
    return parts
