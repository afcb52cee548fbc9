"""Areas: the PolicyEngine file of the nation, each state, each district and each city.

Chunked runs: the base file and the clones are read once, a file that is already what it should be is left alone, and
each partition's value is the summary of its file (an `AreaFile`).
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from jobs.partitions import CITIES, DISTRICTS, STATES
from resources.settings import Settings

GROUP = "areas"
OWNERS = ["team:areas"]
KINDS = {"hdf5", "policyengine"}


def _build(
    settings: Settings, keys: Sequence[str], frame: Any, blocks: Any, clones: Any, rates: Any, weights: Any
) -> dict[str, Any]:
    """Files of some areas, built in worker processes."""
    from functools import partial

    from tessera.areas.assemble import Assembler
    from tessera.areas.build import build_area
    from tessera.geography.areas import area
    from tessera.parallel import fork_map
    from tessera.rules.takeup import takeup_probabilities

    takeup = takeup_probabilities(frame, rates, seed=settings.seed)
    assembler = Assembler(frame, clones, takeup, blocks.crosswalk)
    build = partial(build_area, assembler=assembler, weights=weights["weights"], folder=settings.area_folder)
    built = fork_map(build, [area(key) for key in keys], settings.workers)
    return {file.key: file for file in built}


def _metadata(file: Any) -> dict[str, Any]:
    return {
        "path": file.relative_path,
        "records": file.records,
        "persons": file.persons,
        "households represented": file.weight_sum,
        "effective sample size": file.effective_records,
        "file sha256": file.sha256,
        "file bytes": file.bytes,
    }


@dg.asset(group_name=GROUP, owners=OWNERS, kinds=KINDS)
def national_dataset(
    settings: Settings,
    source_imputed_cps: Any,
    block_distribution: Any,
    clones: Any,
    takeup_rates: Any,
    national_weights: Any,
) -> dg.MaterializeResult:
    """national/US.h5, from the national fit."""
    files = _build(settings, ["US"], source_imputed_cps, block_distribution, clones, takeup_rates, national_weights)
    return dg.MaterializeResult(value=files["US"], metadata=_metadata(files["US"]))


def _local_datasets(
    name: str, partitions: dg.StaticPartitionsDefinition, partitions_a_run: int, description: str
) -> dg.AssetsDefinition:
    """The asset of one kind of area that is cut from the local fit, a partition an area."""

    @dg.asset(
        name=name,
        description=description,
        group_name=GROUP,
        owners=OWNERS,
        kinds=KINDS,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=partitions_a_run),
    )
    def dataset(
        context: dg.AssetExecutionContext,
        settings: Settings,
        source_imputed_cps: Any,
        block_distribution: Any,
        clones: Any,
        takeup_rates: Any,
        local_weights: Any,
    ) -> Any:
        from tessera.pytree.partitions import PartitionedOutput

        files = _build(
            settings,
            context.partition_keys,
            source_imputed_cps,
            block_distribution,
            clones,
            takeup_rates,
            local_weights,
        )
        for key, file in files.items():
            context.add_asset_metadata(_metadata(file), partition_key=key)
        return PartitionedOutput(files)

    return dataset


state_dataset = _local_datasets(
    "state_dataset", STATES, 51, "states/CA.h5 and its 50 siblings, from the local fit: all districts of a state."
)
district_dataset = _local_datasets(
    "district_dataset", DISTRICTS, 109, "districts/CA-12.h5 and its 434 siblings, from the local fit."
)
city_dataset = _local_datasets(
    "city_dataset", CITIES, 16, "cities/NYC.h5 and the other cities, clones of their counties, from the local fit."
)
