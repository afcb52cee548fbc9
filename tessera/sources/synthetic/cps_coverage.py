"""Health coverage codes of the CPS for synthetic persons: 1 covered, 2 not; 0 for last year of those born since."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

Codes = dict[str, npt.NDArray[np.int64]]
_NOW = {
    "GRP": ("employer",), "MRK": ("marketplace",), "MRKS": ("subsidised_marketplace",), "NONM": ("direct",),
    "DIR": ("marketplace", "direct"), "PRIV": ("employer", "marketplace", "direct", "military"),
    "MCARE": ("medicare",), "CAID": ("medicaid",), "MCAID": ("medicaid", "chip", "other_means"), "PCHIP": ("chip",),
    "OTHMT": ("other_means",), "MIL": ("military",), "CHAMPVA": ("champva",), "VACARE": ("veterans_care",),
    "IHSFLG": ("indian_health",),
    "PUB": ("medicare", "medicaid", "chip", "other_means", "champva", "veterans_care"),
    "COV": ("employer", "marketplace", "direct", "medicare", "medicaid", "chip", "other_means", "military", "champva",
            "veterans_care"),
}  # fmt: skip
_LAST_YEAR = ("COV", "MCARE", "CAID", "MCAID", "PCHIP", "CHAMPVA", "IHSFLG", "MIL", "VACARE")


def coverage_codes(person: pd.DataFrame) -> Codes:
    """Coverage at the interview (NOW_...), the same last year, WICYN; each of shape (n_persons,)."""
    has = {code: person[list(names)].to_numpy().max(axis=1) for code, names in _NOW.items()}
    codes = {f"NOW_{code}": 2 - flag for code, flag in has.items()}
    codes["NOW_MRKUN"] = 2 - (has["MRK"] & (1 - has["MRKS"]))
    own, age = person["own_employer"].to_numpy(), person["age"].to_numpy()
    codes["NOW_OWNGRP"] = np.where(has["GRP"] == 1, 2 - own, 0)
    # Employers pay a part for most, all for some, nothing for few.
    part = np.where(person["hours"].to_numpy() % 5 == 0, 2, 1)
    codes["NOW_HIPAID"] = np.where(own == 1, np.where(person["weeks"].to_numpy() < 44, 3, part), 0)
    household = person["household"].to_numpy()
    # The interview is in February to April: some infants were born after the year that incomes belong to.
    unborn = (age == 0) & (household % 5 == 0)
    for code in _LAST_YEAR:
        codes[code] = np.where(unborn, 0, codes[f"NOW_{code}"])
    woman = (person["female"].to_numpy() == 1) & (age >= 15)
    infants = np.bincount(household, weights=age < 5)[household] > 0
    wic = woman & infants & (age < 50) & (person["medicaid"].to_numpy() == 1)
    codes["WICYN"] = np.select([wic, woman & infants], [1, 2], 0)
    return codes
