"""Amounts of pensions, survivors', disability and other income by who pays them, and retirement account distributions.

The survey asks for up to two payers of each (`PEN_SC1`, `SUR_SC1`, `DIS_SC1`, `DST_SC1`, ...) and for one other
income (`OI_OFF`); the law treats payers apart. Holds the routing of codes to kinds, as data
(`data/income_sources.csv`); a kind is an engine input, or a pool that `income` splits. No amount is lost: what a
question's total holds beyond its parts goes with the first payer, and a code that the table does not know goes the
question's usual way. Dollars a year.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.microdata.asec import FloatArray, optional
from tessera.microdata.datafile import read_rows


@dataclass(frozen=True)
class Question:
    """A question about payers.

    Attributes:
        name: its name in `data/income_sources.csv`.
        parts: official columns of payer and amount, in order.
        total: official column of the sum of the parts, or "" where there is none.
        usual: kind of an amount whose payer is not known.
    """

    name: str
    parts: tuple[tuple[str, str], ...]
    total: str
    usual: str


QUESTIONS = (
    Question("pension", (("PEN_SC1", "PEN_VAL1"), ("PEN_SC2", "PEN_VAL2")), "PNSN_VAL", "private_pension"),
    Question("survivor", (("SUR_SC1", "SUR_VAL1"), ("SUR_SC2", "SUR_VAL2")), "SRVS_VAL", "survivor_benefits"),
    Question("disability", (("DIS_SC1", "DIS_VAL1"), ("DIS_SC2", "DIS_VAL2")), "", "taxable_disability"),
    Question(
        "distribution",
        tuple((f"DST_SC{suffix}", f"DST_VAL{suffix}") for suffix in ("1", "2", "1_YNG", "2_YNG")),
        "",
        "other_account",
    ),
    Question("other", (("OI_OFF", "OI_VAL"),), "", "miscellaneous_income"),
)


@cache
def kinds_of(question: str) -> dict[int, str]:
    """Kind of each code of a question."""
    return {int(row["code"]): row["kind"] for row in read_rows("income_sources") if row["question"] == question}


@cache
def all_kinds() -> tuple[str, ...]:
    """Every kind there is, in the order of the table."""
    return tuple(dict.fromkeys(row["kind"] for row in read_rows("income_sources")))


def amounts_by_kind(person: pd.DataFrame) -> dict[str, FloatArray]:
    """Reported amounts of every kind, dollars, each of shape (n_persons,); zeros where nobody has any.

    Args:
        person: ordered ASEC persons.

    Raises:
        SourceError: the parts of a total exceed it.
    """
    result = {kind: np.zeros(len(person)) for kind in all_kinds()}
    for question in QUESTIONS:
        kinds = kinds_of(question.name)
        for number, (payer, amount) in enumerate(question.parts):
            code, value = optional(person, payer), optional(person, amount)
            if number == 0 and question.total:
                value = value + rest(person, question.total, [column for _, column in question.parts])
            known = np.isin(code, list(kinds))
            result[question.usual] += np.where(known, 0.0, value)
            for number_of_kind, kind in kinds.items():
                result[kind] += np.where(code == number_of_kind, value, 0.0)
    return result


def rest(person: pd.DataFrame, total: str, parts: list[str]) -> FloatArray:
    """What a total holds beyond its parts, dollars of at least 0, (n_persons,).

    Vintages before 2019 have totals alone.

    Raises:
        SourceError: the parts of a person sum to more than the total.
    """
    whole = optional(person, total)
    sums = np.sum([optional(person, part) for part in parts], axis=0)
    bad = np.flatnonzero(sums > whole)
    if bad.size:
        row = int(bad[0])
        raise SourceError(
            f"ASEC person table row {row} (PH_SEQ {person['PH_SEQ'].iloc[row]}, line {person['A_LINENO'].iloc[row]}): "
            f"{' + '.join(parts)} is {sums[row]:g}, more than {total} {whole[row]:g} which holds them ({bad.size} such "
            "row(s)); wanted parts that sum to at most the total. Are the columns those of the file's vintage?"
        )
    return np.asarray(whole - sums, dtype=np.float64)
