"""IRS SOI Publication 1304, table 1.1: returns, AGI, taxable income and total income tax by size of AGI (nation).

One figure for all returns and one for each of 19 classes of: returns and AGI; taxable returns with their AGI and
taxable income; total income tax. Taxable returns are those with total income tax, which is the tax after all credits
(not below zero) with the net investment income tax: the engine's `income_tax_positive`. Left out: income tax after
credits (without that tax, no variable), percentages, averages and the accumulated classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.targets.figures import Constraint, Figure, to_frame
from tessera.targets.loaders.soi_concepts import amount_only, class_figures, item_figures
from tessera.targets.loaders.soi_items import FILER
from tessera.targets.loaders.soi_tables import AGI, ClassTable, publication_1304, read_class_table

YEAR = 2023
SOURCE = "irs_soi_table_1_1"
TAXABLE: Constraint = ("income_tax_positive", ">", 0)
AGI_HEADING = "Adjusted gross income less deficit"
_TOTAL = "All returns"


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Returns, AGI, taxable income and tax of a tax year by class of AGI.

    Raises:
        SourceError: another table or year, a heading or class that is not there, cells that do not add up.
    """
    table = read_class_table(path, "Table 1.1", year, _TOTAL)
    return to_frame(_figures(table), publication_1304(SOURCE, "1.1", year, "11si"))


def _figures(table: ClassTable) -> Iterator[Figure]:
    for group, domain in (("All returns", (FILER,)), ("Taxable returns", (FILER, TAXABLE))):
        returns = table.column(f"{group} / Number of returns")
        yield from class_figures("tax_unit_count", returns, domain)
        agi = table.column(f"{group} / {AGI_HEADING} / Amount", signed=True)
        yield from class_figures(AGI, agi, domain)
    yield from item_figures(
        table,
        (
            amount_only("taxable_income", "Taxable returns / Taxable income", TAXABLE),
            amount_only("income_tax_positive", "Taxable returns / Total income tax"),
        ),
    )
