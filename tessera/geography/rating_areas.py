"""Counties for whose name the rules engine has no rating area of the insurance marketplace.

The engine looks a county up by name and takes rating area 1 of the state where it finds none, without a word, so that
premium tax credits there may be those of other counties. Nothing is done about it here: the counties are listed, with
the residents of a block table in them, so that a run says how many people it concerns. The list is that of
policyengine-us 2.68, which a test compares with the installed engine; most of it are census areas of Alaska and names
that the engine's table writes without "COUNTY".
"""

from __future__ import annotations

import numpy as np

from tessera.geography.blocks import Blocks

WITHOUT_RATING_AREA = frozenset((
    "02063", "02066", "02100", "02158", "02195", "02198", "13017", "13029", "13085", "13167", "13279", "21049",
    "21057", "22059", "28001", "28019", "28099", "28147", "31049", "31113", "32001", "35013", "35028", "37121",
    "37139", "46102", "48023", "48197", "48211", "48247", "48267", "48383",
))  # fmt: skip


def residents_without_rating_area(blocks: Blocks) -> dict[str, int]:
    """County (five digits) -> residents, of the counties in the table that have no rating area of their own."""
    county = blocks.number // 10**10
    listed = np.array(sorted(int(fips) for fips in WITHOUT_RATING_AREA), dtype=np.int64)
    inside = np.isin(county, listed)
    found, inverse = np.unique(county[inside], return_inverse=True)
    residents = np.bincount(inverse, blocks.population[inside], minlength=len(found)).astype(np.int64)
    return {f"{fips:05d}": int(people) for fips, people in zip(found, residents, strict=True)}
