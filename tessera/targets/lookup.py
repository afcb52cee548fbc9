"""Finding figures: by area, variable, source, level and domain, as `tessera targets show` does.

`variable` finds figures of the variable and figures whose domain names it: for CA-12 there are no dollars of SNAP, but
households with `snap > 0`. A filter that knows no figure at all is an error with what there is instead.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import pandas as pd

from tessera.errors import TargetError
from tessera.targets.figures import GEO_LEVELS, constraints_from_json
from tessera.targets.strata import domain_of

# What is said of the figures that are left when a condition is dropped: label and column.
_SEEN_AS = {
    "area": ("levels", "geo_level"),
    "level": ("levels", "geo_level"),
    "variable": ("variables", "variable"),
    "source": ("sources", "source"),
    "domain": ("constraints", "constraints"),
}


@dataclass(frozen=True)
class Filter:
    """What to look for; None for anything.

    Attributes:
        area: key of a place, such as US, CA, CA-12, NYC.
        variable: of the figure, or one that its domain names.
        source: short name.
        level: national, state, district or city.
        domain: variables of the domain in alphabetical order, joined by commas; "" for everybody.
    """

    area: str | None = None
    variable: str | None = None
    source: str | None = None
    level: str | None = None
    domain: str | None = None

    @property
    def text(self) -> str:
        """The filter in words."""
        named = {"area": self.area, "variable": self.variable, "source": self.source, "level": self.level}
        parts = [f"{name} {value}" for name, value in named.items() if value is not None]
        return ", ".join(parts + ([f"domain {self.domain!r}"] if self.domain is not None else [])) or "anything"


def find_figures(figures: pd.DataFrame, wanted: Filter) -> pd.DataFrame:
    """The figures that meet every condition of a filter, nation first, then by place, variable, domain and source.

    Args:
        figures: at least the columns geo_level, geo_id, variable, constraints, source; another index is dropped.
        wanted: the conditions.

    Raises:
        TargetError: a condition that no figure meets, or conditions that none meets together; says what there is.
    """
    conditions = _conditions(figures, wanted)
    kept = pd.Series(True, index=figures.index)
    for name, mask in conditions.items():
        if not mask.any():
            raise TargetError(f"No figure has the {name} {getattr(wanted, name)!r}. {_near(figures, wanted, name)}")
        kept &= mask
    if not kept.any():
        raise TargetError(f"No figure meets {wanted.text}. {_instead(figures, conditions)}")
    found = figures[kept]
    level = found["geo_level"].map({name: position for position, name in enumerate(GEO_LEVELS)})
    # Constraints by their numbers: as text, an age of 10 comes before one of 5.
    texts = sorted(found["constraints"].unique(), key=constraints_from_json)
    domain = found["constraints"].map({text: position for position, text in enumerate(texts)})
    order = ["_level", "geo_id", "variable", "_domain", "source"]
    found = found.assign(_level=level, _domain=domain).sort_values(order, kind="stable", ignore_index=True)
    return found.drop(columns=["_level", "_domain"])


def domains(constraints: pd.Series) -> pd.Series:
    """Domain of each row: the variables of its constraints in alphabetical order, joined by commas."""
    names = {text: domain_of(text) for text in constraints.unique()}
    return constraints.map(names).astype(str)


def _conditions(figures: pd.DataFrame, wanted: Filter) -> dict[str, pd.Series]:
    """Which figures meet each condition, by the name of the condition."""
    masks: dict[str, pd.Series] = {}
    if wanted.variable is not None:
        texts = figures["constraints"].unique()
        naming = {text for text in texts if wanted.variable in _variables(text)}
        masks["variable"] = (figures["variable"] == wanted.variable) | figures["constraints"].isin(naming)
    for name, column in (("area", "geo_id"), ("source", "source"), ("level", "geo_level")):
        value = getattr(wanted, name)
        if value is not None:
            masks[name] = figures[column] == value
    if wanted.domain is not None:
        masks["domain"] = domains(figures["constraints"]) == wanted.domain
    return masks


def _near(figures: pd.DataFrame, wanted: Filter, name: str) -> str:
    """Known values that look like one that nothing has."""
    value = str(getattr(wanted, name))
    if name == "area":
        known = sorted(figures["geo_id"].unique())
        near = [key for key in known if key.startswith(value[:2].upper())][:8] or known[-8:]
        return f"Areas look like US, CA, CA-12, NYC; near: {', '.join(near)}."
    if name == "variable":
        known = sorted(
            {*figures["variable"], *(v for text in figures["constraints"].unique() for v in _variables(text))}
        )
    elif name == "domain":
        known = sorted(domains(figures["constraints"]).unique())
    else:
        known = sorted(figures["geo_level" if name == "level" else name].unique())
    near = difflib.get_close_matches(value, known, n=4, cutoff=0.4) or known[:12]
    return f"Known: {', '.join(repr(one) for one in near)}{' ...' if len(known) > len(near) else ''}."


def _instead(figures: pd.DataFrame, conditions: dict[str, pd.Series]) -> str:
    """What figures have that meet all conditions but one."""
    lines = []
    for left_out in conditions:
        others = pd.Series(True, index=figures.index)
        for name, mask in conditions.items():
            if name != left_out:
                others &= mask
        if others.any():
            label, column = _SEEN_AS[left_out]
            values = sorted(figures.loc[others, column].unique())
            shown = ", ".join(map(str, values[:6])) + (" ..." if len(values) > 6 else "")
            lines.append(f"Without the {left_out} there are {label} {shown}.")
    return " ".join(lines) or "Leave out a condition."


def _variables(constraints: str) -> set[str]:
    return set(domain_of(constraints).split(",")) - {""}
