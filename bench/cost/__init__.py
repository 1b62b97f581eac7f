"""What a million requests cost on AWS, and where its ceilings are: from counts, measures and list prices."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.aws.answers import App
from bench.budget.counts import BATCHES, CLAIMS, committed
from bench.cost.reckoning import Spent, bill, mixed, units
from bench.router import MEDIANS
from bench.router.report import markdown, number
from bench.router.samples import Measure
from bench.router.subjects import IDIOMATIC_DECORATED, NAIVE_DECORATED, Subject, ours
from bench.sections import renew
from canary.domain.batch import BATCH_MS
from canary.domain.pace import MOST_OUT

_PAGE: Final = Path(__file__).parents[2] / "docs" / "cost.md"
_PRICES: Final = Path(__file__).with_name("prices.json")
#: The share of requests that latest gets while a release runs.
_SHARE: Final = 0.05
#: Requests a second: some, and 10, 100 and 1,000 times as many.
_LOADS: Final = (50, 500, 5_000, 50_000)
#: How long a process keeps what it has read, in seconds, and how many reads renew it.
_KEPT_S: Final = 5
#: The flipper writes a release once for so many outcomes, at most.
_BATCH: Final = 50
_OURS: Final = ours()[0]
_WRITES: Final = "DynamoDB, write units/s of one partition"
#: The schedule wakes the flipper so often, in seconds.
_PASS_S: Final = 60
#: Writes of a row: put, what latest answered, how it ended, and that it is counted.
_ROW_WRITES: Final = 4


@dataclass(frozen=True, slots=True)
class Costs:
    """What a request does without a release, and while one runs.

    ``kept`` parameter reads are for a process and some seconds.
    """

    name: str
    idle: Spent
    released: Spent
    kept: int


def run(arguments: list[str]) -> int:
    """Reckon, print, and write the tables into docs/cost.md."""
    parser = argparse.ArgumentParser(prog="python -m bench cost", description=__doc__)
    parser.add_argument("--dry", action="store_true", help="print only, and leave docs/cost.md as it is")
    options = parser.parse_args(arguments)
    for name, text in sections().items():
        print(f"{name}\n\n{text}\n")
        if not options.dry:
            renew(_PAGE, name, text)
    return 0


def sections() -> dict[str, str]:
    """The parts of the page, by their markers."""
    counts, medians, prices = committed(), json.loads(MEDIANS.read_text()), json.loads(_PRICES.read_text())
    everybody = (_ours(counts, medians), _idiomatic(counts, medians), _naive(counts, medians))
    ceilings = dict(prices["ceilings"])
    partition = ceilings.pop(_WRITES)
    return {
        "prices": _prices(prices),
        "idle": "\n".join(_bills([(each.name, each.idle) for each in everybody], prices)),
        "released": "\n".join(_bills([(each.name, each.released) for each in everybody], prices)),
        "claims": "\n".join(_claims(counts, prices)),
        "loads": "\n\n".join("\n".join(_loads(each, ceilings)) for each in everybody),
        "writes": "\n".join(_writes(everybody[0], counts, partition)),
    }


def _ours(counts: Mapping[str, Any], medians: Mapping[str, Any]) -> Costs:
    """Beside the router's own writes, the flipper's for each request that latest had: settled, counted, out of the index."""
    row, item = (units(counts["sizes"][name]) for name in ("audit row", "release item, 2 open"))
    routers = item + (row + 1) + (row + 1)  # the claim; the row, and its line in the index; its transform id, and that index
    flippers = row + (row + 1) + 2 * item / _BATCH
    canary = _spent(_OURS, App.CANARY, counts, medians, routers + flippers)
    lost = _spent(_OURS, App.LOST, counts, medians, 0)
    return Costs("this router", _spent(_OURS, App.IDLE, counts, medians, 0), mixed(canary, lost, _SHARE), kept=1)


def _idiomatic(counts: Mapping[str, Any], medians: Mapping[str, Any]) -> Costs:
    item = units(counts["sizes"]["release item, 2 open"])
    idle = _spent(IDIOMATIC_DECORATED, App.IDLE, counts, medians, 1)
    canary = _spent(IDIOMATIC_DECORATED, App.CANARY, counts, medians, 1 + item)
    return Costs("idiomatic", idle, mixed(canary, idle, _SHARE), kept=2)


def _naive(counts: Mapping[str, Any], medians: Mapping[str, Any]) -> Costs:
    """It asks how the release is getting on with every request, whoever gets it; every write is one unit."""
    released = _spent(NAIVE_DECORATED, App.CANARY, counts, medians, 3, read_units=0.5)
    return Costs("naive", _spent(NAIVE_DECORATED, App.IDLE, counts, medians, 3), released, kept=0)


def _spent(
    subject: Subject, app: App, counts: Mapping[str, Any], medians: Mapping[str, Any], writes: float, read_units: float = 0
) -> Spent:
    of, measure = counts[subject.name], Measure.CPU_CANARY if app is App.CANARY else Measure.CPU_IDLE
    return Spent(
        calls=of["calls"][app],
        cpu_ms=medians[subject.name][measure.name],
        logged=of["logged"][app],
        write_units=writes,
        read_units=read_units,
    )


def _prices(prices: Mapping[str, Any]) -> str:
    lines = [f"List prices of {prices['region']}, {prices['as_of']}, {prices['currency']}, without free tiers:", ""]
    each = [(f"{name}, a million", price) for name, price in prices["per_million"].items()]
    each += [("Lambda on arm64, a million GB-seconds", 1e6 * prices["lambda_arm_gb_second"]), ("logs, a GB", prices["logs_gb"])]
    return "\n".join([*lines, *markdown(("what", "price"), [(name, f"{price:.3f}") for name, price in each])])


def _bills(spent: Iterable[tuple[str, Spent]], prices: Mapping[str, Any]) -> Iterator[str]:
    """One table of bills, a column for each."""
    bills = {name: bill(each, prices) for name, each in spent}
    lines = [(what, *(f"{each[what]:.2f}" for each in bills.values())) for what in next(iter(bills.values()))]
    own = [sum(each.values()) - each["API Gateway"] - each["Lambda, requests"] for each in bills.values()]
    totals = ("**together**", *(f"**{sum(each.values()):.2f}**" for each in bills.values()))
    yield from markdown(("a million requests, $", *bills), [*lines, totals, ("without what all pay", *(f"{x:.2f}" for x in own))])


def _claims(counts: Mapping[str, Any], prices: Mapping[str, Any]) -> Iterator[str]:
    """What a claim costs, by the claims that the item holds."""
    price = prices["per_million"]["DynamoDB, writes"]
    sizes = ((claims, counts["sizes"][f"release item, {claims} open"]) for claims in CLAIMS)
    lines = ((f"{n:,}", f"{size:,}", str(units(size)), f"{units(size) * price:.2f}") for n, size in sizes)
    yield from markdown(
        ("claims that no pass has seen yet", "bytes of the item", "units of a claim", "a million claims, $"), lines
    )


def _loads(costs: Costs, ceilings: Mapping[str, float]) -> Iterator[str]:
    """What a load asks of an account; in bold what is beyond its ceiling."""
    lines = []
    for load in _LOADS:
        busy = _busy(costs, load)
        reads = load * costs.released.parameter_reads + busy * costs.kept / _KEPT_S
        lines.append((f"{load:,}", *map(_beside, (load, busy, reads), ceilings.values())))
    yield from markdown((f"{costs.name}: requests/s", *_ceilings(ceilings)), lines)


def _writes(costs: Costs, counts: Mapping[str, Any], ceiling: float) -> Iterator[str]:
    """The write units that a release asks of one partition: for its item, which every claim writes whole, and for its rows."""
    sizes = counts["sizes"]
    item, row = sizes["release item, 2 open"], units(sizes["audit row"])
    claim = (sizes[f"release item, {CLAIMS[-1]} open"] - item) / (CLAIMS[-1] - 2)
    batch = (sizes[f"release item, {BATCHES} batches"] - sizes["release item, 0 open"]) / BATCHES
    lines = []
    for load in _LOADS:
        sent = load * _SHARE
        unseen = min(MOST_OUT, sent * _PASS_S)  # more are not granted until a pass has seen them
        processes = min(_busy(costs, load), sent * BATCH_MS / 1000)
        batches = min(sent, processes / (BATCH_MS / 1000))
        asked = (
            sent,
            min(sent, MOST_OUT / _PASS_S) * units(round(item + claim * unseen)),
            batches * units(round(item + batch * processes)),
            sent * _ROW_WRITES * row,
        )
        lines.append((f"{load:,}", number(asked[0]), *(_beside(value, ceiling) for value in asked[1:])))
    heads = ("requests/s", "to latest/s", "its item, claimed one by one, units/s", "its item, claimed in batches", "its rows")
    yield from markdown(heads, lines)


def _busy(costs: Costs, load: float) -> float:
    return load * costs.released.duration_ms / 1000


def _ceilings(ceilings: Mapping[str, float]) -> list[str]:
    return [f"{name} (ceiling {value:,})" for name, value in ceilings.items()]


def _beside(value: float, ceiling: float) -> str:
    return f"**{number(value)}**" if value > ceiling else number(value)
