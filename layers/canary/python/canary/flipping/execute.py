"""Execute: one step, one write. A lost race is an ordinary result; the next decision starts from what is."""

from __future__ import annotations

from dataclasses import replace

from canary.domain.app import Seen
from canary.domain.flip import Mark, description
from canary.domain.release import NoticeKind, release_key
from canary.domain.steps import (
    Announce,
    BlankLatest,
    CreateRelease,
    RestoreLatest,
    SaveApp,
    SaveRelease,
    Step,
    WriteParameter,
)
from canary.domain.target import BLANK, is_blank
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
        case SaveRelease(before, after, idle=idle):
            world.releases.save(before, after, idle=idle)
        case SaveApp(after=after):
            world.apps.save_app(seen.app, after)
        case WriteParameter(name, value, over=over):
            if over is None or _version(world, app, name) == over:
                world.parameters.write(app, name, value)
        case BlankLatest(release=name):
            _blank(world, app, name)
        case RestoreLatest():
            _restore(world, app, step)
        case Announce(release=release, notice=notice):
            world.notices.send(release, notice)
            if metric := _METRICS.get(notice.kind):
                world.count(metric, app, 1)
            world.releases.save(release, replace(release, notices=release.notices[1:]))


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
