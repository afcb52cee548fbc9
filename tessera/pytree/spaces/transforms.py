"""Smooth maps from free internal parameters to parameters that obey a constraint. Knows no trees and no solvers.

Each transform owns `positions` of a vector y and fills them from its own internal numbers z, which obey box bounds
only. `forward` is y(z), `inverse` its inverse, `pull_back` maps a gradient (..., k) with respect to y into one with
respect to z, (..., m). With k = len(positions) and m = `n_internal`:

- `OrderedChain`  y_1 <= ... <= y_k: one anchor and k - 1 increments >= 0, y by cumulative sums. Affine, O(k).
- `BoundedChain`  the same within [L_i, U]: y_i = L_i + t_i (y_{i+1} - L_i) with t in [0, 1] and y_{k+1} = U. O(k).
- `Simplex`       y >= l, sum_i m_i y_i = S: y_i = l_i + R z_i / s with s = sum_j m_j z_j and R = S - sum_j m_j l_j;
                  one z is held at 1. No exponentials, so that zeros are reached exactly. O(k).
- `PivotedRows`   rows A y = r with r in a box: r and the entries of y that are no pivots are internal. Affine.

Covariances and correlations are in `cholesky`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]
Entries = tuple[Positions, Positions, Vector]


class Transform(Protocol):
    """What `space.Space` asks of a transform. `lower` and `upper` (m,) bound the internal numbers."""

    @property
    def positions(self) -> Positions: ...
    @property
    def lower(self) -> Vector: ...
    @property
    def upper(self) -> Vector: ...
    @property
    def affine(self) -> bool: ...
    def forward(self, z: Vector) -> Vector: ...
    def inverse(self, y: Vector) -> Vector: ...
    def pull_back(self, z: Vector, gradient: Vector) -> Vector: ...


@dataclass(frozen=True, eq=False)
class OrderedChain:
    """An increasing chain anchored at its first (`from_top` False) or last element.

    Attributes:
        positions: (k,) positions in y, in increasing order of their values.
        anchor_lower, anchor_upper: bounds of the anchor.
        from_top: anchor at the last element, from which the increments go down.
    """

    positions: Positions
    anchor_lower: float
    anchor_upper: float
    from_top: bool
    affine: bool = field(default=True, init=False)

    @property
    def lower(self) -> Vector:
        return np.concatenate([[self.anchor_lower], np.zeros(len(self.positions) - 1)])

    @property
    def upper(self) -> Vector:
        return np.concatenate([[self.anchor_upper], np.full(len(self.positions) - 1, np.inf)])

    def forward(self, z: Vector) -> Vector:
        if not self.from_top:
            return np.cumsum(z)
        steps = z.copy()
        steps[1:] *= -1
        return np.cumsum(steps)[::-1]

    def inverse(self, y: Vector) -> Vector:
        ordered = y[::-1] if self.from_top else y
        z = np.concatenate([ordered[:1], np.abs(np.diff(ordered))])
        # Start values that are unordered by rounding only were let through; they have no increment.
        z[1:][(np.diff(y)[::-1] if self.from_top else np.diff(y)) < 0] = 0
        return z

    def pull_back(self, z: Vector, gradient: Vector) -> Vector:
        ordered = gradient if self.from_top else gradient[..., ::-1]
        sums = np.cumsum(ordered, axis=-1)[..., ::-1]
        if self.from_top:
            sums[..., 1:] *= -1
        return sums


@dataclass(frozen=True, eq=False)
class BoundedChain:
    """An increasing chain within bounds of its own: each element is a share of the way from its bound to the next.

    Every chain within the bounds is reached (the map of the box [0, 1]^k is onto), but at the edges several z give the
    same y, so a solver may stop early there. Solvers that take linear constraints are given those instead.

    Attributes:
        positions: (k,) positions in y, in increasing order of their values (decreasing where `mirrored`).
        near: (k,) non-decreasing lower bounds L, finite.
        far: the common upper bound U, finite.
        mirrored: the transform holds for -y instead of y.
    """

    positions: Positions
    near: Vector
    far: float
    mirrored: bool = False
    affine: bool = field(default=False, init=False)

    @property
    def lower(self) -> Vector:
        return np.zeros(len(self.positions))

    @property
    def upper(self) -> Vector:
        return np.ones(len(self.positions))

    def _fill(self, z: Vector) -> Vector:
        values = np.empty(len(z) + 1)
        values[-1] = self.far
        for i in range(len(z) - 1, -1, -1):
            values[i] = self.near[i] + z[i] * (values[i + 1] - self.near[i])
        return values

    def forward(self, z: Vector) -> Vector:
        values = self._fill(z)[:-1]
        return -values if self.mirrored else values

    def inverse(self, y: Vector) -> Vector:
        values = np.append(-y if self.mirrored else y, self.far)
        room = values[1:] - self.near
        share = np.divide(values[:-1] - self.near, room, out=np.full(len(y), 0.5), where=room > 0)
        return np.clip(share, 0.0, 1.0)

    def pull_back(self, z: Vector, gradient: Vector) -> Vector:
        room = self._fill(z)[1:] - self.near
        total = np.array(-gradient if self.mirrored else gradient, dtype=np.float64)
        for i in range(len(z) - 1):
            total[..., i + 1] += z[i] * total[..., i]
        return total * room


@dataclass(frozen=True, eq=False)
class Simplex:
    """Groups of elements at or above floors whose weighted sum is fixed, such as the rows of a transition matrix.

    Attributes:
        positions: (k,) positions in y, group after group.
        counts: (k,) how often each element counts in the sum (m_i; above 1 where parameters are tied).
        floors: (k,) lower bounds l_i.
        starts: (g,) where each group begins among the k elements.
        remainders: (g,) R, what the floors leave of the sum; not negative.
        references: (g,) the element of each group whose internal number is held at 1. It cannot reach its floor
            exactly, so the largest start value is taken.
    """

    positions: Positions
    counts: Vector
    floors: Vector
    starts: Positions
    remainders: Vector
    references: Positions
    affine: bool = field(default=False, init=False)

    @classmethod
    def joined(cls, parts: Sequence[Simplex]) -> Simplex:
        """Several as one, so that thousands of small groups are filled at once."""
        shifts = np.cumsum([0, *(len(part.positions) for part in parts[:-1])])
        shifted = zip(parts, shifts, strict=True)
        starts, references = zip(*((part.starts + at, part.references + at) for part, at in shifted), strict=True)
        return cls(
            positions=np.concatenate([part.positions for part in parts]),
            counts=np.concatenate([part.counts for part in parts]),
            floors=np.concatenate([part.floors for part in parts]),
            starts=np.concatenate(starts),
            remainders=np.concatenate([part.remainders for part in parts]),
            references=np.concatenate(references),
        )

    @property
    def lower(self) -> Vector:
        return np.zeros(len(self.others))

    @property
    def upper(self) -> Vector:
        return np.full(len(self.others), np.inf)

    @cached_property
    def others(self) -> Positions:
        """(m,) the elements that have an internal number."""
        return np.delete(np.arange(len(self.positions)), self.references)

    @cached_property
    def _sizes(self) -> Positions:
        return np.diff(np.append(self.starts, len(self.positions)))

    def _shares(self, z: Vector) -> tuple[Vector, Vector]:
        """The internal numbers with the references put in, (k,), and their weighted sums, (g,)."""
        shares = np.ones(len(self.positions))
        shares[self.others] = z
        return shares, np.add.reduceat(self.counts * shares, self.starts)

    def forward(self, z: Vector) -> Vector:
        shares, totals = self._shares(z)
        return self.floors + shares * np.repeat(self.remainders / totals, self._sizes)

    def inverse(self, y: Vector) -> Vector:
        above = np.maximum(y - self.floors, 0.0)
        reference = np.repeat(above[self.references], self._sizes)
        # Where the floors leave nothing, any shares do.
        shares: Vector = np.divide(above, reference, out=np.ones(len(y)), where=reference > 0)
        return shares[self.others]

    def pull_back(self, z: Vector, gradient: Vector) -> Vector:
        shares, totals = self._shares(z)
        means = np.add.reduceat(gradient * shares, self.starts, axis=-1) / totals
        moved = gradient - self.counts * np.repeat(means, self._sizes, axis=-1)
        moved *= np.repeat(self.remainders / totals, self._sizes)
        result: Vector = moved[..., self.others]
        return result

    def jacobian_entries(self, z: Vector) -> Entries:
        """dy/dz as in `jacobian_entries`, group by group."""
        shares, totals = self._shares(z)
        column = np.full(len(self.positions), -1)
        column[self.others] = np.arange(len(self.others))
        rows, columns, data = [], [], []
        for start, size, total, remainder in zip(self.starts, self._sizes, totals, self.remainders, strict=True):
            part = slice(start, start + size)
            block = np.eye(size) - np.outer(shares[part], self.counts[part]) / total
            free = column[part] >= 0
            rows.append(np.repeat(np.arange(start, start + size), free.sum()))
            columns.append(np.tile(column[part][free], size))
            data.append((block[:, free] * (remainder / total)).ravel())
        return np.concatenate(rows), np.concatenate(columns), np.concatenate(data)


@dataclass(frozen=True, eq=False)
class PivotedRows:
    """Rows A y = r with r in a box, for solvers that take bounds only: the pivots follow from r and the rest of y.

    Attributes:
        positions: (k,) positions in y; the pivots are the first p of them.
        solve: (p, p) inverse of the columns of A at the pivots.
        rest: (p, k - p) the other columns of A.
        offset: (p,) what fixed parameters add to the rows.
        equal: (p,) whether a row is held at its lower limit, so that it has no internal number.
        row_lower, row_upper: (p,) limits of r.
        rest_lower, rest_upper: (k - p,) bounds of the entries that are no pivots.
    """

    positions: Positions
    solve: npt.NDArray[np.float64]
    rest: npt.NDArray[np.float64]
    offset: Vector
    equal: npt.NDArray[np.bool_]
    row_lower: Vector
    row_upper: Vector
    rest_lower: Vector
    rest_upper: Vector
    affine: bool = field(default=True, init=False)

    @property
    def lower(self) -> Vector:
        return np.concatenate([self.row_lower[~self.equal], self.rest_lower])

    @property
    def upper(self) -> Vector:
        return np.concatenate([self.row_upper[~self.equal], self.rest_upper])

    def forward(self, z: Vector) -> Vector:
        n_free = int((~self.equal).sum())
        rows = self.row_lower.copy()
        rows[~self.equal] = z[:n_free]
        others = z[n_free:]
        return np.concatenate([self.solve @ (rows - self.offset - self.rest @ others), others])

    def inverse(self, y: Vector) -> Vector:
        p = len(self.solve)
        rows = np.linalg.solve(self.solve, y[:p]) + self.rest @ y[p:] + self.offset
        return np.concatenate([np.clip(rows, self.row_lower, self.row_upper)[~self.equal], y[p:]])

    def pull_back(self, z: Vector, gradient: Vector) -> Vector:
        p = len(self.solve)
        rows = gradient[..., :p] @ self.solve
        return np.concatenate([rows[..., ~self.equal], gradient[..., p:] - rows @ self.rest], axis=-1)


def jacobian_entries(transform: Transform, z: Vector) -> Entries:
    """The entries of dy/dz of a transform: rows (among its positions), columns (among its internal numbers), values."""
    if isinstance(transform, Simplex):
        return transform.jacobian_entries(z)
    size = len(transform.positions)
    block = transform.pull_back(z, np.eye(size))
    width = block.shape[1]
    return np.repeat(np.arange(size), width), np.tile(np.arange(width), size), block.ravel()
