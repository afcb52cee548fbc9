"""The stages in a row on files of the synthetic writers: every file format that the readers know, one small survey."""

from __future__ import annotations

import numpy as np
import pytest

from tessera.frame import Frame
from tessera.microdata.cps import build_cps
from tessera.microdata.donors import impute_donors
from tessera.microdata.extend import extend
from tessera.microdata.puf import build_puf
from tessera.microdata.quality import weighted_totals
from tessera.microdata.stratify import stratify
from tessera.sources import acs_pums, cps_asec, cps_org, irs_puf, scf, sipp
from tessera.sources.synthetic import acs_pums as write_acs
from tessera.sources.synthetic import cps_asec as write_cps
from tessera.sources.synthetic import cps_org as write_org
from tessera.sources.synthetic import irs_puf as write_puf
from tessera.sources.synthetic import scf as write_scf
from tessera.sources.synthetic import sipp as write_sipp


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Frame]:
    home = tmp_path_factory.mktemp("raw")
    asec = cps_asec.read(write_cps.write(home, households=300, year=2025, seed=1))
    puf = irs_puf.read(write_puf.write(home, returns=400, seed=1))
    donors = {
        "acs": acs_pums.read(write_acs.write(home, households=300, year=2022, seed=1)),
        "sipp": sipp.read(write_sipp.write(home, households=200, year=2023, seed=1)),
        "scf": scf.read(write_scf.write(home, families=200, year=2022, seed=1)),
        "org": cps_org.read(write_org.write(home, households=300, year=2024, seed=1)),
    }
    cps = build_cps(asec, seed=1)
    extended = extend(cps, build_puf(puf, year=2024, seed=1), seed=1).frame
    chosen = stratify(extended, 60, seed=1)
    return {"cps": cps, "extended": extended, "final": impute_donors(chosen, **donors, seed=1).frame}


def test_sizes_weights_and_marks(stages: dict[str, Frame]) -> None:
    assert [stages[name].count("household") for name in ("cps", "extended", "final")] == [300, 600, 60]
    for frame in stages.values():
        assert frame.synthetic
        assert frame.year == 2024
        np.testing.assert_allclose(frame.weights.sum(), stages["cps"].weights.sum(), rtol=1e-9)
    assert set(stages["final"].household["source"]) == {"cps", "puf"}


def test_totals_are_of_a_nation(stages: dict[str, Frame]) -> None:
    totals = weighted_totals(stages["cps"]).set_index("variable")["total"]
    assert 3.0e8 < totals["person_count"] < 3.6e8
    assert 8e12 < totals["employment_income_before_lsr"] < 14e12
    assert 0.8e12 < totals["social_security_retirement"] < 1.6e12


def test_renters_pay_plausible_rents(stages: dict[str, Frame]) -> None:
    rents = stages["final"].person["pre_subsidy_rent"]
    assert 3_000 < rents[rents > 0].median() < 40_000
    wages = stages["final"].person["hourly_wage"]
    assert 7 < wages[wages > 0].median() < 80
