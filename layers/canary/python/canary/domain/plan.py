"""Plans: how much of the traffic a release gets, what must be proved, and what happens when it is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

MAX_QUOTA: Final = 100_000
MAX_STAGES: Final = 20
MAX_DEADLINE_MS: Final = 30 * DAY_MS
#: API Gateway waits 29 s; current needs its share of them.
MAX_LATEST_TIMEOUT_MS: Final = 20_000
MIN_LATEST_TIMEOUT_MS: Final = 100
#: So many synthetic requests a plan may ask for; each is run by the flipper itself.
MAX_PREFLIGHT: Final = 10
#: CloudWatch's own limit for the length of an alarm's name, and how many alarms a stage may have: they are read with one call.
MAX_ALARM_NAME: Final = 255
MAX_ALARMS: Final = 20
#: The lowest failure rate that can be asked for. A history has 10,000 executions at most, and tells of none below half of this.
MIN_FAILURE_RATE: Final = 0.0001
#: What a plan may choose: the chance of a wrong abort; and how many times as long as 99.9 % of current's workflows one may run.
ALPHAS: Final = (0.0001, 0.2)
HUNG_AFTER: Final = (1.0, 100.0)
#: Requests that may go unsent or unknown before a judged release is held.
DEFAULT_MAX_LOST: Final = 10


class InvalidPlan(ValueError):
    """A plan that cannot be read; the message names the place and the cure."""


class Fallback(StrEnum):
    """What the upstream gets when latest fails: current ``always``, or only when latest surely ``unstarted``."""

    ALWAYS = "always"
    UNSTARTED = "unstarted"


class OnNewRelease(StrEnum):
    """What a newer write to ``latest`` does while the release runs: end it, wait for its end, or be refused."""

    SUPERSEDE = "supersede"
    QUEUE = "queue"
    REJECT = "reject"


class OnAbort(StrEnum):
    """What becomes of workflows that run on latest when the release is aborted: they ``finish``, or we ``stop`` them."""

    FINISH = "finish"
    STOP = "stop"


class NoData(StrEnum):
    """What happens to a release that is not decided by its deadline, until when it waits.

    PROMOTE only where some have succeeded, none failed, and none is unknown: no evidence never promotes.
    """

    ABORT = "abort"
    PROMOTE = "promote"
    HOLD = "hold"


class GateDefault(StrEnum):
    """What a manual gate does when nobody has answered in time."""

    ABORT = "abort"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class Span:
    """At least a time, and at least a number of completed executions; neither: nothing to wait for."""

    ms: int = 0
    completed: int = 0

    def __bool__(self) -> bool:
        return bool(self.ms or self.completed)


@dataclass(frozen=True, slots=True)
class ManualGate:
    """A person has to say ``canary promote`` before the release goes on from the stage."""

    timeout_ms: int = DAY_MS
    default: GateDefault = GateDefault.ABORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step: at most ``weight`` percent of the requests, ``quota`` of them.

    Without a quota it is as many as the evidence has earned (``earned``), or all that the coin gives.
    """

    quota: int | None = None
    weight: int = 50
    earned: bool = False
    bake: Span = field(default_factory=Span)
    min_completed: int = 0
    gate: ManualGate | None = None
    alarms: tuple[str, ...] = ()

    @property
    def open_ended(self) -> bool:
        """Whether only the evidence says when the stage is over."""
        return self.quota is None and not self.bake and not self.min_completed

    @property
    def uncounted(self) -> bool:
        """Whether the weight alone says how many requests go to latest."""
        return self.quota is None and not self.earned


def batched(stages: tuple[Stage, ...], number: int) -> bool:
    """Whether routers take slots in batches in a stage (from 0): nothing counts the requests there, nor in any stage after it.

    What is left of a batch comes back later, perhaps when the next stage has begun: its quota would be too large by that.
    """
    return stages[number].uncounted and all(each.quota is None for each in stages[number:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A release's plan, read once when the release opens.

    A plan with ``max_failures`` counts: every request of its quota, and so many may fail. A plan without is judged by evidence.
    """

    stages: tuple[Stage, ...] = (Stage(quota=2),)
    max_failures: int | None = 0
    max_failure_rate: float | None = None
    alpha: float = 0.01
    hung_after: float = 3.0
    max_lost: int = -1
    deadline_ms: int = DAY_MS
    no_data: NoData = NoData.ABORT
    on_new_release: OnNewRelease = OnNewRelease.SUPERSEDE
    on_abort: OnAbort = OnAbort.FINISH
    watch: Span = field(default_factory=Span)
    preflight: tuple[Any, ...] = ()
    fallback: Fallback = Fallback.ALWAYS
    latest_timeout_ms: int = 10_000
    transform_id: str | None = None
    preset: str | None = None

    def __post_init__(self) -> None:
        if self.max_lost < 0:
            object.__setattr__(self, "max_lost", self.quota if self.quota is not None else DEFAULT_MAX_LOST)

    @property
    def judged(self) -> bool:
        """Whether evidence decides, not a count."""
        return self.max_failures is None

    @property
    def quota(self) -> int | None:
        """Requests over all stages; None when some stage has no quota."""
        quotas = [stage.quota for stage in self.stages if stage.quota is not None]
        return sum(quotas) if len(quotas) == len(self.stages) else None
