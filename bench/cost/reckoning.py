"""From what a request does to what it costs. Pure: counts and prices in, dollars out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from bench.aws.endpoint import AS_AWS

#: Lambda gives a whole processor at this size, and a part of it below.
_WHOLE_MB: Final = 1769
MEMORY_MB: Final = 256
#: What Lambda logs of each invocation by itself: its beginning, its end and a report.
_PLATFORM_BYTES: Final = 350
_TRACED: Final = 0.05
_GB: Final = 1e9
_KB: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a request does: calls by operation, CPU in ms, bytes logged, and DynamoDB's units for them.

    ``reads`` of parameters are those that come with every request; what is cached comes every few seconds instead.
    """

    calls: Mapping[str, float]
    cpu_ms: float
    logged: float
    write_units: float
    read_units: float = 0.0

    @property
    def duration_ms(self) -> float:
        """How long it is billed: waiting for AWS, one call after the other, and a seventh of a processor."""
        waiting = sum(1000 * AS_AWS.get(name.partition(".")[0], 0.0) * calls for name, calls in self.calls.items())
        return waiting + self.cpu_ms * _WHOLE_MB / MEMORY_MB

    @property
    def parameter_reads(self) -> float:
        return sum(calls for name, calls in self.calls.items() if name.startswith("SSM."))


def mixed(some: Spent, others: Spent, share: float) -> Spent:
    """A request that is one of ``some`` with a chance of ``share``, else one of the others."""

    def mean(one: float, other: float) -> float:
        return share * one + (1 - share) * other

    names = {*some.calls, *others.calls}
    return Spent(
        calls={name: mean(some.calls.get(name, 0), others.calls.get(name, 0)) for name in names},
        cpu_ms=mean(some.cpu_ms, others.cpu_ms),
        logged=mean(some.logged, others.logged),
        write_units=mean(some.write_units, others.write_units),
        read_units=mean(some.read_units, others.read_units),
    )


def units(size: int) -> int:
    """Write units for an item of so many bytes."""
    return ceil(size / _KB)


def bill(spent: Spent, prices: Mapping[str, Any]) -> dict[str, float]:
    """What a million such requests cost, by what is paid for."""
    each = prices["per_million"]
    return {
        "API Gateway": each["API Gateway, REST"],
        "Lambda, requests": each["Lambda, requests"],
        "Lambda, time": 1e6 * spent.duration_ms / 1000 * MEMORY_MB / 1024 * prices["lambda_arm_gb_second"],
        "DynamoDB": spent.write_units * each["DynamoDB, writes"] + spent.read_units * each["DynamoDB, reads"],
        "Parameter Store": spent.parameter_reads * each["Parameter Store, higher throughput"],
        "logs": 1e6 * (spent.logged + _PLATFORM_BYTES) / _GB * prices["logs_gb"],
        "traces": _TRACED * each["X-Ray, traces recorded"],
    }
