"""Microdata: from the raw survey to one stratified base file with imputed incomes and wealth. Values are Frames."""

from typing import Any

import dagster as dg

from resources.settings import Settings

GROUP = "microdata"
OWNERS = ["team:microdata"]


def _frame_metadata(frame: Any) -> dict[str, Any]:
    from tessera.microdata.quality import weighted_totals
    from tessera.targets.report import to_markdown

    return {
        "dagster/row_count": frame.count("household"),
        "persons": frame.count("person"),
        "tax units": frame.count("tax_unit"),
        "households represented": float(frame.weights.sum()),
        "synthetic": frame.synthetic,
        "weighted totals": dg.MetadataValue.md(to_markdown(weighted_totals(frame))),
    }


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"pandas"})
def cps(settings: Settings, cps_asec: Any) -> dg.MaterializeResult:
    """The survey as a Frame: six entities, tax units from relationships, engine variable names."""
    from tessera.microdata.cps import build_cps

    frame = build_cps(cps_asec, seed=settings.seed)
    return dg.MaterializeResult(value=frame, metadata=_frame_metadata(frame))


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"pandas"})
def puf(settings: Settings, irs_puf: Any) -> dg.MaterializeResult:
    """Returns of the tax file in amounts of the model year, aggregate records resolved."""
    from tessera.config import MODEL_YEAR
    from tessera.microdata.puf import build_puf

    frame = build_puf(irs_puf, year=MODEL_YEAR, seed=settings.seed)
    return dg.MaterializeResult(value=frame, metadata=_frame_metadata(frame))


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"pandas", "scikitlearn"})
def extended_cps(settings: Settings, cps: Any, puf: Any) -> dg.MaterializeResult:
    """Survey half and tax half: each household twice, the second with tax variables imputed by quantile forests."""
    from tessera.microdata.extend import extend_cps

    frame = extend_cps(cps, puf, seed=settings.seed)
    return dg.MaterializeResult(value=frame, metadata=_frame_metadata(frame))


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"pandas"})
def stratified_cps(settings: Settings, extended_cps: Any) -> dg.MaterializeResult:
    """Exactly the households that the scale asks for, top incomes kept, weights carried by stratum."""
    from tessera.microdata.stratify import stratify

    frame = stratify(extended_cps, settings.scale.households, seed=settings.seed)
    return dg.MaterializeResult(value=frame, metadata=_frame_metadata(frame))


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"pandas", "scikitlearn"})
def source_imputed_cps(
    settings: Settings, stratified_cps: Any, acs_pums: Any, sipp: Any, scf: Any, cps_org: Any
) -> dg.MaterializeResult:
    """The base file: rents, property taxes, tips, assets, debts and wages imputed from the donor surveys."""
    from tessera.microdata.donors import impute_from_donors

    frame = impute_from_donors(stratified_cps, acs_pums, sipp, scf, cps_org, seed=settings.seed)
    return dg.MaterializeResult(value=frame, metadata=_frame_metadata(frame))


@dg.asset_check(asset="source_imputed_cps", blocking=True)
def base_file_is_complete(settings: Settings, source_imputed_cps: Any) -> dg.AssetCheckResult:
    """The base file has exactly the households asked for, and its ids, links, weights and values are in order."""
    source_imputed_cps.validate("source_imputed_cps")
    seen = source_imputed_cps.count("household")
    metadata = {"households": seen, "wanted": settings.scale.households}
    return dg.AssetCheckResult(passed=seen == settings.scale.households, metadata=metadata)
