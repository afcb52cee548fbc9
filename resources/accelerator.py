"""The device that fits run on. This version has CPU kernels only, and refuses `cuda` with a message."""

import dagster as dg


class Accelerator(dg.ConfigurableResource):
    """Where the fit runs.

    Attributes:
        device: `auto` or `cpu`; `cuda` is refused until there are kernels for it.
    """

    device: str = "auto"
