"""Write the tables of docs/data.md between their markers, so that no number in it is copied by hand.

Run `python docs/update_data_tables.py` after the packaged figures change; `--check` only says whether it is up to date.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tessera.config import SCALES
from tessera.rules.takeup import published_rates
from tessera.sources.registry import sources as source_catalogue
from tessera.targets import report, snapshot

PAGE = Path(__file__).resolve().parent / "data.md"


def tables() -> dict[str, str]:
    """Markdown of each table by the name in its markers."""
    figures = snapshot.load_snapshot()
    sources = figures.groupby("source").agg(vintage=("vintage", "first"), year=("year", "first"), url=("url", "first"))
    return {
        "source-files": report.to_markdown(_source_files()),
        "source-notes": report.to_markdown(_source_notes()),
        "scales": report.to_markdown(_scales()),
        "takeup-rates": report.to_markdown(_takeup_rates()),
        "target-counts": report.to_markdown(report.counts(figures)),
        "target-sources": report.to_markdown(sources.reset_index().astype(str)),
        "target-factors": report.to_markdown(_factors(figures)),
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


def _factors(figures: pd.DataFrame) -> pd.DataFrame:
    """Growth to the model year of every item of another year, without the classes of AGI."""
    items = figures[(figures["uprating"] != 1) & (figures["geo_level"] == "national")]
    items = items[~items["constraints"].str.contains('"adjusted_gross_income"', regex=False)]
    return items[["variable", "constraints", "year"]].astype(str).assign(factor=items["uprating"].round(4))


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
