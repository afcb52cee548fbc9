"""State values of a handful of households, made up: entities, links and values of every kind, many of them alike."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.geography import areas
from tessera.geography.clones import Clones
from tessera.rules.state_values import StateValues
from tessera.rules.values import EntityValues

INPUTS = "5e" * 32
DISTRICTS = (601, 602, 3610, 3612, 1101, 201)
COUNTY = {601: "06037", 602: "06001", 3610: "36061", 3612: "36059", 1101: "11001", 201: "02020"}
PLACES = (
    ("national", "US"), ("state", "CA"), ("state", "NY"), ("district", "CA-02"), ("district", "NY-12"),
    ("district", "DC-01"), ("district", "AK-01"),
)  # fmt: skip
MEASURES = (
    ("household_count", "[]"),
    ("person_count", '[["age", ">=", 18]]'),
    ("tax_unit_count", '[["status", "==", "JOINT"]]'),
    ("wage", "[]"),
    ("wage", '[["age", "<", 40], ["female", "==", true]]'),
    ("agi", '[["agi", ">", 0]]'),
    ("snap", '[["status", "!=", "SINGLE"]]'),
    ("rent", "[]"),
)


def toy_targets(places: tuple[tuple[str, str], ...] = PLACES, value: float = 5.0) -> pd.DataFrame:
    """Every measure in every place."""
    rows = [
        (f"{place}/{number}", variable, level, place, constraints, value)
        for number, (variable, constraints) in enumerate(MEASURES)
        for level, place in places
    ]
    return pd.DataFrame(rows, columns=["name", "variable", "geo_level", "geo_id", "constraints", "value"])


def toy_values(rng: np.random.Generator, n: int, *, in_order: bool) -> EntityValues:
    """Values of n households of up to four persons; units lie in the order of households, or in any."""
    household = np.sort(rng.integers(0, n, 2 * n)) if n else np.empty(0, dtype=np.int64)
    second = rng.random(len(household)) < 0.3
    _, tax_unit = np.unique(2 * household + second, return_inverse=True)
    present, spm_unit = np.unique(household, return_inverse=True)
    tax_household = np.empty(tax_unit.max(initial=-1) + 1, dtype=np.int64)
    tax_household[tax_unit] = household
    links = {"tax_unit": tax_unit.astype(np.int64), "spm_unit": spm_unit.astype(np.int64), "household": household}
    homes = {"person": household, "tax_unit": tax_household, "spm_unit": present, "household": np.arange(n)}
    if not in_order:
        homes, links = _shuffled(rng, homes, links)
    size = {entity: len(rows) for entity, rows in homes.items()}
    values = {
        "age": rng.integers(0, 90, size["person"]),
        "female": rng.random(size["person"]) < 0.5,
        "wage": np.round(rng.lognormal(1, 2, size["person"]) * (rng.random(size["person"]) < 0.5), 1),
        "agi": (rng.normal(0, 3, size["tax_unit"]) * (rng.random(size["tax_unit"]) < 0.7)).astype(np.float32),
        "status": rng.choice(["JOINT", "SINGLE", "WIDOW"], size["tax_unit"]),
        "snap": (rng.integers(0, 3, size["spm_unit"]) / 3).astype(np.float32),
        "rent": rng.integers(0, 2, n) * 10.0,
    }
    entity_of = {
        "age": "person", "female": "person", "wage": "person", "agi": "tax_unit", "status": "tax_unit",
        "snap": "spm_unit", "rent": "household",
    }  # fmt: skip
    return EntityValues(n, homes, links, values, entity_of)


def _shuffled(
    rng: np.random.Generator, homes: dict[str, np.ndarray], links: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The same units in any order; households stay where they are."""
    order = {entity: rng.permutation(len(rows)) for entity, rows in homes.items() if entity != "household"}
    place = {entity: np.argsort(rows) for entity, rows in order.items()}
    homes = {entity: rows[order[entity]] if entity in order else rows for entity, rows in homes.items()}
    links = {
        entity: (place[entity][link] if entity in place else link)[order["person"]] for entity, link in links.items()
    }
    return homes, links


def toy_clones(rng: np.random.Generator, n: int) -> Clones:
    """n clones of one household each, anywhere among the districts."""
    district = rng.choice(DISTRICTS, n).astype(np.int32)
    return Clones(
        household=np.arange(n, dtype=np.int32),
        clone=np.zeros(n, dtype=np.int32),
        block=np.zeros(n, dtype=np.int32),
        district=district,
        block_geoid=np.array([COUNTY[int(code)] + "0" * 10 for code in district], dtype=np.str_),
        inclusion=np.ones(n),
        design_weight=np.full(n, 10.0),
        n_households=n,
        n_clones=1,
        synthetic=True,
    )


def toy_states(rng: np.random.Generator, clones: Clones, *, in_order: bool = True) -> dict[str, StateValues]:
    """State values of the clones; about half as many situations as clones, some with the same values."""
    result = {}
    for fips in np.unique(clones.state_fips):
        records = np.flatnonzero(clones.state_fips == fips)
        n = max(1, len(records) // 2)
        usps = areas.state_by_fips(int(fips)).usps
        result[usps] = StateValues(
            state=usps,
            records=records,
            situation=rng.integers(0, n, len(records)).astype(np.int32),
            values=toy_values(rng, n, in_order=in_order),
            rules_version="double 1",
            inputs_sha256=INPUTS,
            placement_sha256=clones.placement_sha256,
        )
    return result
