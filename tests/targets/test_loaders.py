"""What loaders share: published cells as numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessera.errors import SourceError
from tessera.targets.loaders.common import number


@pytest.mark.parametrize(("cell", "value"), [("1,234", 1234), ("$5", 5), ("(12)", -12), (" 7.5 ", 7.5)])
def test_published_numbers(cell: str, value: float) -> None:
    assert number(cell, Path("table"), "row 1") == value


@pytest.mark.parametrize("cell", ["**", "", None, "-888888888", "twelve", "inf", "12,5", "1,2,3"])
def test_what_is_no_number_is_refused(cell: str | None) -> None:
    with pytest.raises(SourceError, match="row 1"):
        number(cell, Path("table"), "row 1")
