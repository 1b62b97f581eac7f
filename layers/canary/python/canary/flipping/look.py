"""Look: what a decision needs beyond a release's own rows: current's failures meanwhile, alarms, the watch, the preflight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from canary.domain.alarm import AlarmState
from canary.domain.audit import SKEW_MS, Execution, ExecutionStatus, Status
from canary.domain.evidence import ALONE
from canary.domain.release import Probe, Release
from canary.domain.request_id import digest_of, record_of
from canary.domain.sight import Sight, WatchSight
from canary.domain.states import ON_TRIAL, ReleaseState
from canary.domain.target import is_execution
from canary.errors import Denied, Unavailable
from canary.flipping.follow import Followed
from canary.flipping.watch import MANY, watch
from canary.flipping.world import World

#: Asking again will not help. TooMany: more failures of current than can be counted, an outage; the others: it is not there.
_LASTING: Final = frozenset({"TooMany", "NoWorkflows", "StateMachineDoesNotExist", "StateMachineTypeNotSupported"})

T = TypeVar("T")


def look(world: World, release: Release, followed: Followed, troubles: list[str]) -> Sight:
    """See a release. What may not be read is said, and what cannot be read just now goes to ``troubles`` as well."""
    sight = Sight(running=followed.running, controls=followed.controls, blind=followed.blind)
    compared, sight = _read(sight, troubles, lambda: _control(world, release, followed))
    control, uncompared = compared or ({}, True)
    sight = replace(sight, control=control, uncompared=uncompared)
    alarms, sight = _read(sight, troubles, lambda: _alarms(world, release))
    sight = replace(sight, alarms=alarms or {})
    if release.state is ReleaseState.WATCHING and release.plan.watch:
        counted, sight = _read(sight, troubles, lambda: watch(world, release))
        sight = replace(sight, watch=counted or WatchSight())
    return sight


def unfollowed(world: World, release: Release, why: str, troubles: list[str]) -> Sight:
    """See of a release what can be seen while its own requests cannot be followed: an alarm is heard all the same."""
    watch_ = WatchSight() if release.state is ReleaseState.WATCHING and release.plan.watch else None
    alarms, _ = _read(Sight(), troubles, lambda: _alarms(world, release))
    return Sight(alarms=alarms or {}, watch=watch_, unread=why, unfollowed=True)


def _read(sight: Sight, troubles: list[str], what: Callable[[], T]) -> tuple[T | None, Sight]:
    """Read one thing, or have the sight say why it could not be read."""
    try:
        return what(), sight
    except Unavailable as error:
        words = f"not everything can be seen: {error}"
        if isinstance(error, Denied) or error.code in _LASTING:
            return None, replace(sight, blind=sight.blind or words)
        troubles.append(words)
        return None, replace(sight, unread=words)


def _control(world: World, release: Release, followed: Followed) -> tuple[Mapping[int, int] | None, bool]:
    """Count current's failures among requests that lost the coin, by share: pages of executions, told apart by their names.

    None where they cannot be told apart. Beside it, whether it is unknown so far where they are to be found.
    """
    control, kept = release.control, release.gathered
    if not release.plan.judged or release.ended:
        return None, False
    if control is None:  # current has answered no request so far; its calls that failed are counted with the release
        return {}, not any(each.control for each in kept.shares.values())
    if not control.named:
        return None, False
    shares = {*kept.shares, *(each.share for each in followed.running)} - {ALONE}
    if control.machine is None or not shares:
        return {}, False
    since = max(release.opened_at - SKEW_MS, kept.compared_until)
    failures = _mine(release, world.executions.failures(control.machine, since))
    until = _settled_until(release, len(failures), world.clock())
    if until is not None and until > since and release.state in ON_TRIAL:
        settled = Counter(share for at, share in failures if at < until)
        if world.releases.save(release, replace(release, gathered=kept.with_control(settled, until))):
            failures = [(at, share) for at, share in failures if at >= until]
    return Counter(share for _, share in failures), False


def _mine(release: Release, failures: Iterable[Execution]) -> list[tuple[int, int]]:
    """When each of a release's control samples that failed was started, and at which share."""
    marks = ((each.started_at or 0, record_of(each.name)) for each in failures)
    mine = digest_of(release.release)
    return [(at, mark.control[1]) for at, mark in marks if mark and mark.control and mark.control[0] == mine]


def _settled_until(release: Release, found: int, now: int) -> int | None:
    """Before which no more failures will start: what runs for longer than that hangs. None while reading all of them is cheap."""
    longest = release.baseline.overdue_ms(release.plan.hung_after)
    return now - longest if longest is not None and found > MANY else None


def _alarms(world: World, release: Release) -> Mapping[str, AlarmState]:
    names = dict.fromkeys(name for stage in release.plan.stages for name in stage.alarms)  # it may come to the next stage
    if not names or release.ended:  # one that opens or is held may be on trial in the same pass
        return {}
    return world.alarms.states(names)


def follow_probes(world: World, release: Release) -> None:
    """See how the workflows of the preflight ended."""
    running = {
        number: probe.transform_id
        for number, probe in release.probes.items()
        if probe.status is Status.RUNNING and probe.transform_id and is_execution(probe.transform_id)
    }
    if release.state is not ReleaseState.OPENING or not running:
        return
    seen = world.executions.observe(running.values())
    probes = dict(release.probes)
    for number, arn in running.items():
        probes[number] = _settled(probes[number], seen[arn])
    if probes != release.probes:
        world.releases.save(release, replace(release, probes=probes))


def _settled(probe: Probe, seen: Execution) -> Probe:
    match seen.status:
        case ExecutionStatus.RUNNING | ExecutionStatus.PENDING_REDRIVE | ExecutionStatus.MISSING:
            return probe
        case ExecutionStatus.UNREADABLE:
            return replace(probe, status=Status.LOST, error=f"its end cannot be read: {seen.error}")
        case outcome:
            return replace(probe, status=Status(outcome.value), error=seen.error)
