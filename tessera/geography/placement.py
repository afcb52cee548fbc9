"""Placing a base frame's clones from figures of districts and states. What they cover is in `coverage.py`.

Joins the frame, the blocks and the figures, which are passed in; the sampling itself is in `clones.py`.

The income that routes the top decile is a district's share of its state's adjusted gross income by population: the IRS
publishes incomes of districts for the 117th Congress only, so that within a state the routing is by population.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.frame import Frame
from tessera.geography.blocks import Blocks
from tessera.geography.clones import Clones, assign
from tessera.microdata.stratify import household_agi
from tessera.pytree.storage.fingerprint import tree_sha256


def place_clones(
    frame: Frame, blocks: Blocks, districts: pd.DataFrame, states: pd.DataFrame, *, n_clones: int, seed: int
) -> Clones:
    """Clones of a base frame, with design weights that carry the households of each district.

    Args:
        frame: the base frame.
        blocks: the block table.
        districts: a row a stratum district in catalogue order: `key` (CA-12), `population`, `households`.
        states: a row a state: `state` (postal code), `population`, `agi` (dollars).
        n_clones: clones of each household.
        seed: of the placement.
    """
    usps = districts["key"].str[:2]
    by_state = states.set_index("state")
    share = districts["population"] / usps.map(by_state["population"])
    return assign(
        frame.household["household_id"].to_numpy(dtype=np.int64),
        frame.weights,
        blocks,
        n_clones=n_clones,
        seed=seed,
        district_households=districts["households"].to_numpy(dtype=np.float64),
        household_agi=household_agi(frame),
        district_agi=(share * usps.map(by_state["agi"])).to_numpy(dtype=np.float64),
        synthetic=frame.synthetic,
        base_sha256=tree_sha256(frame),
    )
