"""Target configurations: what the packaged sets select, and rules that are wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tessera.errors import TargetError
from tessera.geography.areas import stratum_districts
from tessera.targets import database, reading, report, selection, snapshot
from tests.targets.small import small_figures

N_STATES, N_DISTRICTS = 51, len(stratum_districts())
# The default training set, whatever else enters the database: (source, variable) -> national, state, district.
TRAINING = {
    ("acf_tanf_caseload", "spm_unit_count"): (1, 0, 0),
    ("acf_tanf_financial", "tanf"): (1, 0, 0),
    ("census_acs_s0101", "person_count"): (18, 18 * 51, 18 * 436),
    ("census_acs_s2201", "household_count"): (1, 51, 2 * 436),
    ("cms_marketplace", "aca_ptc"): (1, 51, 0),
    ("cms_marketplace", "person_count"): (1, 51, 0),
    ("cms_medicaid", "person_count"): (1, 51, 0),
    ("irs_soi_historic_2", "adjusted_gross_income"): (10, 51, 0),
    ("irs_soi_historic_2", "eitc"): (1, 51, 0),
    ("irs_soi_historic_2", "income_tax_before_refundable_credits"): (1, 51, 0),
    ("irs_soi_historic_2", "irs_employment_income"): (1, 51, 0),
    ("irs_soi_historic_2", "loss_limited_net_capital_gains"): (1, 0, 0),
    ("irs_soi_historic_2", "non_refundable_ctc"): (1, 0, 0),
    ("irs_soi_historic_2", "ordinary_dividend_income"): (1, 0, 0),
    ("irs_soi_historic_2", "qualified_business_income_deduction"): (1, 0, 0),
    ("irs_soi_historic_2", "qualified_dividend_income"): (1, 0, 0),
    ("irs_soi_historic_2", "refundable_ctc"): (1, 0, 0),
    ("irs_soi_historic_2", "tax_unit_count"): (12, 12 * 51, 0),
    ("irs_soi_historic_2", "tax_unit_partnership_s_corp_income"): (1, 0, 0),
    ("irs_soi_historic_2", "taxable_interest_income"): (1, 0, 0),
    ("irs_soi_historic_2", "taxable_ira_distributions"): (1, 0, 0),
    ("irs_soi_historic_2", "taxable_pension_income"): (1, 0, 0),
    ("irs_soi_historic_2", "taxable_social_security"): (1, 0, 0),
    ("irs_soi_historic_2", "total_self_employment_income"): (1, 0, 0),
    ("irs_soi_historic_2", "unemployment_compensation"): (1, 0, 0),
    ("ssa_oasdi", "social_security"): (1, 0, 0),
    ("ssa_oasdi", "social_security_dependents"): (1, 0, 0),
    ("ssa_oasdi", "social_security_disability"): (1, 0, 0),
    ("ssa_oasdi", "social_security_retirement"): (1, 0, 0),
    ("ssa_oasdi", "social_security_survivors"): (1, 0, 0),
    ("ssa_ssi", "person_count"): (1, 0, 0),
    ("ssa_ssi", "ssi"): (1, 0, 0),
    ("usda_fns_snap", "household_count"): (1, 51, 0),
    ("usda_fns_snap", "snap"): (1, 51, 0),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("targets") / "targets.duckdb"
    return database.build_database(path, snapshot.load_snapshot()).path


@pytest.fixture(scope="module")
def training(built: Path) -> pd.DataFrame:
    return selection.read_targets(built)


@pytest.fixture(scope="module")
def contradicted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which a second source of SNAP is half of the first one."""
    path = tmp_path_factory.mktemp("small") / "targets.duckdb"
    return database.build_database(path, small_figures(national_snap=2_550.0)).path


