"""Draws of synthetic tax returns of 2015: income class, family, and every amount, so that totals match published ones.

A return's income class is drawn from the classes of IRS SOI Table 1.1 (2015), richer classes over-sampled, its income
level within the class by a truncated power law with the class's mean. Each amount of `data/puf_2015.csv` (totals and
returns, with the source of each) is held with a chance that rises with the income rank and is proportional to
level**elasticity times lognormal noise; one constant an amount brings its weighted sum to the total. An amount that is
a part of another (`needs`, `share`) or has a legal limit stays within it. Wages are most of what is left of the level.
Self-employment on Schedule SE and AGI are then added up from the amounts, as on the forms. Arrays have shape
(n_returns,).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd

from tessera.sources.synthetic.draws import Flags, Floats, Integers, choose, normal_of, scaled, stratified

_WAGES_2015 = 7_112_222_959_000.0
_MIN_PER_CLASS = 3
_KNEE = 5e6
# Single, joint, separate, head of household; by income rank of the class.
_POOR, _MIDDLE, _RICH = (0.66, 0.13, 0.02, 0.19), (0.42, 0.40, 0.02, 0.16), (0.10, 0.865, 0.015, 0.02)
_INCOMES = (
    "E00200", "E00300", "E00600", "E00700", "E00800", "E00900", "E01100", "E01200", "E01400", "E01700", "E02100",
    "E02300", "E27200",
)  # fmt: skip
_ADJUSTMENTS = (
    "E03150", "E03210", "E03220", "E03230", "E03240", "E03270", "E03290", "E03300", "E03400", "E03500",
)  # fmt: skip
# Schedule SE: earnings less half of the tax; least earnings; share of partners who are active; half of the tax.
_NET, _LEAST_EARNINGS, _ACTIVE, _HALF_TAX, _WAGE_BASE = 0.9235, 400.0, 0.25, 0.0765, 118_500.0


@dataclass(frozen=True)
class IncomeClass:
    """A class of returns by AGI: bounds, number of returns, total AGI (dollars)."""

    lower: float
    upper: float
    returns: float
    agi: float

    @property
    def mean(self) -> float:
        """Size of the mean AGI, without its sign."""
        return abs(self.agi) / self.returns


@dataclass(frozen=True)
class Line:
    """An amount: column, national total (dollars), returns with it, and how it goes with income.

    Attributes:
        elasticity: power of the return's income level that the amount is proportional to.
        tilt: how much likelier the rich hold it.
        sigma: spread of the logarithm of the noise.
        nets: whether the total nets gains and losses.
        needs: column that it is a part of, "" if none; drawn before it.
        share: most of that column that it can be.
        limit: most dollars that a return can have.
        source: of total and returns.
    """

    column: str
    total: float
    returns: float
    elasticity: float
    tilt: float
    sigma: float
    nets: bool
    needs: str
    share: float
    limit: float
    source: str


@cache
def agi_classes() -> tuple[IncomeClass, ...]:
    """Income classes in ascending order; the first is that of negative AGI."""
    names = ("lower", "upper", "returns", "agi")
    return tuple(IncomeClass(*(float(row[name]) for name in names)) for row in _rows("agi_2015"))


@cache
def lines() -> tuple[Line, ...]:
    """All amounts that are drawn, in file order."""
    return tuple(
        Line(
            column=row["column"],
            total=float(row["total"]),
            returns=float(row["returns"]),
            elasticity=float(row["elasticity"]),
            tilt=float(row["tilt"]),
            sigma=float(row["sigma"]),
            nets=row["losses"] == "1",
            needs=row["needs"],
            share=float(row["share"] or 1.0),
            limit=float(row["limit"] or np.inf),
            source=row["source"],
        )
        for row in _rows("puf_2015")
    )


def draw_returns(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Returns in random order: MARS, XTOT, DSI, EIC, N24, weight, level, age (years), and the amount columns.

    Args:
        rng: stream of all draws.
        n: returns; each income class has at least three.
    """
    group, weight = _sample(rng, n)
    level = _levels(rng, group)
    rank = _income_rank(level, weight)
    mars = _status(rng, rank)
    age = np.clip(np.where(mars == 2, 50, 42) + 10 * (rank - 0.4) + 17 * normal_of(stratified(rng, n)), 16, 92)
    dependent = (age < 24) & (rank < 0.5) & (mars == 1) & (rng.random(n) < 0.55)
    children = _children(rng, mars, age)
    table = pd.DataFrame({
        "MARS": mars, "XTOT": np.where(dependent, 0, 1 + (mars == 2) + children), "DSI": dependent.astype(np.int64),
        "N24": np.where(age < 60, children, 0), "weight": weight, "level": level, "age": np.floor(age),
    })  # fmt: skip
    table = table.assign(**_amounts(rng, table, rank))
    low = (table["E00100"] > 0) & (table["E00100"] < 45_000) & (table["E00200"] + table["E00900"] > 0)
    return table.assign(EIC=np.where(low & (mars != 3), np.minimum(table["N24"], 3), 0))


