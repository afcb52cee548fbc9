"""The columns of every stage of the microdata: entity, meaning, where each comes from and how it is made.

Holds `data/frame_columns.csv` as records, what it says about each stage, and the check that a frame has what its stage
must have; computes no column. The tax file's columns are those of `tax_variables` and what its frame needs beside them.

How the file is written: `stage` is the first stage that has the column; `sources` are the columns that its values come
from, `source.COLUMN` joined by blanks; an `optional` column is one that some files cannot give.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import pandas as pd

from tessera.frame import ENTITIES, GROUP_ENTITIES, Frame
from tessera.microdata.datafile import read_rows
from tessera.microdata.survey_variables import survey_variables
from tessera.microdata.tax_variables import TaxVariable, tax_variables
from tessera.sources.columns import columns_of, page_of, records_of

FILE = "frame_columns"
STAGES = ("cps", "puf", "extended_cps", "stratified_cps", "source_imputed_cps")
# Of the stages along which columns are added; the tax file stands beside them.
_ORDER = {"cps": 0, "extended_cps": 1, "stratified_cps": 1, "source_imputed_cps": 2}
_CODE = re.compile(r"\b[EPST]\d{5}\b")
# Records that a run does without: what they give is left out.
_OPTIONAL_RECORDS = {("scf", "loans")}
_TAX_IN_SURVEY_HALF = {"asks": "as made", "absent": "drawn from the tax file", "tax_only": "0"}
_TREATMENTS = {
    "kept": "as made",
    "reconciled": "follows what is drawn",
    "filers": "drawn from survey persons",
    "workers": "drawn from survey persons",
    "last_year": "drawn from survey persons",
    "matched": "of the nearest survey person",
}
_LINKS = (
    *((entity, f"{entity}_id") for entity in GROUP_ENTITIES),
    *(("person", f"{entity}_id") for entity in ENTITIES),
)


@dataclass(frozen=True)
class FrameColumn:
    """A column of a frame.

    Attributes:
        entity, name: of the column.
        meaning: in words.
        stage: first stage that has it.
        sources: columns of source files that its values come from, such as "cps_asec.WSAL_VAL".
        how: how it is made, in words.
        optional: whether a frame may lack it.
    """

    entity: str
    name: str
    meaning: str
    stage: str
    sources: tuple[str, ...]
    how: str
    optional: bool


@cache
def frame_columns() -> tuple[FrameColumn, ...]:
    """All columns of the base file, in the order of the file: by entity, then as they are made."""
    codes = {variable.name: _tax_codes(variable) for variable in tax_variables()}
    return tuple(
        FrameColumn(
            entity=row["entity"],
            name=row["name"],
            meaning=row["meaning"],
            stage=row["stage"],
            sources=tuple(dict.fromkeys((*row["sources"].split(), *codes.get(row["name"], ())))),
            how=row["how"],
            optional=row["optional"] == "yes",
        )
        for row in read_rows(FILE)
    )


@cache
def columns_at(stage: str) -> tuple[FrameColumn, ...]:
    """The columns of a stage."""
    if stage == "puf":
        return _tax_file_columns()
    return tuple(column for column in frame_columns() if _ORDER[column.stage] <= _ORDER[stage])


def missing_columns(frame: Frame, stage: str) -> list[str]:
    """Columns, as `entity.name`, that a stage must have and a frame lacks; links and ids of entities among them."""
    wanted = [(column.entity, column.name) for column in columns_at(stage) if not column.optional]
    return [f"{entity}.{name}" for entity, name in dict.fromkeys((*wanted, *_LINKS)) if name not in frame.table(entity)]


def unknown_columns(frame: Frame, stage: str) -> list[str]:
    """Columns, as `entity.name`, that a frame has and the catalogue does not know."""
    known = {(column.entity, column.name) for column in columns_at(stage)}
    known |= set(_LINKS)
    return [
        f"{entity}.{name}"
        for entity in ENTITIES
        for name in frame.table(entity).columns
        if (entity, str(name)) not in known
    ]


def missing_values(frame: Frame) -> list[str]:
    """Columns, as `entity.name`, that hold a missing value or a number that is not finite."""
    found = []
    for entity in ENTITIES:
        table = frame.table(entity)
        for name in table.columns:
            column = table[name]
            infinite = pd.api.types.is_float_dtype(column) and column.abs().eq(float("inf")).any()
            if column.isna().any() or infinite:
                found.append(f"{entity}.{name}")
    return found


def lineage(stage: str) -> dict[str, list[tuple[str, str]]]:
    """Of each column of a stage, as `entity.name`: the asset and column that each of its values comes from.

    What the stage before has comes from there; what is new, from source files. Predictors of what is imputed are not
    listed.
    """
    before = {"extended_cps": "cps", "stratified_cps": "extended_cps", "source_imputed_cps": "stratified_cps"}.get(
        stage
    )
    tax = {variable.name for variable in tax_variables()}
    kept = {(column.entity, column.name) for column in columns_at(before)} if before else set()
    result: dict[str, list[tuple[str, str]]] = {}
    for column in columns_at(stage):
        label = f"{column.entity}.{column.name}"
        found = [(before, label)] if before and (column.entity, column.name) in kept else []
        if stage == "extended_cps" and column.name in tax:
            found.append(("puf", f"person.{column.name}"))
        if not found:
            found = [_source_column(text) for text in column.sources]
        result[label] = found
    return result


def _tax_codes(variable: TaxVariable) -> tuple[str, ...]:
    """The codes of the tax file that a variable is made of, as source columns."""
    return tuple(f"irs_puf.{code}" for code in dict.fromkeys(_CODE.findall(variable.codes)))


def _source_column(text: str) -> tuple[str, str]:
    """The asset of "cps_asec.WSAL_VAL" and its column as `record.NAME`."""
    source, _, name = text.partition(".")
    table = source_columns(source)
    records = table.loc[table["column"] == name, "record"]
    return source, f"{records.iloc[0]}.{name}" if len(records) else name


def described_columns(frame: Frame, stage: str) -> list[tuple[str, str, str]]:
    """Of each column that a frame has: `entity.name`, its type, and what is known of it."""
    known = {(column.entity, column.name): column for column in columns_at(stage)}
    result = []
    for entity in ENTITIES:
        table = frame.table(entity)
        for name in map(str, table.columns):
            column = known.get((entity, name))
            text = f"{column.meaning} ({column.how})" if column else "id or link" if name.endswith("_id") else ""
            result.append((f"{entity}.{name}", str(table[name].dtype), text))
    return result


def in_halves(column: FrameColumn) -> tuple[str, str]:
    """What becomes of a column in the survey half and in the tax half of the extended survey, in words."""
    tax = {variable.name: variable.survey for variable in tax_variables()}
    if column.name in tax:
        return _TAX_IN_SURVEY_HALF[tax[column.name]], "drawn from the tax file"
    treatments = {(variable.entity, variable.name): variable.treatment for variable in survey_variables()}
    treatment = treatments.get((column.entity, column.name))
    if column.stage == "source_imputed_cps" or treatment is None:
        return ("", "") if column.stage == "source_imputed_cps" else ("as made", "as made")
    return "as made", _TREATMENTS[treatment]


def base_columns() -> pd.DataFrame:
    """The columns of the base file for people: entity, column, meaning, sources, how, survey half, tax half."""
    rows = [
        (column.entity, column.name, column.meaning, " ".join(column.sources), column.how, *in_halves(column))
        for column in columns_at("source_imputed_cps")
    ]
    return pd.DataFrame(rows, columns=["entity", "column", "meaning", "comes from", "how", "survey half", "tax half"])


def stage_columns(stage: str) -> pd.DataFrame:
    """The columns of a stage as a table: entity, column, sources, how, meaning."""
    rows = [
        (column.entity, column.name, " ".join(column.sources), column.how, column.meaning)
        for column in columns_at(stage)
    ]
    return pd.DataFrame(rows, columns=["entity", "column", "sources", "how", "meaning"])


def stage_summary() -> pd.DataFrame:
    """Number of columns of each stage by entity."""
    rows = []
    for stage in STAGES:
        entities = [column.entity for column in columns_at(stage)]
        rows.append((stage, *(entities.count(entity) for entity in ENTITIES), len(entities)))
    return pd.DataFrame(rows, columns=["stage", *ENTITIES, "columns"])


@cache
def source_columns(source: str) -> pd.DataFrame:
    """The columns that the readers need of a source: record, column, required, unit, universe, codes, meaning."""
    rows = [
        (column.record, column.name, "yes" if column.required else "no", column.unit, column.universe, column.codes,
         column.meaning)
        for record in records_of(source)
        for column in columns_of(source, record)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["record", "column", "required", "unit", "universe", "codes", "meaning"])


def source_summary() -> pd.DataFrame:
    """Of each source: its records, how many columns are needed and how many of them must be there, and the document."""
    from tessera.sources.registry import sources

    rows = []
    for source in sources():
        table = source_columns(source)
        records = ", ".join(f"{record} {count}" for record, count in table["record"].value_counts(sort=False).items())
        rows.append((source, records, len(table), int((table["required"] == "yes").sum()), page_of(source).document))
    return pd.DataFrame(rows, columns=["source", "records", "columns", "required", "documented in"])


def absent_source_columns(source: str, tables: dict[str, pd.DataFrame]) -> list[str]:
    """Required columns, as `record.NAME`, that the tables of a source lack.

    Args:
        source: name of the source.
        tables: by record name, as `sources.reading.tables_of` gives them.
    """
    # The main table goes by the source's name: of the records that have none of their own, it is the best fitting one.
    held = set(tables[source].columns) if source in tables else set()
    alone = [record for record in records_of(source) if record not in tables]
    main = max(alone, key=lambda record: sum(one.name in held for one in columns_of(source, record)), default="")
    lacking = []
    for record in records_of(source):
        table = tables.get(source if record == main else record)
        if table is None:
            lacking += [] if (source, record) in _OPTIONAL_RECORDS else [record]
            continue
        lacking += [
            f"{record}.{column.name}"
            for column in columns_of(source, record)
            if column.required and column.name not in table
        ]
    return lacking


def _tax_file_columns() -> tuple[FrameColumn, ...]:
    """Columns of the tax file's frame: its variables, all on persons, and what describes a return."""
    described = {(column.entity, column.name): column for column in frame_columns()}
    own = [
        FrameColumn("household", "household_weight", "weight in returns", "puf", ("irs_puf.S006",), "uprated", False),
        FrameColumn("household", "source", "puf", "puf", (), "constant", False),
        FrameColumn("household", "source_household_id", "RECID", "puf", ("irs_puf.RECID",), "as reported", False),
        FrameColumn(
            "tax_unit", "constructed_filing_status", "filing status", "puf", ("irs_puf.MARS",), "decoded", False
        ),
        FrameColumn("person", "age", "age in years", "puf", ("irs_puf.AGERANGE", "irs_puf.AGEDP1"), "drawn", False),
        FrameColumn("person", "is_female", "female", "puf", ("irs_puf.GENDER",), "decoded", False),
        FrameColumn("person", "tax_unit_role_input", "role", "puf", ("irs_puf.MARS", "irs_puf.XTOT"), "decoded", False),
    ]
    for variable in tax_variables():
        known = described.get((variable.entity, variable.name))
        own.append(
            FrameColumn(
                entity="person",
                name=variable.name,
                meaning=known.meaning if known else "total benefit of Social Security",
                stage="puf",
                sources=_tax_codes(variable),
                how=variable.codes,
                optional=False,
            )
        )
    return tuple(own)
