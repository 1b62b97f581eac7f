"""What a pass of the flipper costs, by what is settled and what is under way."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from moto.core.botocore_stubber import BotocoreStubber
from rich.console import Console
from rich.table import Table

from bench.flipper.settled import PLANS, installation
from bench.machine import machine
from bench.progress import say
from bench.router.report import LEAST_WIDTH, markdown
from bench.sections import renew

_PAGE = Path(__file__).parents[1] / "results.md"
_READS: Final = ("Get", "BatchGet", "Query", "List", "Describe")
#: Settled and running requests.
CASES: Final = ((10, 10), (1_000, 10), (100_000, 10), (10, 1_000))
_OF_REQUESTS: Final = ("BatchGet", "List", "Describe")
_MOST_READS: Final = 20
_HEADS: Final = (
    "plan",
    "settled",
    "running",
    "calls that read",
    "of requests",
    "calls that write",
    "items read",
    "own CPU, ms",
    "",
)


@dataclass(slots=True)
class Pass:
    """What a pass has cost: calls by operation, items that they returned, and the CPU outside of the AWS in memory, in ms.

    ``indexed`` are the queries of the index of rows in flight.
    """

    plan: str
    settled: int
    running: int
    calls: Counter[str] = field(default_factory=Counter)
    items: int = 0
    indexed: int = 0
    cpu: float = 0.0

    @property
    def reads(self) -> int:
        return sum(number for name, number in self.calls.items() if name.startswith(_READS))

    @property
    def about_requests(self) -> int:
        """Reads of rows and of executions; the others come once in a pass: apps, parameters, the app's item, its releases."""
        return sum(number for name, number in self.calls.items() if name.startswith(_OF_REQUESTS)) + self.indexed

    @property
    def writes(self) -> int:
        return self.calls.total() - self.reads


def run(arguments: list[str]) -> int:
    """Measure passes, print the table, and write it into the page. 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench flipper", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the case of 100,000 settled requests")
    parser.add_argument("--dry", action="store_true", help="print only, and leave bench/results.md as it is")
    options = parser.parse_args(arguments)
    cases = [case for case in CASES if not options.quick or case[0] <= 1_000]
    found = []
    for plan in PLANS:
        for settled, running in cases:
            say(f"{plan} plan, {settled:,} settled, {running:,} running")
            found.append(measured(plan, settled, running))
    say("")
    table = Table(*_HEADS, title="A pass of the flipper", title_justify="left")
    for each in found:
        table.add_row(*_cells(each, found))
    console = Console()
    console.width = max(console.width, LEAST_WIDTH)
    console.print(table)
    if not options.dry:
        renew(_PAGE, "flipper", _page(found))
    return int(any(_verdict(each, found) != "OK" for each in found))


def measured(plan: str, settled: int, running: int) -> Pass:
    """Make a pass over an app with such a release, and count."""
    result = Pass(plan, settled, running)

    def count(parsed: dict[str, Any], **_: Any) -> None:
        result.items += len(parsed.get("Items", ())) + int("Item" in parsed) + len(parsed.get("executions", ()))
        result.items += sum(len(rows) for rows in parsed.get("Responses", {}).values())

    with installation(plan, settled, running, count) as flipper:
        result.items = 0
        with _counting(result):
            [done] = flipper.run()
    if done.result != "done":
        raise RuntimeError(f"the pass has {done.result}: {done.error}")
    return result


@contextmanager
def _counting(result: Pass) -> Iterator[None]:
    """Count what goes out, and keep the time that the AWS in memory takes apart."""
    inside = 0
    stub: Any = BotocoreStubber.__call__

    def timed(self: Any, event_name: str, request: Any, **rest: Any) -> Any:
        nonlocal inside
        result.calls[request.headers.get("X-Amz-Target", b"").decode().rpartition(".")[2] or event_name] += 1
        result.indexed += b'"IndexName": "in_flight"' in (request.body or b"")
        began = time.process_time_ns()
        try:
            response = stub(self, event_name, request, **rest)
        finally:
            inside += time.process_time_ns() - began
        return response

    with patch.object(BotocoreStubber, "__call__", timed):
        began = time.process_time_ns()
        yield
        result.cpu = (time.process_time_ns() - began - inside) / 1e6


def _verdict(each: Pass, found: list[Pass]) -> str:
    """As many calls as with the least history, and few however much is under way."""
    few = min((other for other in found if other.plan == each.plan), key=lambda other: other.settled + other.running)
    if each.running == few.running and (each.reads, each.items) != (few.reads, few.items):
        return "missed: it reads history"
    return "OK" if each.about_requests <= _MOST_READS else f"missed: more than {_MOST_READS}"


def _cells(each: Pass, found: list[Pass]) -> tuple[str, ...]:
    numbers = (each.settled, each.running, each.reads, each.about_requests, each.writes, each.items)
    return (each.plan, *(f"{number:,}" for number in numbers), f"{each.cpu:.0f}", _verdict(each, found))


def _page(found: list[Pass]) -> str:
    lines = [
        f"On {machine()}. A pass over one app whose release is on trial, and nothing to decide. Calls and",
        "items do not depend on the machine. *Of requests*: rows and executions; the other calls come once in a pass, for apps,",
        f"parameters and items. The target: no more than {_MOST_READS} of requests, and the same for any history. The CPU is the",
        "flipper's own, once, with botocore and without the AWS in memory.",
        "",
        *markdown(_HEADS, [_cells(each, found) for each in found]),
    ]
    return "\n".join(lines)
