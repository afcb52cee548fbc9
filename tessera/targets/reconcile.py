"""Making levels agree: parts scaled to what they are parts of, and totals added up where none is published.

A fit cannot reach targets that contradict each other. Sums come first: a set of classes of AGI without its total, the
districts of a source without states, the states of a source without a nation (they leave out territories, which no
household file has). A sum says so in its column `table`. Sums are made whether or not figures are scaled.

Scaling is a choice. In one source, classes are scaled to their total, districts to their state and states with their
districts to the nation, where all parts are there and the gap is a flag at most (below 5 %): it is rounding and noise
then. A wider one is another concept, and stays for `consistency` to report. Between sources only the pairs of
`BETWEEN_SOURCES` are scaled: there, one source counts the states and the other one has the shares of their districts;
the states of the second are never added up. Cities are left as they are. The factor is recorded on each figure (column
`reconciliation`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import TargetError
from tessera.geography.areas import states
from tessera.targets.classes import class_links, split
from tessera.targets.consistency import LIMITS, relative_gap
from tessera.targets.figures import constraints_from_json
from tessera.targets.uprating import DERIVED

WIDEST, FARTHEST = LIMITS[1], LIMITS[2]
# Sources whose figures leave out states where there is nothing to count: their states add up to a nation all the same.
ABSENT_IS_NOTHING = ("acf_tanf_financial", "census_stc")
_CONCEPT = ["source", "variable", "constraints", "reform"]
_PLACED = [*_CONCEPT, "geo_level", "geo_id"]


@dataclass(frozen=True)
class Between:
    """Districts of one source whose states come from another.

    Attributes:
        shares: source of the districts.
        counts: source of the states.
        variable, constraints: the concept that both have, in every state; concepts of the shares with more constraints
            follow it. Without a variable: every concept that both have, each by itself, where all districts of a state
            are there and less than `FARTHEST` from it; classes of AGI follow their total.
    """

    shares: str
    counts: str
    variable: str = ""
    constraints: str = ""


BETWEEN_SOURCES = (
    # The survey finds fewer recipients than the administrative records: the caseload of the state rules.
    Between("census_acs_s2201", "usda_fns_snap", "household_count", '[["snap",">",0]]'),
    # Some percent of the returns could not be placed in a district.
    Between("irs_soi_congressional_district", "irs_soi_historic_2"),
)


def reconcile(figures: pd.DataFrame, *, scale: bool = True) -> pd.DataFrame:
    """Figures with parts scaled (a choice), and with the sums that no source publishes.

    Args:
        figures: columns of `figures.COLUMNS`, of the model year.
        scale: whether parts are scaled to what they are parts of.

    Raises:
        TargetError: a state without districts to scale, or districts that add up to zero.
    """
    table = figures.reset_index(drop=True)
    if scale:
        for pair in BETWEEN_SOURCES:
            table = _one_concept(table, pair) if pair.variable else _every_concept(table, pair)
    table = pd.concat([table, _class_sums(table)], ignore_index=True)
    if scale:
        table = _classes_to_totals(table)
        table = _parts_to_whole(table, "district", "state")
    table = pd.concat([table, _state_sums(table)], ignore_index=True)
    if scale:
        table = _parts_to_whole(table, "state", "national")
    return pd.concat([table, _national_sums(table)], ignore_index=True)


def unscaled(figures: pd.DataFrame) -> pd.DataFrame:
    """Figures as they are without scaling: value = raw_value * uprating."""
    return figures.assign(value=figures["raw_value"] * figures["uprating"], reconciliation=1.0)


def _one_concept(figures: pd.DataFrame, pair: Between) -> pd.DataFrame:
    if not {pair.shares, pair.counts} <= set(figures["source"]):
        return figures
    base = set(constraints_from_json(pair.constraints))
    family = {text for text in figures["constraints"].unique() if base <= set(constraints_from_json(text))}
    children = (
        (figures["source"] == pair.shares) & (figures["geo_level"] == "district")
        & (figures["variable"] == pair.variable) & figures["constraints"].isin(family)
    )  # fmt: skip
    concept = (figures["variable"] == pair.variable) & (figures["constraints"] == pair.constraints)
    of_states = concept & (figures["source"] == pair.counts) & (figures["geo_level"] == "state")
    wanted = figures[of_states].set_index("geo_id")["value"]
    state = figures["geo_id"].str[:2]
    sums = figures.loc[children & concept, "value"].groupby(state).sum()
    for usps in (entry.usps for entry in states()):
        if not sums.get(usps, 0.0) > 0 or usps not in wanted:
            raise TargetError(
                f"{usps}: districts of {pair.shares} cannot be scaled to {pair.counts} ({pair.variable} "
                f"{pair.constraints}): wanted figures above zero in both."
            )
    factor = np.where(children, state.map(wanted / sums).fillna(1.0), 1.0)
    return _scaled(figures, factor)


def _every_concept(figures: pd.DataFrame, pair: Between) -> pd.DataFrame:
    """Districts of the shares scaled to the states of the counts, concept by concept."""
    concept = [*_CONCEPT[1:], "state"]
    table = figures.assign(state=figures["geo_id"].str[:2])
    total = np.array([_is_total(text) for text in figures["constraints"]])
    children = ((table["source"] == pair.shares) & (table["geo_level"] == "district")).to_numpy() & total
    sums = table[children].groupby(concept, sort=False)["value"].agg(["sum", "size"])
    sums = sums[sums["size"] == sums.index.get_level_values("state").map(_districts_of())]["sum"]
    of_states = table[(table["source"] == pair.counts) & (table["geo_level"] == "state")]
    wanted = of_states.set_index(concept)["value"].reindex(sums.index)
    values = _factors(wanted.to_numpy(np.float64), sums.to_numpy(np.float64), FARTHEST)
    keys = pd.MultiIndex.from_frame(table.loc[children, concept])
    factor = np.ones(len(figures))
    factor[children] = pd.Series(values, index=sums.index).reindex(keys).fillna(1.0).to_numpy(np.float64)
    return _scaled(figures, factor)


def _districts_of() -> dict[str, int]:
    """Number of districts of each state."""
    return {state.usps: state.n_districts for state in states()}


def _classes_to_totals(figures: pd.DataFrame) -> pd.DataFrame:
    """Classes of AGI scaled to the total of their source and place. A class of classes is left to itself."""
    links = class_links(figures)
    values = figures["value"].to_numpy(np.float64)
    everybody = np.array([_is_total(text) for text in figures["constraints"]])
    kept = everybody[links.whole] if len(links.whole) else np.zeros(0, dtype=np.bool_)
    whole, part = links.whole[kept], links.part[kept]
    sums = np.bincount(whole, weights=values[part], minlength=len(figures))
    factor = np.ones(len(figures))
    factor[part] = _factors(values[whole], sums[whole])
    return _scaled(figures, factor)


def _is_total(text: str) -> bool:
    parts = split(text)
    return parts is not None and bool(np.isinf(parts[1]).all())


def _parts_to_whole(figures: pd.DataFrame, level: str, above: str) -> pd.DataFrame:
    """Figures of a level scaled to those above it of the same source; what lies below the level moves with it."""
    moves = figures["geo_level"].isin({"district": ["district"], "state": ["state", "district"]}[level])
    within = figures["geo_id"].str[:2] if level == "district" else pd.Series("US", index=figures.index)
    keyed = figures.assign(_within=within)
    of_level = keyed[keyed["geo_level"] == level]
    sums = of_level.groupby([*_CONCEPT, "_within"], sort=False)["value"].agg(["sum", "size"])
    wanted = keyed.loc[keyed["geo_level"] == above, [*_CONCEPT, "geo_id", "value"]].rename(
        columns={"geo_id": "_within"}
    )
    joined = wanted.merge(sums.reset_index(), on=[*_CONCEPT, "_within"])
    counts = _districts_of() if level == "district" else {"US": len(states())}
    joined = joined[joined["size"] == joined["_within"].map(counts)]
    joined = joined.assign(_factor=_factors(joined["value"].to_numpy(np.float64), joined["sum"].to_numpy(np.float64)))
    found = keyed.loc[moves, [*_CONCEPT, "_within"]].merge(
        joined[[*_CONCEPT, "_within", "_factor"]], on=[*_CONCEPT, "_within"], how="left"
    )
    factor = np.ones(len(figures))
    factor[np.flatnonzero(moves)] = found["_factor"].fillna(1.0).to_numpy(np.float64)
    return _scaled(figures, factor)


def _factors(
    wanted: npt.NDArray[np.float64], sums: npt.NDArray[np.float64], widest: float = WIDEST
) -> npt.NDArray[np.float64]:
    """wanted / sums where they differ by less than `widest`; 1 elsewhere, and where there is nothing wanted (NaN)."""
    gap = relative_gap(wanted, sums)
    close = (wanted != sums) & (np.abs(gap) < widest) & (sums != 0)
    return np.where(close, wanted / np.where(sums == 0, 1.0, sums), 1.0)


def _scaled(figures: pd.DataFrame, factor: npt.NDArray[np.float64]) -> pd.DataFrame:
    reconciliation = figures["reconciliation"] * factor
    return figures.assign(
        reconciliation=reconciliation, value=figures["raw_value"] * figures["uprating"] * reconciliation
    )


def _class_sums(figures: pd.DataFrame) -> pd.DataFrame:
    """The totals of complete sets of classes that have none."""
    groups = class_links(figures).unsummed
    if not groups:
        return figures.iloc[:0]
    rows = figures.iloc[np.concatenate(groups)]
    rest = [(split(text) or (text, None))[0] for text in rows["constraints"]]
    return _summed(rows.assign(constraints=rest), "AGI classes")


def _state_sums(figures: pd.DataFrame) -> pd.DataFrame:
    """The states of sources that have districts only, but for what another source counts by state."""
    districts = figures[figures["geo_level"] == "district"]
    lacking = districts[~_among(districts, figures[figures["geo_level"] == "state"])]
    lacking = lacking[~_counted_elsewhere(lacking)]
    lacking = lacking.assign(geo_level="state", geo_id=lacking["geo_id"].str[:2])
    size = lacking.groupby(_PLACED, sort=False)["value"].transform("size")
    return _summed(lacking[size == lacking["geo_id"].map(_districts_of())], "districts")


def _counted_elsewhere(figures: pd.DataFrame) -> pd.Series:
    found = pd.Series(data=False, index=figures.index)
    for pair in BETWEEN_SOURCES:
        of_pair = figures["source"] == pair.shares
        if pair.variable:
            of_pair &= (figures["variable"] == pair.variable) & (figures["constraints"] == pair.constraints)
        found |= of_pair
    return found


def _national_sums(figures: pd.DataFrame) -> pd.DataFrame:
    """The nation of sources that have all states and no nation."""
    of_states = figures[figures["geo_level"] == "state"]
    lacking = of_states[~_among(of_states, figures[figures["geo_level"] == "national"])]
    size = lacking.groupby(_CONCEPT, sort=False)["value"].transform("size")
    lacking = lacking[(size == len(states())) | lacking["source"].isin(ABSENT_IS_NOTHING)]
    return _summed(lacking.assign(geo_level="national", geo_id="US"), "states")


def _among(figures: pd.DataFrame, others: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which figures are of a concept and source that others have too."""
    return pd.MultiIndex.from_frame(figures[_CONCEPT]).isin(pd.MultiIndex.from_frame(others[_CONCEPT]))


def _summed(rows: pd.DataFrame, parts: str) -> pd.DataFrame:
    if rows.empty:
        return rows
    uprated = rows.assign(_uprated=rows["raw_value"] * rows["uprating"])
    sums = ["value", "raw_value", "_uprated"]
    kinds = {column: ("sum" if column in sums else "first") for column in uprated.columns if column not in _PLACED}
    summed = uprated.groupby(_PLACED, sort=False).agg(kinds).reset_index()
    summed["table"] = summed["table"] + f"{DERIVED}{parts})"
    summed["uprating"] = _ratio(summed["_uprated"], summed["raw_value"])
    summed["reconciliation"] = _ratio(summed["value"], summed["_uprated"])
    return summed[list(rows.columns)]


def _ratio(new: pd.Series, old: pd.Series) -> pd.Series:
    """new / old, 1 where they are equal (and where both are zero)."""
    return (new / old.where(old != 0, 1.0)).where(new != old, 1.0)
