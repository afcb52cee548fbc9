"""Microdata: from the raw survey to one stratified base file with imputed incomes and wealth. Values are Frames.

Each asset says what it holds (counts, totals beside official figures, pictures, columns and where they come from) and
checks itself while its value is at hand: columns that must be there and values that are missing fail and stop what
follows; totals far from official ones warn. (An asset with checks has several outputs; without `dagster_type` it would
be taken for one without a value.)
"""

from typing import Any

import dagster as dg

from resources.settings import Settings

GROUP = "microdata"
OWNERS = ["team:microdata"]
# Totals that no stage may be far from: what the survey and the tax file both know best.
WATCHED = (
    "population",
    "households",
    "tax_units",
    "wages",
    "agi",
    "social_security",
    "social_security_of_filers",
    "snap",
)


def _checks(asset: str) -> list[dg.AssetCheckSpec]:
    """The checks that every stage runs on itself."""
    return [
        dg.AssetCheckSpec(
            "columns_are_there", asset=asset, blocking=True,
            description="Every column that the stage must have is there, on its entity; what is unknown is named.",
        ),
        dg.AssetCheckSpec(
            "no_value_is_missing", asset=asset, blocking=True,
            description="No column holds a missing value or a number that is not finite.",
        ),
        dg.AssetCheckSpec(
            "totals_are_near_official_ones", asset=asset,
            description="Before calibration, totals are within 30 % of official ones (more in a small sample): "
            + ", ".join(WATCHED),
        ),
    ]  # fmt: skip


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"pandas"}, check_specs=_checks("cps"), dagster_type=dg.Any)
def cps(context: dg.AssetExecutionContext, settings: Settings, cps_asec: Any) -> dg.MaterializeResult:
    """The survey as a Frame: six entities, tax units from relationships, engine variable names."""
    from tessera.microdata.cps import build_cps

    frame = build_cps(cps_asec, seed=settings.seed)
    return _result(context, "cps", frame, plots={"ages": _ages(frame)})


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"pandas"}, check_specs=_checks("puf"), dagster_type=dg.Any)
def puf(context: dg.AssetExecutionContext, settings: Settings, irs_puf: Any) -> dg.MaterializeResult:
    """Returns of the tax file in amounts of the model year, aggregate records resolved."""
    from tessera.config import MODEL_YEAR
    from tessera.microdata.distributions import income_distributions
    from tessera.microdata.puf import build_puf

    frame = build_puf(irs_puf, year=MODEL_YEAR, seed=settings.seed, n_jobs=settings.workers)
    return _result(context, "puf", frame, plots={"incomes": income_distributions(None, frame)})


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"pandas", "scikitlearn"},
    check_specs=_checks("extended_cps"),
    dagster_type=dg.Any,
)
def extended_cps(context: dg.AssetExecutionContext, settings: Settings, cps: Any, puf: Any) -> dg.MaterializeResult:
    """Survey half and tax half: each household twice, the second with tax variables imputed by quantile forests."""
    from tessera.microdata.distributions import income_distributions, incomes_by_decile
    from tessera.microdata.extend import extend

    made = extend(cps, puf, seed=settings.seed, n_jobs=settings.workers)
    plots = {"incomes": income_distributions(made.frame, puf), "incomes by decile": incomes_by_decile(made.frame)}
    more = _imputed(settings, "extended_cps", made.quality) | _changes(cps, made.frame)
    return _result(context, "extended_cps", made.frame, plots=plots, more=more)


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"pandas"}, check_specs=_checks("stratified_cps"), dagster_type=dg.Any)
def stratified_cps(context: dg.AssetExecutionContext, settings: Settings, extended_cps: Any) -> dg.MaterializeResult:
    """Exactly the households that the scale asks for, top incomes kept, weights carried by stratum."""
    from tessera.microdata.distributions import incomes_by_decile
    from tessera.microdata.stratify import stratify, stratum_table
    from tessera.targets.report import to_markdown

    frame = stratify(extended_cps, settings.scale.households, seed=settings.seed)
    strata = dg.MetadataValue.md(to_markdown(stratum_table(extended_cps, frame)))
    more = {"strata": strata, **_changes(extended_cps, frame)}
    plots = {"ages": _ages(frame), "incomes by decile": incomes_by_decile(frame)}
    return _result(context, "stratified_cps", frame, plots=plots, more=more)


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"pandas", "scikitlearn"},
    check_specs=_checks("source_imputed_cps"),
    dagster_type=dg.Any,
)
def source_imputed_cps(
    context: dg.AssetExecutionContext,
    settings: Settings,
    stratified_cps: Any,
    acs_pums: Any,
    sipp: Any,
    scf: Any,
    cps_org: Any,
) -> dg.MaterializeResult:
    """The base file: rents, property taxes, tips, assets, debts and wages imputed from the donor surveys."""
    from tessera.microdata.distributions import totals_against_official
    from tessera.microdata.donors import impute_donors
    from tessera.microdata.quality import national_comparison

    made = impute_donors(
        stratified_cps, acs_pums, sipp, scf, cps_org, seed=settings.seed, n_jobs=settings.workers,
        fallback=settings.microdata.donor_fallback,
    )  # fmt: skip
    for missing in made.absent:
        context.log.warning("donor survey absent: %s", missing)
    plots = {"totals against official figures": totals_against_official(national_comparison(made.frame))}
    more = _imputed(settings, "source_imputed_cps", made.quality) | _changes(stratified_cps, made.frame)
    more["donor surveys absent"] = ", ".join(map(str, made.absent)) or "none"
    return _result(context, "source_imputed_cps", made.frame, plots=plots, more=more)


