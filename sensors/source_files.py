"""A sensor on the store's folder of source files: a new or changed file starts the job that reads the sources.

Files that the synthetic writers made are marked by a sidecar and do not count: the job itself writes them.
"""

import hashlib
from pathlib import Path

import dagster as dg

from resources.settings import Settings

_PARTIAL = (".part", ".tmp", ".crdownload")


@dg.sensor(
    job_name="build_sources",
    minimum_interval_seconds=60,
    description="Starts the sources job when a file in raw/ is new or changed.",
    default_status=dg.DefaultSensorStatus.STOPPED,
)
def new_source_files(context: dg.SensorEvaluationContext, settings: Settings) -> dg.SensorResult | dg.SkipReason:
    """One run for each state of the folder; the cursor is the state last seen."""
    folder = settings.paths.raw
    files = source_files(folder)
    if not files:
        return dg.SkipReason(f"no source file in {folder}")
    state = _state(folder, files)
    if state == context.cursor:
        return dg.SkipReason(f"the {len(files)} source files in {folder} are as they were")
    names = ", ".join(path.relative_to(folder).as_posix() for path in files[:20])
    request = dg.RunRequest(run_key=state, tags={"tessera/source_files": names})
    return dg.SensorResult(run_requests=[request], cursor=state)


def source_files(folder: Path) -> list[Path]:
    """Files in `raw/` that people or downloads put there: no sidecars, no partial files, nothing synthetic."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not path.name.startswith(".")
        and path.suffix not in (*_PARTIAL, ".json")
        and not path.with_name(f"{path.name}.synthetic.json").exists()
    )


def _state(folder: Path, files: list[Path]) -> str:
    """Digest of names, sizes and modification times: cheap, and different whenever a file is replaced."""
    digest = hashlib.sha256()
    for path in files:
        status = path.stat()
        digest.update(f"{path.relative_to(folder)}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
