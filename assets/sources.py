"""Sources: one asset a survey or administrative file, raw tables as read. DataVersion is the file's sha256.

Each file is prepared (written, if the run is synthetic; found, if official) and read by the one reader of its format.
"""

from typing import Any

import dagster as dg

from resources.settings import Settings

GROUP = "sources"
OWNERS = ["team:microdata"]


def _checks(asset: str) -> list[dg.AssetCheckSpec]:
    """The check that every source file runs on itself."""
    text = "Every column of the catalogue that is required is there, in the record that it belongs to."
    return [dg.AssetCheckSpec("required_columns_are_there", asset=asset, blocking=True, description=text)]


def _raw(context: dg.AssetExecutionContext, settings: Settings, source: str) -> dg.MaterializeResult:
    """Prepare and read one source, with the metadata that all sources share."""
    from tessera.road.microdata import prepare_or_absent
    from tessera.sources.reading import read_source, tables_of
    from tessera.sources.registry import sources

    path = prepare_or_absent(settings.microdata, source)
    if path is None:
        return _absent(context, source)
    raw = read_source(source, path, sources()[source].year)
    tables = tables_of(raw)
    rows = {name: len(table) for name, table in tables.items()}
    context.log.info("%s: read %s", source, ", ".join(f"{count:,} {name} rows" for name, count in rows.items()))
    metadata = {
        "file": dg.MetadataValue.path(str(path)),
        "sha256": raw.sha256,
        "url": dg.MetadataValue.url(sources()[source].files[0].url),
        "synthetic": raw.synthetic,
        "dagster/row_count": max(rows.values()),
        "dagster/column_schema": _schema(source),
        "rows": rows,
    }
    return dg.MaterializeResult(
        value=raw,
        metadata=metadata,
        data_version=dg.DataVersion(raw.sha256),
        check_results=[check_columns(source, tables)],
    )


def check_columns(source: str, tables: dict[str, Any]) -> dg.AssetCheckResult:
    """Whether the tables of a source, by record, have the columns that the catalogue requires."""
    from tessera.microdata.catalogue import absent_source_columns

    lacking = absent_source_columns(source, tables)
    return dg.AssetCheckResult(
        check_name="required_columns_are_there", passed=not lacking, metadata={"missing": ", ".join(lacking) or "none"}
    )


def _absent(context: dg.AssetExecutionContext, source: str) -> dg.MaterializeResult:
    """No table: the settings say that the run does without this donor survey."""
    context.log.warning("%s: left out, as TESSERA_ABSENT_SOURCES says; nothing is imputed from it", source)
    check = dg.AssetCheckResult(
        check_name="required_columns_are_there", passed=True, metadata={"missing": "the survey"}
    )
    return dg.MaterializeResult(
        value=None, metadata={"absent": True}, data_version=dg.DataVersion("absent"), check_results=[check]
    )


def _schema(source: str) -> dg.TableSchema:
    """The columns that are read of a source, as `record.NAME`, from its catalogue."""
    from tessera.microdata.catalogue import source_columns

    return dg.TableSchema(
        [
            dg.TableColumn(f"{row.record}.{row.column}", str(row.unit), description=str(row.meaning))
            for row in source_columns(source).itertuples()
        ]
    )


@dg.asset(
    group_name=GROUP, owners=OWNERS, kinds={"census", "csv"}, check_specs=_checks("cps_asec"), dagster_type=dg.Any
)
def cps_asec(context: dg.AssetExecutionContext, settings: Settings) -> dg.MaterializeResult:
    """CPS Annual Social and Economic Supplement: households, families and persons, official columns and codes."""
    return _raw(context, settings, "cps_asec")


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"irs", "csv"}, check_specs=_checks("irs_puf"), dagster_type=dg.Any)
def irs_puf(context: dg.AssetExecutionContext, settings: Settings) -> dg.MaterializeResult:
    """IRS public use file of individual returns, tax year 2015 (licensed: supplied by the user, or synthetic)."""
    return _raw(context, settings, "irs_puf")


@dg.asset(
    group_name=GROUP, owners=OWNERS, kinds={"census", "csv"}, check_specs=_checks("acs_pums"), dagster_type=dg.Any
)
def acs_pums(context: dg.AssetExecutionContext, settings: Settings) -> dg.MaterializeResult:
    """American Community Survey public use microdata: donor of rents and real estate taxes."""
    return _raw(context, settings, "acs_pums")


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"census", "csv"}, check_specs=_checks("sipp"), dagster_type=dg.Any)
def sipp(context: dg.AssetExecutionContext, settings: Settings) -> dg.MaterializeResult:
    """Survey of Income and Program Participation: donor of tips and liquid assets."""
    return _raw(context, settings, "sipp")


@dg.asset(
    group_name=GROUP, owners=OWNERS, kinds={"federalreserve", "csv"}, check_specs=_checks("scf"), dagster_type=dg.Any
)
def scf(context: dg.AssetExecutionContext, settings: Settings) -> dg.MaterializeResult:
    """Survey of Consumer Finances, summary extract: donor of net worth and vehicle loans."""
    return _raw(context, settings, "scf")


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"census", "csv"}, check_specs=_checks("cps_org"), dagster_type=dg.Any)
def cps_org(context: dg.AssetExecutionContext, settings: Settings) -> dg.MaterializeResult:
    """CPS outgoing rotation groups: donor of hourly wages."""
    return _raw(context, settings, "cps_org")


@dg.asset(group_name=GROUP, owners=["team:geography"], kinds={"census", "csv"})
def census_blocks(settings: Settings) -> dg.MaterializeResult:
    """Census blocks with population, district and crosswalk: official files, or synthetic below real county shares."""
    from tessera.geography.sources import read_blocks
    from tessera.geography.summary import summary_of
    from tessera.targets.snapshot import district_figures

    blocks = read_blocks(
        settings.source_mode,
        district_figures(),
        settings.scale.blocks_per_district,
        settings.seed,
        raw=settings.paths.raw,
        workers=settings.workers,
    )
    metadata = {"dagster/row_count": len(blocks.block_geoid), "synthetic": blocks.synthetic, **summary_of(blocks)}
    return dg.MaterializeResult(value=blocks, metadata=metadata)


@dg.asset(group_name=GROUP, owners=["team:targets"], kinds={"census", "irs", "usda"})
def official_targets() -> dg.MaterializeResult:
    """Official figures of every agency: the packaged table that the loaders made from the files as published."""
    from tessera.targets.report import counts, to_markdown
    from tessera.targets.snapshot import load_snapshot

    figures = load_snapshot()
    metadata = {
        "dagster/row_count": len(figures),
        "figures by source and level": dg.MetadataValue.md(to_markdown(counts(figures))),
    }
    return dg.MaterializeResult(value=figures, metadata=metadata)
