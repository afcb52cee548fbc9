"""Historic Table 2 on the official file, on altered copies of it, and the list of its items."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.sources.workbook import read_xlsx
from tessera.targets.catalogue import VariableCatalogue
from tessera.targets.figures import Constraint, constraints_to_json
from tessera.targets.loaders import soi_items, soi_states
from tessera.targets.loaders.soi_items import AGI, FILER
from tessera.targets.loaders.soi_states import BANDS

Edit = Callable[[pd.DataFrame], pd.DataFrame]
_NAME = "22in55cmcsv.csv"


@pytest.fixture(scope="module")
def table(shared_data: Path) -> Path:
    return shared_data / "official" / "irs_soi" / "historic_table_2" / _NAME


@pytest.fixture(scope="module")
def figures(table: Path) -> pd.DataFrame:
    return soi_states.load(table)


def _of(figures: pd.DataFrame, variable: str, *constraints: Constraint) -> pd.Series[float]:
    """Values by state of the filers with these constraints."""
    same = figures["constraints"] == constraints_to_json((FILER, *constraints))
    return figures[same & (figures["variable"] == variable)].set_index("geo_id")["value"]


def _band(number: int) -> tuple[Constraint, ...]:
    return soi_items.agi_range(BANDS[number - 1])


def test_totals_are_those_that_the_irs_prints(figures: pd.DataFrame) -> None:
    # The US row without other areas and Puerto Rico: 159,651,330 - 849,360 - 92,010 returns, rounded state by state.
    assert len(figures) == 33_385
    assert _of(figures, "eitc")["AL"] == 1_262_145_000
    assert _of(figures, "tax_unit_count").sum() == 158_710_000
    assert _of(figures, "adjusted_gross_income").sum() == 14_675_623_299_000
    assert figures["geo_level"].eq("state").all()
    assert set(figures["geo_id"]) == {state.usps for state in states()}
    assert set(figures["year"]) == {2022}


def test_a_figure_is_given_once_and_every_item_for_every_state(figures: pd.DataFrame) -> None:
    assert not figures.duplicated(["geo_id", "variable", "constraints"]).any()
    for item in soi_items.items():
        assert len(_of(figures, item.variable, *item.domain)) == 51, item.code


@pytest.mark.parametrize(
    ("variable", "constraints"),
    [
        ("tax_unit_count", ()),
        ("person_count", ()),
        ("adjusted_gross_income", ()),
        ("irs_employment_income", ()),
        ("total_self_employment_income", ()),
        ("tax_unit_count", (("rental_income", "!=", 0.0),)),
        ("income_tax_before_refundable_credits", ()),
    ],
)
def test_classes_add_up_to_the_total(figures: pd.DataFrame, variable: str, constraints: tuple[Constraint, ...]) -> None:
    total = _of(figures, variable, *constraints)
    added = sum(_of(figures, variable, *constraints, *_band(number)) for number in range(1, 11))
    rounding = 60 if variable.endswith("_count") else 10_000
    assert ((total - added).abs() <= rounding).all()


def test_items_made_of_several_columns(figures: pd.DataFrame, table: Path) -> None:
    alabama = pd.read_csv(table, thousands=",").query("STATE == 'AL' and AGI_STUB == 0").iloc[0]
    itemizer = (("tax_unit_itemizes", "==", 1.0), (AGI, ">=", 1.0))
    before = alabama["A05800"] - alabama["A05780"]
    assert _of(figures, "income_tax_before_credits")["AL"] == before * 1000
    after = alabama["A06500"] + alabama["A85300"] - alabama["A05780"]
    assert _of(figures, "income_tax_before_refundable_credits")["AL"] == after * 1000
    taxes = alabama["A18425"] + alabama["A18450"]
    assert _of(figures, "state_and_local_sales_or_income_tax", *itemizer)["AL"] == taxes * 1000


def test_domains_say_what_the_irs_counts(figures: pd.DataFrame) -> None:
    texts = figures.groupby("variable")["constraints"].unique()
    # Deductions are tabulated for returns with AGI of a dollar or more: no class below, and the total says so.
    assert all(f'["{AGI}",">=",' in text and '["tax_unit_itemizes","==",1]' in text for text in texts["salt_deduction"])
    assert all('["tax_unit_itemizes","==",0]' in text for text in texts["standard_deduction"])
    # A loss is a return with the item too.
    assert len(_of(figures, "tax_unit_count", ("loss_limited_net_capital_gains", "!=", 0.0))) == 51
    assert _of(figures, "tax_unit_count", ("loss_limited_net_capital_gains", ">", 0.0)).empty
    children = ("==", 0.0), ("==", 1.0), ("==", 2.0), (">=", 3.0)
    parts = [_of(figures, "eitc", ("eitc_child_count", *bound)) for bound in children]
    assert (sum(parts) - _of(figures, "eitc")).abs().max() <= 5_000
    assert figures["constraints"].str.contains('"tax_unit_is_filer","==",1', regex=False).all()


def test_withheld_classes_and_those_beside_them_are_left_out(figures: pd.DataFrame, table: Path) -> None:
    published = pd.read_csv(table, thousands=",").set_index(["STATE", "AGI_STUB"])
    received: Constraint = ("unemployment_compensation", ">", 0.0)
    # Wyoming: a zero for the top class, of which the nation has 5,340 returns; they are in the class below.
    assert (published.loc[("WY", 10), "N02300"], published.loc[("US", 10), "N02300"]) == (0, 5_340)
    assert [number for number in range(1, 11) if "WY" in _of(figures, "tax_unit_count", received, *_band(number))] == [
        *range(1, 9)
    ]
    assert _of(figures, "unemployment_compensation")["WY"] == published.loc[("WY", 0), "A02300"] * 1000
    # A class that the law gives nothing is no figure either, and says nothing of the class beside it.
    credit: Constraint = ("savers_credit", ">", 0.0)
    assert published.loc["US", "N07240"].loc[6:].eq(0).all()
    assert len(_of(figures, "tax_unit_count", credit)) == 51
    assert _of(figures, "tax_unit_count", ("eitc", ">", 0.0), *_band(6)).empty
    assert len(_of(figures, "tax_unit_count", ("eitc", ">", 0.0), *_band(5))) == 51
    assert (figures.loc[figures["constraints"].str.contains(AGI), "value"] != 0).all()


@pytest.mark.parametrize(
    ("values", "nation", "kept"),
    [
        ([5, 4, 3, 2], [9, 9, 9, 9], [True, True, True, True]),
        ([5, 4, 3, 0], [9, 9, 9, 9], [True, True, False, False]),
        ([5, 0, 3, 2], [9, 9, 9, 9], [False, False, False, True]),
        ([0, 4, 3, 0], [0, 9, 9, 0], [False, True, True, False]),
        ([-5, 4, 3, 0], [9, -9, 9, 0], [True, True, True, False]),
    ],
)
def test_as_published(values: list[float], nation: list[float], kept: list[bool]) -> None:
    assert soi_items.as_published(values, nation) == kept


def test_the_us_rows_are_the_state_table_of_the_nation(table: Path, shared_data: Path) -> None:
    """`22in54us.xlsx` prints the US rows of the file, item by item in its columns' order."""
    path = shared_data / "official" / "irs_soi" / "state_2022" / "22in54us.xlsx"
    (rows,) = read_xlsx(path, path).values()
    assert "by State" in str(rows[0][0])
    assert "Tax Year 2022" in str(rows[0][0])
    printed = [list(row[1:12]) for row in rows[8:] if isinstance(row[1], int | float)]
    frame = pd.read_csv(table, thousands=",")
    nation = frame[frame["STATE"] == "US"].drop(columns=["STATE", "AGI_STUB"])
    # Personal property taxes are printed before the limited and the total taxes, and come after them in the file.
    order = [column for column in nation.columns if column not in ("N18800", "A18800")]
    place = order.index("N18460")
    order[place:place] = ["N18800", "A18800"]
    assert printed == nation[order].T.to_numpy().tolist()


