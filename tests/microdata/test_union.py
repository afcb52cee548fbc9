"""Union coverage: codes of the outgoing rotations, published shares, and the road from the file to the frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.microdata.donor_org import org_donors
from tessera.microdata.union import answered, covered, published_share
from tessera.sources import cps_org
from tessera.sources.synthetic import cps_org as writer


def test_codes() -> None:
    # Member; covered only; neither; not asked.
    table = pd.DataFrame({"PEERNLAB": [1, 2, 2, -1], "PEERNCOV": [-1, 1, 2, -1]})
    assert answered(table).tolist() == [True, True, True, False]
    assert covered(table).tolist() == [True, True, False, False]


def test_shares_are_published_for_every_year_of_the_files_up_to_2024() -> None:
    for year in range(2019, 2025):
        members, represented = published_share(year, "members"), published_share(year, "represented")
        assert 0.09 < members < represented < 0.13
    with pytest.raises(SourceError, match="No published union share of represented in 2018; on file are members 2019"):
        published_share(2018, "represented")


def test_written_files_have_the_published_share(tmp_path: Path) -> None:
    donors = org_donors(cps_org.read(writer.write(tmp_path, households=300, year=2024, seed=2)))
    share = np.average(donors.table["is_union_member_or_covered"], weights=donors.weights)
    assert len(donors.table) > 700
    assert share == pytest.approx(published_share(2024, "represented"), abs=0.035)
