"""The world that releases are simulated in: how much traffic there is, how workflows end, and what a version is like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from canary.simulating.durations import Durations, Lognormal

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Outage:
    """For a while so many of the workflows that start fail, on either stack. It begins ``after`` the release; milliseconds."""

    after: float
    lasts: float
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Requests come one by one, independently of one another (a Poisson process), ``hourly`` of them.

    ``normal``: how many of current's workflows fail. ``failing_takes``: a failing one takes so many times as long as one that
    succeeds. ``history``: finished executions of current that a release is compared with.
    """

    hourly: float = 6.0
    durations: Durations = field(default_factory=lambda: Lognormal(40 * 60_000))
    normal: float = 0.005
    failing_takes: float = 1.0
    history: int = 500
    outages: tuple[Outage, ...] = ()

    @property
    def per_ms(self) -> float:
        """Requests in a millisecond."""
        return self.hourly / HOUR_MS

    def __str__(self) -> str:
        often = f"{self.hourly:.3g} requests an hour" if self.hourly < 3600 else f"{self.hourly / 3600:.3g} requests a second"
        words = [often, str(self.durations), f"{100 * self.normal:.3g} % fail normally"]
        if self.failing_takes != 1:
            words.append(f"failing takes {self.failing_takes:g} × as long")
        words += [f"an outage of both stacks for {each.lasts / 60_000:g} min" for each in self.outages]
        return f"{'; '.join(words)}; compared with {self.history} executions"

    def failing(self, rate: float, at: float) -> float:
        """How many of the workflows that start then fail, where ``rate`` do in quiet times."""
        hit = [each.rate for each in self.outages if each.after <= at < each.after + each.lasts]
        return max(rate, *hit) if hit else rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version on trial, beside current: it fails ``times`` as often or at a ``rate`` of its own.

    Its workflows take ``slower`` times as long, and of those that do not fail ``hanging`` never end.
    """

    name: str
    times: float = 1.0
    rate: float | None = None
    slower: float = 1.0
    hanging: float = 0.0

    def failing(self, normal: float) -> float:
        """Its failure rate, where ``normal`` is current's."""
        return min(1.0, self.rate if self.rate is not None else self.times * normal)


GOOD = Version(name="as good as current")

#: What a plan is tried with.
VERSIONS: Sequence[Version] = (
    GOOD,
    Version(name="fails 2 × as often", times=2),
    Version(name="fails 5 × as often", times=5),
    Version(name="fails half the time", rate=0.5),
    Version(name="always fails", rate=1.0),
    Version(name="1.3 × as slow", slower=1.3),
    Version(name="twice as slow", slower=2.0),
    Version(name="one in ten hangs", hanging=0.1),
)
