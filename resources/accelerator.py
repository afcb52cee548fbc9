"""The device that fits run on: the CPU kernels, or a GPU where there is one."""

import dagster as dg


class Accelerator(dg.ConfigurableResource):
    """Where the fit runs.

    Attributes:
        device: `auto` takes a GPU where there is one and the CPU otherwise; `cpu` and `cuda` insist.
    """

    device: str = "auto"
