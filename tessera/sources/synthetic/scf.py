"""Writes a synthetic SCF: the summary extract `scfpYYYYs.zip` with the Stata file `rscfpYYYY.dta`, five implicates a
family, and car loans of the full data set, `scfYYYYs.zip` with `pYYi6.dta`.

Names are lower case and WGT is divided by five, as in the official file. Wealth is drawn with a heavy top tail and
scaled to national totals (Federal Reserve, SCF 2022 and Z.1, rounded); the implicates of a family differ by noise.
Marked synthetic.
"""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.random import generator
from tessera.sources.scf import IMPLICATES, full_data_set
from tessera.sources.synthetic.archive import write_zip
from tessera.sources.synthetic.dollars import in_dollars_of
from tessera.sources.synthetic.draws import Floats, heavy, scaled, stratified
from tessera.sources.synthetic.homes import MONEY
from tessera.sources.synthetic.people import CHILD, REFERENCE
from tessera.sources.synthetic.population import Population, draw_population

WRITER = "scf"
LOANS = (("X2218", "X2219"), ("X2318", "X2319"), ("X2418", "X2419"), ("X7169", "X7170"))
_STAMP = datetime(1980, 1, 1)
# Total in dollars, spread of logs, Pareto exponent of the tail, share of holders at middling wealth.
_ASSETS = {
    "LIQ": (8.0e12, 1.5, 1.5, 0.98), "CDS": (0.9e12, 1.2, 1.8, 0.07), "STOCKS": (11e12, 1.8, 1.2, 0.21),
    "NMMF": (10e12, 1.7, 1.25, 0.12), "BOND": (1.1e12, 1.6, 1.3, 0.02), "RETQLIQ": (27e12, 1.5, 1.7, 0.54),
    "BUSINESS": (33e12, 1.8, 1.2, 0.15), "OTHER": (23e12, 1.6, 1.3, 0.30), "VEHIC": (3.6e12, 0.8, 4.0, 0.87),
}  # fmt: skip
_DEBTS = {"VEH_INST": (1.5e12, 0.7, 0.35), "EDN_INST": (1.3e12, 0.9, 0.22), "CCBAL": (0.35e12, 1.0, 0.45)}


def write(folder: Path, *, families: int, year: int, seed: int) -> Path:
    """Write the archive of one survey year.

    Args:
        folder: where to write; made if absent.
        families: sample families; the file has five rows for each.
        year: survey year.
        seed: same arguments, same bytes.
    """
    population = in_dollars_of(draw_population(families, seed=seed, label=WRITER), year)
    table = _implicates(generator(WRITER, seed), _families(generator(f"{WRITER}/families", seed), population))
    settings = {"families": families, "year": year}
    extract = folder / f"scfp{year}s.zip"
    loans = _loans(generator(f"{WRITER}/loans", seed), table)
    full = {f"p{year % 100:02d}i6.dta": _stata(loans)}
    write_zip(full_data_set(extract, year), full, writer=WRITER, seed=seed, settings=settings)
    members = {f"rscfp{year}.dta": _stata(table)}
    return write_zip(extract, members, writer=WRITER, seed=seed, settings=settings)


def _stata(table: pd.DataFrame) -> bytes:
    content = io.BytesIO()
    table.rename(columns=str.lower).to_stata(content, write_index=False, time_stamp=_STAMP, version=118)
    return content.getvalue()


