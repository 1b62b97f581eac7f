"""Starts and stops the server of the embedded AWS, with everything that it started itself."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from canary.local.errors import LocalError
from canary.local.launcher import LOCK, RECORD
from canary.local.stack import CREDENTIALS, REGION

START_WITHIN = 60.0
STOP_WITHIN = 20.0
TRIES = 3
_LOG_LINES = 30
_POLL = 0.05
# Other people's settings for AWS and Python must not reach the server: its Lambdas inherit its environment.
_FOREIGN = ("AWS_", "CANARY_", "LAMBDA_", "MINISTACK_", "POWERTOOLS_", "PYTHON", "SAM_", "SFN_")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    folder: Path
    port: int
    pid: int
    leash: IO[bytes] | None = field(default=None, compare=False)

    @property
    def endpoint_url(self) -> str:
        """The address for every AWS client."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Let the server save its state and end; what is left of it, or of its Lambdas, is killed."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN
        while is_held(self.folder) and time.monotonic() < deadline:
            time.sleep(_POLL)
        self.kill()

    def kill(self) -> None:
        """Kill the server and its Lambdas at once, without saving."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.leash:
            self.leash.close()
        # What Lambda workers leave behind.
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        (self.folder / RECORD).unlink(missing_ok=True)


def start(
    folder: Path,
    *,
    layers: Path | None = None,
    port: int | None = None,
    persist: bool = False,
    outlive: bool = False,
    wait_scale: float = 1.0,
) -> Server:
    """Start a server that keeps its files in `folder`, and wait until it answers.

    `layers` is where Lambda layers are unpacked, which servers may share; `port` is taken if it is free, else another
    one; with `persist` the state is kept when the server is stopped; a server that does not `outlive` this process ends
    with it, and its folder too; `wait_scale` shortens the Wait states of workflows.
    """
    if find_spec("ministack") is None:
        raise LocalError("MiniStack, the embedded AWS, is not installed: run `make setup`, or pip install '.[local]'")
    # A server that was killed leaves its Lambdas' files.
    shutil.rmtree(folder / "tmp", ignore_errors=True)
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    for _ in range(TRIES):
        chosen = port if port and _is_free(port) else _free_port()
        command = [sys.executable, "-m", "canary.local.launcher", str(folder), str(chosen), str(layers or folder / "layers")]
        environment = _environment(folder, chosen, persist=persist, wait_scale=wait_scale)
        try:
            return _start_once(command, folder, chosen, environment, leash=not outlive)
        except LocalError:
            # Between our look and its start another program may have taken the port.
            if "already in use" not in tail(folder):
                raise
    raise LocalError(f"{TRIES} free ports in a row were taken by other programs: try again")


def find(folder: Path) -> Server | None:
    """Return the server that runs in the folder, if one does."""
    try:
        known = json.loads((folder / RECORD).read_text())
    except FileNotFoundError:
        return None
    if not is_held(folder):
        return None
    return Server(folder, port=known["port"], pid=known["pid"])


def is_held(folder: Path) -> bool:
    """Tell whether a server holds the folder's lock, which it does until it is gone."""
    try:
        with (folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def tail(folder: Path) -> str:
    """Return the end of the server's log."""
    lines = (folder / "server.log").read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_LINES:])


def _start_once(command: list[str], folder: Path, port: int, environment: dict[str, str], *, leash: bool) -> Server:
    (folder / RECORD).unlink(missing_ok=True)
    held = _launch(command, folder, environment, leash=leash)
    server = Server(folder, port, json.loads((folder / RECORD).read_text())["pid"], held)
    try:
        _wait_until_ready(server)
    except BaseException:
        server.kill()
        raise
    return server


def _launch(command: list[str], folder: Path, environment: dict[str, str], *, leash: bool) -> IO[bytes] | None:
    """Run the launcher, which leaves the server in the background, and return the leash."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [*command, "--leash"] if leash else command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE if leash else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        status = process.wait(START_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
    if status == 0:
        return process.stdin
    if process.stdin:
        process.stdin.close()
    if is_held(folder):
        raise LocalError(f"another embedded AWS runs in {folder}: end it (`canary local down`), then try again")
    raise LocalError(f"the embedded AWS could not be started; the end of its log:\n{tail(folder)}")


def _environment(folder: Path, port: int, *, persist: bool, wait_scale: float) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {
        **inherited,
        **CREDENTIALS,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # Nothing here needs containers; without a daemon to ask, none are looked for or touched.
        "DOCKER_HOST": "unix:///nonexistent",
        "NO_PROXY": "127.0.0.1,localhost",
        "PERSIST_STATE": str(int(persist)),
        "STATE_DIR": str(folder / "state"),
        "S3_PERSIST": str(int(persist)),
        "S3_DATA_DIR": str(folder / "s3"),
        "SFN_WAIT_SCALE": str(wait_scale),
        "TMPDIR": str(folder / "tmp"),
        "LAMBDA_WARM_TTL_SECONDS": "60",
        "PYTHONUNBUFFERED": "1",
    }


def _wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline:
        if not is_held(server.folder):
            raise LocalError(f"the embedded AWS ended while it started; the end of its log:\n{tail(server.folder)}")
        try:
            with urllib.request.urlopen(f"{server.endpoint_url}/_ministack/ready", timeout=1):  # noqa: S310
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(_POLL)
    raise LocalError(f"the embedded AWS did not start within {START_WITHIN:.0f} s; its log:\n{tail(server.folder)}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: a port that only lingers after a stop is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
