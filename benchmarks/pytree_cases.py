"""The measurements of `pytree.py`: each returns figures, with what they must reach. Knows no report and no peers."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.optimize

GRADIENT_ITERATIONS = 25


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: of the figure, unique, for the JSON.
        what: the same for people.
        value: the number, and its `unit`.
        limit: what it must not exceed (or, with `at_least`, must reach); None where nothing is asked.
        ours, reference: the seconds behind a ratio.
    """

    name: str
    what: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False
    ours: float | None = None
    reference: float | None = None

    @property
    def met(self) -> bool | None:
        if self.limit is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def race(ours: Callable[[], Any], reference: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Least seconds of two tasks, taken in turns so that a busy moment hits both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for task, kept in ((ours, seconds[0]), (reference, seconds[1])):
            start = time.perf_counter()
            task()
            kept.append(time.perf_counter() - start)
    return min(seconds[0]), min(seconds[1])


def ratio(name: str, what: str, times: tuple[float, float], limit: float | None, unit: str) -> Figure:
    return Figure(name, what, times[0] / times[1], unit, limit, ours=times[0], reference=times[1])


# --- trees ------------------------------------------------------------------------------------------------------------


def vectors(n: int, repeats: int) -> list[Figure]:
    """ravel and unravel of n numbers in arrays, Series and a value-frame, against the least NumPy and pandas do."""
    from tessera.pytree import TreeSpec

    rng = np.random.default_rng(1)
    figures = []
    for kind, tree, gather, scatter in (
        ("arrays", {f"a{i}": rng.random(n // 10) for i in range(10)}, _gather_arrays, _scatter_arrays),
        ("series", {f"s{i}": pd.Series(rng.random(n // 100)) for i in range(100)}, _gather_series, _scatter_series),
        ("frame", pd.DataFrame({"value": rng.random(n), "lower_bound": -1.0}), _gather_frame, _scatter_frame),
    ):
        spec = TreeSpec.of(tree)
        vector = spec.ravel(tree)
        assert np.array_equal(vector, gather(tree))
        there = race(lambda s=spec, t=tree: s.ravel(t), lambda g=gather, t=tree: g(t), repeats)
        back = race(lambda s=spec, v=vector: s.unravel(v), lambda f=scatter, t=tree, v=vector: f(t, v), repeats)
        figures.append(ratio(f"ravel_{kind}", f"ravel {n:,} numbers in {_KINDS[kind]}", there, 1.5, "x numpy"))
        figures.append(ratio(f"unravel_{kind}", f"unravel {n:,} numbers in {_KINDS[kind]}", back, 1.5, "x numpy"))
    return figures


_KINDS = {"arrays": "10 arrays", "series": "100 Series", "frame": "one value-frame"}


def _gather_arrays(tree: Any) -> Any:
    return np.concatenate([array.ravel() for array in tree.values()])


def _scatter_arrays(tree: Any, vector: Any) -> Any:
    offsets = np.cumsum([array.size for array in tree.values()])[:-1]
    parts = np.split(vector.copy(), offsets)
    return {key: part.reshape(array.shape) for (key, array), part in zip(tree.items(), parts, strict=True)}


def _gather_series(tree: Any) -> Any:
    return np.concatenate([series.to_numpy() for series in tree.values()])


def _scatter_series(tree: Any, vector: Any) -> Any:
    offsets = np.cumsum([len(series) for series in tree.values()])[:-1]
    parts = zip(tree.items(), np.split(vector.copy(), offsets), strict=True)
    return {key: pd.Series(part, index=series.index, name=series.name, copy=False) for (key, series), part in parts}


def _gather_frame(tree: Any) -> Any:
    return tree["value"].to_numpy().copy()


def _scatter_frame(tree: Any, vector: Any) -> Any:
    return tree.assign(value=vector.copy())


def scalars(n: int, repeats: int) -> list[Figure]:
    """ravel and unravel of a nested dict of n floats, against a plain recursive walk."""
    from tessera.pytree import TreeSpec

    numbers = iter(np.random.default_rng(1).random(n).tolist())
    tree = {f"g{i}": {f"p{j}": next(numbers) for j in range(100)} for i in range(n // 100)}
    spec = TreeSpec.of(tree)
    vector = spec.ravel(tree)
    assert np.array_equal(vector, _walk_all(tree)) and spec.unravel(vector) == tree
    there = race(lambda: spec.ravel(tree), lambda: _walk_all(tree), repeats)
    back = race(lambda: spec.unravel(vector), lambda: _rebuild(tree, iter(vector.tolist())), repeats)
    return [
        ratio("ravel_scalars", f"ravel {n:,} scalars", there, 1.5, "x a plain walk"),
        ratio("unravel_scalars", f"unravel {n:,} scalars", back, 1.5, "x a plain walk"),
    ]


def _walk_all(tree: Any) -> Any:
    found: list[float] = []
    _walk(tree, found)
    return np.array(found, dtype=float)


def _walk(tree: Any, found: list[float]) -> None:
    for child in tree.values():
        if type(child) is dict:
            _walk(child, found)
        else:
            found.append(child)


def _rebuild(tree: Any, numbers: Any) -> Any:
    return {key: _rebuild(child, numbers) if type(child) is dict else next(numbers) for key, child in tree.items()}


# --- optimisation and derivatives -------------------------------------------------------------------------------------


def optimisation(n: int, repeats: int) -> list[Figure]:
    """L-BFGS-B with gradient on n parameters in a tree of arrays and Series, against SciPy on the flat vector."""
    from tessera.pytree import minimize

    rng = np.random.default_rng(4)
    half = n // 2
    target, scale = rng.normal(0, 1, n), rng.uniform(0.1, 10, n)
    params = {"a": np.zeros(half), "b": {"s": pd.Series(np.zeros(n - half))}}
    parts = {"a": (target[:half], scale[:half]), "s": (target[half:], scale[half:])}
    options = {"maxiter": GRADIENT_ITERATIONS, "gtol": 0.0, "ftol": 0.0}

    def part(values: Any, name: str) -> tuple[float, Any]:
        error = values - parts[name][0]
        weighted = parts[name][1] * error
        return float(weighted @ error + (error**2) @ (error**2)), 2 * weighted + 4 * error**3

    def of_tree(tree: Any) -> tuple[float, Any]:
        a, gradient_a = part(tree["a"], "a")
        s, gradient_s = part(tree["b"]["s"].to_numpy(), "s")
        return a + s, {"a": gradient_a, "b": {"s": pd.Series(gradient_s, index=tree["b"]["s"].index, copy=False)}}

    def of_vector(x: Any) -> tuple[float, Any]:
        a, gradient_a = part(x[:half], "a")
        s, gradient_s = part(x[half:], "s")
        return a + s, np.concatenate([gradient_a, gradient_s])

    def ours(history: bool = True) -> Any:
        return minimize(None, params, "scipy_lbfgsb", fun_and_jac=of_tree, algo_options=options, history=history)

    def flat() -> Any:
        return scipy.optimize.minimize(of_vector, np.zeros(n), jac=True, method="L-BFGS-B", options=options)

    times = race(ours, flat, repeats)
    extra = _peak(ours) - _peak(flat)
    bare = _peak(lambda: ours(history=False)) - _peak(flat)
    mine, his = ours(), flat()
    assert np.isclose(mine.fun, his.fun, rtol=1e-6), (mine.fun, his.fun)
    return [
        ratio("lbfgsb", f"L-BFGS-B with gradient, {n:,} parameters in a tree", times, 1.2, "x scipy, flat"),
        Figure("lbfgsb_memory", f"extra memory of it (n = {n:,})", extra / n / 8, "n x 8 bytes", 20),
        Figure("lbfgsb_memory_without_history", "the same without history", bare / n / 8, "n x 8 bytes", 20),
    ]


def _peak(task: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def derivative_problem(n: int) -> tuple[Any, Any, Any, Any, Any]:
    """params, function of a tree, function of a vector, start vector and true Jacobian (50, n); as `pytree_peer.py`."""
    matrix = np.random.default_rng(2).normal(0, 1, (50, n)) / np.sqrt(n)
    x = np.random.default_rng(3).uniform(0.5, 1.5, n)
    half = n // 2

    def of_tree(tree: Any) -> Any:
        return matrix[:, :half] @ np.exp(tree["a"]) + matrix[:, half:] @ np.exp(tree["b"].to_numpy())

    def of_vector(x: Any) -> Any:
        return matrix[:, :half] @ np.exp(x[:half]) + matrix[:, half:] @ np.exp(x[half:])

    return {"a": x[:half], "b": pd.Series(x[half:])}, of_tree, of_vector, x, matrix * np.exp(x)


def derivatives(n: int, p: int, repeats: int) -> list[Figure]:
    """first_derivative with n parameters against SciPy's 3-point differences; evaluations of a Hessian of p."""
    from scipy.optimize._numdiff import approx_derivative

    from tessera.pytree import first_derivative, second_derivative

    params, of_tree, of_vector, x, truth = derivative_problem(n)
    result = first_derivative(of_tree, params)
    error = float(np.abs(np.asarray(result.matrix) - truth).max())
    times = race(
        lambda: first_derivative(of_tree, params), lambda: approx_derivative(of_vector, x, method="3-point"), repeats
    )
    calls = [0]

    def counted(tree: Any) -> float:
        calls[0] += 1
        return float(np.exp(tree["a"]).sum() + (tree["a"] ** 2).sum() * tree["b"])

    second = second_derivative(counted, {"a": np.linspace(0.5, 1.5, p - 1), "b": 2.0})
    a = np.linspace(0.5, 1.5, p - 1)
    exact = np.block([[np.diag(np.exp(a) + 4.0), 2 * a[:, None]], [2 * a[None, :], np.zeros((1, 1))]])
    return [
        ratio("first_derivative", f"first_derivative, {n:,} parameters in a tree", times, 2.0, "x scipy 3-point, flat"),
        Figure("first_derivative_error", "its largest error", error, "", 1e-7),
        Figure("hessian_evaluations", f"Hessian of {p} parameters", calls[0], "evaluations", p * p + p + 1),
        Figure("hessian_error", "its largest error", float(np.abs(np.asarray(second.matrix) - exact).max()), ""),
    ]


# --- estimation -------------------------------------------------------------------------------------------------------


def sensitivity(n_moments: int, repeats: int) -> list[Figure]:
    """All six measures of an MSM estimate of 10 parameters, with a full covariance of the moments."""
    from tessera.pytree import msm_inference

    rng = np.random.default_rng(5)
    slopes = rng.normal(0, 1, (n_moments, 10))
    factor = rng.normal(0, 1, (n_moments, n_moments)) / np.sqrt(n_moments)
    covariance = factor @ factor.T + np.eye(n_moments)
    params = {"level": 1.0, "slopes": pd.Series(np.linspace(0, 1, 9))}

    def simulate(tree: Any) -> Any:
        return slopes[:, 0] * tree["level"] + slopes[:, 1:] @ tree["slopes"].to_numpy()

    moments = simulate(params)
    kinds = ("bias", "noise", "noise_fundamental", "removal", "removal_fundamental", "weighting")
    seconds = []
    for _ in range(repeats):
        result = msm_inference(simulate, moments, covariance, params)
        result.se()
        start = time.perf_counter()
        for kind in kinds:
            result.sensitivity(kind)
        seconds.append(time.perf_counter() - start)
    return [Figure("sensitivity", f"six sensitivity measures, {n_moments} moments", min(seconds), "s", 0.2)]


def moments(n_districts: int, repeats: int) -> list[Figure]:
    """MSM inference with 20 moments for each district and diagonal weights: seconds, and memory against K x K."""
    from tessera.pytree import msm_inference

    rng = np.random.default_rng(6)
    targets = [f"target {i}" for i in range(20)]
    slopes = {f"district {i}": rng.normal(0, 1, (20, 10)) for i in range(n_districts)}
    params = {"level": 1.0, "slopes": pd.Series(np.linspace(0, 1, 9))}

    def simulate(tree: Any) -> Any:
        x = np.concatenate([[tree["level"]], tree["slopes"].to_numpy()])
        return {key: pd.Series(matrix @ x, index=targets) for key, matrix in slopes.items()}

    empirical = simulate(params)
    variances = {key: pd.Series(rng.uniform(0.5, 2, 20), index=targets) for key in slopes}

    def infer() -> Any:
        result = msm_inference(simulate, empirical, variances, params)
        return result.summary(), result.cov()

    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        infer()
        seconds.append(time.perf_counter() - start)
    n = 20 * n_districts
    square = n * n * 8
    return [
        Figure("msm_inference", f"MSM inference, {n:,} moments, diagonal weights", min(seconds), "s", 2.0),
        Figure("msm_memory", "its peak memory, as a share of one K x K matrix", _peak(infer) / square, "", 0.5),
    ]


# --- import -----------------------------------------------------------------------------------------------------------


def import_time(repeats: int) -> list[Figure]:
    """Seconds that `import tessera.pytree` takes after numpy and pandas, in new processes."""
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); import numpy, pandas; t = time.perf_counter(); "
        "import tessera.pytree; print(time.perf_counter() - t)"
    )
    seconds = []
    for _ in range(repeats):
        done = subprocess.run([sys.executable, "-c", code, sys.path[0]], capture_output=True, text=True, check=True)
        seconds.append(float(done.stdout))
    return [Figure("import", "import tessera.pytree, beyond numpy and pandas", min(seconds), "s", 0.1)]
