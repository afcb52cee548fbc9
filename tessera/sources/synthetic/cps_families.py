"""Family codes of the CPS for synthetic persons: family numbers, kinds and relationships, from roles.

The primary family (or nonfamily householder) is family 1; a grown child with children of its own, and a pair of
parents, are related subfamilies; partners, room-mates and their children are secondary individuals or unrelated
subfamilies.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.sources.synthetic.draws import Flags, Integers
from tessera.sources.synthetic.people import (
    CHILD,
    GRANDCHILD,
    PARENT,
    PARTNER,
    REFERENCE,
    RELATIVE,
    ROOMMATE,
    ROOMMATE_CHILD,
    SPOUSE,
    line_of,
)

_PRIMARY, _NONFAMILY, _RELATED, _UNRELATED, _SECONDARY = 1, 2, 3, 4, 5


def family_codes(person: pd.DataFrame) -> dict[str, npt.NDArray[np.int64]]:
    """CPS columns PF_SEQ, PHF_SEQ, A_FAMTYP, A_FAMREL, A_EXPRRP, PERRP; each of shape (n_persons,)."""
    household, role, line = (person[name].to_numpy() for name in ("household", "role", "line"))
    has_family = (
        np.bincount(household, weights=np.isin(role, (SPOUSE, CHILD, GRANDCHILD, PARENT, RELATIVE)))[household] > 0
    )
    has_grandchild = line_of(person, GRANDCHILD)[household] > 0
    has_guest_child = line_of(person, ROOMMATE_CHILD)[household] > 0
    first_guest = line == line_of(person, ROOMMATE)[household]
    young_parent = (role == CHILD) & has_grandchild
    couple = (role == PARENT) & (person["spouse"].to_numpy() > 0)
    related = young_parent | (role == GRANDCHILD) | couple
    unrelated = (role == ROOMMATE_CHILD) | ((role == ROOMMATE) & has_guest_child & first_guest)
    kind = np.select(
        [unrelated, np.isin(role, (PARTNER, ROOMMATE)), related, has_family],
        [_UNRELATED, _SECONDARY, _RELATED, _PRIMARY],
        _NONFAMILY,
    )  # fmt: skip
    leads = (role == REFERENCE) | young_parent | (couple & (line == line_of(person, PARENT)[household]))
    leads |= (kind == _SECONDARY) | ((kind == _UNRELATED) & (role == ROOMMATE))
    family = _family_numbers(person, role, leads, kind)
    relation = np.select(
        [np.isin(kind, (_NONFAMILY, _SECONDARY)), leads, (role == SPOUSE) | couple,
         np.isin(role, (CHILD, GRANDCHILD, ROOMMATE_CHILD))], [0, 1, 2, 3], 4,
    )  # fmt: skip
    return {
        "PF_SEQ": family,
        "PHF_SEQ": np.where(np.isin(kind, (_UNRELATED, _SECONDARY)), family, 1),
        "A_FAMTYP": kind,
        "A_FAMREL": relation,
        **_relationships(person, role, has_family, has_guest_child),
    }


def _family_numbers(person: pd.DataFrame, role: Integers, leads: Flags, kind: Integers) -> Integers:
    started = pd.Series(leads.astype(np.int64)).groupby(person["household"].to_numpy()).cumsum().to_numpy()
    # Members who lead nothing follow their own leader: the primary family is number 1, others the number last begun.
    return np.where(np.isin(kind, (_PRIMARY, _NONFAMILY)), 1, started).astype(np.int64)


def _relationships(
    person: pd.DataFrame, role: Integers, has_family: Flags, has_guest_child: Flags
) -> dict[str, Integers]:
    woman = person["female"].to_numpy() == 1
    guest = np.isin(role, (PARTNER, ROOMMATE))
    expanded = np.select(
        [(role == REFERENCE) & has_family, role == REFERENCE, (role == SPOUSE) & ~woman, role == SPOUSE, role == CHILD,
         role == GRANDCHILD, role == PARENT, role == RELATIVE, role == PARTNER, guest, role == ROOMMATE_CHILD],
        [1, 2, 3, 4, 5, 7, 8, 10, 13, 13, 12], 14,
    )  # fmt: skip
    reference = (role == REFERENCE) & (person["line"].to_numpy() == 1)
    partner_of = np.zeros(int(person["household"].max()) + 1, dtype=bool)
    partner_of[person["household"].to_numpy()[reference]] = woman[reference]
    same = woman == partner_of[person["household"].to_numpy()]
    detailed = np.select(
        [(role == REFERENCE) & has_family, role == REFERENCE, role == SPOUSE, (role == PARTNER) & has_family,
         role == PARTNER, role == CHILD, role == GRANDCHILD, role == PARENT, role == RELATIVE, role == ROOMMATE],
        [40, 41, 42 + 3 * same, 43 + 3 * same, 44 + 3 * same, 48, 49, 50, 52, np.where(has_guest_child, 54, 55)], 59,
    )  # fmt: skip
    return {"A_EXPRRP": expanded.astype(np.int64), "PERRP": detailed.astype(np.int64)}
