"""The packaged table of official figures: built from a folder of official files, and loaded without any of them.

`figures.csv.gz` is what `build_snapshot` gives for the files named in `FILES`; a test rebuilds it. It has every figure
with its source, table, URL and vintage, brought to the model year and reconciled between levels. It holds no copy of an
official file.
"""

from __future__ import annotations

import gzip
import io
from functools import cache
from importlib import resources
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import district_key, stratum_districts
from tessera.store import write_bytes
from tessera.targets import reconcile as levels
from tessera.targets import uprating
from tessera.targets.figures import COLUMNS, GEO_LEVELS
from tessera.targets.loaders import (
    aca_marketplace,
    acs_age,
    acs_snap,
    cbo,
    cms_medicaid,
    jct,
    soi_states,
    ssa,
    stc,
    tanf,
    usda_snap,
)

PACKAGED = "figures.csv.gz"
# Path of each official file below the folder of official files.
FILES = {
    "age_national": "census/acs_s0101_national_2024/acs_S0101_national_2024.json",
    "age_state": "census/acs_s0101_state_2024/acs_S0101_state_2024.json",
    "age_district": "census/acs_s0101_district_2024/acs_S0101_district_2024.json",
    "snap_district": "census/acs_s2201_district_2024/acs_S2201_district_2024.json",
    "snap_state": "usda_snap/fy69_to_current/snap-zip-fy69tocurrent-6.zip",
    "medicaid": "cms_medicaid/chip_monthly_enrollment_dataset/pi-dataset-april-2026-release.csv",
    "marketplace": "cms_aca/oep_state_level/2024-oep-state-level-public-use-file.zip",
    "soi_state": "irs_soi/historic_table_2/22in55cmcsv.csv",
    "benefits": "ssa/annual_statistical_supplement_2025/ssa_oasdi_ssi_2024.csv",
    "ssi": "ssa/ssi_table_7b1_2024/ssi_table_7b1_2024.csv",
    "receipts": "cbo/individual_income_tax_receipts_2026_02/cbo_individual_income_tax_receipts_2026_02.csv",
    "income": "cbo/revenue_projections_income_by_source_2026_02/cbo_revenue_projections_income_by_source_2026_02.csv",
    "tax_expenditures": "jct/tax_expenditures_2024/jct_tax_expenditures_2024.csv",
    "tanf_caseload": "hhs_acf/tanf_caseload_2024/tanf_caseload_2024.xlsx",
    "tanf_financial": "hhs_acf/tanf_financial_2024/fy-2024-tanf-moe-financial-data.xlsx",
    "state_tax": "census/stc_individual_income_tax/FY2024-Flat-File.txt",
    "table_1_4_before": "irs_soi/table_1_4/22in14ar.xls",
    "table_1_4_after": "irs_soi/table_1_4/23in14ar.xls",
    "table_2_5_before": "irs_soi/table_2_5/22in25ic.xls",
    "table_2_5_after": "irs_soi/table_2_5/23in25ic.xls",
    "population": "census/pep_2024_age_sex/nc-est2024-agesex-res.csv",
}
_TEXT = ("source", "table", "url", "vintage", "geo_level", "geo_id", "variable", "constraints", "reform", "unit")
_WHOLE = ("year", "period")


def build_snapshot(official_folder: Path) -> pd.DataFrame:
    """All figures from the official files.

    Args:
        official_folder: folder that holds the files of `FILES`.

    Returns:
        A table with the columns of `figures.COLUMNS`, ordered by level, place, source, variable and constraints.

    Raises:
        SourceError: a file that is missing or not what its loader knows.
    """
    path = {name: official_folder / relative for name, relative in FILES.items()}
    figures = pd.concat(_load_all(path), ignore_index=True)
    factors = uprating.measure(
        (path["table_1_4_before"], path["table_1_4_after"]),
        (path["table_2_5_before"], path["table_2_5_after"]),
        path["income"],
        path["population"],
    )
    return _ordered(levels.reconcile(uprating.uprate(figures, factors)))


def write_snapshot(figures: pd.DataFrame, path: Path) -> Path:
    """Write a table of figures, compressed; the same table gives the same bytes."""
    return write_bytes(path, gzip.compress(_to_csv(figures).encode("utf-8"), compresslevel=9, mtime=0))


