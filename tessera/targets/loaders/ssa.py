"""SSA: Social Security benefits by kind (nation, dollars).

Reads the transcription of Annual Statistical Supplement 2025 tables 4.A5 and 4.A6 (`ssa_oasdi_ssi_2024.csv`; columns
variable, period, value in dollars, unit). Figures: `social_security` and its four parts, which must add up to it. SSA
counts beneficiaries abroad and in the territories too, whom no household file has. The file's sixth row, payments of
SSI with state supplements, is read by `ssi`.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, read_csv, require_columns, require_each_once

YEAR = 2024
SSI_PAYMENTS = "ssi_payments"
_TOTAL = "social_security_benefits"
BENEFITS = {
    _TOTAL: "social_security",
    "social_security_retirement_benefits": "social_security_retirement",
    "social_security_disability_benefits": "social_security_disability",
    "social_security_survivors_benefits": "social_security_survivors",
    "social_security_dependents_benefits": "social_security_dependents",
}
_URL = "https://www.ssa.gov/policy/docs/statcomps/supplement/2025/4a.html"


def load_benefits(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Five national amounts: Social Security and its four parts.

    Raises:
        SourceError: see `read_benefits`.
    """
    values = read_benefits(path, year)
    provenance = Provenance("ssa_oasdi", "Tables 4.A5, 4.A6", _URL, f"Supplement {year + 1}", year)
    figures = (Figure("national", "US", variable, values[name], "dollar") for name, variable in BENEFITS.items())
    return to_frame(figures, provenance)


def read_benefits(path: Path, year: int) -> dict[str, float]:
    """Every row of the transcription, dollars: the five benefits and SSI payments.

    Raises:
        SourceError: another year or unit, a missing or repeated row, parts that do not add up.
    """
    frame = read_csv(path)
    require_columns(frame, ["variable", "period", "value", "unit"], path)
    for column, wanted in (("period", str(year)), ("unit", "dollars")):
        wrong = frame.loc[frame[column] != wanted, column]
        if len(wrong):
            raise SourceError(f"{path}: row {wrong.index[0] + 2}, {column}: {wrong.iloc[0]!r}; wanted {wanted}.")
    require_each_once(frame["variable"], (*BENEFITS, SSI_PAYMENTS), path, "variable")
    values = {
        row["variable"]: number(row["value"], path, row["variable"], minimum=0) for row in frame.to_dict("records")
    }
    parts = sum(values[name] for name in BENEFITS if name != _TOTAL)
    if abs(parts - values[_TOTAL]) > 1e6:
        raise SourceError(
            f"{path}: the four kinds of benefit add up to {parts:.0f}, {_TOTAL} reads {values[_TOTAL]:.0f}."
        )
    return values
