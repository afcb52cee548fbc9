"""The block table of a run: synthetic blocks below real county shares, or the official block files.

Official block files (119th Congress block equivalency, P.L. 94-171 populations) have no reader yet; asking for them
says so and what to do.
"""

from __future__ import annotations

import pandas as pd

from tessera.config import SourceMode
from tessera.errors import SourceError
from tessera.geography import county_shares
from tessera.geography.blocks import Blocks, synthetic_blocks


def read_blocks(mode: SourceMode, districts: pd.DataFrame, blocks_per_district: int, seed: int) -> Blocks:
    """Blocks of every district.

    Args:
        mode: `synthetic` or `official`.
        districts: columns `district` (code) and `population`.
        blocks_per_district: of the synthetic ones.
        seed: of the synthetic ones.

    Raises:
        SourceError: official block files were asked for.
    """
    if mode == "official":
        raise SourceError(
            "census_blocks: this version has no reader of the official block files (119th Congress block equivalency "
            "and P.L. 94-171). Set TESSERA_SOURCES=synthetic: its blocks lie below the real county shares of districts."
        )
    population = districts.set_index("district")["population"].astype("int64")
    return synthetic_blocks(county_shares.load(), population, blocks_per_district=blocks_per_district, seed=seed)
