"""Taking the measures: the routers side by side, turn by turn, against the stand-in."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from bench.aws.answers import App, answers
from bench.aws.endpoint import AS_AWS, AT_ONCE, Endpoint, running
from bench.router.packages import package_of, uncompiled, zipped
from bench.router.process import Running, started
from bench.router.samples import Measure, Samples
from bench.router.subjects import BASELINES, FLOOR, IDIOMATIC_DECORATED, NAIVE, Subject, ours

#: Until the parameters are surely due to be read again.
_DUE_S: Final = 6.5
_MB: Final = 1024 * 1024
_CALLS: Final = {
    Measure.CALLS_IDLE: App.IDLE,
    Measure.CALLS_CANARY: App.CANARY,
    Measure.CALLS_BATCHED: App.BATCHED,
    Measure.CALLS_SPENT: App.SPENT,
}
_OVER: Final = {App.IDLE: Measure.OVER_IDLE, App.CANARY: Measure.OVER_CANARY, App.BATCHED: Measure.OVER_BATCHED}
#: What only a router that takes slots as ours does can meet.
_OURS_ALONE: Final = (App.BATCHED, App.SPENT)
_COUNTED: Final = 20
#: Requests until batches have grown: of 1, 2, 4, 8, and one more request takes the next.
WARM: Final = 16


@dataclass(frozen=True, slots=True)
class Effort:
    """How often what is done: processes started, rounds of so many requests, blocks of so many turns against the clock.

    Many short rounds are better than a few long ones: a machine that is busy with something else spoils some, and not the median.
    """

    name: str
    starts: int
    rounds: int
    requests: int
    blocks: int
    turns: int


FULL: Final = Effort("full", starts=15, rounds=61, requests=40, blocks=4, turns=80)
QUICK: Final = Effort("quick", starts=5, rounds=21, requests=25, blocks=3, turns=20)

Say = Callable[[str], None]


def measure(effort: Effort, say: Say) -> Samples:
    """Measure all routers."""
    samples: Samples = defaultdict(list)
    subjects = (*BASELINES, *ours())
    say("laying out the packages")
    for subject in subjects:
        samples[Measure.ZIPPED, subject.name].append(zipped(package_of(subject)) / _MB)
    with running(answers()) as aws:
        _start(subjects, aws, effort, samples, say)
        with _together(subjects, aws) as routers:
            _spend(routers, effort, samples, say)
            _count(routers, aws, samples, say)
        with _together((NAIVE, IDIOMATIC_DECORATED, FLOOR, *ours()), aws) as routers:
            _time(routers, aws, effort, samples, say)
    return samples


@contextmanager
def _together(subjects: Sequence[Subject], aws: Endpoint) -> Iterator[list[Running]]:
    with ExitStack() as stack:
        yield [stack.enter_context(started(subject, aws)) for subject in subjects]


def _start(subjects: Sequence[Subject], aws: Endpoint, effort: Effort, samples: Samples, say: Say) -> None:
    """Start each router in a new process, over and over; the first time, when files are read from the disk, does not count."""
    with tempfile.TemporaryDirectory(prefix="canary-bench-") as folder:
        plain = {subject.name: uncompiled(package_of(subject), Path(folder) / subject.name) for subject in ours()}
        for number in range(effort.starts + 1):
            say(f"starting them, {number} of {effort.starts}")
            for subject in subjects:
                with started(subject, aws, App.CANARY) as router:
                    ready, first = router.ready, router.first
                if number:
                    samples[Measure.READY, subject.name].append(ready.cpu)
                    samples[Measure.READY_WALL, subject.name].append(ready.wall)
                    samples[Measure.START, subject.name].append(ready.cpu + first.cpu)
                    samples[Measure.START_WALL, subject.name].append(ready.wall + first.wall)
            for subject in ours():
                with started(subject, aws, folders=plain[subject.name]) as router:
                    samples[Measure.UNCOMPILED, subject.name] += [router.ready.cpu] if number else []


def _spend(routers: Sequence[Running], effort: Effort, samples: Samples, say: Say) -> None:
    """Send many requests, a batch to each router in turn."""
    for number in range(effort.rounds + 1):
        say(f"sending requests, round {number} of {effort.rounds}")
        for router in routers:
            name = router.subject.name
            idle = router.requests(App.IDLE, effort.requests)
            canary = router.requests(App.CANARY, effort.requests)
            batched = router.requests(App.BATCHED, effort.requests)
            if number:
                samples[Measure.CPU_IDLE, name].append(idle.each.cpu)
                samples[Measure.CPU_CANARY, name].append(canary.each.cpu)
                samples[Measure.CPU_BATCHED, name].append(batched.each.cpu)
                samples[Measure.RATE, name].append(1000 / idle.each.wall)
                samples[Measure.RESIDENT, name].append(canary.resident)


def _count(routers: Sequence[Running], aws: Endpoint, samples: Samples, say: Say) -> None:
    """Count the calls of a request while nothing is due, and what is read once it is."""
    for router in routers:
        say(f"counting the calls: {router.subject.name}")
        for measure, app in _CALLS.items():
            if app in _OURS_ALONE and router.subject.requires is not None:
                continue
            router.requests(app, WARM)
            aws.counted()
            before = router.logged()
            router.requests(app, _COUNTED)
            samples[measure, router.subject.name].append(_calls(aws) / _COUNTED)
            if app is App.IDLE:
                samples[Measure.LOGGED, router.subject.name].append((router.logged() - before) / _COUNTED)
    time.sleep(_DUE_S)
    for router in routers:
        aws.counted()
        router.requests(App.IDLE, 1)
        samples[Measure.CALLS_DUE, router.subject.name].append(_calls(aws, "SSM"))


def _calls(aws: Endpoint, service: str = "") -> int:
    return sum(count.calls for name, count in aws.settled().items() if name.startswith(service))


def _time(routers: Sequence[Running], aws: Endpoint, effort: Effort, samples: Samples, say: Say) -> None:
    """Send one request to each router in turn, while the stand-in is as slow as AWS.

    A turn takes a fraction of a second, so each router gets a few requests a second, and among some dozens of them is one that
    finds its parameters due.
    """
    for router in routers:
        router.requests(App.IDLE, 1)
        router.requests(App.CANARY, 1)
        router.requests(App.BATCHED, WARM)
    aws.wait_like(AS_AWS)
    for app, middle in _OVER.items():
        for block in range(effort.blocks):
            say(f"timing requests, {app}, block {block + 1} of {effort.blocks}")
            times: dict[str, list[float]] = defaultdict(list)
            for _ in range(effort.turns):
                for router in routers:
                    times[router.subject.name].append(router.requests(app, 1).each.wall)
            bare = times[FLOOR.name]
            for name, found in times.items():
                samples[middle, name].append(median(found) - median(bare))
                if app is App.IDLE:
                    samples[Measure.OVER_IDLE_P99, name].append(_p99(found) - _p99(bare))
    aws.wait_like(AT_ONCE)


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98]
