"""Observe: everything about an app that a decision needs, read at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from canary.domain.app import App, Inspection, Parameter, Seen, Version
from canary.domain.flip import latest_key
from canary.domain.plan import InvalidPlan, parse_plan
from canary.domain.release import Release, ReleaseState, Verb
from canary.domain.target import InvalidTarget, Target, parse_pointer
from canary.errors import Unavailable
from canary.flipping.world import World


def observe(world: World, app: str, unreadable: Mapping[str, str], troubles: list[str]) -> Seen:
    """Read what is known of an app. What the decision can do without goes to ``troubles``. Raises `Unavailable`."""
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
        unreadable=unreadable,
        current_refused=world.allowed.refusal(current.pointer.target) if current and current.pointer else None,
    )
    releases = _releases(world, seen)
    plan = parameters.get("plan")
    return replace(
        seen,
        app=_with_switch(world, item, releases),
        releases=releases,
        inspection=_inspection(world, releases, plan.value if plan else None, troubles),
        previous_problem=_previous_problem(world, seen, releases, troubles),
    )


def _releases(world: World, seen: Seen) -> dict[str, Release]:
    names = dict.fromkeys((*seen.app.followed, seen.app.promoted, latest_key(seen)))
    found = {name: world.releases.release(seen.app.app, name) for name in names if name}
    return {name: release for name, release in found.items() if release is not None}


def _with_switch(world: World, item: App, releases: Mapping[str, Release]) -> App:
    """The item with the emergency stop as it is by now, where a gate may open next.

    Who stops writes the app first, then its releases; read in the other order, either this reading tells of the stop, or the
    release has changed when its gate is to be opened.
    """
    if not any(release.state is ReleaseState.OPENING or release.asks for release in releases.values()):
        return item
    now = world.apps.app(item.app)
    return replace(item, stopped=now.stopped) if now else item


def _inspection(world: World, releases: Mapping[str, Release], plan_text: str | None, troubles: list[str]) -> Inspection | None:
    """Look an opening release's target over; None while that cannot be done: it waits, and nothing else waits for it."""
    opening = next((r for r in releases.values() if r.state is ReleaseState.OPENING and r.refusal is None), None)
    if opening is None:
        return None
    try:
        target = parse_pointer(opening.value).target
        expression = parse_plan(plan_text).transform_id
        return Inspection(plan_text, world.inspect_expression(expression) or _problem(world, opening.app, target))
    except (InvalidTarget, InvalidPlan) as error:
        return Inspection(plan_text, str(error))
    except Unavailable as error:
        troubles.append(f"{opening.target} cannot be inspected: {error}")
        return None


def _previous_problem(world: World, seen: Seen, releases: Mapping[str, Release], troubles: list[str]) -> str | None:
    """Say why previous could not serve, where somebody asks for a rollback to it."""
    asked = any(ask.verb is Verb.ROLLBACK for release in releases.values() for ask in release.asks)
    if not asked or seen.previous is None or seen.previous.pointer is None:
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
