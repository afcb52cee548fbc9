"""The rules engine as a resource: one a process, loaded when a step first asks for it."""

from typing import Any

import dagster as dg

# One a process: loading takes half a minute and a gigabyte, and a run of many steps in one process must not repeat it.
_ENGINES: dict[str, Any] = {}


class RulesEngine(dg.ConfigurableResource):
    """Gives assets the engine that `tessera.rules` adapts."""

    name: str = "policyengine-us"

    def get(self) -> Any:
        """The engine of this process, a `tessera.rules.engine.Rules`."""
        from tessera.rules.engine import PolicyEngine

        return _ENGINES.setdefault(self.name, PolicyEngine())
