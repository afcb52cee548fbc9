"""Totals of the tax file that survey and engine know by kind: their names, their parts, and the part by default.

Holds names alone. A return has one line of Social Security, of taxable pensions, of untaxed ones and of distributions
of IRAs (Form 1040 lines 6a, 5b, 5a less 5b, 4b; of 2015: 20a, 16b, 16a less 16b, 15b); plans of employers and of the
self-employed stand with pensions, a SEP with IRAs (26 USC 408(k)). A total carries the name of its part by default,
but for Social Security, which has a name of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tessera.microdata.asec import FloatArray
from tessera.microdata.income import EXEMPT_PENSION_PARTS, SOCIAL_SECURITY_PARTS, TAXABLE_PENSION_PARTS

TOTAL_SOCIAL_SECURITY = "puf_social_security"


@dataclass(frozen=True)
class Total:
    """A total and its parts.

    Attributes:
        name: the tax file's column.
        what: the same in words, for labels and messages.
        parts: the survey's columns; they sum to the total. The first is that of who is not known better.
        of_which: columns that are a portion of a part (or of the total, by its name) and are never added.
    """

    name: str
    what: str
    parts: tuple[str, ...]
    of_which: tuple[tuple[str, str], ...] = ()


SOCIAL_SECURITY = Total(TOTAL_SOCIAL_SECURITY, "kinds of Social Security", SOCIAL_SECURITY_PARTS)
PENSIONS = Total(
    "taxable_private_pension_income",
    "kinds of taxable pensions",
    TAXABLE_PENSION_PARTS,
    (
        ("taxable_federal_pension_income", "taxable_public_pension_income"),
        ("pension_survivors", "taxable_private_pension_income"),
    ),
)
UNTAXED_PENSIONS = Total("tax_exempt_private_pension_income", "kinds of untaxed pensions", EXEMPT_PENSION_PARTS)
IRAS = Total(
    "taxable_ira_distributions",
    "kinds of IRA distributions",
    ("taxable_ira_distributions", "taxable_sep_distributions"),
)
TOTALS = (SOCIAL_SECURITY, PENSIONS, UNTAXED_PENSIONS, IRAS)


def column_of(person: pd.DataFrame, name: str) -> FloatArray:
    """A column of persons as float64, (n_persons,): for a total the sum of its parts; zeros where it is absent."""
    parts = next((total.parts for total in TOTALS if total.name == name), (name,))
    if name == TOTAL_SOCIAL_SECURITY and name in person:
        parts = (name,)
    known = [part for part in parts if part in person]
    return np.asarray(sum((person[part].to_numpy(dtype=np.float64) for part in known), np.zeros(len(person))))
