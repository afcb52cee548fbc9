"""The block table of a run: synthetic blocks below real county shares, or the official block files.

Only chooses between the two; `blocks.py` makes the first and `official_blocks.py` reads the others.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tessera.config import SourceMode
from tessera.errors import SourceError
from tessera.geography import county_shares
from tessera.geography.blocks import Blocks, synthetic_blocks


def read_blocks(
    mode: SourceMode,
    districts: pd.DataFrame,
    blocks_per_district: int,
    seed: int,
    *,
    raw: Path | None = None,
    workers: int = 1,
) -> Blocks:
    """Blocks of every district.

    Args:
        mode: `synthetic` or `official`.
        districts: columns `district` (code) and `population`; of the synthetic ones.
        blocks_per_district: of the synthetic ones.
        seed: of the synthetic ones.
        raw: folder of source files, `$TESSERA_HOME/raw`; the official files lie in its folder `census_blocks`.
        workers: processes that read official files side by side.

    Raises:
        SourceError: an official file is absent (all that are, are listed with their URLs), damaged or contradicts
            another.
        GeographyError: a district without residents, or a county that the engine does not know.
    """
    if mode == "official":
        from tessera.geography.official_blocks import official_blocks

        if raw is None:
            raise SourceError(
                "census_blocks: no folder of source files was given, so official block files cannot be found. Pass "
                "raw=paths().raw, or mode='synthetic'."
            )
        return official_blocks(raw, workers=workers)
    population = districts.set_index("district")["population"].astype("int64")
    return synthetic_blocks(county_shares.load(), population, blocks_per_district=blocks_per_district, seed=seed)