def _altered(table: Path, folder: Path, edit: Edit, name: str = _NAME) -> Path:
    path = folder / name
    edit(pd.read_csv(table, dtype=str, keep_default_na=False)).to_csv(path, index=False)
    return path


def _set(state: str, band: str, column: str, cell: str) -> Edit:
    def edit(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[(frame["STATE"] == state) & (frame["AGI_STUB"] == band), column] = cell
        return frame

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda frame: frame.drop(columns="A59660"), "column 'A59660' is missing"),
        (lambda frame: frame.rename(columns={"AGI_STUB": "agi"}), "column 'AGI_STUB' is missing"),
        (lambda frame: pd.concat([frame, frame[frame["STATE"] == "OH"]]), "is there twice"),
        (lambda frame: frame[(frame["STATE"] != "OH") | (frame["AGI_STUB"] != "7")], r"'OH', '7'\) is missing"),
        (lambda frame: frame.assign(STATE=frame["STATE"].replace("OH", "OZ")), "is missing"),
        (_set("OH", "4", "A00300", "**"), r"OH, class 4, column A00300: the cell is suppressed or blank \('\*\*'\)"),
        (_set("OH", "4", "A00300", ""), "OH, class 4, column A00300: the cell is suppressed or blank"),
        (_set("OH", "4", "A00300", "many"), "OH, class 4, column A00300: 'many' is not a number"),
        (_set("OH", "4", "N00300", "-20"), "OH, class 4, column N00300: '-20' is out of range"),
        (_set("OH", "0", "N1", "7"), "OH, column N1: the AGI classes add up to .* the total reads 7"),
        (_set("OH", "3", "A18500", "7"), "OH, column A18500: the AGI classes add up to"),
        (_set("US", "0", "N1", "7"), "the US row counts 7 returns, tax year 2022 has 159,651,330"),
        (_set("OH", "0", "N02300", "0"), "OH, column N02300: the AGI classes add up to"),
    ],
)  # fmt: skip
def test_altered_tables_are_refused(table: Path, tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        soi_states.load(_altered(table, tmp_path, edit))


def test_areas_have_to_add_up_to_the_nation(table: Path, tmp_path: Path) -> None:
    def moved(frame: pd.DataFrame) -> pd.DataFrame:
        """A thousand persons more in one class of Ohio and in its total: its classes add up as before."""
        for band in ("0", "5"):
            row = (frame["STATE"] == "OH") & (frame["AGI_STUB"] == band)
            frame.loc[row, "N2"] = str(int(frame.loc[row, "N2"].item().replace(",", "")) + 1000)
        return frame

    with pytest.raises(SourceError, match="US, class 0, column N2: the other areas add up to"):
        soi_states.load(_altered(table, tmp_path, moved))


def test_children_have_to_add_up_to_the_credit(table: Path, tmp_path: Path) -> None:
    def moved(frame: pd.DataFrame) -> pd.DataFrame:
        """A thousand returns from no child to other areas' class: Ohio's classes and the areas add up as before."""
        for state, sign in (("OH", -1), ("TX", 1)):
            for band in ("0", "3"):
                row = (frame["STATE"] == state) & (frame["AGI_STUB"] == band)
                frame.loc[row, "N59661"] = str(int(frame.loc[row, "N59661"].item().replace(",", "")) + sign * 1000)
        return frame

    with pytest.raises(SourceError, match="OH, column N59660: the numbers of children add up to"):
        soi_states.load(_altered(table, tmp_path, moved))


def test_other_years_are_refused_under_any_name(table: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="starts with 21in55"):
        soi_states.load(table, 2021)
    for other in ("20in55cmcsv.csv", "21in55cmcsv.csv"):
        renamed = _altered(table.with_name(other), tmp_path, lambda frame: frame)
        with pytest.raises(SourceError, match=r"column '\w+' is missing"):
            soi_states.load(renamed)
    with pytest.raises(SourceError, match="no such file"):
        soi_states.load(tmp_path / "absent" / _NAME)


def test_numbers_without_separators_and_with_brackets_are_the_same(
    figures: pd.DataFrame, table: Path, tmp_path: Path
) -> None:
    def plain(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.apply(lambda column: column.str.replace(",", ""))
        frame["A00900"] = frame["A00900"].str.replace(r"^-(\d+)$", r"($\1)", regex=True)
        return frame

    pd.testing.assert_frame_equal(soi_states.load(_altered(table, tmp_path, plain)), figures)


def test_items_are_known_variables_of_the_right_kind() -> None:
    variables = VariableCatalogue.packaged()
    for item in soi_items.items():
        assert item.variable in variables, item
        assert all(name in variables for name, _, _ in item.domain), item
        assert (item.unit == "dollar") == (item.variable not in ("tax_unit_count", "person_count"))
        if item.kind == "amount":
            assert variables.variables[item.variable].unit == "dollar", item


def test_the_reference_set_is_there_in_counts_and_amounts() -> None:
    amounts = {item.variable for item in soi_items.items() if item.kind == "amount" and item.by_class}
    assert amounts >= {
        "eitc", "qualified_business_income_deduction", "total_self_employment_income", "loss_limited_net_capital_gains",
        "real_estate_taxes", "rental_income", "taxable_ira_distributions", "taxable_interest_income", "salt_deduction",
        "tax_exempt_interest_income", "ordinary_dividend_income", "qualified_dividend_income", "taxable_pension_income",
        "tax_unit_partnership_s_corp_income", "taxable_social_security", "unemployment_compensation", "refundable_ctc",
        "non_refundable_ctc", "medical_expense_deduction", "income_tax_before_credits", "aca_ptc",
        "income_tax_before_refundable_credits",
    }  # fmt: skip
    counted = {name for item in soi_items.items() if item.variable == "tax_unit_count" for name, _, _ in item.domain}
    assert amounts - counted == {
        # The IRS counts returns that only repay a premium tax credit among the taxed, and none with one credit or both.
        "income_tax_before_credits", "income_tax_before_refundable_credits", "ctc_value",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("N1;N2,count,tax_unit_count,,yes,a", "code is 'N1;N2'"),
        ("N00300,count,tax_unit_count,interest positive,yes,a", "domain is 'interest positive'"),
        ("A00300,count,taxable_interest_income,,yes,a", "do not agree"),
        ("N00300,amount,taxable_interest_income,,yes,a", "do not agree"),
        ("N00300,count,taxable_interest_income,,yes,a", "do not agree"),
        ("N00300,share,tax_unit_count,,yes,a", "do not agree"),
        ("N1,count,tax_unit_count,,yes,a\nELF,count,tax_unit_count,,yes,b", "line 3: ELF has the variable"),
    ],
)  # fmt: skip
def test_a_list_of_items_is_checked(line: str, message: str) -> None:
    header = "code,kind,variable,domain,by_class,concept"
    with pytest.raises(SourceError, match=message):
        soi_items.parse([header, *line.splitlines()])
    with pytest.raises(SourceError, match="columns are"):
        soi_items.parse(["code,kind", line])
