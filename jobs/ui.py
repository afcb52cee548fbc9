"""`make ui`: web server and daemon on the store's home, which is made first if it is not there.

Prints the address once the server answers; stops both on Ctrl-C.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from jobs.instance import open_home
from tessera.config import paths

_START_SECONDS = 300.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m jobs.ui", description=__doc__.split("\n\n")[0])
    parser.add_argument("--port", type=int, default=3000, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args(arguments)
    try:
        port = _free_port(options.host, options.port)
    except OSError as error:
        print(
            f"Port {options.port} of {options.host} cannot be used ({error.strerror}). Try --port 0.", file=sys.stderr
        )
        return 1
    root = Path(__file__).resolve().parent.parent
    with open_home(paths().dagster):
        pass
    # Both end it like Ctrl-C, so that no server is left behind; a shell may have started it with interrupts ignored.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    workspace = str(root / "workspace.yaml")
    programs = (
        ["dagster_webserver", "-h", options.host, "-p", str(port), "-w", workspace],
        ["dagster._daemon", "run", "-w", workspace],
    )
    commands = [[sys.executable, "-m", *program] for program in programs]
    processes = [subprocess.Popen(command, cwd=root, env=environment) for command in commands]
    address = f"http://{options.host}:{port}"
    try:
        if not _wait_until_answering(address, processes):
            print(f"The web server did not answer at {address}; see its messages above.", file=sys.stderr)
            return 1
        print(f"\nTessera's web UI: {address}  (Ctrl-C stops it)\n", flush=True)
        processes[0].wait()
        print("The web server ended by itself; see its messages above.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        _stop(processes)
    return 0


def _wait_until_answering(address: str, processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        try:
            with urlopen(f"{address}/server_info", timeout=2):
                return True
        except (URLError, OSError):
            time.sleep(0.5)
    return False


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()


def _free_port(host: str, wanted: int) -> int:
    """The port wanted if nobody serves there, so that it is not another's web UI that answers; 0 takes any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, wanted))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