def _config(folder: Path, text: str, name: str = "config.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_training_set_is_what_it_was(training: pd.DataFrame) -> None:
    assert list(training.columns) == list(selection.COLUMNS) == list(report.TARGET_COLUMNS)
    cities = training["geo_level"] == "city"
    assert training[cities].groupby("geo_id").size().to_dict() == dict.fromkeys(
        ("NYC", "LOS_ANGELES", "CHICAGO", "HOUSTON"), 18
    )
    assert set(training.loc[cities, "source"]) == {"census_acs_s0101_district_shares"}
    counts = training[~cities].groupby(["source", "variable", "geo_level"]).size().unstack(fill_value=0)
    levels = ["national", "state", "district"]
    assert set(counts.columns) == set(levels)
    found = {key: tuple(int(n) for n in row) for key, row in zip(counts.index, counts[levels].to_numpy(), strict=True)}
    assert found == TRAINING
    assert (training["reform"] == "").all()
    assert (training["value"] > 0).all()
    assert training["name"].is_unique
    assert not training.duplicated(["variable", "geo_id", "constraints"]).any()


def test_training_set_can_hold_at_once(built: Path, training: pd.DataFrame) -> None:
    table = report.consistency(training)
    assert table["states_error"].abs().max() < 1e-9
    assert table["districts_error"].abs().max() < 1e-9
    assert report.district_gaps(training)["gap"].max() < 1e-9
    parts = training[(training["geo_id"] == "US") & training["variable"].str.startswith("social_security")]
    values = parts.set_index("variable")["value"]
    assert values.drop("social_security").sum() == pytest.approx(values["social_security"], rel=1e-9)
    assert not selection.read_comparison(built, selection.TRAINING_SET)["set_aside"].any()


def test_every_packaged_configuration_fits_the_packaged_figures(built: Path, training: pd.DataFrame) -> None:
    production = selection.read_targets(built, Path("production"))
    assert set(training["name"]) < set(production["name"])
    assert (production["value"] != 0).all()
    comparison = selection.read_comparison(built)
    assert set(production["name"]) <= set(comparison["name"])
    assert len(comparison) <= len(reading.read_table(built, "targets"))


def test_include_exclude_and_domain(built: Path, tmp_path: Path) -> None:
    config = _config(
        tmp_path,
        "include: [{variable: household_count, domain: snap, source: usda_fns_snap},\n"
        "  {source: jct_tax_expenditures}, {variable: person_count, domain: age, source: census_acs_s0101}]\n"
        "exclude: [{geo_level: district}, {variable: person_count, geo_level: state}]\n",
    )
    targets = selection.read_targets(built, config)
    counts = targets.groupby(["source", "geo_level"]).size().to_dict()
    tax_expenditures = counts.pop(("jct_tax_expenditures", "national"))
    assert counts == {
        ("usda_fns_snap", "national"): 1,
        ("usda_fns_snap", "state"): 51,
        ("census_acs_s0101", "national"): 18,
    }
    assert tax_expenditures >= 5
    plain = 'include: [{variable: household_count, domain: "", source: census_acs_s2201}]'
    assert set(selection.read_targets(built, _config(tmp_path, plain))["constraints"]) == {"[]"}


def test_a_constraint_rule(built: Path, tmp_path: Path) -> None:
    text = 'include: [{variable: person_count, source: census_acs_s0101, domain: age, constraint: [age, ">=", 85]}]'
    targets = selection.read_targets(built, _config(tmp_path, text))
    assert len(targets) == 1 + N_STATES + N_DISTRICTS
    assert set(targets["constraints"]) == {'[["age",">=",85]]'}


def test_a_list_stands_for_a_rule_each(contradicted: Path, tmp_path: Path) -> None:
    config = _config(tmp_path, "include: [{variable: [person_count, snap], geo_id: [CA, WY], source: [census, usda]}]")
    with pytest.raises(TargetError, match="variable='person_count', geo_id='CA', source='usda' matches no target"):
        selection.read_targets(contradicted, config)
    config = _config(tmp_path, 'include: [{variable: person_count, geo_id: [CA, CA-12, US], domain: [age, ""]}]')
    targets = selection.read_targets(contradicted, config)
    assert set(zip(targets["geo_id"], targets["constraints"], strict=True)) == {
        (place, text) for place in ("CA", "CA-12", "US") for text in ("[]", '[["age",">=",65]]')
    }
    rules = selection.read_selection(_config(tmp_path, "include: [{variable: [a, b], geo_level: [state, national]}]"))
    assert [rule.text for rule in rules.include] == [
        f"variable='{variable}', geo_level='{level}'" for variable in ("a", "b") for level in ("state", "national")
    ]


def test_without_include_rules_everything_is_selected(contradicted: Path, tmp_path: Path) -> None:
    targets = selection.read_targets(contradicted, _config(tmp_path, "exclude: [{source: paper}]"))
    assert len(targets) == len(small_figures()) - 1


def test_a_configuration_extends_another(contradicted: Path, tmp_path: Path) -> None:
    _config(tmp_path, "include: [{variable: person_count}]\nexclude: [{geo_level: district}]", "base.yaml")
    config = _config(tmp_path, "extends: base.yaml\ninclude: [{variable: snap, geo_level: state}]")
    targets = selection.read_targets(contradicted, config)
    assert set(targets["geo_level"]) == {"national", "state"}
    assert targets["variable"].value_counts().to_dict() == {"person_count": 104, "snap": 51}
    extended = selection.read_selection(_config(tmp_path, "extends: training\nexclude: [{geo_level: district}]"))
    assert extended.include == selection.read_selection().include


def test_configurations_may_not_extend_each_other(tmp_path: Path) -> None:
    _config(tmp_path, "extends: b.yaml", "a.yaml")
    _config(tmp_path, "extends: a.yaml", "b.yaml")
    with pytest.raises(TargetError, match=r"extends itself .*a\.yaml -> .*b\.yaml -> .*a\.yaml"):
        selection.read_selection(tmp_path / "a.yaml")


def test_critical_targets_leave_the_fit_and_are_there_to_compare(
    contradicted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = _config(tmp_path, "include: [{variable: snap}]")
    with caplog.at_level(logging.WARNING):
        fitted = selection.read_targets(contradicted, config)
    assert len(fitted) == 52 and "paper" not in set(fitted["source"])
    assert "1 selected targets contradict others" in caplog.text
    compared = selection.read_comparison(contradicted, config)
    assert len(compared) == 53
    assert compared.loc[compared["set_aside"], "name"].tolist() == ["US/snap@paper"]


def test_two_sources_that_agree_are_still_two(tmp_path: Path) -> None:
    agreeing = database.build_database(tmp_path / "targets.duckdb", small_figures(national_snap=5_101.0)).path
    config = _config(tmp_path, "include: [{variable: snap}]")
    with pytest.raises(TargetError, match="two sources for one concept: US/snap@paper and US/snap@usda"):
        selection.read_targets(agreeing, config)
    assert not selection.read_comparison(agreeing, config)["set_aside"].any()


def test_a_set_to_compare_is_not_fitted(built: Path, tmp_path: Path) -> None:
    for config in (selection.VALIDATION_SET, _config(tmp_path, "purpose: compare\ninclude: [{variable: snap}]")):
        with pytest.raises(TargetError, match="its purpose is to compare"):
            selection.read_targets(built, config)
        assert len(selection.read_comparison(built, config))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("include: [{variable: snpa}]", "variable='snpa' matches no target .*variable 'snpa' is not among the targets"),
        (
            "exclude: [{variable: snap, geo_level: district}]",
            r"geo_level 'district' is not among the targets with variable='snap', which have 'national', 'state': ",
        ),
        ("include: [{variable: person_count, constraint: [age, '>=', 66]}]", "No stratum of those targets has the con"),
        ("include: [{varable: ssi}]", "wanted a mapping with any of variable"),
        ("include: [{variable: ssi, constraint: [age]}]", "constraint is written"),
        ("include: [{variable: ssi, constraint: [age, '>', old]}]", "constraint is written"),
        ("include: [{variable: []}]", "variable is .*, wanted a value or a list of values"),
        ("include: [{variable: [{a: b}]}]", "wanted a value or a list of values"),
        ("include: {variable: ssi}", "include is .*; wanted a list of rules"),
        ("only: [{variable: ssi}]", "include, exclude, extends, purpose alone"),
        ("- variable: ssi", "include, exclude, extends, purpose alone"),
        ("purpose: look", "purpose is 'look'; wanted one of fit, compare"),
        ("extends: absent.yaml", r"absent\.yaml: no such target configuration"),
        ("include: [", "not readable as YAML"),
        ("include: [{source: paper}]\nexclude: [{source: paper}]", "leaves no target"),
    ],
)
def test_wrong_configurations(contradicted: Path, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        selection.read_targets(contradicted, _config(tmp_path, text))


def test_absent_and_foreign_files(built: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no such target configuration; name a YAML file or one of training, prod"):
        selection.read_targets(built, tmp_path / "absent.yaml")
    with pytest.raises(TargetError, match="no such target database"):
        selection.read_targets(tmp_path / "absent.duckdb")
    foreign = tmp_path / "foreign.duckdb"
    foreign.write_bytes(b"something else entirely" * 1000)
    with pytest.raises(TargetError, match="not a readable target database"):
        selection.read_targets(foreign)
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("create table t as select 1 as n")
    with pytest.raises(TargetError, match="without the table sources"):
        selection.read_targets(other)


def test_reading_leaves_the_file_alone_and_open_to_others(built: Path) -> None:
    before = built.read_bytes()
    with duckdb.connect(str(built), read_only=True) as looking:
        selection.read_targets(built)
        assert looking.execute("select count(*) from targets").fetchone()[0] > 10_000
    assert built.read_bytes() == before
