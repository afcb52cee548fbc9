"""Heads and spouses of tax units: their family, what they have, and what their draws are keyed on.

Holds tables of filers for donors and receivers alike, and the draw for couples; holds no choice of variables.

A return is one decision of a couple: what is not earned stands with the head. So heads are drawn first, one a unit,
and their spouses after them given what the heads drew, from spouses alone and only for variables that spouses have. A
couple thus goes together, and an amount of the return is never drawn twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tessera.errors import FrameError
from tessera.frame import Frame
from tessera.microdata.asec import BoolArray, FloatArray, IntArray
from tessera.microdata.chains import Chains
from tessera.microdata.imputation import Keys
from tessera.microdata.totals import column_of

FAMILY = ("age", "is_male", "tax_unit_is_joint", "tax_unit_count_dependents")


@dataclass(frozen=True)
class Filers:
    """Heads and spouses of a frame, each in the order of the table of tax units.

    Attributes:
        heads: one row a tax unit, indexed by row of the person table: `FAMILY` and amounts, float64.
        spouses: one row a joint tax unit, the same columns.
        head_of_spouse: row in `heads` of each spouse's head, (n_spouses,).
        weights: household weight of each tax unit, (n_units,).
    """

    heads: pd.DataFrame
    spouses: pd.DataFrame
    head_of_spouse: IntArray
    weights: FloatArray

    def take(self, units: IntArray, weights: FloatArray) -> Filers:
        """Some units (ascending rows of `heads`) with weights of their own, (n_taken,)."""
        place = np.full(len(self.heads), -1, dtype=np.int64)
        place[units] = np.arange(len(units))
        kept = place[self.head_of_spouse] >= 0
        return Filers(
            self.heads.iloc[units], self.spouses.loc[kept], place[self.head_of_spouse[kept]], np.asarray(weights)
        )

    def everybody(self) -> pd.DataFrame:
        """Heads, then spouses, with the column `is_tax_unit_head`."""
        return pd.concat([self.heads.assign(is_tax_unit_head=1.0), self.spouses.assign(is_tax_unit_head=0.0)])

    def everybodys_weights(self) -> FloatArray:
        """Weights in the order of `everybody`, (n_filers,)."""
        return np.concatenate([self.weights, self.weights[self.head_of_spouse]])


def filers(frame: Frame, amounts: Sequence[str]) -> Filers:
    """Filers of a frame with some amounts of its persons; flags become 0 and 1, an absent column counts as 0.

    Args:
        frame: survey or tax file.
        amounts: names of columns of `person`, or of totals of its columns (`totals`).

    Raises:
        FrameError: a tax unit without exactly one head or with two spouses.
    """
    head, spouse = _rows(frame)
    unit = frame.unit_of_person("tax_unit")
    role = frame.person["tax_unit_role_input"].astype(str).to_numpy()
    dependents = np.bincount(unit[role == "DEPENDENT"], minlength=len(head))
    values = {name: column_of(frame.person, name) for name in amounts}
    table = pd.DataFrame(
        {
            "age": column_of(frame.person, "age"),
            "is_male": 1.0 - column_of(frame.person, "is_female"),
            "tax_unit_is_joint": (spouse >= 0)[unit].astype(np.float64),
            "tax_unit_count_dependents": dependents[unit].astype(np.float64),
            **values,
        }
    )
    joint = np.flatnonzero(spouse >= 0)
    weights = frame.weights[frame.household_of("tax_unit")]
    return Filers(table.iloc[head], table.iloc[spouse[joint]], joint, weights)


def draw_couples(
    chains: Chains,
    label: str,
    donors: Filers,
    receivers: Filers,
    frame: Frame,
    *,
    predictors: Sequence[str],
    spouse_predictors: Sequence[str],
    outputs: Sequence[str],
) -> pd.DataFrame:
    """Values of the outputs for all filers of the receivers, drawn from donors: heads, then spouses given their heads.

    Args:
        chains: runs the chains and keeps their quality.
        label: name of the draw, for labels of chains.
        donors: filers with predictors and outputs.
        receivers: filers of `frame` with the predictors.
        predictors: columns that heads are drawn given.
        spouse_predictors: columns of spouses themselves that they are drawn given, beside what their heads drew.
        outputs: names in the order of the chain.

    Returns:
        One row a filer, indexed by row of the person table; a spouse has 0 where no spouse among the donors has any.
    """
    keys = keys_of(frame, receivers.heads.index.to_numpy())
    heads = chains.run(
        f"{label}, heads",
        donors.heads,
        predictors,
        outputs,
        donors.weights,
        receivers.heads,
        keys,
        receivers.weights,
    )
    spouses = pd.DataFrame(0.0, index=receivers.spouses.index, columns=list(outputs))
    theirs = [name for name in outputs if (donors.spouses[name] != 0).any()]
    if theirs and len(spouses):
        known = _beside_heads(donors.spouses, donors.heads[theirs], donors.head_of_spouse)
        asked = _beside_heads(receivers.spouses, heads[theirs], receivers.head_of_spouse)
        given = [*spouse_predictors, *(f"head_{name}" for name in theirs)]
        spouses[theirs] = chains.run(
            f"{label}, spouses",
            known,
            given,
            theirs,
            donors.weights[donors.head_of_spouse],
            asked,
            keys_of(frame, receivers.spouses.index.to_numpy()),
            receivers.weights[receivers.head_of_spouse],
        )
    return pd.concat([heads, spouses])


def keys_of(frame: Frame, rows: IntArray) -> Keys:
    """What draws of some persons are keyed on: household id, and position within the household by person id."""
    household = frame.unit_of_person("household")
    # Members of a household stand together in no promised order: number them by person id.
    order = np.lexsort((frame.person["person_id"].to_numpy(), household))
    first = np.searchsorted(household[order], np.arange(frame.count("household")))
    member = np.empty(len(household), dtype=np.int64)
    member[order] = np.arange(len(household)) - first[household[order]]
    return Keys(frame.person["household_id"].to_numpy(dtype=np.int64)[rows], member[rows])


def _beside_heads(spouses: pd.DataFrame, of_heads: pd.DataFrame, head_of_spouse: IntArray) -> pd.DataFrame:
    beside = of_heads.iloc[head_of_spouse].set_axis(spouses.index).add_prefix("head_")
    return pd.concat([spouses, beside], axis=1)


def _rows(frame: Frame) -> tuple[IntArray, IntArray]:
    """Person rows of the head and of the spouse (-1 for none) of each tax unit."""
    role = frame.person["tax_unit_role_input"].astype(str).to_numpy()
    unit = frame.unit_of_person("tax_unit")
    n = frame.count("tax_unit")
    ids = frame.tax_unit["tax_unit_id"].to_numpy()
    counts = {name: np.bincount(unit[role == name], minlength=n) for name in ("HEAD", "SPOUSE")}
    for name, bad in (("HEAD", counts["HEAD"] != 1), ("SPOUSE", counts["SPOUSE"] > 1)):
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            wanted = "exactly one" if name == "HEAD" else "at most one"
            raise FrameError(
                f"tax_unit row {row} (tax_unit_id {ids[row]}): {counts[name][row]} persons have the "
                f"tax_unit_role_input {name}; wanted {wanted}. Construct the tax units of the frame again."
            )
    return _row_of(unit, role == "HEAD", n), _row_of(unit, role == "SPOUSE", n)


def _row_of(unit: IntArray, mask: BoolArray, n: int) -> IntArray:
    result = np.full(n, -1, dtype=np.int64)
    rows = np.flatnonzero(mask)
    result[unit[rows]] = rows
    return result
