"""Rules: programme take-up rates."""

import dagster as dg


@dg.asset(group_name="rules", owners=["team:rules"], kinds={"pandas"})
def takeup_rates() -> dg.MaterializeResult:
    """Take-up rates of programmes and of voluntary filing, with their sources."""
    from tessera.rules.takeup import published_rates
    from tessera.targets.report import to_markdown

    rates = published_rates()
    metadata = {"dagster/row_count": len(rates), "rates": dg.MetadataValue.md(to_markdown(rates))}
    return dg.MaterializeResult(value=rates, metadata=metadata)
