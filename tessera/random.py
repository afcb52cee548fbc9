"""Counter-based uniform draws: one function, used by clones, take-up, imputation and synthetic sources.

A draw is a pure function of its labels: `uniform(variable, household_id, entity_index, clone)` gives the same number in
the matrix, in an area file, in a chunk and on any number of workers. There is no state and no order.

Algorithm, for twins in other languages; all arithmetic on unsigned 64-bit integers, modulo 2**64:

    key   = first 8 bytes, little endian, of blake2b(variable encoded as UTF-8, digest_size=8)
    x     = key
    for part in (household_id, entity_index, clone):          # each as unsigned 64-bit, two's complement
        x = mix(x * 0x9E3779B97F4A7C15 + part + 0xD1B54A32D192ED03)
    u     = min(((x >> 11) + 0.5) * 2**-53, 1 - 2**-53)       # in float64; open interval (0, 1)

with `mix` the finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators",
OOPSLA): x ^= x >> 30; x *= 0xBF58476D1CE4E5B9; x ^= x >> 27; x *= 0x94D049BB133111EB; x ^= x >> 31. For each x, mix
and the step before it are one-to-one in `part`: draws of one variable whose labels differ in one place alone come from
different x. Shifts are logical: zeros come in. In float64 the sum rounds half to even from 2**52 on: draws above
one half are multiples of 2**-52, and the last of them would be 1 were it not for the minimum.

Test vectors, which stored clones and take-up depend on:

    variable                     household_id  entity_index  clone  draw
    snap                                    0             0      0  0.005542446055522732
    snap                                    1             0      0  0.6482653303192265
    snap                                    0             1      0  0.6255588444490976
    snap                                    0             0      1  0.7145084472628782
    takes_up_snap_if_eligible/42    123456789             3    429  0.42381229588569297
    é                                      -1 1099511627776      7  0.6534522000283511

Twins, equal to the bit: `tessera.random_numba`, with functions of one draw for compiled kernels to call, and
`tessera.random_torch`.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_OFFSET = np.uint64(0xD1B54A32D192ED03)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
BELOW_ONE = 1.0 - 2.0**-53

IntegerArray = npt.NDArray[np.integer]


def uniform(
    variable: str,
    household_id: IntegerArray | int,
    entity_index: IntegerArray | int = 0,
    clone: IntegerArray | int = 0,
) -> npt.NDArray[np.float64]:
    """Uniform draws in the open interval (0, 1), one for each broadcast element of the three integer arguments.

    Args:
        variable: Name of what is drawn, with a seed if one is wanted ("takes_up_snap_if_eligible", "blocks/42").
        household_id: The household of the base file, any shape.
        entity_index: Position of the entity within its household (0 for the first person, tax unit, ...).
        clone: Number of the clone.

    Returns:
        float64 array of the broadcast shape.
    """
    state = np.array(label_key(variable), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for part in (household_id, entity_index, clone):
            unsigned = np.asarray(part).astype(np.int64).view(np.uint64)
            state = _mix(state * _GOLDEN + unsigned + _OFFSET)
    return np.minimum(((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53, BELOW_ONE)


def label_key(variable: str) -> int:
    """The first state of a variable's draws, an unsigned 64-bit integer: what twins start from."""
    return int.from_bytes(hashlib.blake2b(variable.encode("utf-8"), digest_size=8).digest(), "little")


def generator(label: str, seed: int) -> np.random.Generator:
    """A numpy Generator whose stream depends only on a label and a seed, for draws with no entity to name.

    Used where an algorithm needs a stream (synthetic sources, forests); draws about a clone use `uniform`.
    """
    key = hashlib.blake2b(f"{label}/{seed}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))
