"""Simulation: what the rules engine computes for every clone, one partition a state, many states a run.

Chunked runs: the engine is loaded once and worker processes are forked from it; loading takes half a minute.
"""

from typing import Any

import dagster as dg

from jobs.partitions import STATES
from resources.engine import RulesEngine
from resources.settings import Settings


@dg.asset(
    group_name="simulation",
    owners=["team:rules"],
    kinds={"policyengine"},
    partitions_def=STATES,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=51),
    pool="engine",
)
def state_values(
    context: dg.AssetExecutionContext,
    settings: Settings,
    rules_engine: RulesEngine,
    policy_targets: Any,
    source_imputed_cps: Any,
    clones: Any,
    takeup_rates: Any,
) -> Any:
    """Values of every variable that the targets need, for the clones of a state at their county and take-up."""
    from tessera.areas.assemble import Assembler
    from tessera.geography.areas import state_by_usps
    from tessera.matrix.metrics import required_variables
    from tessera.pytree.partitions import PartitionedOutput
    from tessera.rules.state_values import compute_state_values
    from tessera.rules.takeup import takeup_probabilities

    takeup = takeup_probabilities(source_imputed_cps, takeup_rates, seed=settings.seed)
    assembler = Assembler(source_imputed_cps, clones, takeup)
    states = [state_by_usps(key) for key in context.partition_keys]
    variables = required_variables(policy_targets)
    # Finished states outlive a run that is stopped, so that the next one goes on where it was.
    computed = compute_state_values(
        assembler,
        rules_engine.get(),
        states,
        variables,
        workers=settings.workers,
        cache=settings.paths.home / "state_values",
    )

    def described(usps: str) -> Any:
        values = computed[usps]
        metadata = {"clones": len(values.records), "situations": values.values.n_households}
        persons = len(values.values.household_of["person"])
        context.add_asset_metadata({**metadata, "persons": persons, "variables": len(variables)}, partition_key=usps)
        return values

    return PartitionedOutput.lazy(list(context.partition_keys), described)
