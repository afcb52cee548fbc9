"""The engine's input variables and their entities, as a table, so that no stage has to load the engine to know them.

Made from policyengine-us by `python -m tessera.areas.inputs`; a test compares it with the installed engine.
"""

from __future__ import annotations

import csv
import io
from functools import cache
from importlib import resources
from pathlib import Path

from tessera.store import write_text

_FILE = "inputs.csv"
# A yearly value of a monthly variable that is true or false, or names a kind, holds in every month.
_PERIODS = ("year", "eternity", "month")


@cache
def input_variables() -> dict[str, str]:
    """Input variable -> entity, for every variable of policyengine-us without a formula."""
    text = resources.files("tessera.areas").joinpath(_FILE).read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["variable"]: row["entity"] for row in rows}


def table_from_engine() -> str:
    """The table, as CSV text, from the installed engine. Loads the engine (half a minute)."""
    from importlib.metadata import version

    from policyengine_us.system import system

    out = io.StringIO()
    out.write(
        f"# Input variables of policyengine-us {version('policyengine-us')}; made by python -m tessera.areas.inputs\n"
    )
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["variable", "entity"])
    for name, variable in sorted(system.variables.items()):
        computed = variable.formulas or getattr(variable, "adds", None) or getattr(variable, "subtracts", None)
        if not computed and variable.definition_period in _PERIODS:
            writer.writerow([name, variable.entity.key])
    return out.getvalue()


if __name__ == "__main__":
    write_text(Path(__file__).with_name(_FILE), table_from_engine())
