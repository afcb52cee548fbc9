"""What must agree with the tax half's drawn incomes: kinds of drawn totals, and weeks without work.

Holds the rules and the small forests trained on the survey's recipients; touches the tax half's heads and spouses
alone.

- Kinds: parts = shares * drawn total, shares drawn by age, sex and family from recipients, who report their kinds.
  With fewer than `MIN_RECIPIENTS` of them, or where no kind was drawn, the part by default; for Social Security
  retirement from `RETIREMENT_AGE` on and disability before. No total, no kind.
- Weeks: drawn from the survey's recipients of unemployment compensation given their amount; 0 to 52, 0 without any.
- Disability benefits: what an employer's plan pays is inside drawn wages or pensions (Form 1040 lines 1h and 5b), so
  that only the untaxed ones (26 USC 104(a)(3)) stay.
"""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from tessera.microdata.asec import FloatArray, IntArray
from tessera.microdata.chains import Chains
from tessera.microdata.income import RETIREMENT_AGE
from tessera.microdata.survey_filers import WHO, SurveyFilers
from tessera.microdata.totals import SOCIAL_SECURITY, TOTALS, Total
from tessera.microdata.work import WEEKS_OF_YEAR

logger = logging.getLogger(__name__)

MIN_RECIPIENTS = 100
COMPENSATION = "unemployment_compensation"
WEEKS = "weeks_unemployed"
DISABILITY, UNTAXED_DISABILITY = "disability_benefits", "tax_exempt_disability_benefits"


def reconciled(chains: Chains, people: SurveyFilers) -> pd.DataFrame:
    """All columns that follow drawn totals, one row a filer, indexed by person row.

    Args:
        chains: runs the chains.
        people: filers as reported, and with drawn incomes.
    """
    parts = [kinds(chains, people, total) for total in TOTALS]
    columns = pd.concat([*parts, weeks_unemployed(chains, people)], axis=1)
    if DISABILITY in people.own:
        columns[DISABILITY] = people.own.get(UNTAXED_DISABILITY, 0.0)
    return columns


def kinds(chains: Chains, people: SurveyFilers, total: Total) -> pd.DataFrame:
    """Parts of a drawn total of every filer, dollars; they sum to it exactly. Also the portions of parts."""
    drawn = people.drawn[total.name].to_numpy(dtype=np.float64)
    parts = [name for name in total.parts if name in people.own]
    portions = [(name, whole) for name, whole in total.of_which if name in people.own]
    names = [*parts, *(name for name, _ in portions)]
    reported = people.own[names].to_numpy(dtype=np.float64)
    whole = reported[:, : len(parts)].sum(axis=1)
    recipient, gets = people.usable(whole > 0), drawn > 0
    shares = np.zeros((len(drawn), len(names)))
    if len(names) > 1 and recipient.sum() >= MIN_RECIPIENTS:
        labels = [f"share_{name}" for name in names]
        rows, weights = people.training(recipient, seed=chains.seed)
        own = pd.DataFrame(reported[rows] / whole[rows, None], columns=labels, index=people.own.index[rows])
        shares[gets] = chains.run(
            total.what,
            people.reported[list(WHO)].iloc[rows].join(own),
            WHO,
            labels,
            weights,
            people.drawn.loc[gets],
            people.keys_at(gets),
            people.weights[gets],
        ).to_numpy()
    elif len(names) > 1:
        logger.info(
            "%s: %d recipients in the survey, fewer than %d; all are of the kind by default",
            total.what,
            recipient.sum(),
            MIN_RECIPIENTS,
        )
    default = _default_part(people, total)
    values = split_total(np.maximum(drawn, 0.0), shares[:, : len(parts)], default)
    # A loss is no kind's: it stays whole.
    values[~gets, default[~gets]] = drawn[~gets]
    columns = {name: values[:, number] for number, name in enumerate(parts)}
    for number, (name, of) in enumerate(portions, start=len(parts)):
        limit = np.maximum(drawn if of == total.name else columns[of], 0.0)
        columns[name] = np.clip(shares[:, number] * drawn, 0.0, limit)
    return pd.DataFrame(columns, index=people.drawn.index)


def _default_part(people: SurveyFilers, total: Total) -> IntArray:
    """Number of the part by default of each filer, (n,)."""
    if total is not SOCIAL_SECURITY:
        return np.zeros(len(people.drawn), dtype=np.int64)
    return np.where(people.drawn["age"].to_numpy() >= RETIREMENT_AGE, 0, 1).astype(np.int64)


def split_total(total: FloatArray, shares: FloatArray, default: IntArray) -> FloatArray:
    """Parts of at least 0 that sum to the totals to the last bit, (n, n_parts).

    Args:
        total: dollars of at least 0, (n,).
        shares: shares of the parts, (n, n_parts), of any sum; negative ones count as 0.
        default: part that takes all where no share is above 0, (n,).
    """
    share = np.maximum(shares, 0.0)
    scale = share.sum(axis=1)
    some = scale > 0
    share = np.divide(share, scale[:, None], out=np.zeros_like(share), where=some[:, None])
    share[~some, default[~some]] = 1.0
    # Parts in whole steps of the total's own precision, of which sums are exact; the largest part takes the rest.
    step = np.spacing(total)
    parts = np.floor(share * (total / step)[:, None]) * step[:, None]
    rows, largest = np.arange(len(total)), share.argmax(axis=1)
    parts[rows, largest] = 0.0
    parts[rows, largest] = total - parts.sum(axis=1)
    return np.asarray(parts, dtype=np.float64)


def weeks_unemployed(chains: Chains, people: SurveyFilers) -> pd.DataFrame:
    """Weeks looking for work last year of every filer, between 0 and 52; 0 without unemployment compensation."""
    weeks = np.zeros(len(people.drawn))
    recipient = people.usable((people.reported[COMPENSATION] > 0).to_numpy())
    gets = (people.drawn[COMPENSATION] > 0).to_numpy()
    if recipient.any() and gets.any():
        rows, weights = people.training(recipient, seed=chains.seed)
        drawn = chains.run(
            "weeks without work",
            people.reported.iloc[rows],
            [*WHO, COMPENSATION],
            [WEEKS],
            weights,
            people.drawn.loc[gets],
            people.keys_at(gets),
            people.weights[gets],
        )
        weeks[gets] = np.clip(drawn[WEEKS].to_numpy(), 0.0, WEEKS_OF_YEAR)
    return pd.DataFrame({WEEKS: weeks}, index=people.drawn.index)
