"""Counting what a request costs, in figures that are the same on every machine."""

from __future__ import annotations

import json
import platform
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from bench.aws.answers import AUDIT, LATEST, REGION, App, answers, item, release
from bench.aws.endpoint import Endpoint, running
from bench.router.measuring import WARM
from bench.router.packages import linked
from bench.router.process import started
from bench.router.subjects import Subject
from canary.aws.audit import AuditTable
from canary.domain.audit import Row, Status
from canary.domain.batch import Batch
from canary.domain.request_id import new_request_id

FILE: Final = Path(__file__).parents[1] / "budget.json"
VALGRIND: Final = shutil.which("valgrind")
#: Requests in a row. For the router no time passes meanwhile: how slow this machine is changes nothing that is counted.
_TIMES: Final = 10
#: Instructions are the difference between so many requests and so many more: what start-up takes is not in it.
_FEW, _MORE = 5, 25

#: Claims that no pass of the flipper has seen yet: the default plan's, those of more traffic, and as many as there may be.
CLAIMS: Final = (2, 100, 1000)
#: Batches that processes hold, in a stage that is a share of the traffic.
BATCHES: Final = 64
_RELEASE: Final = release(App.CANARY)
_ROW: Final = Row(
    app=App.CANARY,
    release=_RELEASE.release,
    request_id=new_request_id(_RELEASE.opened_at, 0, _RELEASE.release),
    status=Status.CLAIMED,
    claimed_at=_RELEASE.opened_at,
    target=LATEST,
    tag="v1.1.0",
    share=_RELEASE.share,
    tenant="acme",
    payload_sha256="0" * 64,
    payload_bytes=1_000,
)

Counts = dict[str, Any]


def counted(subject: Subject, apps: Iterable[App] = App) -> Counts:
    """Count what a request to each app does: calls by operation, bytes sent and logged; and modules imported until the first.

    Our own router is taken from this checkout as it stands, unbuilt.
    """
    with tempfile.TemporaryDirectory(prefix="canary-bench-") as folder, running(answers()) as aws:
        folders = linked(subject, Path(folder)) if subject.requires is None else None
        with started(subject, aws, App.CANARY, folders=folders, still=True) as router:
            first, _ = _each(aws, 1)
            found: Counts = {"modules": router.modules, "calls": {"the first canary request": first}, "sent": {}, "logged": {}}
            for app in apps:
                router.requests(app, WARM)  # the first reads what there is to know of the app
                aws.counted()
                before = router.logged()
                router.requests(app, _TIMES)
                operations, sent = _each(aws)
                found["calls"][app.value] = operations
                found["sent"][app.value] = sent
                found["logged"][app.value] = round((router.logged() - before) / _TIMES)
    return found


def sizes() -> dict[str, int]:
    """Bytes of items, which every write pays for by the kilobyte."""
    kept = _Kept()
    AuditTable(cast("Any", kept), AUDIT, REGION).put(_ROW)
    found = {"audit row": item_bytes(kept.item)}
    held = {new_request_id(_ROW.claimed_at, number): Batch(2, _ROW.claimed_at) for number in range(BATCHES)}
    found[f"release item, {BATCHES} batches"] = item_bytes(item(replace(_RELEASE, batches=held)))
    for claims in (0, *CLAIMS):
        ids = {new_request_id(_ROW.claimed_at, number, _ROW.release): _ROW.claimed_at for number in range(claims)}
        found[f"release item, {claims} open"] = item_bytes(item(replace(_RELEASE, open=ids)))
    return found


class _Kept:
    """A table that takes one item."""

    item: dict[str, Any]

    def put_item(self, **kwargs: Any) -> None:
        self.item = kwargs["Item"]


def instructions(subject: Subject, app: App) -> int:
    """Instructions that a request executes, in thousands, as callgrind counts them. Needs valgrind."""
    if VALGRIND is None:
        raise RuntimeError("valgrind is not installed, so instructions cannot be counted")
    with tempfile.TemporaryDirectory(prefix="canary-bench-") as folder, running(answers()) as aws:
        (Path(folder) / "links").mkdir()
        folders = linked(subject, Path(folder) / "links")
        few, more = (_collected(subject, app, times, aws, folders, Path(folder)) for times in (_FEW, _MORE))
    return round((more - few) / (_MORE - _FEW) / 1000)


def python() -> str:
    """The Python that instructions were counted with: another one, or another build of it, executes others."""
    build = f"{platform.python_compiler()}, {' '.join(platform.python_build()).strip()}"
    return f"{platform.python_implementation()} {platform.python_version()} {platform.machine()}, {build}"


def committed() -> Counts:
    """Read the committed budget."""
    found: Counts = json.loads(FILE.read_text())
    return found


def item_bytes(found: dict[str, Any]) -> int:
    """The size of an item as DynamoDB reckons it: names and values, one byte more for what is nested."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in found.items())


def _value_bytes(value: dict[str, Any]) -> int:
    [(kind, held)] = value.items()
    match kind:
        case "S":
            return len(held.encode())
        case "N":
            return len(held.lstrip("-")) // 2 + 2
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_bytes(each) for name, each in held.items())
        case "L":
            return 3 + sum(1 + _value_bytes(each) for each in held)
        case _:
            return 1


def _each(aws: Endpoint, times: int = _TIMES) -> tuple[dict[str, float], int]:
    """Calls by operation, and bytes, for each of so many requests."""
    counts = aws.settled()
    operations = {name: round(count.calls / times, 2) for name, count in counts.items()}
    return operations, round(sum(count.sent for count in counts.values()) / times)


def _collected(subject: Subject, app: App, times: int, aws: Endpoint, folders: Sequence[Path], notes: Path) -> int:
    """Instructions of a process that sends so many requests."""
    log = notes / "callgrind.log"
    callgrind = (VALGRIND or "", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}")
    with started(subject, aws, folders=folders, under=callgrind, still=True) as router:
        router.requests(app, times)
    found = re.search(r"Collected : (\d+)", log.read_text())
    if found is None:
        raise RuntimeError(f"callgrind has counted nothing: {log.read_text()}")
    return int(found[1])