def add_up(table: pd.DataFrame) -> dict[str, Floats]:
    """Lines that follow from others: E02500, E01000, E26270, E02000, E00100. `table` has the amount columns."""
    column = {name: table[name].to_numpy(dtype=np.float64) for name in map(str, table.columns) if name[:1] in "EP"}
    partnership = column["E25980"] - column["E25960"] + column["E25940"] - column["E25920"]
    corporation = column["E26190"] - column["E26180"] + column["E26170"] - column["E26160"]
    schedule_e = partnership + corporation + column["E25850"] - column["E25860"] + column["E26390"] - column["E26400"]
    gain = np.maximum(column["P22250"] + column["P23250"], -3_000.0)
    other = np.sum([column[name] for name in _INCOMES], axis=0) + gain + schedule_e
    base = np.where(table["MARS"].to_numpy() == 2, 32_000.0, 25_000.0)
    provisional = other + column["E00400"] + 0.5 * column["E02400"] - base
    taxable = np.clip(0.6 * provisional, 0.0, 0.85 * column["E02400"])
    adjustments = np.sum([column[name] for name in _ADJUSTMENTS], axis=0)
    adjustments = adjustments + _HALF_TAX * np.minimum(column["E30400"] + column["E30500"], _WAGE_BASE)
    return {
        "E02500": taxable, "E01000": gain, "E26270": partnership + corporation, "E02000": schedule_e + column["E27200"],
        "E00100": other + taxable - adjustments,
    }  # fmt: skip


def _sample(rng: np.random.Generator, n: int) -> tuple[Integers, Floats]:
    classes = agi_classes()
    returns = np.array([income.returns for income in classes])
    mean = np.array([income.mean for income in classes])
    score = returns**0.75 * mean**0.35
    drawn = np.maximum(np.round(score / score.sum() * n), _MIN_PER_CLASS).astype(np.int64)
    drawn[int(np.argmax(drawn))] += n - int(drawn.sum())
    group = rng.permutation(np.repeat(np.arange(len(classes)), drawn))
    return group, (returns / drawn)[group]


def _levels(rng: np.random.Generator, group: Integers) -> Floats:
    level = np.zeros(len(group))
    for index, income in enumerate(agi_classes()):
        here = np.flatnonzero(group == index)
        low, high = (1_000.0, 3e7) if income.lower < 0 else (income.lower, income.upper)
        power = max((high - low) / (income.mean - low) - 1, 0.2)
        spread = low + (high - low) * stratified(rng, len(here)) ** power
        size = np.clip(scaled(spread, np.full(len(here), 1 / len(here)), income.mean), low, high)
        level[here] = np.sign(income.agi) * size
    return level


