"""The catalogue of columns against the sources that it names, and its check against frames that lack something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tessera.frame import ENTITIES, Frame
from tessera.microdata import catalogue
from tessera.microdata.tax_variables import tax_variables
from tessera.sources.registry import sources


@pytest.fixture
def frame() -> Frame:
    """One household whose tables have every column of the base file, all of them numbers."""
    tables = {}
    for entity in ENTITIES:
        names = [column.name for column in catalogue.columns_at("source_imputed_cps") if column.entity == entity]
        links = [f"{one}_id" for one in ENTITIES] if entity == "person" else [f"{entity}_id"]
        tables[entity] = pd.DataFrame({name: [0.0] for name in (*links, *names)})
    return Frame(**tables, year=2024, synthetic=True)


def test_every_column_is_named_once_and_explained() -> None:
    columns = catalogue.frame_columns()
    assert len({(column.entity, column.name) for column in columns}) == len(columns) > 150
    for column in columns:
        assert column.entity in ENTITIES and column.stage in catalogue.STAGES, column
        assert column.meaning and column.how, column


def test_source_columns_are_in_the_catalogues_of_their_sources() -> None:
    known = {f"{source}.{name}" for source in sources() for name in catalogue.source_columns(source)["column"]}
    named = {source for column in catalogue.frame_columns() for source in column.sources}
    assert sorted(named - known) == []
    assert {source.partition(".")[0] for source in named} == set(sources())


def test_every_variable_of_the_tax_file_is_a_column_of_the_extended_survey() -> None:
    extended = {(column.entity, column.name) for column in catalogue.columns_at("extended_cps")}
    wanted = {
        (variable.entity, variable.name) for variable in tax_variables() if variable.name != "puf_social_security"
    }
    assert wanted <= extended
    assert {variable.name for variable in tax_variables()} <= {column.name for column in catalogue.columns_at("puf")}


def test_a_complete_frame_lacks_nothing(frame: Frame) -> None:
    assert catalogue.missing_columns(frame, "source_imputed_cps") == []
    assert catalogue.unknown_columns(frame, "source_imputed_cps") == []
    assert catalogue.missing_values(frame) == []


@pytest.mark.parametrize(
    ("entity", "name"),
    [("person", "age"), ("person", "net_worth"), ("tax_unit", "constructed_filing_status"), ("person", "tax_unit_id"),
     ("household", "household_id"), ("spm_unit", "snap_reported")],
)  # fmt: skip
def test_a_dropped_column_is_named(frame: Frame, entity: str, name: str) -> None:
    holder = "household" if name == "net_worth" else entity
    dropped = replace(frame, **{holder: frame.table(holder).drop(columns=name)})
    assert catalogue.missing_columns(dropped, "source_imputed_cps") == [f"{holder}.{name}"]


def test_a_column_on_the_wrong_entity_is_missing_there_and_unknown_here(frame: Frame) -> None:
    moved = replace(
        frame, household=frame.household.drop(columns="net_worth"), person=frame.person.assign(net_worth=1.0)
    )
    assert catalogue.missing_columns(moved, "source_imputed_cps") == ["household.net_worth"]
    assert catalogue.unknown_columns(moved, "source_imputed_cps") == ["person.net_worth"]
    assert "person.net_worth" not in catalogue.missing_columns(frame, "cps")


def test_optional_columns_may_be_absent(frame: Frame) -> None:
    optional = [column for column in catalogue.frame_columns() if column.optional]
    assert ("household", "state_fips") in {(column.entity, column.name) for column in optional}
    for column in optional:
        without = replace(frame, **{column.entity: frame.table(column.entity).drop(columns=column.name)})
        assert catalogue.missing_columns(without, "source_imputed_cps") == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_missing_and_infinite_values_are_named(frame: Frame, value: float) -> None:
    frame.person["age"] = value
    assert catalogue.missing_values(frame) == ["person.age"]


def test_lineage_goes_stage_by_stage_to_the_files() -> None:
    cps, extended, final = (catalogue.lineage(stage) for stage in ("cps", "extended_cps", "source_imputed_cps"))
    wages = "person.employment_income_before_lsr"
    assert cps[wages] == [("cps_asec", "person.WSAL_VAL")] or ("cps_asec", "person.WSAL_VAL") in cps[wages]
    assert extended[wages] == [("cps", wages), ("puf", wages)]
    assert catalogue.lineage("puf")[wages] == [("irs_puf", "return.E00200")]
    assert catalogue.lineage("stratified_cps")[wages] == [("extended_cps", wages)]
    assert final[wages] == [("stratified_cps", wages)]
    assert final["household.net_worth"] == [("scf", "family.NETWORTH")]
    assert final["person.pre_subsidy_rent"] == [("acs_pums", "household.RNTP")]
    assert ("puf", "person.foreign_tax_credit_potential") in extended["tax_unit.foreign_tax_credit_potential"]


def test_required_source_columns_are_looked_for_in_their_records() -> None:
    tables = {}
    for record in ("household", "person"):
        columns = catalogue.source_columns("acs_pums")
        names = columns.loc[columns["record"] == record, "column"]
        tables["acs_pums" if record == "person" else record] = pd.DataFrame(columns=list(names))
    assert catalogue.absent_source_columns("acs_pums", tables) == []
    lacking = {**tables, "household": tables["household"].drop(columns="RNTP")}
    assert catalogue.absent_source_columns("acs_pums", lacking) == ["household.RNTP"]
    assert catalogue.absent_source_columns("acs_pums", {"acs_pums": tables["acs_pums"]}) == ["household"]


def test_tables_for_people() -> None:
    assert list(catalogue.source_summary()["source"]) == list(sources())
    assert (catalogue.source_summary()["required"] > 0).all()
    base = catalogue.base_columns().set_index("column")
    assert base.at["partnership_income", "survey half"] == "drawn from the tax file"
    assert base.at["sstb_self_employment_income_before_lsr", "survey half"] == "0"
    assert base.at["age", "tax half"] == "as made"
    assert base.at["net_worth", "how"] == "drawn from SCF"
    assert catalogue.stage_summary().set_index("stage").at["source_imputed_cps", "columns"] == len(base)
