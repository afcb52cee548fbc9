"""The numbers behind each plot, and that the plot shows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tessera.errors import TesseraError
from tessera.pytree import (
    OptimizeResult,
    convergence_plot,
    criterion_plot,
    derivative_plot,
    lollipop_plot,
    minimize,
    params_plot,
    slice_plot,
)
from tessera.pytree.plotting import plot_data
from tessera.pytree.plotting.slices import derivative_data, slice_data

START = {"wage": {"constant": 1.0, "age": 2.0}, "utility": pd.Series([3.0, 4.0], index=["home", "work"])}


def criterion(params: dict[str, Any]) -> float:
    wage = params["wage"]
    return float((wage["constant"] - 0.5) ** 2 + wage["age"] ** 2 + (params["utility"] ** 2).sum())


@pytest.fixture(scope="module")
def result() -> OptimizeResult:
    return minimize(criterion, START, "scipy_lbfgsb")


def drawn(figure: Figure) -> bytes:
    """The figure's pixels: what is wrong with it shows when it is drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return bytes(canvas.buffer_rgba())


def test_criterion_data_are_the_history_and_its_best_so_far(result: OptimizeResult) -> None:
    table = plot_data.criterion_data(result)
    values = np.asarray(result.history.value)
    np.testing.assert_array_equal(table["value"], values)
    np.testing.assert_array_equal(table["best"], np.minimum.accumulate(values))
    assert table["evaluation"].tolist() == list(range(len(values)))


def test_params_data_end_at_the_solution(result: OptimizeResult) -> None:
    table = plot_data.params_data(result)
    last = table[table["evaluation"] == table["evaluation"].max()]
    by_name = dict(zip(last["name"], last["value"], strict=True))
    assert len(by_name) == 4
    assert sorted(by_name.values()) == pytest.approx(sorted(result.x), abs=1e-6)


def test_slices_are_the_function_along_each_parameter() -> None:
    table = slice_data(criterion, START, lower_bounds=0.0, upper_bounds=5.0, n_points=7)
    for name, group in table.groupby("name"):
        assert len(group) >= 7
        assert group["x"].is_monotonic_increasing
        least = group.loc[group["value"].idxmin(), "x"]
        assert least == pytest.approx(0.5 if "constant" in str(name) else 0.0, abs=0.5)
        assert group["x"].between(0.0, 5.0).all()


def test_derivative_data_have_the_slope_of_the_function() -> None:
    table = derivative_data(criterion, START)
    slopes = table.groupby("name")["derivative"].first()
    assert sorted(slopes) == pytest.approx([1.0, 4.0, 6.0, 8.0], rel=1e-5)


@pytest.mark.parametrize(
    "draw",
    [
        criterion_plot,
        params_plot,
        lambda result: convergence_plot({"one": result, "two": result}),
        lambda result: lollipop_plot(result.params),
        lambda result: slice_plot(criterion, START, lower_bounds=0.0, upper_bounds=5.0),
        lambda result: derivative_plot(criterion, START),
    ],
    ids=["criterion", "params", "convergence", "lollipop", "slice", "derivative"],
)
def test_each_plot_draws_labelled_axes(result: OptimizeResult, draw: Any) -> None:
    figure = draw(result)
    assert isinstance(figure, Figure)
    assert len(set(drawn(figure))) > 10
    texts = [
        axes.get_xlabel() + axes.get_ylabel() + axes.get_title() + axes.get_title(loc="left") for axes in figure.axes
    ]
    assert all(any(character.isalpha() for character in text) for text in texts[:1])


def test_a_panel_has_at_most_eight_lines() -> None:
    many = {f"x{i}": float(i % 3) for i in range(20)}
    found = minimize(lambda params: sum(value**2 for value in params.values()), many, "scipy_lbfgsb")
    figure = params_plot(found)
    assert len(figure.axes) >= 3
    for axes in figure.axes:
        labelled = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
        assert len(labelled) <= 8


def test_nonsense_is_refused_with_a_way_out(result: OptimizeResult) -> None:
    with pytest.raises(TesseraError, match="history"):
        criterion_plot({"a": 1.0})
    with pytest.raises(TesseraError, match="bananas"):
        criterion_plot(result, against="bananas")
    with pytest.raises(TesseraError, match="selector"):
        params_plot(result, selector=lambda params: params["absent"])
