"""Donor surveys that are not at hand: what each of them gives, and what its absence means.

Holds the variables of each survey and the messages; draws nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from tessera.errors import SourceError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Absent:
    """A donor survey that was not at hand.

    Attributes:
        survey: short name ("acs", "sipp", "scf", "org").
        source: name of the source ("acs_pums", ...).
        file: its file below `raw/`.
        year: survey year of that file.
        person, household: its variables, by entity.
        stored: whether they are stored as 0 ("zero") or not at all ("leave_out").
    """

    survey: str
    source: str
    file: str
    year: int
    person: tuple[str, ...]
    household: tuple[str, ...]
    stored: str

    def __str__(self) -> str:
        what = "stored as 0" if self.stored == "zero" else "left out"
        return f"{self.survey} ({self.file} of {self.year}): {', '.join(self.variables)} {what}"

    @property
    def variables(self) -> tuple[str, ...]:
        """All its variables."""
        return (*self.person, *self.household)


# Survey -> source, variables of persons, variables of households.
GIVEN: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "acs": ("acs_pums", ("pre_subsidy_rent", "real_estate_taxes"), ()),
    "sipp": (
        "sipp",
        ("tip_income", "bank_account_assets", "stock_assets", "bond_assets"),
        ("household_vehicles_owned", "household_vehicles_value", "household_vehicles_equity"),
    ),
    "scf": ("scf", (), ("net_worth", "auto_loan_balance", "auto_loan_interest", "household_vehicles_equity")),
    "org": ("cps_org", ("is_paid_hourly", "hourly_wage", "is_union_member_or_covered"), ()),
}


def absent_donors(surveys: Sequence[str], fallback: str) -> tuple[Absent, ...]:
    """The absent surveys, with a warning for each; or an error, if their absence is one.

    Args:
        surveys: short names of the absent surveys.
        fallback: "error", "leave_out" or "zero".

    Raises:
        SourceError: surveys are absent and the fallback is "error"; names all of them, file and year.
    """
    absent = tuple(_absent(survey, fallback) for survey in surveys)
    if absent and fallback == "error":
        lost = "; ".join(
            f"{one.survey} ({one.source}, {one.file} of {one.year}: {', '.join(one.variables)})" for one in absent
        )
        raise SourceError(
            f"Donor surveys are absent: {lost}. Get the files, or choose to go without them: TESSERA_ABSENT_SOURCES="
            f"{','.join(one.source for one in absent)} with TESSERA_DONOR_FALLBACK=leave_out (variables not stored) or "
            "zero (stored as 0)."
        )
    for one in absent:
        what = "left out" if fallback == "leave_out" else "0"
        logger.warning(
            "donor survey %s (%s, %s of %d) is absent: %s: %s",
            one.survey,
            one.source,
            one.file,
            one.year,
            what,
            ", ".join(one.variables),
        )
    return absent


def _absent(survey: str, fallback: str) -> Absent:
    # The catalogue of sources is read only where one is missed.
    from tessera.sources.registry import sources

    source, person, household = GIVEN[survey]
    known = sources()[source]
    return Absent(survey, source, known.primary, known.year, person, household, fallback)
