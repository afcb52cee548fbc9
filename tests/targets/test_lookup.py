"""Finding figures by area, variable, source, level and domain, and what is said when there is none."""

from __future__ import annotations

import pandas as pd
import pytest

from tessera.errors import TargetError
from tessera.targets.lookup import Filter, domains, find_figures
from tests.targets.small import small_figures


@pytest.fixture(scope="module")
def figures() -> pd.DataFrame:
    return small_figures()


def test_a_variable_finds_its_figures_and_those_whose_domain_names_it(figures: pd.DataFrame) -> None:
    found = find_figures(figures, Filter(area="WY", variable="snap"))
    assert found[["variable", "constraints"]].to_numpy().tolist() == [
        ["household_count", '[["snap",">",0]]'],
        ["snap", "[]"],
    ]


def test_conditions_are_met_together(figures: pd.DataFrame) -> None:
    assert len(find_figures(figures, Filter())) == len(figures)
    assert len(find_figures(figures, Filter(level="district", domain="age"))) == 436
    assert len(find_figures(figures, Filter(level="district", domain=""))) == 436
    assert find_figures(figures, Filter(variable="snap", source="paper"))["geo_id"].tolist() == ["US"]
    found = find_figures(figures, Filter(variable="person_count", domain=""))
    assert found["geo_level"].drop_duplicates().tolist() == ["national", "state", "district"]
    assert found.index.tolist() == list(range(len(found)))


def test_classes_come_in_order_of_their_numbers() -> None:
    texts = [
        '[["age","<",15],["age",">=",10]]',
        '[["age",">=",85]]',
        '[["age","<",5]]',
        '[["age","<",10],["age",">=",5]]',
    ]
    table = pd.DataFrame({"constraints": texts, "geo_level": "state", "geo_id": "VT", "variable": "n", "source": "s"})
    found = find_figures(table, Filter(area="VT"))
    assert found["constraints"].tolist() == [texts[2], texts[3], texts[0], texts[1]]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Filter(area="CA-99"), r"area 'CA-99'\. Areas look like US, CA, CA-12, NYC; near: CA, CA-01"),
        (Filter(variable="snpa"), r"variable 'snpa'\. Known: 'snap'"),
        (Filter(source="usdaa"), r"source 'usdaa'\. Known: 'usda'"),
        (Filter(level="county"), r"level 'county'\. Known: 'district', 'national', 'state'\."),
        (Filter(domain="agee"), r"domain 'agee'\. Known: 'age'"),
        (
            Filter(area="CA-12", variable="snap"),
            r"No figure meets area CA-12, variable snap\. Without the variable there are variables person_count\. "
            r"Without the area there are levels national, state\.",
        ),
        (Filter(area="WY", source="paper"), r"Without the area there are levels national\."),
    ],
)
def test_nothing_found_says_what_there_is(figures: pd.DataFrame, wanted: Filter, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        find_figures(figures, wanted)


def test_domains_are_alphabetical() -> None:
    texts = pd.Series(['[["snap",">",0],["age",">=",5],["age","<",9]]', "[]"], index=[4, 2])
    assert domains(texts).to_dict() == {4: "age,snap", 2: ""}


def test_a_filter_in_words() -> None:
    assert Filter(area="CA", level="state", domain="").text == "area CA, level state, domain ''"
    assert Filter().text == "anything"
