"""SSA: Social Security benefits by kind (nation) and SSI recipients and payments by state.

Reads the transcriptions of Annual Statistical Supplement 2025 tables 4.A5, 4.A6 (`ssa_oasdi_ssi_2024.csv`) and 7.B1
(`ssi_table_7b1_2024.csv`). Figures: `social_security` and its four parts; `ssi` and person_count with ssi > 0.
The four parts must add up to the total. SSA counts beneficiaries abroad and in the territories too; SSI payments are
those that SSA administers, state supplements among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, read_csv, require_columns, require_each_once, state_by_name

YEAR = 2024
_TOTAL = "social_security_benefits"
BENEFITS = {
    _TOTAL: "social_security",
    "social_security_retirement_benefits": "social_security_retirement",
    "social_security_disability_benefits": "social_security_disability",
    "social_security_survivors_benefits": "social_security_survivors",
    "social_security_dependents_benefits": "social_security_dependents",
    "ssi_payments": "ssi",
}
_SUPPLEMENT = "https://www.ssa.gov/policy/docs/statcomps/supplement/2025"


def load_benefits(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Six national amounts: Social Security, its four parts, and SSI of all areas.

    Raises:
        SourceError: another year, a missing or repeated row, parts that do not add up.
    """
    frame = read_csv(path)
    require_columns(frame, ["variable", "period", "value"], path)
    wrong = frame.loc[frame["period"] != str(year), "period"]
    if len(wrong):
        raise SourceError(f"{path}: row {wrong.index[0] + 2} is of {wrong.iloc[0]}; wanted {year}.")
    require_each_once(frame["variable"], BENEFITS, path, "variable")
    values = {
        row["variable"]: number(row["value"], path, row["variable"], minimum=0) for row in frame.to_dict("records")
    }
    parts = sum(value for name, value in values.items() if name not in (_TOTAL, "ssi_payments"))
    if abs(parts - values[_TOTAL]) > 1e6:
        raise SourceError(
            f"{path}: the four kinds of benefit add up to {parts:.0f}, {_TOTAL} reads {values[_TOTAL]:.0f}."
        )
    provenance = Provenance("ssa_oasdi", "Tables 4.A5, 4.A6, 7.B1", f"{_SUPPLEMENT}/4a.html", "Supplement 2025", year)
    figures = (Figure("national", "US", BENEFITS[name], value, "dollar") for name, value in values.items())
    return to_frame(figures, provenance)


def load_ssi(path: Path, year: int = YEAR) -> pd.DataFrame:
    """SSI payments and recipients of the 51 states (table 7.B1, all categories).

    Raises:
        SourceError: a missing column, a missing, repeated or unknown state.
    """
    frame = read_csv(path)
    require_columns(
        frame, ["geography_level", "geography_name", "ssi_category", "recipient_count", "payment_thousands"], path
    )
    totals = frame[(frame["geography_level"] == "state") & (frame["ssi_category"] == "total")]
    rows = {index: state_by_name(name, path).usps for index, name in totals["geography_name"].items()}
    require_each_once(rows.values(), [state.usps for state in states()], path, "state")
    provenance = Provenance("ssa_ssi", "Table 7.B1", f"{_SUPPLEMENT}/7b.html", "Supplement 2025", year)
    return to_frame(_ssi_figures(totals.assign(geo_id=pd.Series(rows)), path), provenance)


def _ssi_figures(totals: pd.DataFrame, path: Path) -> Iterator[Figure]:
    for row in totals.to_dict("records"):
        place = str(row["geo_id"])
        payments = number(row["payment_thousands"], path, f"{place}, payment_thousands", minimum=0) * 1000.0
        recipients = number(row["recipient_count"], path, f"{place}, recipient_count", minimum=0)
        yield Figure("state", place, "ssi", payments, "dollar")
        yield Figure("state", place, "person_count", recipients, "person", (("ssi", ">", 0),))