@cache
def _packaged() -> pd.DataFrame:
    return read_snapshot(resources.files("tessera.targets").joinpath(PACKAGED).read_bytes(), PACKAGED)


def load_snapshot() -> pd.DataFrame:
    """The packaged figures; a copy, so that callers may change it."""
    return _packaged().copy()


def read_snapshot(content: bytes, label: str) -> pd.DataFrame:
    """Figures from the bytes that `write_snapshot` wrote."""
    try:
        text = gzip.decompress(content).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{label}: not a compressed table of figures ({error}); build it again with write_snapshot."
        ) from error
    types = dict.fromkeys(_TEXT, "str") | dict.fromkeys(_WHOLE, "int64")
    frame = pd.read_csv(io.StringIO(text), dtype=types, keep_default_na=False)
    if list(frame.columns) != list(COLUMNS):
        raise SourceError(f"{label}: columns are {list(frame.columns)}; wanted {list(COLUMNS)}: of another version.")
    return frame


def district_figures() -> pd.DataFrame:
    """Population and households of the 436 districts, in order of their codes.

    Returns:
        Columns district (int, state FIPS * 100 + number), key (CA-12), population (S0101, all ages) and households
        (S2201). There is no AGI by district: the IRS publishes it for districts of the 117th Congress only.
    """
    figures = load_snapshot()
    of_districts = figures[figures["geo_level"] == "district"]
    ages = of_districts[of_districts["source"] == "census_acs_s0101"].groupby("geo_id")["value"].sum()
    plain = of_districts[(of_districts["variable"] == "household_count") & (of_districts["constraints"] == "[]")]
    households = plain.set_index("geo_id")["value"]
    codes = list(stratum_districts())
    keys = [district_key(code) for code in codes]
    return pd.DataFrame(
        {"district": codes, "key": keys, "population": ages[keys].to_numpy(), "households": households[keys].to_numpy()}
    )


def state_figures() -> pd.DataFrame:
    """Figures of the 51 states in order of FIPS code: columns state, population, households, agi (of filers)."""
    figures = load_snapshot()
    of_states = figures[figures["geo_level"] == "state"]
    filers = of_states["constraints"] == '[["tax_unit_is_filer","==",1]]'
    agi = of_states[filers & (of_states["variable"] == "adjusted_gross_income")].set_index("geo_id")["value"]
    districts = district_figures().assign(state=lambda frame: frame["key"].str[:2])
    table = districts.groupby("state", sort=False)[["population", "households"]].sum()
    return table.assign(agi=agi).reset_index()


def _load_all(path: dict[str, Path]) -> list[pd.DataFrame]:
    return [
        *(acs_age.load(path[f"age_{level}"], level) for level in GEO_LEVELS),
        acs_snap.load(path["snap_district"]),
        usda_snap.load(path["snap_state"]),
        cms_medicaid.load(path["medicaid"]),
        aca_marketplace.load(path["marketplace"]),
        soi_states.load(path["soi_state"]),
        ssa.load_benefits(path["benefits"]),
        ssa.load_ssi(path["ssi"]),
        cbo.load_receipts(path["receipts"]),
        cbo.load_income(path["income"]),
        jct.load(path["tax_expenditures"]),
        tanf.load_caseload(path["tanf_caseload"]),
        tanf.load_financial(path["tanf_financial"]),
        stc.load(path["state_tax"]),
    ]


def _ordered(figures: pd.DataFrame) -> pd.DataFrame:
    level = figures["geo_level"].map({name: position for position, name in enumerate(GEO_LEVELS)})
    keyed = figures.assign(_level=level)
    keys = ["_level", "geo_id", "source", "variable", "reform", "constraints"]
    ordered = keyed.sort_values(keys, kind="stable", ignore_index=True)[list(COLUMNS)]
    # What is stored is what is computed: through text once, so that both have the same dtypes and digits.
    return read_snapshot(gzip.compress(_to_csv(ordered).encode("utf-8")), "figures")


def _to_csv(figures: pd.DataFrame) -> str:
    return figures.to_csv(index=False, lineterminator="\n")
