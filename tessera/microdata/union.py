"""Union membership and coverage as the outgoing rotations answered them: the codes of PEERNLAB and PEERNCOV.

Imputes nothing. States are not assigned a published rate: the state is a predictor of the imputation, so what a state's
employees answered is what it gets. The nation's number is among the totals that stages are compared with.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.microdata.asec import BoolArray
from tessera.microdata.donor_tables import filled

YES, NO = 1, 2


def answered(table: pd.DataFrame) -> BoolArray:
    """Who answered whether they are union members, (n_rows,)."""
    known: BoolArray = np.isin(filled(table, "PEERNLAB"), (YES, NO))
    return known


def covered(table: pd.DataFrame) -> BoolArray:
    """Members, and those covered by a contract without being members, (n_rows,)."""
    represented: BoolArray = (filled(table, "PEERNLAB") == YES) | (filled(table, "PEERNCOV") == YES)
    return represented