def _income_rank(level: Floats, weight: Floats) -> Floats:
    order = np.argsort(level, kind="stable")
    rank = np.empty(len(level))
    rank[order] = (np.cumsum(weight[order]) - 0.5 * weight[order]) / weight.sum()
    return rank


def _status(rng: np.random.Generator, rank: Floats) -> Integers:
    mars = np.zeros(len(rank), dtype=np.int64)
    for rows, shares in ((rank < 0.4, _POOR), ((rank >= 0.4) & (rank < 0.8), _MIDDLE), (rank >= 0.8, _RICH)):
        mars[rows] = choose(rng, (1, 2, 3, 4), shares, int(rows.sum()))
    return mars


def _children(rng: np.random.Generator, mars: Integers, age: Floats) -> Integers:
    n = len(mars)
    joint = choose(rng, (0, 1, 2, 3, 4), (0.42, 0.22, 0.24, 0.09, 0.03), n)
    head = choose(rng, (1, 2, 3, 4), (0.56, 0.29, 0.11, 0.04), n)
    return np.select([mars == 4, (mars == 2) & (age < 62)], [head, joint], 0)


def _amounts(rng: np.random.Generator, table: pd.DataFrame, rank: Floats) -> dict[str, Floats]:
    weight, level = table["weight"].to_numpy(), table["level"].to_numpy()
    size = np.maximum(np.abs(level), 4_000.0)
    drawn: dict[str, Floats] = {}
    for line in lines():
        if line.needs != "E00200":
            _draw(rng, line, table, rank, size, drawn)
    drawn["E01500"] = np.round(drawn["E01700"] * (1 + rng.exponential(0.7, len(rank))))
    drawn |= _schedule_se(rng, drawn, table["MARS"].to_numpy())
    working = (table["age"].to_numpy() < 66) | (rng.random(len(rank)) < 0.25)
    partial = pd.DataFrame({**drawn, "MARS": table["MARS"], "E00200": 0.0, "E03220": 0.0})
    rest = np.maximum(level - add_up(partial)["E00100"], 0.12 * np.maximum(level, 0.0))
    wages = np.where(working & (rng.random(len(rank)) < 0.94), np.maximum(rest, 0.0), 0.0)
    drawn["E00200"] = np.round(scaled(wages, weight, _WAGES_2015))
    for line in lines():
        if line.needs == "E00200":
            _draw(rng, line, table, rank, size, drawn)
    return {**drawn, **add_up(pd.DataFrame({**drawn, "MARS": table["MARS"]}))}


def _draw(
    rng: np.random.Generator, line: Line, table: pd.DataFrame, rank: Floats, size: Floats, drawn: dict[str, Floats]
) -> None:
    """Draw a line into `drawn`; a loss (`...N`) after its gain (`...P`), by other returns, makes one signed column."""
    weight = table["weight"].to_numpy()
    most = np.full(len(rank), line.limit)
    if line.needs:
        most = np.minimum(most, line.share * np.maximum(drawn[line.needs], 0.0))
    column = line.column.removesuffix("N")
    gain = drawn.pop(f"{column}P", None) if column != line.column else None
    room = most if gain is None else np.where(gain > 0, 0.0, most)
    holds = _holders(rng, line, table, rank, room)
    noise = np.exp(line.sigma * np.clip(normal_of(stratified(rng, len(rank))), -2.6, 2.6))
    # Beyond the knee every line is proportional to the level, or a few returns would hold the nation's totals.
    power = np.minimum(size, _KNEE) ** line.elasticity * np.maximum(size / _KNEE, 1.0)
    power = most if line.needs else power
    value = np.where(holds, power * np.where(size > _KNEE, np.minimum(noise, 4.0), noise), 0.0)
    whole = _net(rng, value, weight, line.total) if line.nets else limited(value, weight, line.total, most)
    drawn[column] = np.round(whole) if gain is None else gain - np.round(whole)
    if column == "E00600":
        drawn["E00650"] = np.round(drawn["E00600"] * np.clip(rng.normal(0.78, 0.2, len(rank)), 0.0, 1.0))


