"""The premium part of overtime pay (`fsla_overtime_premium`), dollars a year, from usual hours and wages.

Holds the estimate and its rules (`data/overtime_rules.csv`). With H usual hours a week and all hours beyond 40 paid
at one and a half times the hourly pay, a wage W holds

    premium = W * (m - 1) * x / (40 + m * x),    x = max(H - 40, 0),  m = 1.5

for who is covered by 29 USC 207: paid by the hour, or with a salary below the threshold of the kind of work (29 USC
213; the armed forces never). Weeks cancel out: usual hours are taken for those of every week. It misses overtime of
single weeks, and takes unpaid extra hours of salaried persons below the thresholds for paid ones. Whether pay is by
the hour comes from another survey (`is_paid_hourly`), so the premium is made after that is imputed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd

from tessera.errors import FrameError
from tessera.frame import Frame
from tessera.microdata.asec import BoolArray, FloatArray
from tessera.microdata.datafile import row_of_year
from tessera.microdata.work import WEEKS_OF_YEAR

PREMIUM = "fsla_overtime_premium"
NEVER_COVERED = ("is_military", "has_never_worked")
NEEDED = (
    "employment_income_before_lsr",
    "weekly_hours_worked_before_lsr",
    "is_paid_hourly",
    *NEVER_COVERED,
    "is_executive_administrative_professional",
    "is_farmer_fisher",
    "is_computer_scientist",
)


@dataclass(frozen=True)
class OvertimeRules:
    """Rules of a year.

    Attributes:
        highly_compensated: yearly pay from which a salaried person is exempt in any work, dollars.
        salary_a_week: weekly salary from which executives, administrators and professionals are exempt, dollars.
        computer_an_hour: hourly pay from which computer professionals are exempt, dollars.
        hours: weekly hours beyond which work is overtime.
        multiple: of the usual pay that overtime is paid at.
    """

    highly_compensated: float
    salary_a_week: float
    computer_an_hour: float
    hours: float
    multiple: float


@cache
def overtime_rules(year: int) -> OvertimeRules:
    """Rules of a year.

    Raises:
        SourceError: a year that `data/overtime_rules.csv` does not hold.
    """
    row = row_of_year("overtime_rules", year, "overtime rules", "29 CFR 541.600 and 541.601")
    return OvertimeRules(**{name: float(row[name]) for name in OvertimeRules.__dataclass_fields__})


def exemption_threshold(
    executive: BoolArray, farmer: BoolArray, computer: BoolArray, rules: OvertimeRules
) -> FloatArray:
    """Yearly pay from which a salaried person of each kind of work is exempt, dollars, (n,)."""
    top = rules.highly_compensated
    salary = min(rules.salary_a_week * WEEKS_OF_YEAR, top)
    hourly = min(rules.computer_an_hour * WEEKS_OF_YEAR * rules.hours, top)
    return np.select([executive | farmer, computer], [salary, hourly], default=top)


def overtime_premium(
    wages: FloatArray, weekly_hours: FloatArray, covered: BoolArray, rules: OvertimeRules
) -> FloatArray:
    """Premium part of overtime pay within wages, dollars a year, (n,).

    Args:
        wages: dollars a year, overtime included, (n,).
        weekly_hours: usual hours a week, (n,).
        covered: who must be paid overtime, (n,).
        rules: of the year.
    """
    extra = np.maximum(weekly_hours - rules.hours, 0.0)
    share = (rules.multiple - 1) * extra / (rules.hours + rules.multiple * extra)
    return np.where(covered, np.maximum(wages, 0.0) * share, 0.0)


def with_overtime_premium(frame: Frame) -> Frame:
    """The frame with `fsla_overtime_premium` on its persons.

    Raises:
        FrameError: a column that the premium hangs on is absent.
        SourceError: no rules for the frame's year.
    """
    person = frame.person
    absent = [name for name in NEEDED if name not in person]
    if absent:
        raise FrameError(
            f"person has no columns {', '.join(absent)}, on which the overtime premium hangs; wanted those of the "
            "survey and is_paid_hourly. Impute from the ORG survey first."
        )
    rules = overtime_rules(frame.year)
    wages = person["employment_income_before_lsr"].to_numpy(dtype=np.float64)
    flag = {name: person[name].to_numpy(dtype=bool) for name in NEEDED[2:]}
    threshold = exemption_threshold(
        flag["is_executive_administrative_professional"],
        flag["is_farmer_fisher"],
        flag["is_computer_scientist"],
        rules,
    )
    never = np.logical_or.reduce([flag[name] for name in NEVER_COVERED])
    covered = (flag["is_paid_hourly"] | (wages < threshold)) & ~never
    hours = person["weekly_hours_worked_before_lsr"].to_numpy(dtype=np.float64)
    premium = overtime_premium(wages, hours, covered, rules)
    added = pd.DataFrame({PREMIUM: premium}, index=person.index)
    return replace(frame, person=pd.concat([person.drop(columns=PREMIUM, errors="ignore"), added], axis=1))
