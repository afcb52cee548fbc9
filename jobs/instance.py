"""The Dagster home of a store: made once, before any other process opens it, and never shared half-made.

Several processes on an empty home can leave it broken for good (competing schema migrations), so the home is
initialised here under a lock, and everything else opens it afterwards.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml

from tessera.store import write_text

CONFIG = {
    "telemetry": {"enabled": False},
    "concurrency": {"runs": {"max_concurrent_runs": 2}, "pools": {"granularity": "op", "default_limit": 1}},
    "run_monitoring": {
        "enabled": True,
        "start_timeout_seconds": 300,
        "free_slots_after_run_end_seconds": 60,
        "max_runtime_seconds": 43200,
    },
    "run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False},
    # The library logs through `logging`; these lines show in the UI. The root logger is left alone on purpose.
    "python_logs": {"managed_python_loggers": ["tessera"], "python_log_level": "INFO"},
}


@contextmanager
def open_home(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a home, made if it is not there; sets DAGSTER_HOME for this process and its children."""
    home.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(home)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        config = home / "dagster.yaml"
        if not config.exists():
            write_text(config, yaml.safe_dump(CONFIG, sort_keys=False))
            # Marks the web UI's welcome dialogue as seen, which would cover the graph on the first visit.
            write_text(home / ".nux" / "nux.yaml", "seen: 1\n")
        with dg.DagsterInstance.from_config(str(home)) as instance:
            instance.get_runs_count()
            fcntl.flock(lock, fcntl.LOCK_UN)
            yield instance
