"""The draws of `tessera.random` with torch, on any of its devices; equal to it to the bit.

Torch computes with signed 64-bit integers only. Products and sums wrap as unsigned ones do. A right shift repeats the
sign, so that the bits it brings in are masked away.
"""

from __future__ import annotations

import torch

from tessera.random import BELOW_ONE, label_key


def uniform(
    variable: str,
    household_id: torch.Tensor | int,
    entity_index: torch.Tensor | int = 0,
    clone: torch.Tensor | int = 0,
    *,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """`tessera.random.uniform` as a tensor.

    Args:
        variable, household_id, entity_index, clone: as there; tensors of whole numbers, or numbers.
        device: of the result, and where it is computed.

    Returns:
        float64 tensor of the broadcast shape, on the device.
    """
    state = torch.tensor(_signed(label_key(variable)), dtype=torch.int64, device=device)
    for part in (household_id, entity_index, clone):
        label = torch.as_tensor(part, device=device).to(torch.int64)
        state = _mix(state * _GOLDEN + label + _OFFSET)
    return ((_shift(state, 11).to(torch.float64) + 0.5) * 2.0**-53).clamp(max=BELOW_ONE)


def _signed(number: int) -> int:
    """The signed 64-bit integer with the bits of an unsigned one."""
    return number - 2**64 if number >= 2**63 else number


def _shift(x: torch.Tensor, bits: int) -> torch.Tensor:
    """x >> bits as of an unsigned number: zeros come in from the left."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: torch.Tensor) -> torch.Tensor:
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_OFFSET = _signed(0xD1B54A32D192ED03)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)
