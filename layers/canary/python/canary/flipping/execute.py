"""Execute: one step, one write. A lost race is an ordinary result; the next decision starts from what is."""

from __future__ import annotations

import json
from dataclasses import replace

from canary.domain.app import Seen
from canary.domain.audit import Status
from canary.domain.call import NOT_THE_STACKS_FAULT, Call, CallResult
from canary.domain.flip import Mark, description
from canary.domain.release import NoticeKind, Probe, Release, release_key
from canary.domain.steps import (
    Announce,
    BlankLatest,
    CreateRelease,
    RestoreLatest,
    RunProbe,
    SaveApp,
    SaveRelease,
    Step,
    WriteParameter,
)
from canary.domain.target import BLANK, is_blank, is_execution, parse_pointer, shorten
from canary.errors import Unavailable
from canary.flipping.world import World

_METRICS = {
    NoticeKind.OPENED: "ReleaseOpened",
    NoticeKind.PROMOTED: "ReleasePromoted",
    NoticeKind.ABORTED: "ReleaseAborted",
    NoticeKind.REJECTED: "ReleaseRejected",
    NoticeKind.SUPERSEDED: "ReleaseSuperseded",
    NoticeKind.ROLLED_BACK: "ReleaseRolledBack",
}


def execute(world: World, seen: Seen, step: Step) -> None:
    """Carry a step out. Raises `Unavailable`."""
    app = seen.app.app
    match step:
        case CreateRelease(release):
            world.releases.create(release)
        case SaveRelease():
            _save(world, step)
        case SaveApp(after=after):
            world.apps.save_app(seen.app, after)
        case WriteParameter():
            _write(world, app, step)
        case BlankLatest(release=name):
            _blank(world, app, name)
        case RestoreLatest():
            _restore(world, app, step)
        case RunProbe(release=release, number=number):
            _probe(world, release, number)
        case Announce():
            _announce(world, app, step)


def _save(world: World, step: SaveRelease) -> None:
    if step.record is not None:  # first: a decision without its record could not be explained
        world.records.put(step.record)
    world.releases.save(step.before, step.after, idle=step.idle)


def _write(world: World, app: str, step: WriteParameter) -> None:
    if step.over is None or _version(world, app, step.name) == step.over:
        world.parameters.write(app, step.name, step.value)


def _announce(world: World, app: str, step: Announce) -> None:
    release, notice = step.release, step.notice
    world.notices.send(release, notice)
    if metric := _METRICS.get(notice.kind):
        world.count(metric, app, 1)
    world.releases.save(release, replace(release, notices=release.notices[1:]))


def _probe(world: World, release: Release, number: int) -> None:
    """Run one payload of the preflight. A second time is the same execution, where the stack names it by the request id."""
    plan = release.plan
    body = json.dumps(plan.preflight[number]).encode()
    name = f"preflight-{number}-r{release.release}"
    target = parse_pointer(release.value).target
    call = world.targets.call(target, body, name, release.release, plan.latest_timeout_ms, plan.transform_id, synthetic=True)
    if call.result in NOT_THE_STACKS_FAULT or call.result is CallResult.UNCLEAR:
        raise Unavailable("the preflight", call.result.value, f"{target.arn} could not be called: {call.error}")
    world.releases.save(release, replace(release, probes={**release.probes, number: _probed(call, world.clock())}))


def _probed(call: Call, now: int) -> Probe:
    if call.result is not CallResult.ANSWERED:
        return Probe(Status.FAILED, started_at=now, error=call.error)
    if call.untraced or (call.transform_id is not None and not is_execution(call.transform_id)):
        kept = shorten(call.transform_id) if call.transform_id is not None else None
        return Probe(Status.LOST, kept, now, "its workflow cannot be followed: see the plan's transform_id")
    return Probe(Status.RUNNING if call.transform_id else Status.SUCCEEDED, call.transform_id, now)


def _version(world: World, app: str, name: str) -> int | None:
    """Read a parameter's version right before it is written: a late write of a pass that was overtaken must not land."""
    found = world.parameters.read(app, name).get(name)
    return found.version if found else None


def _blank(world: World, app: str, release: str) -> None:
    """Blank latest if it still names the release: read right before, since SSM has no compare-and-set.

    A write of somebody's that lands in between is found in the history by the next decision, and put back.
    """
    latest = world.parameters.read(app, "latest").get("latest")
    if latest is None or is_blank(latest.value):
        return
    if release_key(latest.version, latest.value, latest.modified_at) == release:
        world.parameters.write(app, "latest", BLANK, description(release, Mark.BLANK))


def _restore(world: World, app: str, step: RestoreLatest) -> None:
    latest = world.parameters.read(app, "latest").get("latest")
    if latest is not None and latest.version == step.over:
        world.parameters.write(app, "latest", step.value, description(step.release, Mark.RESTORE))
