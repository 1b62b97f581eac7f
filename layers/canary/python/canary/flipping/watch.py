"""Watch: how the executions of a promoted stack go, counted in the release, so that no page is read twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from canary.domain.audit import Execution
from canary.domain.baseline import MOST_PAST
from canary.domain.release import Release, Watched
from canary.domain.request_id import record_of
from canary.domain.sight import WatchSight
from canary.domain.states import ReleaseState
from canary.domain.target import TargetKind, parse_target
from canary.domain.watching import LAG_MS
from canary.errors import Unavailable
from canary.flipping.world import World

#: With more failures than this, those that are old enough are counted for good.
MANY: Final = 500


def watch(world: World, release: Release) -> WatchSight | None:
    """Count the executions of the promoted stack; None where nothing is to be watched. Raises `Unavailable`."""
    span, before = release.plan.watch, release.watched
    if release.state is not ReleaseState.WATCHING or not span:
        return None
    machine = _machine(release)
    if machine is None:
        raise Unavailable("the watch", "NoWorkflows", f"{release.tag} starts no workflows that are known: nothing can be watched")
    watched = _started(world, release, machine)
    found, failed = _failures(world, release, machine, watched)
    after = _settled(release, watched, found, world.clock())
    if after != before and not world.releases.save(release, replace(release, watched=after)):
        found, failed = _failures(world, release, machine, before)
        watched = before
    enough = max(span.completed - failed, 0 if failed else 1)  # one shows that there was something to watch
    succeeded = _succeeded(world, release, machine, enough, watched.until)
    return WatchSight(started=max(watched.started, failed + succeeded), failed=failed, succeeded=succeeded)


def _started(world: World, release: Release, machine: str) -> Watched:
    """Count what has started since the last look. Where that is more than can be listed, counting begins anew with the newest."""
    watched = release.watched
    until = max(watched.until, world.clock() - LAG_MS)
    if until == watched.until:
        return watched
    news = world.executions.started(machine, watched.until, until)
    ours = len(_ours(release, news))
    if len(news) < MOST_PAST:
        return replace(watched, until=until, started=watched.started + ours)
    oldest = min(each.started_at or until for each in news)
    return replace(watched, counted_from=oldest, until=until, started=ours, failed_until=oldest, failed=0)


def _failures(world: World, release: Release, machine: str, watched: Watched) -> tuple[list[Execution], int]:
    """Those that are read anew in each pass, and how many have failed in all: at least."""
    try:
        found = world.executions.failures(machine, watched.failed_until)
    except Unavailable as error:
        if error.code != "TooMany":
            raise
        return [], watched.failed + MOST_PAST
    mine = [each for each in _ours(release, found) if _before(each, watched.until)]
    return mine, watched.failed + len(mine)


def _settled(release: Release, watched: Watched, found: list[Execution], now: int) -> Watched:
    """Count for good what no other failure will start before: what runs for longer than that hangs.

    Where nothing is known of durations, the older half of what a list holds: of more, none would be counted any more. A failure
    that started before those, and ends after them, is missed.
    """
    longest = release.baseline.overdue_ms(release.plan.hung_after)
    if len(found) <= (MANY if longest is not None else MOST_PAST // 2):
        return watched
    settled = now - longest if longest is not None else sorted(each.started_at or 0 for each in found)[len(found) // 2]
    until = max(watched.failed_until, min(watched.until, settled))
    return replace(watched, failed_until=until, failed=watched.failed + sum(_before(each, until) for each in found))


def _succeeded(world: World, release: Release, machine: str, enough: int, until: int) -> int:
    """How many executions have succeeded since the promotion: as many as the watch asks for, if there are so many.

    Only those of which the failed ones are counted too: else the quickest successes alone would end the watch.
    """
    ours = 0
    for most in (enough, MOST_PAST):  # the newest may be others'
        found = world.executions.succeeded(machine, release.watched.since, most) if enough > 0 else ()
        ours = sum(_before(each, until) for each in _ours(release, found))
        if ours >= enough or len(found) < most:
            break
    return ours


def _machine(release: Release) -> str | None:
    target = parse_target(release.target)
    return target.unqualified_arn if target.kind is TargetKind.STATE_MACHINE else release.state_machine


def _ours(release: Release, executions: Iterable[Execution]) -> list[Execution]:
    """Those that the router sent since the promotion: not the trial's own, and nobody else's where they can be told apart."""
    told = [(each, record_of(each.name)) for each in executions]
    return [
        each
        for each, record in told
        if (record is not None and record.release != release.release) or (record is None and not release.named)
    ]


def _before(execution: Execution, until: int) -> bool:
    return execution.started_at is not None and execution.started_at < until
