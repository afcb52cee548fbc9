"""The sensor that evaluates automation conditions; the conditions stand with their assets."""

import dagster as dg

automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.groups("calibration"),
    description="Builds the calibration matrix once every state's values are there and none is under way.",
    default_status=dg.DefaultSensorStatus.STOPPED,
)
