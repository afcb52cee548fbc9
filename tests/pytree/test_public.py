"""The names that the package offers are what they say, in whatever order they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("order", ["sorted(__all__)", "sorted(__all__, reverse=True)"])
def test_no_public_name_is_shadowed_by_a_module_of_the_same_name(order: str) -> None:
    code = (
        "import types, tessera.pytree as p\n"
        "from tessera.pytree import __all__\n"
        f"print([name for name in {order} if isinstance(getattr(p, name), types.ModuleType)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
