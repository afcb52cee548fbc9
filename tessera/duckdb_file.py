"""Writing DuckDB files so that a full disk is an `OSError`, as it is for every other file, and leaves nothing behind.

Holds one context manager; `store.atomic_path` around it puts the finished file in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


@contextmanager
def new_duckdb(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A new database, open for writing, in place of whatever is there.

    Raises:
        OSError: DuckDB could not write or commit; its message says why.
    """
    import duckdb

    path.unlink(missing_ok=True)  # DuckDB creates the file itself and takes an empty one for a damaged one
    try:
        with duckdb.connect(str(path)) as connection:
            yield connection
    except (duckdb.IOException, duckdb.TransactionException, duckdb.FatalException) as error:
        raise OSError(str(error)) from error
    finally:
        # The log of a database that could not be closed in order.
        path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
