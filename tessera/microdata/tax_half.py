"""The tax half's incomes: every variable of the tax file, drawn for heads and spouses given their family alone.

Holds the sample of donors and the chain; what the draws mean for other columns is `reconcile`'s and `survey_only`'s.
Amounts are whole donor values: no tail is cut, no value averaged. Dependants draw nothing, as a return does not show
them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tessera.frame import Frame
from tessera.microdata.asec import BoolArray
from tessera.microdata.chains import Chains
from tessera.microdata.filers import FAMILY, Filers, draw_couples, filers
from tessera.microdata.imputation import training_sample
from tessera.microdata.stratify import AGI_COMPONENTS

TRAINING_RETURNS = 20_000
TOP_SHARE = 0.005
# All spouses are of joint returns.
SPOUSE_FAMILY = tuple(name for name in FAMILY if name != "tax_unit_is_joint")


def tax_donors(puf: Frame, names: Sequence[str], *, seed: int) -> Filers:
    """Returns to draw from: at most `TRAINING_RETURNS`, with all of the highest `TOP_SHARE` by income.

    Args:
        puf: the tax file, one return a tax unit.
        names: columns of its persons that will be drawn.
        seed: seed of the sample.

    Raises:
        FrameError: a return without exactly one head.
    """
    everyone = filers(puf, names)
    rows, weights = training_sample(everyone.weights, TRAINING_RETURNS, keep=_top(puf), seed=seed)
    return everyone.take(rows, weights)


def draw_tax_half(chains: Chains, donors: Filers, cps: Frame, names: Sequence[str]) -> pd.DataFrame:
    """Values of the tax file's variables for all heads and spouses of the survey, indexed by person row.

    Args:
        chains: runs the chains.
        donors: `tax_donors`.
        cps: the survey.
        names: variables in the order of the chain.
    """
    receivers = filers(cps, ())
    return draw_couples(
        chains,
        "tax half",
        donors,
        receivers,
        cps,
        predictors=FAMILY,
        spouse_predictors=SPOUSE_FAMILY,
        outputs=names,
    )


def _top(puf: Frame) -> BoolArray:
    """Returns above the quantile of income that is never left out of training, (n_units,)."""
    names = [name for name in AGI_COMPONENTS if name in puf.person]
    unit = puf.unit_of_person("tax_unit")
    total = puf.person[names].to_numpy(dtype=np.float64).sum(axis=1)
    income = np.bincount(unit, weights=total, minlength=puf.count("tax_unit"))
    top: BoolArray = income >= np.quantile(income, 1 - TOP_SHARE)
    return top
