"""A router in a process of its own: starting it, and sending it requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from bench.aws.answers import ACCOUNT, AUDIT, CURRENT, REGION, RELEASES, App
from bench.aws.endpoint import Endpoint
from bench.router.packages import folders_of
from bench.router.subjects import ROOT, Subject

_WORKER: Final = Path(__file__).with_name("worker.py")
_EVENT: Final = ROOT / "events" / "api-post-app.json"


@dataclass(frozen=True, slots=True)
class Span:
    """CPU of the process and time on the clock, in ms."""

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class Batch:
    """Some requests, one after the other: CPU and clock in ms for each, and the memory in MB that the process then has."""

    each: Span
    resident: float


@dataclass(slots=True)
class Running:
    """A router in its process.

    ``ready`` is what it took to import it and make its clients, ``first`` the first request; until then it imported ``modules``.
    """

    subject: Subject
    ready: Span
    first: Span
    modules: int
    _process: subprocess.Popen[str]
    _said: IO[str]
    _log: IO[bytes]

    def requests(self, app: App, times: int) -> Batch:
        """Send it requests, one after the other."""
        words = self._told(app, times, sampled=False)
        span = Span(words["cpu"] / 1e6 / max(1, times), words["wall"] / 1e6 / max(1, times))
        return Batch(span, words["resident"] / 1024)

    def stacks(self, app: App, times: int) -> dict[str, int]:
        """Send it requests, and sample what it does meanwhile: how often each stack was found, ``module:function;…``."""
        found: dict[str, int] = self._told(app, times, sampled=True)["stacks"]
        return found

    def _told(self, app: App, times: int, *, sampled: bool) -> Any:
        if self._process.stdin is None:
            raise RuntimeError("the router has no input")
        self._process.stdin.write(json.dumps({"app": app, "times": times, "sampled": sampled}) + "\n")
        self._process.stdin.flush()
        return _said(self._said, self.subject)

    def logged(self) -> int:
        """Bytes that it has logged so far."""
        return os.fstat(self._log.fileno()).st_size


@contextmanager
def started(
    subject: Subject,
    aws: Endpoint,
    first: App | None = None,
    *,
    tls: bool = True,
    under: Sequence[str] = (),
    folders: Sequence[Path] | None = None,
    still: bool = False,
) -> Iterator[Running]:
    """Start a router; ``first`` is the request that it gets at once.

    ``under`` is a program that runs its interpreter, ``folders`` where to import from (None: what it is deployed with).
    Where it is ``still``, time does not pass for it.
    """
    with tempfile.TemporaryDirectory(prefix="canary-bench-") as name:
        folder = Path(name)
        (folder / "events").write_text(repr({str(app): event(app) for app in App}))
        (folder / "trusted.pem").write_bytes(_read(subject.roots) + aws.trusted.root.read_bytes())
        read, write = os.pipe()
        told = [subject.module, subject.ready, str(folder / "events"), first or "", str(write), "still" if still else ""]
        path = folders_of(subject) if folders is None else folders
        environ = _environ(subject, aws, folder, path, tls=tls)
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(
                [*under, sys.executable, "-s", "-S", "-P", str(_WORKER), *told],
                env=environ,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=log,
                pass_fds=(write,),
                text=True,
                process_group=0,  # Ctrl-C is for us: we end it
            ) as process,
            os.fdopen(read) as said,
        ):
            os.close(write)
            try:
                (ready, sent), modules = _said(said, subject)
                yield Running(subject, _span(ready), _span(sent), modules, process, said, log)
            finally:
                if process.stdin:
                    process.stdin.close()
                process.wait()


def event(app: App) -> dict[str, Any]:
    """A request as API Gateway hands it over, without an Idempotency-Key."""
    found: dict[str, Any] = json.loads(_EVENT.read_text())
    for headers in (found["headers"], found["multiValueHeaders"]):
        headers.pop("Idempotency-Key", None)
    return found | {"path": f"/{app}", "pathParameters": {"app": str(app)}}


def _environ(subject: Subject, aws: Endpoint, folder: Path, folders: Sequence[Path], *, tls: bool) -> dict[str, str]:
    """What template.yaml and the Lambda runtime set, and nothing of this machine's but the way to its programs."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "PYTHONUNBUFFERED": "1",  # the Lambda runtime flushes every write
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",  # nor can a function write to its layers
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "ASIAEXAMPLEEXAMPLE00",
        "AWS_SECRET_ACCESS_KEY": "secret-of-nobody-secret-of-nobody-000000",
        "AWS_SESSION_TOKEN": "token" * 100,
        "AWS_ENDPOINT_URL": aws.https if tls else aws.http,
        "AWS_CA_BUNDLE": str(folder / "trusted.pem"),
        "AWS_XRAY_DAEMON_ADDRESS": aws.daemon,
        "AWS_LAMBDA_FUNCTION_NAME": "canary-router",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "LAMBDA_TASK_ROOT": "/var/task",
        "_X_AMZN_TRACE_ID": "Root=1-69203a4a-3f1c9a7e5d2b4c6f8a0b1c2d;Parent=53995c3f42cd8ad8;Sampled=1",
        "POWERTOOLS_SERVICE_NAME": "router",
        "POWERTOOLS_METRICS_NAMESPACE": "Canary/local",
        "CANARY_PREFIX": "/canary",
        "CANARY_RELEASES_TABLE": RELEASES,
        "CANARY_AUDIT_TABLE": AUDIT,
        "CANARY_TARGET_PATTERN": "transformer-*",
        "CANARY_ACCOUNT": ACCOUNT,
        "CANARY_ENVIRONMENT": "local",
        "CANARY_BENCH_TARGET": CURRENT,
        **subject.environ,
    }


def _said(pipe: IO[str], subject: Subject) -> Any:
    line = pipe.readline()
    if not line:
        raise RuntimeError(f"{subject.name} has ended: what it said stands above")
    return json.loads(line)


def _span(spent: list[int]) -> Span:
    return Span(spent[0] / 1e6, spent[1] / 1e6)


def _read(path: Path) -> bytes:
    return path.read_bytes() + b"\n" if path.is_file() else b""
