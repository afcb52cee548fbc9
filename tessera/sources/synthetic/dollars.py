"""Amounts of a synthetic population in the dollars of a survey's year.

Populations are drawn in dollars of 2024. A survey of another year shows its own dollars: each amount is divided by the
growth that donors' amounts are brought forward by (`microdata.donor_uprating`), so that the road there and back ends
where it began. Ranks, flags and counts stay.
"""

from __future__ import annotations

from dataclasses import replace

from tessera.sources.synthetic.population import Population

DRAWN_IN = 2024
# Columns of persons and households by the donors' column whose growth they follow.
_PERSON = {
    "wages": "employment_income",
    "self_employment": "self_employment_income",
    "farm": "self_employment_income",
    "interest": "interest_income",
    "dividends": "dividend_income",
    "rent": "rental_income",
    "capital_gains": "capital_gains",
    "social_security": "social_security",
    "pension": "pension_income",
    "annuity": "pension_income",
    "distributions": "pension_income",
    **dict.fromkeys(
        ("ssi", "unemployment", "public_assistance", "veterans", "workers_compensation", "disability"),
        "social_security",
    ),
    **dict.fromkeys(("child_support", "alimony"), "social_security"),
}
_HOUSEHOLD = {"rent_paid": "pre_subsidy_rent", "property_tax": "real_estate_taxes", "value": "real_estate_taxes"}


def in_dollars_of(population: Population, year: int) -> Population:
    """The population with its amounts in dollars of another year, rounded to dollars.

    Raises:
        SourceError: a year that no growth is on file for.
    """
    # Imported here: the readers' side of this package knows nothing of imputation.
    from tessera.microdata.donor_uprating import factor

    person, household = (
        table.assign(
            **{
                name: (table[name] / factor(like, year, DRAWN_IN)).round().astype("int64")
                for name, like in columns.items()
            }
        )
        for table, columns in ((population.person, _PERSON), (population.household, _HOUSEHOLD))
    )
    return replace(population, person=person, household=household)