def _families(rng: np.random.Generator, population: Population) -> pd.DataFrame:
    person, home, n = population.person, population.household, len(population.household)
    reference = person[person["role"] == REFERENCE]
    household = person["household"].to_numpy()

    def total(*names: str) -> Floats:
        amount = person[list(names)].to_numpy(dtype=np.float64).sum(axis=1)
        return np.bincount(household, weights=amount).astype(np.float64)

    children = np.bincount(household, weights=(person["role"] == CHILD).to_numpy()).astype(np.int64)
    race = np.array((0, 1, 2, 5, 4, 5, 5, 5, 5))[reference["race"].to_numpy()]
    race = np.where(reference["hispanic"].to_numpy() > 0, 3, race)
    paired = (reference["spouse"] > 0) | (reference["partner"] > 0)
    table = pd.DataFrame({
        "WGT": home["weight"] / IMPLICATES, "AGE": reference["age"].to_numpy(),
        "HHSEX": 1 + reference["female"].to_numpy(),
        "RACE": race, "MARRIED": np.where(paired, 1, 2), "KIDS": children,
        "EDUC": reference["education"].to_numpy() - 31,
        "INCOME": total(*MONEY, "capital_gains"), "WAGEINC": total("wages"),
        "BUSSEFARMINC": total("self_employment", "farm", "rent"), "INTDIVINC": total("interest", "dividends"),
        "KGINC": total("capital_gains"), "SSRETINC": total("social_security", "pension", "annuity", "distributions"),
        "TRANSFOTHINC": total("unemployment", "public_assistance", "ssi", "child_support"),
        "RENT": home["rent_paid"] / 12, "HOUSES": home["value"],
    })  # fmt: skip
    wealth = reference["wealth_rank"].to_numpy() / 100
    weight = home["weight"].to_numpy(dtype=np.float64)
    for name, (amount, sigma, alpha, share) in _ASSETS.items():
        holds = rng.random(n) < np.clip(share * (0.3 + 1.4 * wealth), 0, 0.99)
        value = heavy(stratified(rng, n), median=1.0, sigma=sigma, alpha=alpha) * np.exp(3.2 * wealth)
        table[name] = scaled(np.where(holds, value, 0.0), weight, amount)
    for name, (amount, sigma, share) in _DEBTS.items():
        holds = rng.random(n) < share
        table[name] = scaled(
            np.where(holds, heavy(stratified(rng, n), median=1.0, sigma=sigma, alpha=4.0), 0.0), weight, amount
        )
    # Loans on vehicles are of who has one.
    table["VEH_INST"] = np.where(table["VEHIC"] > 0, table["VEH_INST"], 0.0)
    adults = np.bincount(household, weights=person["age"].to_numpy() >= 18)
    table["NOWN"] = np.where(table["VEHIC"] > 0, np.clip(rng.binomial(adults.astype(np.int64) + 1, 0.55), 1, 6), 0)
    owed = np.where(home["mortgage"] == 1, home["value"] * rng.uniform(0.15, 0.85, n), 0.0)
    return table.assign(MRTHEL=owed)


def _implicates(rng: np.random.Generator, family: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for implicate in range(1, IMPLICATES + 1):
        noise = np.exp(rng.normal(0.0, 0.08, len(family)))
        part = family.copy()
        for name in (*_ASSETS, *_DEBTS):
            part[name] = np.round(part[name] * noise)
        part.insert(0, "Y1", (np.arange(len(family)) + 1) * 10 + implicate)
        part.insert(0, "YY1", np.arange(len(family)) + 1)
        parts.append(part)
    table = pd.concat(parts, ignore_index=True).sort_values("Y1", ignore_index=True)
    table["EQUITY"] = table["STOCKS"] + table["NMMF"]
    table["ASSET"] = table[[*_ASSETS, "HOUSES"]].sum(axis=1)
    table["DEBT"] = table[[*_DEBTS, "MRTHEL"]].sum(axis=1)
    table = table.assign(NETWORTH=table["ASSET"] - table["DEBT"]).rename(columns={"BUSINESS": "BUS"})
    return table.assign(NNRESRE=np.round(0.2 * table["OTHER"]), ORESRE=0.0, RESDBT=0.0).drop(columns="OTHER")


def _loans(rng: np.random.Generator, table: pd.DataFrame) -> pd.DataFrame:
    """Balances and rates by car: one loan, or two of unequal size; rates of 0 to 15 percent."""
    owed = table["VEH_INST"].to_numpy(dtype=np.float64)
    second = np.where((owed > 0) & (rng.random(len(table)) < 0.3), np.round(owed * 0.35), 0.0)
    loans = pd.DataFrame({"YY1": table["YY1"], "Y1": table["Y1"]})
    for (balance, rate), amount in zip(LOANS, (owed - second, second, 0.0 * owed, 0.0 * owed), strict=True):
        percent = np.clip(rng.gamma(4.0, 1.5, len(table)), 0.0, 15.0)
        # No loan is 0 in either column, a loan without interest has rate -1.
        hundredths = np.where(percent < 1.0, -1.0, np.round(percent * 100))
        loans = loans.assign(**{balance: amount, rate: np.where(amount > 0, hundredths, 0.0)})
    return loans
