"""Look: what a decision needs beyond a release's own rows: current's failures meanwhile, alarms, the watch, the preflight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from canary.domain.alarm import AlarmState
from canary.domain.audit import SKEW_MS, Execution, ExecutionStatus, Status
from canary.domain.baseline import MOST_PAST
from canary.domain.evidence import ALONE
from canary.domain.release import Probe, Release
from canary.domain.request_id import digest_of, record_of
from canary.domain.sight import Sight, WatchSight
from canary.domain.states import ReleaseState
from canary.domain.target import TargetKind, is_execution, parse_target
from canary.errors import Denied, Unavailable
from canary.flipping.follow import Followed
from canary.flipping.world import World

#: Asking again will not help. TooMany: more failures of current than can be counted, an outage; the others: it is not there.
_LASTING: Final = frozenset({"TooMany", "StateMachineDoesNotExist", "StateMachineTypeNotSupported"})
#: Lists of executions lag behind; what started later than this ago is looked at in the next pass.
_LAG_MS: Final = 10_000


def look(world: World, release: Release, followed: Followed) -> Sight:
    """See a release. What may not be read is said, and what cannot be read just now raises `Unavailable`."""
    sight = Sight(running=followed.running, controls=followed.controls, blind=followed.blind)
    try:
        sight = replace(sight, control=_control(world, release, followed))
    except Unavailable as error:
        sight = _blinded(replace(sight, control={}, uncompared=True), error)
    try:
        return replace(sight, alarms=_alarms(world, release), watch=_watch(world, release))
    except Unavailable as error:
        watch = WatchSight() if release.state is ReleaseState.WATCHING and release.plan.watch else None
        return _blinded(replace(sight, watch=watch), error)


def _blinded(sight: Sight, error: Unavailable) -> Sight:
    """The same sight, saying what may not be read or will not be. What only fails just now is raised again."""
    if not isinstance(error, Denied) and error.code not in _LASTING:
        raise error
    return replace(sight, blind=sight.blind or f"not everything can be seen: {error}")


def _control(world: World, release: Release, followed: Followed) -> Mapping[int, int] | None:
    """Count current's failures among requests that lost the coin, by share: pages of executions, told apart by their names."""
    control = release.control
    if control is None and any(each.control for each in release.gathered.shares.values()):
        return {}  # current has answered no request so far, and its calls that failed are counted with the release
    if control is None or not control.named or not release.plan.judged:
        return None
    shares = {*release.gathered.shares, *(each.share for each in followed.running)} - {ALONE}
    if control.machine is None or not shares or release.ended:
        return {}
    failures = world.executions.failures(control.machine, release.opened_at - SKEW_MS)
    marks = (record_of(_name(execution)) for execution in failures)
    mine = digest_of(release.release)
    return Counter(mark.control[1] for mark in marks if mark and mark.control and mark.control[0] == mine)


def _alarms(world: World, release: Release) -> Mapping[str, AlarmState]:
    names = dict.fromkeys(name for stage in release.plan.stages for name in stage.alarms)  # it may come to the next stage
    if not names or release.ended:  # one that opens or is held may be on trial in the same pass
        return {}
    return world.alarms.states(names)


def _watch(world: World, release: Release) -> WatchSight | None:
    """Count the executions of the promoted stack. How many started is kept in the release, so that no page is read twice."""
    span, watched = release.plan.watch, release.watched
    if release.state is not ReleaseState.WATCHING or not span:
        return None
    machine = _machine(release)
    if machine is None:
        return WatchSight()
    until = max(watched.until, world.clock() - _LAG_MS)
    if until > watched.until:
        news = _ours(release, world.executions.started(machine, watched.until, until))
        after = replace(watched, until=until, started=watched.started + len(news))
        if world.releases.save(release, replace(release, watched=after)):
            watched = after
    failures = _ours(release, world.executions.failures(machine, watched.since))
    failed = [each for each in failures if _before(each, watched.until)]
    succeeded = _succeeded(world, release, machine, span.completed - len(failed), watched.until)
    ended = len(failed) + len(succeeded)
    return WatchSight(started=max(watched.started, ended), failed=len(failed), succeeded=len(succeeded))


def _succeeded(world: World, release: Release, machine: str, enough: int, until: int) -> list[Execution]:
    """The executions that have succeeded since the promotion: as many as the watch asks for, if there are so many.

    Only those of which the failed ones are counted too: else the quickest successes alone would end the watch.
    """
    ours: list[Execution] = []
    for most in (enough, MOST_PAST):  # the newest may be others'
        found = world.executions.succeeded(machine, release.watched.since, most) if enough > 0 else ()
        ours = [each for each in _ours(release, found) if _before(each, until)]
        if len(ours) >= enough or len(found) < most:
            break
    return ours


def _machine(release: Release) -> str | None:
    target = parse_target(release.target)
    return target.unqualified_arn if target.kind is TargetKind.STATE_MACHINE else release.state_machine


def _ours(release: Release, executions: Iterable[Execution]) -> list[Execution]:
    """Those that the router sent since the promotion: not the trial's own, and nobody else's where they can be told apart."""
    told = [(each, record_of(_name(each))) for each in executions]
    return [
        each
        for each, record in told
        if (record is not None and record.release != release.release) or (record is None and not release.named)
    ]


def _before(execution: Execution, until: int) -> bool:
    return execution.started_at is not None and execution.started_at < until


def _name(execution: Execution) -> str:
    return execution.arn.rsplit(":", 1)[-1]


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
