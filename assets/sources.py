"""Sources: one asset a survey or administrative file, raw tables as read. DataVersion is the file's sha256.

Each file is prepared (written, if the run is synthetic; found, if official) and read by the one reader of its format.
"""

import dagster as dg

from resources.settings import Settings

GROUP = "sources"
OWNERS = ["team:microdata"]


def _raw(context: dg.AssetExecutionContext, settings: Settings, source: str) -> dg.MaterializeResult:
    """Prepare and read one source, with the metadata that all sources share."""
    from tessera.sources.reading import read_source, tables_of
    from tessera.sources.registry import prepare_source, sources

    known = sources()[source]
    path = prepare_source(known, settings.paths, settings.source_mode, settings.scale, settings.seed)
    raw = read_source(source, path)
    rows = {name: len(table) for name, table in tables_of(raw).items()}
    context.log.info("%s: read %s", source, ", ".join(f"{count:,} {name} rows" for name, count in rows.items()))
    metadata = {
        "file": dg.MetadataValue.path(str(path)),
        "sha256": raw.sha256,
        "url": dg.MetadataValue.url(known.files[0].url),
        "synthetic": raw.synthetic,
        "dagster/row_count": max(rows.values()),
        "rows": rows,
    }
    return dg.MaterializeResult(value=raw, metadata=metadata, data_version=dg.DataVersion(raw.sha256))


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"census", "csv"})
def cps_asec(context: dg.AssetExecutionContext, settings: Settings) -> dg.MaterializeResult:
    """CPS Annual Social and Economic Supplement: households, families and persons, official columns and codes."""
    return _raw(context, settings, "cps_asec")


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"irs", "csv"})
def irs_puf(context: dg.AssetExecutionContext, settings: Settings) -> dg.MaterializeResult:
    """IRS public use file of individual returns, tax year 2015 (licensed: supplied by the user, or synthetic)."""
    return _raw(context, settings, "irs_puf")


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"census", "csv"})
def acs_pums(context: dg.AssetExecutionContext, settings: Settings) -> dg.MaterializeResult:
    """American Community Survey public use microdata: donor of rents and real estate taxes."""
    return _raw(context, settings, "acs_pums")


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"census", "csv"})
def sipp(context: dg.AssetExecutionContext, settings: Settings) -> dg.MaterializeResult:
    """Survey of Income and Program Participation: donor of tips and liquid assets."""
    return _raw(context, settings, "sipp")


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"federalreserve", "csv"})
def scf(context: dg.AssetExecutionContext, settings: Settings) -> dg.MaterializeResult:
    """Survey of Consumer Finances, summary extract: donor of net worth and vehicle loans."""
    return _raw(context, settings, "scf")


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"census", "csv"})
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
