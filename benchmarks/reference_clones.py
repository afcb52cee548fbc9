"""The public reference's assignment of clones, re-stated from a description of it, to be timed.

Clone by clone, every household draws one of all blocks with replacement: those of high income with the blocks' chances
times their district's income, the others with the blocks' chances alone. A household whose district equals that of any
of its earlier clones draws again, up to fifty times; what still collides stays. Every draw of some households is one
call of `Generator.choice` with the chances of all blocks, which sums them up anew.

It is kind to the reference in one respect: districts are compared as small integers, not as Python strings.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

PASSES = 50


@dataclass(frozen=True)
class ReferenceRun:
    """What an assignment took and what came of it.

    Attributes:
        seconds: in all.
        choices: calls of `choice`.
        choice_seconds: in these calls.
        collisions: clones that share a district with an earlier clone of their household.
    """

    seconds: float
    choices: int
    choice_seconds: float
    collisions: int


def assign(n_clones: int, top: np.ndarray, chances: np.ndarray, top_chances: np.ndarray, district: np.ndarray,
           seed: int) -> ReferenceRun:  # fmt: skip
    """Time the assignment.

    Args:
        n_clones: of each household.
        top: which households have a high income, bool, (n_households,).
        chances, top_chances: of each block, (n_blocks,), each summing to one.
        district: index of each block's district, (n_blocks,) int16.
        seed: of the generator.
    """
    rng = np.random.default_rng(seed)
    placed = np.empty((n_clones, len(top)), dtype=np.int16)
    timer = _Choices(rng, chances, top_chances, district)
    collisions = 0
    begun = time.perf_counter()
    for clone in range(n_clones):
        timer.draw(placed[clone], np.ones(len(top), dtype=bool), top)
        for _ in range(PASSES):
            collides = _collides(placed, clone)
            if not collides.any():
                break
            timer.draw(placed[clone], collides, top)
        else:
            collides = _collides(placed, clone)
        collisions += int(collides.sum())
    return ReferenceRun(time.perf_counter() - begun, timer.calls, timer.seconds, collisions)


def choice_seconds(chances: np.ndarray, seed: int, calls: int = 5) -> float:
    """Seconds of one call of `choice` for a few households."""
    rng = np.random.default_rng(seed)
    begun = time.perf_counter()
    for _ in range(calls):
        rng.choice(len(chances), size=100, p=chances)
    return (time.perf_counter() - begun) / calls


def _collides(placed: np.ndarray, clone: int) -> np.ndarray:
    collides = np.zeros(placed.shape[1], dtype=bool)
    for earlier in range(clone):
        collides |= placed[earlier] == placed[clone]
    return collides


class _Choices:
    """Draws districts of blocks, and keeps the time that `choice` takes."""

    def __init__(
        self, rng: np.random.Generator, chances: np.ndarray, top_chances: np.ndarray, district: np.ndarray
    ) -> None:
        self._rng, self._chances, self._district = rng, {False: chances, True: top_chances}, district
        self.calls, self.seconds = 0, 0.0

    def draw(self, placed: np.ndarray, wanted: np.ndarray, top: np.ndarray) -> None:
        for of_top in (True, False):
            rows = np.flatnonzero(wanted & (top == of_top))
            if rows.size:
                begun = time.perf_counter()
                block = self._rng.choice(len(self._district), size=rows.size, p=self._chances[of_top])
                self.seconds += time.perf_counter() - begun
                self.calls += 1
                placed[rows] = self._district[block]
