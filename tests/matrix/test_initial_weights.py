"""Initial weights: both kinds carry a district's households; the uniform one leaves out what no target sees."""

from __future__ import annotations

import numpy as np
import pytest

from tessera.errors import ConfigError
from tessera.matrix.initial_weights import active_records, initial_weights
from tessera.matrix.joining import matrix_from_state_values
from tests.matrix.toy_states import toy_clones, toy_states, toy_targets


def test_uniform_weights_share_a_districts_households_among_active_clones() -> None:
    rng = np.random.Generator(np.random.Philox(6))
    clones = toy_clones(rng, 60)
    targets = toy_targets()
    targets = targets[targets["variable"] == "snap"].reset_index(drop=True)  # most clones have none
    matrix = matrix_from_state_values(targets, clones, toy_states(rng, clones))
    explicit = (abs(matrix.to_csr()).sum(axis=0) > 0).ravel()
    np.testing.assert_array_equal(active_records(matrix), explicit)
    assert 0 < explicit.sum() < 60
    uniform = initial_weights("uniform", matrix, clones)
    assert (uniform[~explicit] == 0).all()
    for district in np.unique(clones.district):
        here = clones.district == district
        if explicit[here].any():
            assert uniform[here].sum() == pytest.approx(clones.design_weight[here].sum())
            assert len(np.unique(uniform[here & explicit])) == 1


def test_design_weights_are_the_clones_own_and_others_are_refused() -> None:
    rng = np.random.Generator(np.random.Philox(6))
    clones = toy_clones(rng, 20)
    matrix = matrix_from_state_values(toy_targets(), clones, toy_states(rng, clones))
    np.testing.assert_array_equal(initial_weights("design", matrix, clones), clones.design_weight)
    with pytest.raises(ConfigError, match="'mine'; wanted one of design, uniform"):
        initial_weights("mine", matrix, clones)
