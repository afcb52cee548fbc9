"""The block table of the official files: residents, district and crosswalk of every populated block of the 2020 census.

Joins what `block_files` reads, state by state, then the national files. The rules, by which nothing is lost unseen:

- Blocks in which nobody lives are left out and counted: no clone can be placed there.
- A populated block must lie in a district and a PUMA. One in no district ("ZZ") or absent from the equivalency file is
  refused; unpopulated ones are counted.
- A block that a file names and the redistricting file of its state does not have is refused: the files are of different
  censuses, or one of them is cut short. So is a block that a file names twice.
- Block assignment files list every block of a state: one that lacks a populated block is refused. The ZCTA file need
  not; a state none of whose blocks has a ZCTA is refused.
- Counties must be among those of the engine's county names (`county_shares`), which otherwise takes another county
  without a word.

Memory: a state at a time while its files are read, then 48 bytes a block of all 8.1 million and 59 a populated one:
1 GB at most, measured on files of that size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tessera.errors import GeographyError, SourceError
from tessera.geography import areas, county_shares
from tessera.geography.areas import State
from tessera.geography.block_files import (
    BLOCK_DIGITS,
    NO_DISTRICT,
    TRACT_DIGITS,
    Coded,
    Layer,
    Numbers,
    read_assignment,
    read_cbsas,
    read_districts,
    read_population,
    read_tract_pumas,
    read_zctas,
)
from tessera.geography.blocks import BlockCounts, Blocks
from tessera.geography.county_cbsa import lookup
from tessera.geography.crosswalk import WIDTHS, Codes, crosswalk_of
from tessera.geography.official_files import BlockFiles, block_files, check_present
from tessera.parallel import fork_map

_LAYERS: tuple[Layer, ...] = ("sldu", "sldl", "place", "vtd")
_PER_TRACT, _PER_COUNTY = 10 ** (BLOCK_DIGITS - TRACT_DIGITS), 10 ** (BLOCK_DIGITS - 5)
_PER_STATE = 10 ** (BLOCK_DIGITS - 2)
_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _StateBlocks:
    """All blocks of a state, ascending, with the layers of its own files."""

    block: Numbers
    people: npt.NDArray[np.int32]
    layers: dict[Layer, Codes]
    absent: tuple[str, ...]


def official_blocks(raw: Path, files: BlockFiles | None = None, workers: int = 1) -> Blocks:
    """Every populated block of the 50 states and DC.

    Args:
        raw: folder of source files, in which the block files have their catalogue paths.
        files: the catalogue; the 2020 census if not given.
        workers: processes that read states side by side.

    Raises:
        SourceError: a file is absent, damaged, of another release or contradicts another.
        GeographyError: a county that the engine does not know, or a district in which nobody lives.
    """
    wanted = block_files() if files is None else files
    check_present(raw, wanted)
    parts = fork_map(lambda state: _read_state(raw, wanted, state), areas.states(), workers)
    block = np.concatenate([part.block for part in parts])
    people = np.concatenate([part.people for part in parts])
    district, outside = _districts(raw / wanted.equivalency.path, block, people)
    layers: dict[str, Codes] = {name: np.concatenate([part.layers[name] for part in parts]) for name in _LAYERS}
    absent = tuple(name for part in parts for name in part.absent)
    del parts
    layers["puma"] = _pumas(raw / wanted.tract_pumas.path, block, people)
    layers["zcta"] = _zctas(raw / wanted.zctas.path, block)
    layers["cbsa_code"] = _cbsas(raw / wanted.cbsas.path, block)
    rows = np.flatnonzero(people > 0)
    rows = rows[np.argsort(district[rows], kind="stable")]
    counts = BlockCounts(
        in_files=len(block),
        unpopulated=len(block) - len(rows),
        without_district=int((district == NO_DISTRICT).sum()),
        outside_states=outside,
        absent_layers=absent,
    )
    check_counties(block[rows], people[rows])
    crosswalk = crosswalk_of({name: codes[rows] for name, codes in layers.items()}, len(rows))
    del layers
    table = Blocks(_text(block[rows]), people[rows].astype(np.int64), district[rows], False, crosswalk, counts)
    return table.validate("official blocks")


def check_counties(block: Numbers, people: npt.NDArray[np.integer]) -> None:
    """Refuse counties that the engine's county names lack, with the people who live there.

    Raises:
        GeographyError: names them.
    """
    county, inverse = np.unique(block // _PER_COUNTY, return_inverse=True)
    known = county_shares.load()["county_fips"].astype("int64").to_numpy()
    unknown = np.flatnonzero(~np.isin(county, known))
    if unknown.size:
        residents = np.bincount(inverse, people, minlength=len(county))
        listed = ", ".join(f"{county[index]:05d} ({residents[index]:,.0f} people)" for index in unknown)
        raise GeographyError(
            f"official blocks: counties {listed} are not among the 3,143 of the 2020 census whose names the rules "
            "engine has; it would take another county of the state for them. Use block files of the 2020 census "
            "(Connecticut: counties 09001 to 09015, not planning regions)."
        )


def _read_state(raw: Path, files: BlockFiles, state: State) -> _StateBlocks:
    block, people = read_population(raw / files.population[state.usps].path, state)
    path = raw / files.assignment[state.usps].path
    layers: dict[Layer, Codes] = {}
    absent = []
    for layer in _LAYERS:
        coded = read_assignment(path, state, layer)
        layers[layer] = np.zeros(len(block), dtype=f"S{WIDTHS[layer]}")
        if coded is None:
            absent.append(f"{state.usps} {layer}")
            continue
        listed = _fill(layers[layer], block, [coded], f"{path} ({layer})")
        lacking = np.flatnonzero(~listed & (people > 0))
        if lacking.size:
            raise SourceError(
                f"{path}: its {layer} file lacks {lacking.size} populated block(s), block "
                f"{_name(block[lacking[0]])} first; wanted every block of {state.name}. The file is truncated or of "
                f"another census: get it again from {files.assignment[state.usps].url}."
            )
    return _StateBlocks(block, people, layers, tuple(absent))


def _districts(path: Path, block: Numbers, people: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int32], int]:
    """District code of every block, `NO_DISTRICT` for unpopulated ones in none; and blocks of the file elsewhere."""
    read = read_districts(path)
    district = np.zeros(len(block), dtype=np.int32)
    listed = np.zeros(len(block), dtype=bool)
    place = _places(block, read.block, str(path))
    _mark(listed, place, read.block, str(path))
    district[place] = read.district
    homeless = np.flatnonzero((district == NO_DISTRICT) & (people > 0))
    if homeless.size:
        first = int(homeless[0])
        why = "lies in no district (ZZ)" if listed[first] else "is absent from the file"
        raise SourceError(
            f"{path}: block {_name(block[first])} with {people[first]:,} residents {why}; {homeless.size} populated "
            f"block(s) with {int(people[homeless].sum()):,} people have no district of the {areas.CONGRESS}th "
            "Congress. The file is truncated or of another release: get it again."
        )
    return district, read.outside_states


def _pumas(path: Path, block: Numbers, people: npt.NDArray[np.int32]) -> Codes:
    read = read_tract_pumas(path)
    order = np.argsort(read.key, kind="stable")
    key = read.key[order]
    twice = np.flatnonzero(key[1:] == key[:-1])
    if twice.size or not len(key):
        seen = f"tract {key[twice[0]]:0{TRACT_DIGITS}d} occurs twice" if twice.size else "no tract is listed"
        raise SourceError(f"{path}: {seen}; wanted every tract once. Delete the file and fetch it again.")
    puma = lookup(key, read.code[order], block // _PER_TRACT)
    without = np.flatnonzero((puma == b"") & (people > 0))
    if without.size:
        raise SourceError(
            f"{path}: {without.size} populated block(s) lie in a tract without a PUMA, block "
            f"{_name(block[without[0]])} first; wanted every tract of the 2020 census. The file is truncated or of "
            "another census: get it again."
        )
    return puma


def _zctas(path: Path, block: Numbers) -> Codes:
    zcta = np.zeros(len(block), dtype="S5")
    states = np.array([state.fips for state in areas.states()])
    pieces = (_inside(coded, states) for coded in read_zctas(path))
    _fill(zcta, block, pieces, str(path))
    with_code = np.unique(block[zcta != b""] // _PER_STATE)
    lacking = np.setdiff1d(np.unique(block // _PER_STATE), with_code)
    if lacking.size:
        raise SourceError(
            f"{path}: no block of {areas.state_by_fips(int(lacking[0])).name} has a ZCTA ({lacking.size} such states). "
            "The file is truncated: delete it and fetch it again."
        )
    return zcta


def _cbsas(path: Path, block: Numbers) -> Codes:
    county, area = read_cbsas(path)
    if not len(county):
        raise SourceError(f"{path}: lists no county; wanted the delineation list 1 of March 2020. Fetch it again.")
    return lookup(county.astype("i8"), area, block // _PER_COUNTY)


def _inside(coded: Coded, states: npt.NDArray[np.int64]) -> Coded:
    kept = np.isin(coded.key // _PER_STATE, states)
    return Coded(coded.key[kept], coded.code[kept])


def _fill(target: Codes, block: Numbers, pieces: Iterable[Coded], where: str) -> _Flags:
    """Put codes at their blocks; returns which blocks were listed."""
    listed = np.zeros(len(block), dtype=bool)
    for coded in pieces:
        place = _places(block, coded.key, where)
        _mark(listed, place, coded.key, where)
        target[place] = coded.code
    return listed


def _places(block: Numbers, key: Numbers, where: str) -> npt.NDArray[np.int64]:
    """Row of each key in the ascending table of blocks; refuses keys that are not there."""
    place = np.minimum(np.searchsorted(block, key), len(block) - 1)
    absent = np.flatnonzero(block[place] != key)
    if absent.size:
        raise SourceError(
            f"{where}: block {_name(key[absent[0]])} ({absent.size} such) is in no redistricting file, so that its "
            "population is not known. Use files of the 2020 census, and fetch the state's redistricting file again."
        )
    return place


def _mark(listed: _Flags, place: npt.NDArray[np.int64], key: Numbers, where: str) -> None:
    """Note which rows a file has named; refuses one that it names twice."""
    ordered = np.sort(place)
    twice = np.append(place[listed[place]], ordered[1:][ordered[1:] == ordered[:-1]])
    if twice.size:
        code = key[int(np.flatnonzero(place == twice[0])[0])]
        raise SourceError(
            f"{where}: block {_name(code)} occurs twice; wanted once. Delete the file and fetch it again."
        )
    listed[place] = True


def _name(block: np.int64) -> str:
    return f"{block:0{BLOCK_DIGITS}d}"


def _text(block: Numbers) -> npt.NDArray[np.bytes_]:
    """Block numbers as 15 ASCII digits."""
    digits = np.empty((len(block), BLOCK_DIGITS), dtype=np.uint8)
    rest = block.copy()
    for column in range(BLOCK_DIGITS - 1, -1, -1):
        digits[:, column] = 48 + rest % 10
        rest //= 10
    return digits.view(f"S{BLOCK_DIGITS}").reshape(-1)
