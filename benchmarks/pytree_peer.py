"""What optimagic needs for the work that `pytree.py` measures; runs in an environment that has it, without tessera.

Usage: python pytree_peer.py NUMBERS PARAMETERS. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd


def best(task: Callable[[], Any], repeats: int = 3) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def flattening(numbers: int) -> dict[str, float]:
    """Seconds to flatten and unflatten, as `optimagic.parameters.tree_conversion` does it."""
    from optimagic.parameters.tree_registry import get_registry
    from pybaum import tree_flatten, tree_just_flatten, tree_unflatten

    registry = get_registry(extended=True)
    rng = np.random.default_rng(1)
    trees: dict[str, Any] = {
        "arrays": {f"a{i}": rng.random(numbers // 10) for i in range(10)},
        "series": {f"s{i}": pd.Series(rng.random(numbers // 100)) for i in range(100)},
        "frame": pd.DataFrame({"value": rng.random(numbers), "lower_bound": -1.0}),
    }
    found = {}
    for name, tree in trees.items():
        _, structure = tree_flatten(tree, registry=registry)
        vector = np.array(tree_just_flatten(tree, registry=registry), dtype=float)
        found[f"ravel_{name}_s"] = best(
            lambda tree=tree: np.array(tree_just_flatten(tree, registry=registry), dtype=float)
        )
        found[f"unravel_{name}_s"] = best(
            lambda structure=structure, vector=vector: tree_unflatten(structure, list(vector), registry=registry)
        )
    return found


def derivative(parameters: int) -> dict[str, float]:
    """Seconds and largest error of a first derivative, 50 outputs, of the same function as in `pytree.py`."""
    import optimagic

    matrix = np.random.default_rng(2).normal(0, 1, (50, parameters)) / np.sqrt(parameters)
    x = np.random.default_rng(3).uniform(0.5, 1.5, parameters)
    half = parameters // 2
    params = {"a": x[:half], "b": pd.Series(x[half:])}

    def outputs(tree: Any) -> Any:
        return matrix[:, :half] @ np.exp(tree["a"]) + matrix[:, half:] @ np.exp(tree["b"].to_numpy())

    result = optimagic.first_derivative(outputs, params)
    blocks = result.derivative
    found = np.concatenate([np.asarray(blocks["a"]), np.asarray(blocks["b"])], axis=1)
    seconds = best(lambda: optimagic.first_derivative(outputs, params), 2)
    return {"derivative_s": seconds, "derivative_error": float(np.abs(found - matrix * np.exp(x)).max())}


def main() -> None:
    numbers, parameters = map(int, sys.argv[1:3])
    warnings.simplefilter("ignore")
    import optimagic

    found: dict[str, Any] = {"version": optimagic.__version__}
    print(json.dumps(found | flattening(numbers) | derivative(parameters)))


if __name__ == "__main__":
    main()
