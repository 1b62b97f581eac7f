"""What the demo shows at one moment, and what is happening just then, in words. Pure: all of it is said of what was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from canary.cli.demo.app import Look
from canary.cli.demo.traffic import Sent
from canary.cli.text import plain
from canary.domain.release import Release
from canary.domain.states import ON_TRIAL, ReleaseState
from canary.operating.judging import verdict_now
from canary.routing.view import FRESH_MS

_S = ReleaseState
#: After so long every router has read its parameters again: they are cached for five seconds, give or take a fifth.
CACHED_MS: Final = FRESH_MS * 6 // 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A release that was begun by writing ``latest``."""

    release: str
    tag: str
    written_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that is shown. ``doing``: what the demo itself is busy with; else the state of things says what happens."""

    look: Look
    sent: tuple[Sent, ...] = ()
    trial: Trial | None = None
    doing: str | None = None

    @property
    def taken_over(self) -> bool:
        """Whether the router has sent its newest request to what is current now."""
        last = self.sent[-1] if self.sent else None
        return last is not None and last.routed_to == "current" and last.tag == self.look.tag("current")


def happening(scene: Scene) -> str:
    """Say what is happening, and why."""
    if scene.doing:
        return scene.doing
    if scene.trial is None:
        return f"No stack is on trial (latest is blank): every request goes to current, {scene.look.tag('current')}."
    if scene.look.release is None:
        return f"latest names {scene.trial.tag}: the flipper is about to find it there and to open a release."
    return _of_release(scene, scene.trial, scene.look.release)


def verdict(release: Release, at: int) -> str:
    """The judge's verdict: as it would be now while the release is on trial, as it was afterwards."""
    if release.state in ON_TRIAL:
        return str(verdict_now(release, at))
    return release.verdict or ""


def short(request_id: str) -> str:
    """The end of a request's own part of its id: what comes before it is the time, and what may follow is the release."""
    return f"…{request_id[20:26]}" if request_id else "none"


def _of_release(scene: Scene, trial: Trial, release: Release) -> str:
    tag, current = trial.tag, scene.look.tag("current")
    match release.state:
        case _S.OPENING:
            return f"The flipper examines {tag}: is it there, allowed, and not in quarantine?"
        case _S.RUNNING:
            return _running(scene, trial, release)
        case _S.PROMOTING | _S.WATCHING:
            return f"The proof is complete: the flipper makes {tag} current."
        case _S.ABORTING:
            return f"The flipper throws {tag} out: gate closed, quarantine, latest blank."
        case _S.PROMOTED if scene.taken_over:
            return f"{tag} has become current, and serves everybody."
        case _S.PROMOTED:
            return f"The flip is done: current is {current}. The router still holds its cached parameters (5 s ± 20 %)."
        case _S.ABORTED if release.target in scene.look.item.quarantine:
            return f"{tag} is out, and quarantined until somebody says `canary retry`. {current} serves everybody, as before."
        case state:
            return f"{tag} is {state}: {plain(release.reason)}"


def _running(scene: Scene, trial: Trial, release: Release) -> str:
    weight = release.plan.stages[release.stage].weight
    chance = f"each request goes to {trial.tag} with a chance of {weight} %"
    if release.claimed == 0 and scene.look.at - trial.written_at < CACHED_MS:
        return f"{release.granted} slots are free. The router still holds its cached parameters (5 s ± 20 %); then {chance}."
    if release.claimed < release.granted:
        return f"{release.claimed} of {release.granted} slots taken: while one is free, {chance}."
    if release.in_flight:
        return f"No slot is left, so nobody else reaches {trial.tag}. The workflows of its requests decide now."
    return f"Every outcome of {trial.tag} is known: the flipper judges."
