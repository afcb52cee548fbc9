"""Union coverage: codes of the outgoing rotations, and the road from the file to the frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.microdata.donor_org import org_donors
from tessera.microdata.union import answered, covered
from tessera.sources import cps_org
from tessera.sources.synthetic import cps_org as writer


def test_codes() -> None:
    # Member; covered only; neither; not asked.
    table = pd.DataFrame({"PEERNLAB": [1, 2, 2, -1], "PEERNCOV": [-1, 1, 2, -1]})
    assert answered(table).tolist() == [True, True, True, False]
    assert covered(table).tolist() == [True, True, False, False]


def test_written_files_have_the_published_share(tmp_path: Path) -> None:
    donors = org_donors(cps_org.read(writer.write(tmp_path, households=300, year=2024, seed=2)))
    share = np.average(donors.table["is_union_member_or_covered"], weights=donors.weights)
    assert len(donors.table) > 700
    assert share == pytest.approx(0.111, abs=0.035)  # Bureau of Labor Statistics, 2024
