"""Observe: everything about an app that a decision needs, read at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from canary.domain.app import App, Inspection, Parameter, Seen, Version
from canary.domain.changes import waits
from canary.domain.flip import latest_key
from canary.domain.plan import InvalidPlan
from canary.domain.plan_document import parse_plan
from canary.domain.release import Release, Verb
from canary.domain.sight import Sight
from canary.domain.states import ReleaseState
from canary.domain.target import InvalidTarget, Target, parse_pointer
from canary.errors import Unavailable
from canary.flipping.history import baseline, control_of
from canary.flipping.world import World


def observe(
    world: World,
    app: str,
    sights: Mapping[str, Sight],
    troubles: list[str],
    unfinished: Sequence[str] = (),
    probed: frozenset[str] = frozenset(),
) -> Seen:
    """Read what is known of an app. ``unfinished`` are releases that are not over, whether followed or not.

    What the decision can do without goes to ``troubles``. Raises `Unavailable`.
    """
    item = world.apps.app(app) or App(app=app)
    parameters = world.parameters.read(app, "current", "latest", "previous", "plan")
    latest, current = parameters.get("latest"), parameters.get("current")
    history: tuple[Version, ...] = ()
    if latest is not None and latest.version != item.checked:
        history = world.parameters.history(app)
        if history and history[-1].version > latest.version:  # the history is newer than what was read before it
            newest = history[-1]
            latest = Parameter(newest.value, newest.version, newest.modified_at)
    seen = Seen(
        app=item,
        current=current,
        latest=latest,
        previous=parameters.get("previous"),
        history=history,
        sights=sights,
        probed=probed,
        current_refused=world.allowed.refusal(current.pointer.target) if current and current.pointer else None,
    )
    releases = _releases(world, seen, unfinished)
    plan = parameters.get("plan")
    seen = replace(seen, app=_with_switch(world, item, releases), releases=releases)
    return replace(
        seen,
        inspection=_inspection(world, seen, plan.value if plan else None, troubles),
        previous_problem=_previous_problem(world, seen, releases, troubles),
    )


def _releases(world: World, seen: Seen, unfinished: Sequence[str]) -> dict[str, Release]:
    names = dict.fromkeys((*seen.app.followed, seen.app.promoted, latest_key(seen), *unfinished))
    found = {name: world.releases.release(seen.app.app, name) for name in names if name}
    return {name: release for name, release in found.items() if release is not None}


def _with_switch(world: World, item: App, releases: Mapping[str, Release]) -> App:
    """The item with the emergency stop as it is by now, where a gate may open next.

    Who stops writes the app first, then its releases; read in the other order, either this reading tells of the stop, or the
    release has changed when its gate is to be opened.
    """
    opens = {ReleaseState.OPENING, ReleaseState.HELD}
    if not any(release.state in opens or release.asks for release in releases.values()):
        return item
    now = world.apps.app(item.app)
    return replace(item, stopped=now.stopped) if now else item


def _inspection(world: World, seen: Seen, plan_text: str | None, troubles: list[str]) -> Inspection | None:
    """Look an opening release over; None while that cannot be done: it waits, and nothing else waits for it."""
    opening = next((release for release in seen.releases.values() if _is_looked_at(release, seen)), None)
    if opening is None:
        return None
    try:
        target = parse_pointer(opening.value).target
        plan = parse_plan(plan_text)
        if problem := world.inspect_expression(plan.transform_id) or _problem(world, opening.app, target):
            return Inspection(plan_text, problem)
        if not plan.judged and not plan.watch:
            return Inspection(plan_text)
        control = control_of(seen, seen.releases)
        found, warning = baseline(world, seen, seen.releases, control)
        return Inspection(plan_text, baseline=found, control=control, warning=warning)
    except (InvalidTarget, InvalidPlan) as error:
        return Inspection(plan_text, str(error))
    except Unavailable as error:
        troubles.append(f"{opening.target} cannot be inspected: {error}")
        return None


def _is_looked_at(release: Release, seen: Seen) -> bool:
    """Whether a release's target and plan are to be looked at now: it is new, and no other goes first."""
    new = release.state is ReleaseState.OPENING and release.refusal is None and not release.accepted
    return new and not waits(release, seen)


def _previous_problem(world: World, seen: Seen, releases: Mapping[str, Release], troubles: list[str]) -> str | None:
    """Say why previous could not serve, where somebody asks for a rollback to it, or a watch may."""
    asked = any(ask.verb is Verb.ROLLBACK for release in releases.values() for ask in release.asks)
    watched = any(release.state is ReleaseState.WATCHING and release.plan.watch for release in releases.values())
    if not (asked or watched) or seen.previous is None or seen.previous.pointer is None:
        return None
    try:
        return _problem(world, seen.app.app, seen.previous.pointer.target)
    except Unavailable as error:
        # Whether it exists cannot be said just now. A rollback is an emergency: it goes on.
        troubles.append(f"previous cannot be inspected: {error}")
        return None


def _problem(world: World, app: str, target: Target) -> str | None:
    if refusal := world.allowed.refusal(target):
        world.count("TargetRefused", app, 1)
        return refusal
    return world.stacks.problem(target)
