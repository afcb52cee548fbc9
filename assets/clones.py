"""Clones: blocks, and the placement of every household's clones in them."""

from typing import Any

import dagster as dg

from resources.settings import Settings

OWNERS = ["team:geography"]


@dg.asset(group_name="clones", owners=OWNERS, kinds={"numpy"})
def block_distribution(census_blocks: Any) -> dg.MaterializeResult:
    """Blocks checked and ordered by district: the probability of each is its share of the district's population."""
    blocks = census_blocks.validate("census_blocks")
    population = blocks.district_population()
    metadata = {
        "dagster/row_count": len(blocks.block_geoid),
        "population": int(population.sum()),
        "smallest district": int(population.min()),
        "largest district": int(population.max()),
        "synthetic": blocks.synthetic,
    }
    return dg.MaterializeResult(value=blocks, metadata=metadata)


@dg.asset(group_name="clones", owners=OWNERS, kinds={"numpy"})
def clones(settings: Settings, source_imputed_cps: Any, block_distribution: Any) -> dg.MaterializeResult:
    """One block for every clone of every household, no two clones of a household in one district; design weights."""
    from tessera.geography.coverage import coverage
    from tessera.geography.placement import place_clones
    from tessera.targets.snapshot import district_figures, state_figures

    placed = place_clones(
        source_imputed_cps,
        block_distribution,
        district_figures(),
        state_figures(),
        n_clones=settings.scale.clones,
        seed=settings.seed,
    )
    metadata = {
        "dagster/row_count": placed.n_records,
        "collisions": placed.collisions(),
        "households represented": float(placed.design_weight.sum()),
        "synthetic": placed.synthetic,
        **coverage(placed, block_distribution),
    }
    return dg.MaterializeResult(value=placed, metadata=metadata)


@dg.asset_check(asset="clones", blocking=True)
def clones_do_not_collide(clones: Any) -> dg.AssetCheckResult:
    """No two clones of a household share a district, and every district holds clones."""
    from tessera.geography.areas import stratum_districts

    collisions = clones.collisions()
    districts = len(set(clones.district))
    passed = collisions == 0 and districts == len(stratum_districts())
    return dg.AssetCheckResult(passed=passed, metadata={"collisions": collisions, "districts with clones": districts})
