"""Every column of the finished frame against the rules engine: an input that exists, on its entity, with its names."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tessera.frame import ENTITIES
from tessera.microdata.cps import build_cps
from tessera.microdata.donors import impute_from_donors
from tessera.microdata.extend import extend_cps
from tessera.microdata.puf import build_puf
from tessera.microdata.stratify import stratify

from .support import RawAsec, donor_files, sample, tax_file

# Ours: provenance, links, reported benefits that anchor take-up, and the constructor's own reading of the status.
OURS = {
    "household": {"source", "source_household_id"},
    "tax_unit": {"constructed_filing_status"},
    "spm_unit": {"snap_reported", "tanf_reported"},
    "person": {"person_id", *(f"{entity}_id" for entity in ENTITIES)},
}


@pytest.mark.engine
def test_columns_are_inputs_of_the_engine(shared_data: Path) -> None:
    from policyengine_us import CountryTaxBenefitSystem

    raw = sample(shared_data)
    cps = build_cps(RawAsec(raw[raw["PH_SEQ"] <= 60].reset_index(drop=True)), seed=1)
    extended = extend_cps(cps, build_puf(tax_file(100), year=2024, seed=1), seed=1)
    frame = impute_from_donors(stratify(extended, 20, seed=1), **donor_files(60), seed=1)
    variables = CountryTaxBenefitSystem().variables
    checked = 0
    for entity in ENTITIES:
        table = frame.table(entity)
        for name in set(table.columns) - OURS.get(entity, set()):
            assert name in variables, f"{entity}.{name} is unknown to the engine"
            variable = variables[name]
            assert variable.is_input_variable(), f"{name} has a formula"
            assert variable.entity.key == entity, f"{name} belongs to {variable.entity.key}, not {entity}"
            if isinstance(table[name].dtype, pd.CategoricalDtype):
                assert set(table[name].cat.categories) <= {item.name for item in variable.possible_values}, name
            else:
                assert variable.value_type is not str, name
            checked += 1
    assert checked > 80
