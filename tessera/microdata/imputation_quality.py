"""How well an output was imputed: shares of zero, sizes, and the loss on donors that the trees have not seen.

The loss of quantile q is the weighted mean of max(q (y - p), (q - 1)(y - p)), p being the predicted quantile; a row's
loss is the mean over `QUANTILES`, divided by the weighted mean of |y| over all donors, so that outputs compare. Train
loss: whole forest, donors as they are in it. Test loss: each donor by the trees whose bootstrap sample passed it over,
and without it among the donors of their leaves (`forest.py`). A test loss far above the train loss means that the
forest remembers rather than predicts.

Both losses are those of a random sample of at most `TESTED` donors.
"""

from __future__ import annotations

import numpy as np

from tessera.microdata.forest import Donors, FloatArray, Forest, conditional_quantiles
from tessera.random import generator

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
TESTED = 2_000
QUALITY = (
    "chain", "output", "order", "n_train", "n_receivers", "donor_zero_share", "receiver_zero_share", "donor_mean",
    "receiver_mean", "donor_p50", "donor_p90", "donor_p99", "receiver_p50", "receiver_p90", "receiver_p99",
    "train_loss", "test_loss", "seconds",
)  # fmt: skip
"""Columns of a quality table. Shares, means and percentiles are weighted; percentiles are of what is not zero."""

_PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def quality_row(
    donors: Donors, place: int, forest: Forest | None, drawn: FloatArray, receiver_weights: FloatArray, *, seed: int
) -> dict[str, float]:
    """A row of the quality table, but for chain, output, order and seconds.

    Args:
        donors: with the output as the column at `place`.
        place: see `donors`.
        forest: of the output; None where all donors have one value.
        drawn: values of the receivers, (n_receivers,).
        receiver_weights: (n_receivers,).
        seed: of the sample of donors that are tested.
    """
    values = donors.x[place]
    row: dict[str, float] = {"n_train": len(values), "n_receivers": len(drawn)}
    sides = {"donor": (values, donors.weights), "receiver": (drawn, receiver_weights)}
    row |= {f"{side}_zero_share": float(np.average(y == 0, weights=w)) for side, (y, w) in sides.items()}
    row |= {f"{side}_mean": float(np.average(y, weights=w)) for side, (y, w) in sides.items()}
    for side, (y, w) in sides.items():
        some = (y != 0) & (w > 0)
        found = weighted_quantiles(y[some], w[some], list(_PERCENTILES.values()))
        row |= {f"{side}_{name}": float(value) for name, value in zip(_PERCENTILES, found, strict=True)}
    train, test = (0.0, 0.0) if forest is None else losses(forest, seed=seed)
    return row | {"train_loss": train, "test_loss": test}


def losses(forest: Forest, *, seed: int, tested: int = TESTED) -> tuple[float, float]:
    """Train loss and test loss of a forest; the latter is not a number where no tree has passed over any donor."""
    donors = forest.donors
    rows = np.sort(generator(f"tested/{forest.label}", seed).permutation(len(forest.values))[:tested])
    x, y, weights = donors.x[: forest.n_columns, rows], forest.values[rows], donors.weights[rows]
    scale = float(np.average(np.abs(forest.values), weights=donors.weights))
    found = []
    for own in (None, donors.group[rows]):
        predicted = conditional_quantiles(forest, x, QUANTILES, own=own)
        told = np.isfinite(predicted[:, 0])
        found.append(pinball(predicted[told], y[told], weights[told]) / scale if told.any() else float("nan"))
    return found[0], found[1]


def pinball(predicted: FloatArray, y: FloatArray, weights: FloatArray) -> float:
    """Weighted mean loss over rows and `QUANTILES`, in units of y.

    Args:
        predicted: (n_rows, n_quantiles).
        y: (n_rows,).
        weights: (n_rows,), not all 0.
    """
    gap = y[:, None] - predicted
    q = np.asarray(QUANTILES)[None, :]
    return float(np.average(np.maximum(q * gap, (q - 1) * gap).mean(axis=1), weights=weights))


def weighted_quantiles(values: FloatArray, weights: FloatArray, shares: list[float]) -> FloatArray:
    """Least value at which the weight up to it reaches each share; not a number where there are no values."""
    if values.size == 0:
        return np.full(len(shares), np.nan)
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    place = np.searchsorted(running, np.asarray(shares) * running[-1] * (1 - 1e-12))
    return np.asarray(values[order][np.minimum(place, len(order) - 1)], dtype=np.float64)
