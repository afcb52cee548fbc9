"""Where a fit runs: the choice between the CPU's kernels and a CUDA device, and what falling back costs.

torch is imported only on a machine with NVIDIA's driver: the import takes seconds and some 200 MB. What a fit needs in
a device's memory is in `memory`, the steps in `epochs` (CPU) and `torch_epochs`.
"""

from __future__ import annotations

import ctypes
import logging
import sys

from tessera.calibration.options import Device
from tessera.errors import FitError

_LOGGER = logging.getLogger(__name__)
# A pass over the clones waits for memory, so the ratio of the devices' bandwidths is that of their times.
FALLBACK_COST = (
    "the fit runs on the CPU. The result is the same within rounding, but an epoch waits for memory: main memory moves "
    "20 to 100 GB/s, a GPU's 300 to 4,800, so expect ten to a hundred times as long an epoch"
)


def choose_device(wanted: Device) -> str:
    """`cuda` or `cpu` for a wish of `auto`, `cpu` or `cuda`; warns in the log where `auto` falls back to the CPU.

    Raises:
        FitError: `cuda` where there is none; says why.
    """
    if wanted == "cpu":
        return "cpu"
    lack = cuda_lack()
    if not lack:
        return "cuda"
    if wanted == "cuda":
        raise FitError(
            f"FitOptions.device is 'cuda', but {lack}. Use device='auto' or 'cpu' (the same fit, ten to a hundred "
            "times slower an epoch), or run on a machine with an NVIDIA GPU, its driver and a CUDA build of torch."
        )
    _LOGGER.warning("device='auto': %s; %s. Ask for device='cpu' to silence this.", lack, FALLBACK_COST)
    return "cpu"


def cuda_lack() -> str:
    """What this machine lacks for CUDA through torch; "" if nothing."""
    if not _has_driver():
        return "this machine has no NVIDIA driver"
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a build without CUDA"
    return "" if torch.cuda.is_available() else "torch finds no CUDA device that it can use"


def _has_driver() -> bool:
    """Whether the driver's library can be loaded; without it no program uses CUDA."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
