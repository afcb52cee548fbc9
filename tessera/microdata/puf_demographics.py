"""Demographic codes of returns without a record of the IRS's match: drawn by sequential forests from those with one.

Holds the filling of codes, no age and no person (`puf_persons`). The IRS's demographic file has a record for most
returns. For the others AGERANGE, GENDER and EARNSPLIT follow from forests on wages, status, whether another claims the
filer, children for the earned income credit, exemptions, business income, Social Security, pensions and total income;
then AGEDP1-3 from these and the age of the filer, each learnt from returns with as many dependants. Every draw is a
code that some return like it has (`imputation`), keyed on the return. Filers claimed by another have codes of their
own for age and are learnt from each other.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.microdata.asec import BoolArray, IntArray, optional
from tessera.microdata.imputation import Keys, fit_predict_chain, training_sample

DEMOGRAPHICS = ("AGERANGE", "GENDER", "EARNSPLIT", "AGEDP1", "AGEDP2", "AGEDP3")
FILER = ("AGERANGE", "GENDER", "EARNSPLIT")
CHILD = ("AGEDP1", "AGEDP2", "AGEDP3")
PREDICTORS = (
    "E00200", "MARS", "DSI", "EIC", "XTOT", "N24", "E00900", "E02400", "E01700", "E03210", "E19200", "E00100",
)  # fmt: skip
TRAINING_ROWS = 10_000
MAX_DEPENDENTS = 3


def dependents_of(returns: pd.DataFrame) -> IntArray:
    """Dependants of each return, at most three: exemptions beyond filer and spouse; none of who is a dependant."""
    filers = 1 + (returns["MARS"].to_numpy() == 2)
    count = np.clip(returns["XTOT"].to_numpy(dtype=np.int64) - filers, 0, MAX_DEPENDENTS)
    return np.where(returns["DSI"].to_numpy() == 1, 0, count).astype(np.int64)


def fill_demographics(returns: pd.DataFrame, *, seed: int, n_jobs: int = 1) -> pd.DataFrame:
    """Returns with all demographic codes, integers; what a record has is kept.

    Args:
        returns: ordinary returns with RECID, weight, MARS, XTOT, DSI, amounts, and demographic codes where there is a
            record (missing or 0 elsewhere).
        seed: seed of forests and draws.
        n_jobs: workers; the result does not depend on them.

    Raises:
        SourceError: no return has a demographic record.
    """
    table = pd.DataFrame({c: returns.get(c, pd.Series(np.nan, index=returns.index)) for c in DEMOGRAPHICS})
    table = table.fillna(0).astype(np.float64)
    known = (table["AGERANGE"] > 0).to_numpy()
    if not known.any():
        raise SourceError(
            "tax file: no return has a demographic record (AGERANGE above 0); wanted the demographic companion file of "
            "the same year. Put demographics_2015.csv beside puf_2015.csv."
        )
    x = pd.DataFrame({name: optional(returns, name) for name in PREDICTORS}, index=returns.index)
    claimed = returns["DSI"].to_numpy() == 1
    for group in (claimed, ~claimed):
        donors, receivers = known & group, ~known & group
        _draw(table, x, FILER, donors if donors.any() else known, receivers, returns, seed, n_jobs)
    count = dependents_of(returns)
    predictors = x.assign(AGERANGE=table["AGERANGE"])
    for number, name in enumerate(CHILD):
        has = count > number
        coded = (table[name] > 0).to_numpy()
        donors = known & coded & has
        # Without a return to learn from, a dependant is as old as the one before, or of the commonest school age.
        if donors.any():
            _draw(table, predictors, (name,), donors, has & ~coded, returns, seed, n_jobs)
        else:
            table.loc[has & ~coded, name] = table[CHILD[number - 1]][has & ~coded] if number else 2.0
        table.loc[~has, name] = 0.0
        predictors = predictors.assign(**{name: table[name]})
    table.loc[returns["MARS"].to_numpy() != 2, "EARNSPLIT"] = 0.0
    rest = returns.drop(columns=[c for c in DEMOGRAPHICS if c in returns])
    return rest.join(table.astype(np.int64))


def _draw(
    table: pd.DataFrame,
    x: pd.DataFrame,
    names: tuple[str, ...],
    donors: BoolArray,
    receivers: BoolArray,
    returns: pd.DataFrame,
    seed: int,
    n_jobs: int,
) -> None:
    """Draw the named codes of the receivers from the donors, in place."""
    if not receivers.any():
        return
    rows = np.flatnonzero(donors)
    weight = returns["weight"].to_numpy(dtype=np.float64)[rows]
    if weight.sum() <= 0:
        weight = np.ones(len(rows))
    chosen, weights = training_sample(weight, TRAINING_ROWS, keep=np.zeros(len(rows), dtype=bool), seed=seed)
    train = x.iloc[rows[chosen]].join(table.iloc[rows[chosen]][list(names)])
    recid = returns["RECID"].to_numpy(dtype=np.int64)[receivers]
    drawn = fit_predict_chain(
        train,
        list(x.columns),
        list(names),
        weights,
        x[receivers],
        seed=seed,
        keys=Keys(recid, np.zeros_like(recid)),
        n_jobs=n_jobs,
    )
    table.loc[receivers, list(names)] = drawn.to_numpy()
