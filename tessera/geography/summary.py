"""What a block table holds, in figures for whoever looks at it: counts, what is left out, what is not known."""

from __future__ import annotations

import numpy as np

from tessera.geography.blocks import Blocks
from tessera.geography.crosswalk import WIDTHS
from tessera.geography.rating_areas import residents_without_rating_area


def summary_of(blocks: Blocks) -> dict[str, int | float | str]:
    """Population, districts and counties; of each layer the share of people whose block has a code; what was left out.

    Returns:
        Figures by their description, JSON values.
    """
    people = int(blocks.population.sum())
    missing = residents_without_rating_area(blocks)
    figures: dict[str, int | float | str] = {
        "population": people,
        "districts": len(np.unique(blocks.district)),
        "counties": len(np.unique(blocks.number // 10**10)),
        "counties without a rating area in the engine": len(missing),
        "residents of counties without a rating area": sum(missing.values()),
    }
    layers = {} if blocks.crosswalk is None else blocks.crosswalk.layers()
    for name in WIDTHS:
        coded = int(blocks.population[layers[name] != b""].sum()) if name in layers else 0
        figures[f"share of people with {name}"] = coded / max(people, 1)
    if blocks.counts is not None:
        counts = blocks.counts
        figures |= {
            "blocks in the files": counts.in_files,
            "blocks left out, nobody lives there": counts.unpopulated,
            "of them in no district": counts.without_district,
            "blocks of Puerto Rico and the islands left out": counts.outside_states,
            "states without areas of a kind": ", ".join(counts.absent_layers) or "none",
        }
    return figures