def limited(values: Floats, weights: Floats, total: float, most: Floats) -> Floats:
    """Values times one constant, none above its limit, so that their weighted sum is the total, or as near as can be.

    Args:
        values: at least 0, (n,).
        weights: (n,).
        total: wanted, at least 0.
        most: limit of each value, at least 0 or infinite, (n,).
    """
    rows = np.flatnonzero((values > 0) & (weights > 0))
    once = scaled(values, weights, total)
    if rows.size == 0 or (once <= most).all():
        return once
    # Values meet their limits one after the other as the constant grows: between two of them the sum is a line.
    meets = most[rows] / values[rows]
    order = np.argsort(meets, kind="stable")
    at_limit, free = (weights[rows] * part[rows] for part in (most, values))
    before = np.concatenate([[0.0], np.cumsum(at_limit[order])[:-1]])
    left = np.cumsum(free[order][::-1])[::-1]
    enough = before + meets[order] * left >= total
    if not enough.any():
        return np.minimum(np.where(values > 0, most, 0.0), most)
    place = int(np.argmax(enough))
    return np.minimum(values * ((total - before[place]) / left[place]), most)


def _schedule_se(rng: np.random.Generator, drawn: dict[str, Floats], mars: Integers) -> dict[str, Floats]:
    """Self-employment of filer (E30400) and spouse (E30500): Schedules C and F and active partners' income."""
    n = len(mars)
    active = np.where(rng.random(n) < _ACTIVE, drawn["E25980"] - drawn["E25960"], 0.0)
    earnings = np.round(_NET * (drawn["E00900"] + drawn["E02100"] + active))
    earnings = np.where(earnings >= _LEAST_EARNINGS, earnings, 0.0)
    second = (mars == 2) & (rng.random(n) < 0.3)
    return {"E30400": np.where(second, 0.0, earnings), "E30500": np.where(second, earnings, 0.0)}


def _net(rng: np.random.Generator, value: Floats, weight: Floats, total: float) -> Floats:
    """Gains and losses whose weighted sum is `total`, gains of twice its size."""
    gross = 2 * abs(total)
    loss = rng.random(len(value)) < 0.6
    gains, losses = np.where(loss, 0.0, value), np.where(loss, value, 0.0)
    return scaled(gains, weight, gross) - scaled(losses, weight, gross - total)


def _holders(rng: np.random.Generator, line: Line, table: pd.DataFrame, rank: Floats, most: Floats) -> Flags:
    """Who has a line: as many returns as published, at least one, and only where `most` leaves room."""
    weight, age = table["weight"].to_numpy(), table["age"].to_numpy()
    score = np.exp(3.2 * line.tilt * (rank - 0.5)) * (most > 0)
    if line.needs:
        # A part is held by those who have much of the whole.
        score = score * np.sqrt(most)
    if line.column in {"E02400", "E01700", "E01400"}:
        score = score * np.where(age >= 62, 1.0, 0.05)
    if line.column == "E32800":
        score = score * (table["N24"].to_numpy() > 0)
    chance = np.clip(score * (line.returns / max(float(score @ weight), 1.0)), 0.0, 1.0)
    short = line.returns - float(chance @ weight)
    if short > 0:
        room = weight * (1 - chance) * (score > 0)
        chance = chance + (1 - chance) * (score > 0) * min(short / max(float(room.sum()), 1.0), 1.0)
    holds = rng.random(len(rank)) < chance
    if not holds.any():
        # No column of a small file is left empty: its likeliest holder of average weight has it.
        holds[int(np.argmax(chance * (weight <= np.median(weight[chance > 0]) if (chance > 0).any() else 1.0)))] = True
    return holds & (most > 0)


def _rows(name: str) -> list[dict[str, str]]:
    with (resources.files("tessera.sources.synthetic") / "data" / f"{name}.csv").open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))
