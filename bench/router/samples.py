"""What was measured: a figure for each round, so that a ratio is taken within a round and its spread is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import quantiles


class Measure(StrEnum):
    READY = "import, clients: ms CPU"
    READY_WALL = "import, clients: ms"
    START = "start, first canary, TLS: ms CPU"
    START_WALL = "start, first canary, TLS: ms"
    UNCOMPILED = "import without bytecode: ms CPU"
    CPU_IDLE = "request, idle: ms CPU"
    CPU_CANARY = "request, canary: ms CPU"
    CPU_BATCHED = "request, canary out of a batch: ms CPU"
    CALLS_IDLE = "AWS calls, idle"
    CALLS_CANARY = "AWS calls, canary"
    CALLS_BATCHED = "AWS calls, canary out of a batch"
    CALLS_SPENT = "AWS calls, slots gone"
    CALLS_DUE = "parameter reads when due"
    OVER_IDLE = "p50 over bare call, idle: ms"
    OVER_IDLE_P99 = "p99 over bare call, idle: ms"
    OVER_CANARY = "p50 over bare call, canary: ms"
    OVER_BATCHED = "p50 over bare call, canary out of a batch: ms"
    RATE = "requests/s, one process, idle"
    RESIDENT = "resident after traffic: MB"
    ZIPPED = "package, zipped, bytecode: MB"
    LOGGED = "bytes logged, idle"


@dataclass(frozen=True, slots=True)
class Figure:
    """A median, and between what the middle half lies."""

    middle: float
    low: float
    high: float


#: By measure and subject, a figure for each round.
Samples = dict[tuple[Measure, str], list[float]]


def figure(values: Sequence[float]) -> Figure:
    """Sum up some rounds."""
    if len(values) < 2:
        return Figure(values[0], values[0], values[0])
    return Figure(*(quantiles(values, n=4, method="inclusive")[number] for number in (1, 0, 2)))


def ratio(values: Sequence[float], others: Sequence[float]) -> Figure:
    """Divide round by round: what made both of them slow leaves the ratio as it is."""
    return figure([value / other for value, other in zip(values, others, strict=True)])
