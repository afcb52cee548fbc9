"""Write the tables of docs/data.md between their markers, so that no number in it is copied by hand.

Run `python docs/update_data_tables.py` after the packaged figures change; `--check` only says whether it is up to date.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tessera.config import MODEL_YEAR, SCALES
from tessera.microdata import catalogue, donor_uprating, puf_uprating
from tessera.microdata.datafile import read_rows
from tessera.microdata.national_totals import official_totals
from tessera.microdata.quality import in_words
from tessera.rules.takeup import published_rates
from tessera.sources.registry import sources as source_catalogue
from tessera.targets import reading, report, selection, snapshot
from tessera.targets.database import build_database
from tessera.targets.figures import GEO_LEVELS
from tessera.targets.official import official_files

PAGE = Path(__file__).resolve().parent / "data.md"


def tables() -> dict[str, str]:
    """Markdown of each table by the name in its markers."""
    return {
        "source-files": report.to_markdown(_source_files()),
        "source-notes": report.to_markdown(_source_notes()),
        "scales": report.to_markdown(_scales()),
        "takeup-rates": report.to_markdown(_takeup_rates()),
        "source-columns": report.to_markdown(catalogue.source_summary()),
        "stage-columns": report.to_markdown(catalogue.stage_summary()),
        "base-columns": report.to_markdown(_base_columns()),
        "national-totals": report.to_markdown(_national_totals()),
        "puf-uprating": report.to_markdown(_puf_uprating()),
        "donor-uprating": report.to_markdown(_donor_uprating()),
        **{f"target-{name}": report.to_markdown(table) for name, table in _targets().items()},
    }


def _source_files() -> pd.DataFrame:
    """Every official file: where it goes below `raw/`, its address, and whether its sha256 is pinned."""
    rows = [
        {"asset": name, "file": file.path, "sha256": "pinned" if file.sha256 else "not pinned", "address": file.url}
        for name, source in source_catalogue().items()
        for file in source.files
    ]
    return pd.DataFrame(rows)


def _source_notes() -> pd.DataFrame:
    """Publisher, vintage and licence of every source."""
    rows = [
        {"asset": name, "year": str(source.year), "note": source.note} for name, source in source_catalogue().items()
    ]
    return pd.DataFrame(rows)


def _scales() -> pd.DataFrame:
    """The scales as columns, their settings as rows."""
    settings = [name for name in asdict(SCALES["demo"]) if name != "name"]
    columns = {name: [f"{getattr(scale, setting):,}" for setting in settings] for name, scale in SCALES.items()}
    return pd.DataFrame({"setting": settings, **columns})


def _takeup_rates() -> pd.DataFrame:
    """Take-up rates, those of one variable and source that differ by state in one row."""
    rates = published_rates().astype(str)
    of_state = rates["group_by"].eq("state")
    rates["rate"] = rates["rate"].where(~of_state, rates["group"] + " " + rates["rate"])
    rates["group"] = rates["group"].mask(of_state, "by state")
    columns = ["variable", "entity", "group", "anchor", "source"]
    joined = rates.groupby(columns, sort=False, as_index=False)["rate"].agg(", ".join)
    return joined[["variable", "entity", "group", "rate", "anchor", "source"]]


def _base_columns() -> pd.DataFrame:
    """Every column of the base file; names of source columns without their survey where it is the ASEC."""
    table = catalogue.base_columns()
    table["comes from"] = table["comes from"].str.replace("cps_asec.", "", regex=False)
    return table


def _national_totals() -> pd.DataFrame:
    """The official figures that totals are held against."""
    rows = [
        (total.name, total.meaning, in_words(total.value, total.unit), str(total.year), total.source)
        for total in official_totals()
    ]
    return pd.DataFrame(rows, columns=["total", "of", "official figure of 2024", "year published for", "source"])


def _puf_uprating() -> pd.DataFrame:
    """Growth of the tax file's amounts from 2015 to the model year: of the total, and of each return's amount."""
    returns = puf_uprating.returns_growth()
    rows = []
    for row in read_rows("puf_uprating"):
        if row["variable"] == "returns":
            continue
        signs = ("positive", "negative") if row["sign"] == "any" else (row["sign"],)
        total = puf_uprating.total_growth(row["variable"], signs[0])
        rows.append(
            (row["variable"], row["sign"], f"{total:.3f}", f"{total / returns:.3f}", row["basis"], row["source"])
        )
    return pd.DataFrame(rows, columns=["variable", "sign", "total", "a return", "basis", "source"])


def _donor_uprating() -> pd.DataFrame:
    """Growth of donors' amounts to the model year, by the year of their survey's file."""
    years = sorted({source_catalogue()[name].year for name in ("acs_pums", "sipp", "scf", "cps_org")})
    rows = [
        (row["variable"], row["series"], row["why"],
         *(f"{donor_uprating.factor(row['variable'], year, MODEL_YEAR):.4f}" for year in years))
        for row in read_rows("donor_uprating")
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["column", "series", "because", *(f"from {year}" for year in years)])


def _targets() -> dict[str, pd.DataFrame]:
    """Tables about the packaged figures and the database that they make."""
    figures = snapshot.load_snapshot()
    with tempfile.TemporaryDirectory(prefix="tessera-docs-") as folder:
        database = build_database(Path(folder) / "targets.duckdb", figures).path
        training = selection.read_targets(database)
        sets = {
            "everything": figures,
            "training.yaml": training,
            "production.yaml": selection.read_targets(database, Path("production")),
            "validation.yaml": selection.read_comparison(database),
        }
        return {
            "counts": report.counts_with_sum(figures),
            "sources": report.sources(figures),
            "files": _official_files(),
            "sets": _sets(sets),
            "training": report.variable_counts(training),
            "factors": _factors(reading.read_table(database, "uprating_factors")),
            "severities": report.severities(database),
            "excluded": report.excluded_groups(database),
        }


def _official_files() -> pd.DataFrame:
    """Every official file of the targets: what it is, whether it is pinned and at hand, and its address."""
    rows = [
        {
            "file": file.title,
            "figures": "read" if file.loader else "serves uprating or checks",
            "in the package": "yes" if file.at_hand else "no",
            "sha256": "pinned" if file.sha256 else "not pinned",
            "address": file.url,
        }
        for file in official_files().values()
    ]
    return pd.DataFrame(rows)


def _sets(sets: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Targets of each configuration by level."""
    counts = pd.DataFrame({name: table["geo_level"].value_counts() for name, table in sets.items()}).T
    counts = counts.reindex(columns=list(GEO_LEVELS)).fillna(0).astype(int)
    return counts.assign(total=counts.sum(axis=1)).rename_axis("configuration").rename_axis(columns=None).reset_index()


def _factors(factors: pd.DataFrame) -> pd.DataFrame:
    """Growth to the model year by source and what it follows: how many items, and the range of their factors."""
    groups = factors.groupby(["source", "year", "follows"], sort=True)["factor"]
    table = groups.agg(items="size", smallest="min", largest="max").reset_index()
    return table.assign(
        year=table["year"].astype(str), smallest=table["smallest"].round(4), largest=table["largest"].round(4)
    )


def render(page: str, named: dict[str, str]) -> str:
    """The page with the text between `<!-- name:begin -->` and `<!-- name:end -->` replaced."""
    for name, text in named.items():
        pattern = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        page, replaced = pattern.subn(lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page)
        if replaced != 1:
            raise SystemExit(f"{PAGE}: {replaced} pairs of markers {name!r}; wanted 1.")
    return page


def main() -> None:
    """Update the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the page is out of date")
    arguments = parser.parse_args()
    before = PAGE.read_text(encoding="utf-8")
    after = render(before, tables())
    if arguments.check and after != before:
        raise SystemExit(f"{PAGE} is out of date; run python docs/update_data_tables.py")
    if not arguments.check:
        PAGE.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
