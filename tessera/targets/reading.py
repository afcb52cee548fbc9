"""Reading targets back: a database opened read-only, and figures from a database, a snapshot or the package.

Holds no selection rules (`selection` does) and writes nothing. A database is never kept open: each function opens the
file, reads and closes it, so that the file can be replaced at any time, by a run beside an open web interface too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tessera.errors import StorageError, TargetError
from tessera.targets.figures import COLUMNS

if TYPE_CHECKING:
    import duckdb

# Tables that every target database has; others are there if its builder writes them.
TABLES = ("sources", "strata", "stratum_constraints", "targets")
_GZIP = b"\x1f\x8b"


@contextmanager
def open_database(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A target database, read-only.

    Raises:
        TargetError: no such file, no DuckDB file, or a DuckDB file without the tables of a target database.
    """
    import duckdb

    if not database.is_file():
        raise TargetError(f"{database}: no such target database; build it with: tessera targets build --output FILE")
    try:
        connection = duckdb.connect(str(database), read_only=True)
    except duckdb.Error as error:
        raise TargetError(f"{database}: not a readable target database ({error}); build it again.") from error
    try:
        there = table_names(connection)
        missing = [name for name in TABLES if name not in there]
        if missing:
            raise TargetError(
                f"{database}: a DuckDB file without the table {missing[0]}; wanted {', '.join(TABLES)}. "
                "Name a target database, or build one with: tessera targets build --output FILE"
            )
        yield connection
    finally:
        connection.close()


def table_names(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Names of the tables and views of an open database."""
    rows = connection.execute("select table_name from information_schema.tables where table_schema = 'main'").fetchall()
    return {str(name) for (name,) in rows}


def read_table(database: Path, name: str) -> pd.DataFrame:
    """A whole table or view of a target database; an empty table without columns where the database has none such."""
    with open_database(database) as connection:
        if name not in table_names(connection):
            return pd.DataFrame()
        return connection.execute(f'select * from "{name}"').df()


def read_excluded(database: Path) -> pd.DataFrame:
    """Targets that contradict better ones critically: columns name, source, geo_level, variable, value, reason."""
    with open_database(database) as connection:
        if "excluded" not in table_names(connection):
            return pd.DataFrame(columns=["name", "source", "geo_level", "variable", "value", "reason"])
        return connection.execute(
            "select name, source, geo_level, variable, value, reason from excluded "
            "join target_overview using (target_id) order by target_id"
        ).df()


def is_snapshot(path: Path) -> bool:
    """Whether a file is compressed, as a snapshot of figures is and a database is not.

    Raises:
        TargetError: no such file.
        StorageError: the file cannot be read.
    """
    if not path.is_file():
        raise TargetError(f"{path}: no such file; wanted a target database or a snapshot of figures (*.csv.gz).")
    try:
        with path.open("rb") as handle:
            return handle.read(len(_GZIP)) == _GZIP
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error}).") from error


def read_figures(path: Path | None = None) -> pd.DataFrame:
    """Figures with the columns of `figures.COLUMNS`, in the order of the file.

    Args:
        path: a target database, or a table that `write_snapshot` wrote; the packaged figures by default.

    Raises:
        TargetError: no such file, or neither of the two.
        SourceError: a damaged snapshot, or one of another version.
    """
    from tessera.targets import snapshot

    if path is None:
        return snapshot.load_snapshot()
    if is_snapshot(path):
        return snapshot.read_snapshot(path.read_bytes(), str(path))
    with open_database(path) as connection:
        columns = ", ".join(f'"{column}"' for column in COLUMNS)
        return connection.execute(
            f"select {columns} from targets join strata using (stratum_id) join sources using (source_id) "
            "order by target_id"
        ).df()