@dg.asset_check(asset="source_imputed_cps", blocking=True)
def base_file_is_complete(settings: Settings, source_imputed_cps: Any) -> dg.AssetCheckResult:
    """The base file has exactly the households asked for, and its ids, links, weights and values are in order."""
    source_imputed_cps.validate("source_imputed_cps")
    seen = source_imputed_cps.count("household")
    metadata = {"households": seen, "wanted": settings.scale.households}
    return dg.AssetCheckResult(passed=seen == settings.scale.households, metadata=metadata)


def _result(
    context: dg.AssetExecutionContext,
    stage: str,
    frame: Any,
    *,
    plots: dict[str, bytes],
    more: dict[str, Any] | None = None,
) -> dg.MaterializeResult:
    """A stage's value with what all stages say of themselves, and its checks."""
    from tessera.diagnostics.plots import as_markdown_image
    from tessera.microdata.quality import national_comparison, readable
    from tessera.targets.report import to_markdown

    comparison = national_comparison(frame)
    metadata = {
        "dagster/row_count": frame.count("household"),
        "dagster/column_schema": _schema(frame, stage),
        "dagster/column_lineage": _lineage(stage),
        "persons": frame.count("person"),
        "tax units": frame.count("tax_unit"),
        "households represented": float(frame.weights.sum()),
        "synthetic": frame.synthetic,
        "totals against official figures": dg.MetadataValue.md(to_markdown(readable(comparison))),
        **(more or {}),
        **{f"plot of {name}": dg.MetadataValue.md(as_markdown_image(png, name)) for name, png in plots.items()},
    }
    context.log.info(
        "%s: %s households, %s persons, %.1f million households represented",
        stage, f"{frame.count('household'):,}", f"{frame.count('person'):,}", frame.weights.sum() / 1e6,
    )  # fmt: skip
    return dg.MaterializeResult(value=frame, metadata=metadata, check_results=check_stage(stage, frame, comparison))


def check_stage(stage: str, frame: Any, comparison: Any) -> list[dg.AssetCheckResult]:
    """The checks of a stage on its frame; `comparison` is its table of totals beside official ones."""
    from tessera.microdata.catalogue import missing_columns, missing_values, unknown_columns
    from tessera.microdata.quality import far_from_official, readable, tolerance
    from tessera.targets.report import to_markdown

    absent, unknown, holes = missing_columns(frame, stage), unknown_columns(frame, stage), missing_values(frame)
    far = far_from_official(comparison, WATCHED if stage != "puf" else WATCHED[2:], frame.count("household"))
    return [
        dg.AssetCheckResult(
            check_name="columns_are_there", passed=not absent,
            metadata={"missing": ", ".join(absent) or "none", "unknown": ", ".join(unknown) or "none"},
        ),
        dg.AssetCheckResult(
            check_name="no_value_is_missing", passed=not holes, metadata={"columns": ", ".join(holes) or "none"},
        ),
        dg.AssetCheckResult(
            check_name="totals_are_near_official_ones", passed=far.empty, severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "far": dg.MetadataValue.md(to_markdown(readable(far))), "watched": ", ".join(WATCHED),
                "allowed": tolerance(frame.count("household")),
            },
        ),
    ]  # fmt: skip


def _ages(frame: Any) -> bytes:
    from tessera.microdata.distributions import age_pyramid, official_ages

    return age_pyramid(frame, official_ages())


def _imputed(settings: Settings, stage: str, quality: Any) -> dict[str, Any]:
    """Metadata about the imputations of a stage: the whole table as a file and in short, and a picture."""
    from tessera.diagnostics.plots import as_markdown_image
    from tessera.microdata.distributions import imputation_quality
    from tessera.microdata.quality import quality_summary, readable, write_quality
    from tessera.targets.report import to_markdown

    path = write_quality(quality, settings.paths.assets / "quality" / f"{stage}.csv")
    return {
        "imputed variables": len(quality),
        "imputation quality file": dg.MetadataValue.path(str(path)),
        "imputation quality": dg.MetadataValue.md(to_markdown(readable(quality_summary(quality)))),
        "plot of imputation quality": dg.MetadataValue.md(
            as_markdown_image(imputation_quality(quality), "imputation quality")
        ),
    }


def _changes(before: Any, after: Any) -> dict[str, Any]:
    """Metadata about the totals that a stage changed by more than a thousandth."""
    from tessera.microdata.quality import changes, readable
    from tessera.targets.report import to_markdown

    table = changes(before, after)
    moved = table[table["change"].abs() > 1e-3]
    return {"totals changed by this stage": dg.MetadataValue.md(to_markdown(readable(moved)))}


def _schema(frame: Any, stage: str) -> dg.TableSchema:
    """Columns of a frame, as `entity.name`, with types and what the catalogue says of them."""
    from tessera.microdata.catalogue import described_columns

    return dg.TableSchema(
        [dg.TableColumn(name, kind, description=text) for name, kind, text in described_columns(frame, stage)]
    )


def _lineage(stage: str) -> dg.TableColumnLineage:
    """Where the columns of a stage come from."""
    from tessera.microdata.catalogue import lineage

    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(dg.AssetKey(asset), name) for asset, name in found]
            for column, found in lineage(stage).items()
        }
    )
