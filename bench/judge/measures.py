"""What is measured: worlds, versions and plans for each of the targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from bench.judge.cells import Cell
from canary.domain.plan import Plan, Span
from canary.domain.plan_document import parse_plan
from canary.simulating.durations import Durations, HeavyTailed, Lognormal
from canary.simulating.world import GOOD, Outage, Version, World

CAREFUL = parse_plan('{"preset": "careful"}')
#: Without the watch: what is asked is when the trial decides.
TRIAL = replace(CAREFUL, watch=Span())
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000

SLOW_TRAFFIC, FAST_TRAFFIC = "6 requests/h", "100 requests/s"
#: Requests an hour, and half of the workflows take longer than this.
TRAFFIC = {SLOW_TRAFFIC: (6.0, 40 * MINUTE), FAST_TRAFFIC: (360_000.0, 20 * SECOND)}
SHAPES = {"light": Lognormal, "heavy-tailed": HeavyTailed}
DELAYS = {"as long as successes": 1.0, "5 × sooner": 0.2, "5 × later": 5.0}

WRONG = "good version thrown out"
OUTAGE = "good version thrown out, outage"
WALD = "exposed beside Wald"
BROKEN = "exposed to a broken version"
PROMOTED = "bad version promoted"
SAMPLES = "samples and hours to promotion"
#: In the order of the page.
MEASURES = (WRONG, OUTAGE, WALD, BROKEN, PROMOTED, SAMPLES)


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is measured: rates and histories of the grid, durations beside Wald, and releases in the cells of each measure."""

    name: str
    rates: tuple[float, ...]
    histories: tuple[int, ...]
    medians: tuple[int, ...]
    grid: int
    wald: int
    others: int


QUICK = Effort(
    name="quick",
    rates=(0.0005, 0.005, 0.05),
    histories=(20, 500, 10_000),
    medians=(20 * SECOND,),
    grid=12,
    wald=40,
    others=300,
)
FULL = Effort(
    name="full",
    rates=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
    histories=(20, 50, 100, 500, 1000, 10_000),
    medians=(2 * SECOND, 20 * SECOND, 10 * MINUTE),
    grid=200,
    wald=200,
    others=2000,
)


def cells(effort: Effort) -> Iterator[Cell]:
    """All that is measured, each with luck of its own."""
    measures = (_wrong, _outages, _wald, _broken, _promoted, _samples)
    for number, cell in enumerate(cell for measure in measures for cell in measure(effort)):
        yield replace(cell, seed=number)


def _wrong(effort: Effort) -> Iterator[Cell]:
    for traffic, shape, delay, rate, history in product(TRAFFIC, SHAPES, DELAYS, effort.rates, effort.histories):
        hourly, median = TRAFFIC[traffic]
        world = World(
            hourly=hourly,
            durations=durations(shape, median),
            normal=rate,
            failing_takes=DELAYS[delay],
            history=history,
        )
        yield Cell(
            measure=WRONG,
            row=f"{traffic}, {shape}, failures {delay}",
            world=world,
            plan=CAREFUL,
            version=GOOD,
            releases=effort.grid,
        )


def durations(shape: str, median: float) -> Durations:
    """Durations of a shape."""
    made: Durations = SHAPES[shape](median)
    return made


def _outages(effort: Effort) -> Iterator[Cell]:
    outage = {SLOW_TRAFFIC: Outage(2 * HOUR, HOUR, 0.8), FAST_TRAFFIC: Outage(60 * SECOND, 60 * SECOND, 0.8)}
    for traffic, (hourly, median) in TRAFFIC.items():
        world = World(hourly=hourly, durations=Lognormal(median), outages=(outage[traffic],))
        yield Cell(measure=OUTAGE, row=traffic, world=world, plan=CAREFUL, version=GOOD, releases=effort.others // 4)


def _wald(effort: Effort) -> Iterator[Cell]:
    for times, median in product((2, 5), effort.medians):
        world = World(hourly=360_000, durations=Lognormal(median), history=10_000)
        plan = replace(TRIAL, max_failure_rate=times * world.normal)
        version = Version(name=f"fails {times} × as often", times=times)
        yield Cell(measure=WALD, row=_words(median), world=world, plan=plan, version=version, releases=effort.wald)


def _broken(effort: Effort) -> Iterator[Cell]:
    for rate, median in product((0.5, 1.0), (20 * MINUTE, 40 * MINUTE, 90 * MINUTE)):
        version = Version(name="fails half the time" if rate < 1 else "always fails", rate=rate)
        world = World(durations=Lognormal(median))
        yield Cell(measure=BROKEN, row=_words(median), world=world, plan=TRIAL, version=version, releases=effort.others)


def _promoted(effort: Effort) -> Iterator[Cell]:
    for traffic, rate in product(TRAFFIC, (0.005, 0.02, 0.05)):
        hourly, median = TRAFFIC[traffic]
        world = World(hourly=hourly, durations=Lognormal(median), normal=rate, history=10_000)
        plan = replace(TRIAL, max_failure_rate=excluded(TRIAL, rate))  # said, since the usual one depends on the history drawn
        bad = Version(name="fails at the excluded rate", rate=plan.max_failure_rate)
        yield Cell(measure=PROMOTED, row=traffic, world=world, plan=plan, version=bad, releases=effort.others)
    for traffic, (hourly, median) in TRAFFIC.items():
        world = World(hourly=hourly, durations=Lognormal(median))
        silent = Version(name="never ends: no evidence", hanging=1.0, rate=0.0)
        yield Cell(measure=PROMOTED, row=traffic, world=world, plan=TRIAL, version=silent, releases=effort.others)


def _samples(effort: Effort) -> Iterator[Cell]:
    for rate in (0.005, 0.02, 0.05):
        world = World(normal=rate, history=10_000)
        yield Cell(measure=SAMPLES, row=SLOW_TRAFFIC, world=world, plan=TRIAL, version=GOOD, releases=effort.others)


def excluded(plan: Plan, rate: float) -> float:
    """The rate that a plan excludes, where current's is known."""
    return plan.max_failure_rate or min(max(5 * rate, 0.1), (1 + rate) / 2)


def _words(milliseconds: float) -> str:
    return f"{milliseconds / MINUTE:g} min" if milliseconds >= MINUTE else f"{milliseconds / SECOND:g} s"
