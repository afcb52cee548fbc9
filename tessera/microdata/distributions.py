"""Pictures of a stage of the microdata: ages, incomes, totals and the quality of what was imputed.

Holds the counting and the drawing; each function returns the bytes of one PNG on the ground of `diagnostics.canvas`.
All shares and means are weighted by household weights. A distribution is drawn over the size of amounts on a log scale,
for nonzero amounts only; how many are zero is said beside it, as most tax items are zero for most people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.diagnostics.canvas import COLOURS, INK, blank, legend, to_png
from tessera.errors import FrameError
from tessera.frame import Frame
from tessera.microdata.stratify import household_agi

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
# Incomes that survey and tax file both know, by the name that people read.
KEY_VARIABLES = {
    "wages": ("employment_income_before_lsr",),
    "self-employment": ("self_employment_income_before_lsr", "sstb_self_employment_income_before_lsr"),
    "interest": ("taxable_interest_income",),
    "dividends": ("qualified_dividend_income", "non_qualified_dividend_income"),
    "capital gains": ("long_term_capital_gains_before_response", "short_term_capital_gains"),
    "partnerships, S corps": ("partnership_income", "s_corp_income"),
    "pensions": ("taxable_private_pension_income",),
    "Social Security": (
        "social_security_retirement",
        "social_security_disability",
        "social_security_survivors",
        "social_security_dependents",
        "puf_social_security",
    ),
    "rents": ("rental_income",),
}
# Parts of a household's income that the deciles are made of.
PARTS = {
    "wages": KEY_VARIABLES["wages"],
    "business": (
        *KEY_VARIABLES["self-employment"],
        *KEY_VARIABLES["partnerships, S corps"],
        "farm_operations_income",
        "farm_rent_income",
        "rental_income",
        "estate_income",
    ),
    "interest, dividends": (*KEY_VARIABLES["interest"], "tax_exempt_interest_income", *KEY_VARIABLES["dividends"]),
    "capital gains": (*KEY_VARIABLES["capital gains"], "non_sch_d_capital_gains"),
    "pensions": (
        *KEY_VARIABLES["pensions"],
        "tax_exempt_private_pension_income",
        "taxable_ira_distributions",
        "taxable_401k_distributions",
    ),
    "Social Security": KEY_VARIABLES["Social Security"],
}
_SIZES = np.linspace(1, 8, 71)  # decimal logarithm of dollars
_BANDWIDTH = 0.12  # of the kernel that smooths densities, in log10 of dollars
_AGES = np.arange(0, 90, 5)
_DOLLARS = {-1e5: "-100k", -1e4: "-10k", -1e3: "-1k", 0.0: "0", 1e3: "1k", 1e4: "10k", 1e5: "100k", 1e6: "1m $"}
_LOSSES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
_HALVES = (("cps", "survey half"), ("puf", "tax half"))


@dataclass(frozen=True)
class Distribution:
    """Weighted distribution of a person's amount over sizes.

    Attributes:
        density: smoothed share of persons with a nonzero amount in each class of size, per unit of log10, (n_classes,).
        zero_share: share of persons whose amount is zero.
        negative_share: share of persons whose amount is below zero; their sizes are in `density`.
    """

    density: FloatArray
    zero_share: float
    negative_share: float


def distribution_of(values: FloatArray, weights: FloatArray, edges: FloatArray = _SIZES) -> Distribution:
    """Distribution of amounts in dollars, both arguments of shape (n,), over classes of log10 |amount|."""
    total = max(float(weights.sum()), 1e-300)
    some = values != 0
    sizes = np.log10(np.maximum(np.abs(values[some]), 1e-9))
    inside = np.clip(sizes, edges[0], edges[-1])
    counts, _ = np.histogram(inside, bins=edges, weights=weights[some])
    held = max(float(counts.sum()), 1e-300)
    return Distribution(
        density=_smoothed(counts / held / np.diff(edges), float(edges[1] - edges[0])),
        zero_share=float(weights[~some].sum()) / total,
        negative_share=float(weights[values < 0].sum()) / total,
    )


def _smoothed(density: FloatArray, step: float) -> FloatArray:
    """A density under a Gaussian kernel; what would leave at an end stays there."""
    reach = int(np.ceil(3 * _BANDWIDTH / step))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / _BANDWIDTH) ** 2)
    spread = np.convolve(density, kernel / kernel.sum())
    result = spread[reach : reach + len(density)].copy()
    result[0] += spread[:reach].sum()
    result[-1] += spread[reach + len(density) :].sum()
    return np.asarray(result, dtype=np.float64)


def groups_of(frame: Frame | None, tax_file: Frame | None = None) -> dict[str, tuple[pd.DataFrame, FloatArray]]:
    """Adults by where their incomes come from: persons from 18 on and their weights, of a half and of the tax file."""
    result = {}
    if frame is not None:
        source = frame.household["source"].astype(str).to_numpy()
        household = frame.unit_of_person("household")
        adult = frame.person["age"].to_numpy(dtype=np.float64) >= 18
        for code, label in _HALVES:
            rows = adult & (source[household] == code)
            if rows.any():
                result[label] = (frame.person.loc[rows], frame.weights[household[rows]])
    if tax_file is not None:
        rows = tax_file.person["age"].to_numpy(dtype=np.float64) >= 18
        result["tax file"] = (tax_file.person.loc[rows], tax_file.weights[tax_file.unit_of_person("household")[rows]])
    return result


def income_distributions(frame: Frame | None, tax_file: Frame | None = None) -> bytes:
    """Key incomes of adults, a panel each: survey half, tax half and tax file, with the share of zeros of each.

    Args:
        frame: a stage; None for the tax file alone.
        tax_file: `puf`, to compare with.
    """
    groups = groups_of(frame, tax_file)
    known = {
        label: names
        for label, names in KEY_VARIABLES.items()
        if any(name in person for person, _ in groups.values() for name in names)
    }
    if not known:
        raise FrameError("No income column to draw; wanted one of the survey's or the tax file's incomes on persons.")
    columns = 3
    rows = -(-len(known) // columns)
    figure, axes = blank(8.4, 1.9 * rows, rows=rows, columns=columns, sharex=True)
    centres = (_SIZES[:-1] + _SIZES[1:]) / 2
    for panel, (label, names) in zip(axes, known.items(), strict=False):
        notes = []
        for position, (group, (person, weights)) in enumerate(groups.items()):
            drawn = distribution_of(total_of(person, names), weights)
            notes.append(f"{drawn.zero_share:.0%}")
            panel.plot(centres, drawn.density, color=COLOURS[position], linewidth=1.4, label=group)
        panel.set_title(f"{label}\nzero: {' / '.join(notes)}", fontsize=8)
        panel.set_yticks([])
        panel.set_xticks([2, 4, 6, 8], ["100 $", "10k", "1m", "100m"])
        panel.set_xlim(1, 8)
        panel.set_ylim(bottom=0)
    for panel in axes[len(known) :]:
        panel.set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, labelcolor=INK, ncols=3, loc="outside lower center")
    return to_png(figure)


def age_pyramid(frame: Frame, official: Mapping[str, FloatArray] | None = None) -> bytes:
    """Persons by sex and age, classes of five years, the last open; with official counts as outlines.

    Args:
        frame: a stage.
        official: "male" and "female" -> persons in each class, (18,), such as `official_ages` gives.
    """
    weights = frame.weights[frame.unit_of_person("household")]
    age = np.minimum(frame.person["age"].to_numpy(dtype=np.float64), _AGES[-1])
    place = np.searchsorted(_AGES, age, side="right") - 1
    female = frame.person["is_female"].to_numpy(dtype=bool)
    figure, (axes,) = blank(6.4, 4.2)
    position = np.arange(len(_AGES))
    edges = np.repeat(np.arange(len(_AGES) + 1), 2)[1:-1] - 0.5
    for sign, mask, label, colour in ((-1, ~female, "male", COLOURS[0]), (1, female, "female", COLOURS[1])):
        counts = np.bincount(place[mask], weights=weights[mask], minlength=len(_AGES)) / 1e6
        axes.barh(position, sign * counts, 0.86, color=colour, label=label, alpha=0.85)
        if official is not None:
            axes.plot(sign * np.repeat(official[label], 2) / 1e6, edges, color=INK, linewidth=1.3,
                      label="official" if sign > 0 else None)  # fmt: skip
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(position, [*(f"{low}-{low + 4}" for low in _AGES[:-1]), f"{_AGES[-1]}+"], fontsize=8)
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    axes.set_xlabel("million persons")
    axes.grid(axis="y", visible=False)
    legend(axes, loc="upper right")
    return to_png(figure)


def official_ages() -> dict[str, FloatArray]:
    """Official persons by sex in the classes of the pyramid: Census population estimates, from the packaged figures."""
    from tessera.targets.figures import constraints_from_json
    from tessera.targets.snapshot import load_snapshot

    figures = load_snapshot()
    own = figures[(figures["source"] == "census_pep_age_sex") & (figures["geo_level"] == "national")]
    result = {sex: np.zeros(len(_AGES)) for sex in ("male", "female")}
    for text, value in zip(own["constraints"], own["value"], strict=True):
        found = {(name, operation): bound for name, operation, bound in constraints_from_json(text)}
        if ("is_female", "==") in found and ("age", ">=") in found:
            sex = "female" if found["is_female", "=="] else "male"
            place = int(np.searchsorted(_AGES, found["age", ">="], side="right")) - 1
            result[sex][min(place, len(_AGES) - 1)] += value
    return result


def incomes_by_decile(frame: Frame) -> bytes:
    """Mean income of households over deciles of income, the top one per cent apart; a panel a kind, a line a half.

    Deciles are of the proxy of adjusted gross income (`household_agi`), weighted, each half by itself.
    """
    source = frame.household["source"].astype(str).to_numpy()
    halves = {label: decile_means(frame, source == code) for code, label in _HALVES if (source == code).any()}
    figure, axes = blank(8.4, 4.6, rows=2, columns=3, sharex=True)
    for panel, part in zip(axes, PARTS, strict=True):
        for number, (label, means) in enumerate(halves.items()):
            position = np.arange(len(means))
            style = {"color": COLOURS[number], "marker": "o", "markersize": 3, "linewidth": 1.4}
            panel.plot(position, means[part], label=label, **style)
        panel.set_yscale("symlog", linthresh=1000, linscale=0.5)
        panel.axhline(0, color=INK, linewidth=0.6)
        low, high = panel.get_ylim()
        ticks = {value: text for value, text in _DOLLARS.items() if low <= value <= high}
        panel.set_yticks(list(ticks), list(ticks.values()))
        panel.minorticks_off()
        panel.set_xticks(position, means.index, fontsize=7)
        panel.set_title(part, fontsize=9)
    for panel in axes[3:]:
        panel.set_xlabel("decile of income; top: highest 1 %", fontsize=8)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, labelcolor=INK, ncols=2, loc="outside lower center")
    return to_png(figure)


def decile_means(frame: Frame, chosen: BoolArray) -> pd.DataFrame:
    """Mean amounts of some households by decile of income: index 1 to 9, 10 (without the top 1 %) and top.

    Args:
        frame: a stage.
        chosen: households to look at, (n_households,).

    Returns:
        One row a class, one column a part of `PARTS`; dollars a household, weighted.
    """
    household = frame.unit_of_person("household")
    n = frame.count("household")
    parts = {
        label: np.bincount(household, weights=total_of(frame.person, names), minlength=n)[chosen]
        for label, names in PARTS.items()
    }
    agi, weights = household_agi(frame)[chosen], frame.weights[chosen]
    order = np.argsort(agi, kind="stable")
    rank = np.empty(len(agi))
    rank[order] = (np.cumsum(weights[order]) - weights[order] / 2) / max(float(weights.sum()), 1e-300)
    bounds = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99])
    place = np.searchsorted(bounds, rank, side="right")
    size = np.bincount(place, weights=weights, minlength=len(bounds) + 1)
    labels = [*(str(number) for number in range(1, 10)), "10", "top"]
    means = {
        label: np.bincount(place, weights=weights * values, minlength=len(size)) / np.maximum(size, 1e-300)
        for label, values in parts.items()
    }
    return pd.DataFrame(means, index=pd.Index(labels, name="decile"))


def totals_against_official(comparison: pd.DataFrame, near: tuple[float, float] = (0.7, 1.3)) -> bytes:
    """Ratio of each total to its official figure on a log scale, sorted as given; what lies outside `near` stands out.

    Args:
        comparison: columns name and ratio (`quality.national_comparison`); ratios not above zero are left out.
        near: bounds of the shaded band.
    """
    table = comparison[comparison["ratio"] > 0].iloc[::-1]
    if table.empty:
        raise FrameError("No total has an official figure of its own sign to be drawn against.")
    ratios = np.clip(table["ratio"].to_numpy(dtype=np.float64), 0.05, 20)
    figure, (axes,) = blank(6.6, 0.7 + 0.17 * len(table))
    position = np.arange(len(table))
    within = (ratios >= near[0]) & (ratios <= near[1])
    axes.axvspan(*near, color=COLOURS[2], alpha=0.14, linewidth=0)
    axes.axvline(1, color=INK, linewidth=1)
    axes.hlines(position, 1, ratios, color=INK, linewidth=0.8, alpha=0.6)
    axes.scatter(ratios, position, s=16, color=np.where(within, COLOURS[2], COLOURS[4]), zorder=3)
    axes.set_xscale("log")
    axes.set_xlim(min(0.2, ratios.min() * 0.9), max(5.0, ratios.max() * 1.1))
    low, high = axes.get_xlim()
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(position, [str(name).replace("_", " ") for name in table["name"]], fontsize=7.5)
    axes.set_ylim(-0.8, len(table) - 0.2)
    axes.set_xlabel("weighted total / official figure")
    axes.grid(axis="y", visible=False)
    return to_png(figure)


def imputation_quality(quality: pd.DataFrame, most: int = 60) -> bytes:
    """How each imputed variable came out: loss on donors seen and not seen, and the share of zeros on both sides.

    Args:
        quality: one row an output, with chain, output, train_loss, test_loss, donor_zero_share, receiver_zero_share.
        most: rows drawn; of more, those with the largest losses on donors not seen, in the order of the table.
    """
    table = quality.loc[quality["test_loss"].nlargest(most).index] if len(quality) > most else quality
    table = table.sort_index().iloc[::-1]
    if table.empty:
        raise FrameError("Nothing was imputed, so there is no quality to draw.")
    size = 6.5 if len(table) > 40 else 7.5
    figure, (left, right) = blank(8.4, 1.0 + 0.135 * max(len(table), 6), columns=2, sharey=True, width_ratios=(3, 2))
    position = np.arange(len(table))
    train, test = (_finite(table[name], 1e-3, 50) for name in ("train_loss", "test_loss"))
    left.hlines(position, train, test, color=INK, linewidth=0.8, alpha=0.6)
    left.scatter(train, position, s=12, color=COLOURS[0], label="donors seen", zorder=3)
    left.scatter(test, position, s=12, color=COLOURS[1], label="donors not seen", zorder=3)
    left.set_xscale("log")
    low, high = left.get_xlim()
    ticks = [tick for tick in _LOSSES if low <= tick <= high]
    left.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    left.minorticks_off()
    left.set_xlabel("quantile loss / mean |amount|")
    donor, receiver = (table[f"{side}_zero_share"].to_numpy(dtype=np.float64) for side in ("donor", "receiver"))
    right.hlines(position, donor, receiver, color=INK, linewidth=0.8, alpha=0.6)
    right.scatter(donor, position, s=12, color=COLOURS[2], label="donors", zorder=3)
    right.scatter(receiver, position, s=12, color=COLOURS[3], label="receivers", zorder=3)
    right.set_xlim(-0.03, 1.03)
    right.set_xlabel("share of zeros")
    left.set_yticks(position, _names(table), fontsize=size)
    for axes in (left, right):
        axes.set_ylim(-0.8, len(table) - 0.2)
        axes.grid(axis="y", visible=False)
        legend(axes, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return to_png(figure)


def total_of(person: pd.DataFrame, names: Sequence[str]) -> FloatArray:
    """Sum of those of some columns that are there, dollars, (n_persons,)."""
    known = [name for name in names if name in person]
    return np.asarray(person[known].sum(axis=1), dtype=np.float64)


def _names(quality: pd.DataFrame) -> list[str]:
    """Names of outputs, with those of their chains where there are several."""
    names = [str(name).replace("_", " ") for name in quality["output"]]
    if quality["chain"].nunique() == 1 or not quality["output"].duplicated().any():
        return names
    return [f"{name} ({chain})" for name, chain in zip(names, quality["chain"], strict=True)]


def _finite(column: pd.Series, least: float, most: float) -> FloatArray:
    """Losses within what a log scale can show; NaN stays, and is not drawn."""
    return np.asarray(np.clip(column.to_numpy(dtype=np.float64), least, most))
