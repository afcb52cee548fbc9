"""The clones that a pass still has to visit: all at first, later only those whose gate may be expected to open again.

A gate that is closed has no slope, so that only the price moves its alpha, downwards. It is left out, for good, when it
is closed and its chance of opening in a draw has fallen to SELDOM of the keep probability that it began with (with a
keep probability below 0.001: to nothing, as noise is limited). In the polish gates are fixed, so every closed one is
left out. Such clones are taken out of the arrays that a pass goes through, in the order of the layout; their place in
the full state says so by an alpha of DEAD_ALPHA, from which a resumed fit takes out the same ones.

What that saves and changes: on 100,000 records, 8 to 9 % of which are kept, 1,000 epochs take half the time and 3,000 a
quarter; records kept and loss change by 0.1 to 0.3 %, where another seed changes the loss by 4 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tessera.calibration.options import FitOptions
from tessera.calibration.recipe import kernels
from tessera.calibration.recipe.gates import ALPHA_LIMIT, open_shift
from tessera.matrix.calibration_matrix import Layout

DEAD_ALPHA = np.float32(-1000.0)
SHRINK_EVERY = 50  # steps between looks
WORTH_IT = 0.05  # share of the clones that has to be closed for good
SELDOM = 1e-3
NEVER = 0.99e-6  # no noise opens a gate whose chance is below the limit of the noise


@dataclass
class ActiveSet:
    """The clones that passes visit, grouped by cell.

    Attributes:
        places: their places in the layout, shape (n_active,); None for all of them.
        ptr, order, row: as in `Layout`, of the active clones.
        records: their state, float32, shape (kernels.N_COLUMNS, n_active); the full state itself if places is None.
    """

    places: npt.NDArray[np.int64] | None
    ptr: npt.NDArray[np.int64]
    order: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    records: npt.NDArray[np.float32]

    @classmethod
    def of(cls, layout: Layout, records: npt.NDArray[np.float32]) -> ActiveSet:
        """Those of a full state that are not marked as closed for good."""
        alive = records[kernels.ALPHA] != DEAD_ALPHA
        if alive.all():
            return cls(None, layout.ptr, layout.order, layout.row, records)
        places = np.flatnonzero(alive)
        ptr = np.searchsorted(places, layout.ptr).astype(np.int64)
        return cls(places, ptr, layout.order[places], layout.row[places], np.ascontiguousarray(records[:, places]))

    @property
    def work(self) -> npt.NDArray[np.int64]:
        """Work of a pass over each cell, in clones, shape (n_cells,)."""
        return np.diff(self.ptr) + 1

    def write_back(self, records: npt.NDArray[np.float32]) -> None:
        """Bring a full state up to date with the active clones."""
        if self.places is not None:
            records[:, self.places] = self.records

    def without(
        self, layout: Layout, closed: npt.NDArray[np.bool_], records: npt.NDArray[np.float32], *, always: bool = False
    ) -> ActiveSet:
        """The active set without some clones, which are marked in the full state; itself if that saves too little.

        Args:
            layout: of the matrix.
            closed: which of the active clones are closed for good, shape (n_active,).
            records: the full state, changed in place.
            always: leave them out however few they are.
        """
        if not closed.any() or (not always and closed.mean() < WORTH_IT):
            return self
        self.records[kernels.ALPHA, closed] = DEAD_ALPHA
        self.records[kernels.GATE, closed] = 0
        self.write_back(records)
        return ActiveSet.of(layout, records)


def closed_for_good(records: npt.NDArray[np.float32], options: FitOptions) -> npt.NDArray[np.bool_]:
    """Clones that are closed and not expected to open again, shape (n_active,)."""
    return np.asarray((records[kernels.ALPHA] < closing_alpha(options)) & (records[kernels.GATE] == 0))


def closing_alpha(options: FitOptions) -> np.float32:
    """The alpha below which a gate opens too seldom to be visited; minus infinity if noise always may open it."""
    chance = max(NEVER, SELDOM * options.keep_probability)
    alpha = math.log(chance / (1 - chance)) - open_shift(options)
    return np.float32(alpha if alpha > -ALPHA_LIMIT else -np.inf)
