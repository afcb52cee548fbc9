"""The monthly rebuild: sources on the second of each month, after the agencies' month-end releases."""

import dagster as dg

monthly_sources = dg.ScheduleDefinition(
    name="monthly_sources",
    job_name="build_sources",
    cron_schedule="0 6 2 * *",
    execution_timezone="America/New_York",
    description="Read every source file again; what depends on changed ones shows as stale.",
    default_status=dg.DefaultScheduleStatus.STOPPED,
)
