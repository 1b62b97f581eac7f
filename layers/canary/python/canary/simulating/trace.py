"""Traces: what chance has in store for one release. Every policy and every version gets the same.

The n-th request that goes to latest has the same luck under any policy, and what fails on one version fails on a worse one too:
what differs between two rows of a comparison is the policy, and not the dice.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from canary.domain.baseline import Baseline
from canary.domain.bets import marks
from canary.simulating.durations import Floats
from canary.simulating.world import GOOD, Version, World

_FIRST: Final = 64

Flags = NDArray[np.bool_]


class Stream:
    """Random numbers, made as they are needed, and the same however many are asked for at a time."""

    def __init__(self, draw: Callable[[int], Floats]) -> None:
        self._draw = draw
        self._array = draw(_FIRST)
        self._list: list[float] = self._array.tolist()

    def upto(self, count: int) -> Floats:
        """Give the first ``count``."""
        missing = count - len(self._array)
        if missing > 0:
            self._array = np.concatenate([self._array, self._draw(max(missing, len(self._array)))])
        return self._array[:count]

    def __getitem__(self, number: int) -> float:
        if number >= len(self._list):
            self.upto(number + 1)
            self._list = self._array.tolist()
        return self._list[number]


class Arm:
    """The requests that go to one stack, in the order in which they start.

    ``gaps`` are exponential with a mean of one; an execution fails where its ``luck`` is below its failure rate.
    """

    def __init__(self, world: World, seed: SeedSequence) -> None:
        gaps, luck, base = (default_rng(each) for each in seed.spawn(3))
        self._world = world
        self.gaps = Stream(gaps.standard_exponential)
        self.luck = Stream(luck.random)
        self.base = Stream(lambda count: world.durations.sample(base, count))

    def outcome(self, version: Version, number: int, at: float) -> tuple[bool, float]:
        """Tell how an execution ends that starts at a time: whether it fails, and after how long."""
        world = self._world
        luck, takes = self.luck[number], self.base[number] * version.slower
        rate = version.failing(world.normal)
        if luck < (world.failing(rate, at) if world.outages else rate):
            return True, takes * world.failing_takes
        return False, inf if luck > 1 - version.hanging else takes

    def outcomes(self, version: Version, starts: Floats, first: int = 0) -> tuple[Flags, Floats]:
        """The same for as many executions as there are starts, all at once, from the ``first`` on."""
        world, until = self._world, first + len(starts)
        luck, takes = self.luck.upto(until)[first:], self.base.upto(until)[first:] * version.slower
        rates = np.full(len(starts), version.failing(world.normal))
        for outage in world.outages:
            hit = (starts >= outage.after) & (starts < outage.after + outage.lasts)
            rates[hit] = np.maximum(rates[hit], outage.rate)
        failed = luck < rates
        takes = np.where(failed, takes * world.failing_takes, takes)
        return failed, np.where(~failed & (luck > 1 - version.hanging), inf, takes)


class Trace:
    """The luck of one release. Times are milliseconds since it was opened.

    ``latest`` are the requests that go to it, ``compared`` those that go to a second copy of current (where a policy has one).
    """

    def __init__(self, world: World, seed: int, number: int) -> None:
        history, latest, compared, self._rest = SeedSequence([seed, number]).spawn(4)
        self.world = world
        self.baseline = drawn_baseline(world, default_rng(history))
        self.latest = Arm(world, latest)
        self._compared = compared
        self._second: Arm | None = None

    @property
    def compared(self) -> Arm:
        self._second = self._second or Arm(self.world, self._compared)
        return self._second

    def dice(self, count: int) -> tuple[Generator, ...]:
        """For all that is drawn only as it is met: so many generators, new ones for whoever asks, and always the same."""
        rest = self._rest
        return tuple(default_rng(SeedSequence(rest.entropy, spawn_key=(*rest.spawn_key, number))) for number in range(count))


def drawn_baseline(world: World, rng: Generator) -> Baseline:
    """Draw the history of current, and make the baseline of it."""
    count = world.history
    if count == 0:
        return Baseline(interval_ms=0, source="no history")
    failed = rng.random(count) < GOOD.failing(world.normal)
    takes = world.durations.sample(rng, count)
    takes[failed] *= world.failing_takes
    places = [*(max(1, mark) - 1 for mark in marks(count)), -(-999 * count // 1000) - 1]
    first, second, third, fourth, slowest = np.rint(np.partition(takes, places)[places]).astype(int).tolist()
    spread = rng.gamma(count - 1) / world.per_ms if count > 1 else 0.0
    return Baseline(
        executions=count,
        failed=int(failed.sum()),
        cuts_ms=(first, second, third, fourth),
        slowest_ms=slowest,
        mean_ms=round(float(takes.mean())),
        interval_ms=round(spread / (count - 1)) if count > 1 else 0,
        machine="simulated",
        source=f"{count} simulated executions",
    )
