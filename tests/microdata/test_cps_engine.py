"""The survey's Frame in the rules engine itself: what it makes of roles, statuses, disability and papers."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from tessera.areas.inputs import input_variables
from tessera.frame import ENTITIES, Frame
from tessera.microdata.cps import build_cps

from .support import RawAsec, sample

YEAR = 2024


def write(frame: Frame, path: Path) -> None:
    """All inputs of a frame as the engine loads them, everybody in Maine."""
    known = input_variables()
    columns = {"state_fips": np.full(frame.count("household"), 23, dtype=np.int32)}
    for entity in ENTITIES:
        columns[f"{entity}_id"] = frame.table(entity)[f"{entity}_id"].to_numpy(dtype=np.int32)
        if entity != "person":
            columns[f"person_{entity}_id"] = frame.person[f"{entity}_id"].to_numpy(dtype=np.int32)
        for name, values in frame.table(entity).items():
            if known.get(str(name)) == entity and str(name) not in columns:
                named = isinstance(values.dtype, pd.CategoricalDtype)
                columns[str(name)] = values.astype(str).to_numpy().astype("S") if named else values.to_numpy()
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file.create_group(name).create_dataset(str(YEAR), data=values)


@pytest.mark.engine
def test_engine_reads_units_as_they_were_built(shared_data: Path, tmp_path: Path) -> None:
    from policyengine_us import Microsimulation

    raw = sample(shared_data)
    frame = build_cps(RawAsec(raw, income_year=YEAR), seed=1)
    write(frame, tmp_path / "cps.h5")
    simulation = Microsimulation(dataset=str(tmp_path / "cps.h5"))

    def engine(variable: str) -> np.ndarray:
        return np.asarray(simulation.calculate(variable, YEAR))

    person = frame.person
    for role in ("HEAD", "SPOUSE", "DEPENDENT"):
        np.testing.assert_array_equal(
            engine(f"is_tax_unit_{role.lower()}"), (person["tax_unit_role_input"] == role).to_numpy()
        )
    np.testing.assert_array_equal(engine("immigration_status"), person["immigration_status_str"].astype(str).to_numpy())
    # Whom SSI counts as aged, blind or disabled: nobody who reports it below 65 for themselves is left out.
    reports = (
        (person["ssi_reported"] > 0).to_numpy() & person["is_disabled"].to_numpy() & (person["age"] < 65).to_numpy()
    )
    assert reports.any()
    assert engine("is_ssi_aged_blind_disabled")[reports].all()

    status = frame.tax_unit["constructed_filing_status"].astype(str).to_numpy()
    differs = np.flatnonzero(engine("filing_status") != status)
    heads = (person["tax_unit_role_input"] == "HEAD").to_numpy()
    of_unit = person.loc[heads].assign(sequence=raw.loc[heads, "PH_SEQ"]).set_index("tax_unit_id")["sequence"]
    # The engine asks for no kinship of children by age (449, 463: children of nobody here), and lets a separated parent
    # of a child who is disabled, not young, file separately only (660).
    assert {(int(of_unit[unit]), status[unit]) for unit in differs} == {
        (449, "SINGLE"),
        (463, "SINGLE"),
        (660, "HEAD_OF_HOUSEHOLD"),
    }
