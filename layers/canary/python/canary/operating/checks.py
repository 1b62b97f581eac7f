"""What is amiss with an app: pure checks of all that the doctor has read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from canary.domain.app import Parameter
from canary.domain.plan import InvalidPlan
from canary.domain.plan_document import parse_plan
from canary.domain.release import Release, release_key
from canary.domain.states import Hold, ReleaseState
from canary.domain.target import Allowed, InvalidTarget, is_blank, parse_pointer
from canary.domain.words import duration
from canary.operating.finding import Finding, Level
from canary.operating.holds import next_commands
from canary.operating.outcome import passing
from canary.operating.reading import Overview

#: The schedule wakes the flipper every minute; the alarm is at five.
LATE_MS: Final = 5 * 60_000
#: States that take seconds are stuck after this.
STUCK_MS: Final = 10 * 60_000
#: A lease is given for less than this, so a later end was written by a clock that goes wrong.
_LONGEST_LEASE_MS: Final = 5 * 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """All that was read of an app.

    ``current_problem`` says why the stack behind ``current`` cannot be called; ``missing_alarms`` are in the plan only.
    """

    overview: Overview
    allowed: Allowed
    followed: tuple[Release, ...] = ()
    lease_until: int | None = None
    current_problem: str | None = None
    missing_alarms: tuple[str, ...] = ()


def findings_of(examined: Examined) -> Iterator[Finding]:
    """Check an app."""
    if examined.overview.trouble:
        yield _finding(examined, Level.FAIL, "parameters", examined.overview.trouble, "current serves from its mirror meanwhile")
    else:
        yield _current(examined)
        yield _mirror(examined)
        yield _previous(examined)
        yield _plan(examined)
        yield _latest(examined)
    yield _flipper(examined)
    yield _lease(examined)
    for release in examined.followed:
        if finding := _release(examined, release):
            yield finding
    yield from _switches(examined)


def _current(seen: Examined) -> Finding:
    app, current = seen.overview.app, seen.overview.parameters.get("current")
    from_mirror = f"canary doctor {app} --repair" if seen.overview.item.mirror else f"canary init {app} --arn ARN"
    if current is None:
        return _finding(seen, Level.FAIL, "current", "the parameter is missing", from_mirror)
    if current.pointer is None:
        return _finding(seen, Level.FAIL, "current", f"it names no target: {_why_invalid(current)}", from_mirror)
    target, tag = current.pointer.target, current.pointer.tag
    if refusal := seen.allowed.refusal(target):
        return _finding(seen, Level.FAIL, "current", refusal, "widen TargetPattern (sam deploy), or write another current")
    if seen.current_problem:
        return _finding(seen, Level.FAIL, "current", seen.current_problem, f"canary rollback {app}, or deploy it again")
    if target.mutable:
        text = f"{tag}: {target.arn} is mutable, so what it is may change under everybody"
        return _finding(seen, Level.WARN, "current", text, "release a published version or an alias")
    return _finding(seen, Level.OK, "current", f"{tag} is there and allowed")


def _mirror(seen: Examined) -> Finding:
    current, mirror = seen.overview.parameters.get("current"), seen.overview.item.mirror
    repair = f"canary doctor {seen.overview.app} --repair"
    if mirror is None:
        return _finding(seen, Level.FAIL, "mirror", "there is none, so a router without SSM could not serve", repair)
    if current is None or current.pointer is None:
        return _finding(seen, Level.WARN, "mirror", f"it serves in place of current: {mirror.value}", repair)
    if mirror.value != current.value:
        return _finding(seen, Level.FAIL, "mirror", f"it says {mirror.value}, and current {current.value}", repair)
    return _finding(seen, Level.OK, "mirror", "it equals current")


def _previous(seen: Examined) -> Finding:
    previous = seen.overview.parameters.get("previous")
    if previous is None or is_blank(previous.value):
        return _finding(seen, Level.OK, "previous", "it is blank: there is nothing to roll back to")
    if previous.pointer is None:
        text = f"it names no target, so a rollback is refused: {_why_invalid(previous)}"
        return _finding(seen, Level.WARN, "previous", text, "write the ARN to go back to, or NONE, to the parameter")
    return _finding(seen, Level.OK, "previous", f"{previous.pointer.tag} is what a rollback goes back to")


def _plan(seen: Examined) -> Finding:
    parameter = seen.overview.parameters.get("plan")
    try:
        plan = parse_plan(parameter.value if parameter else None)
    except InvalidPlan as error:
        return _finding(seen, Level.FAIL, "plan", f"every release is rejected: {error}", "write a valid plan to the parameter")
    if seen.missing_alarms:
        names = ", ".join(repr(name) for name in seen.missing_alarms)
        text = f"it names alarms that CloudWatch does not have ({names}): a release would be held"
        return _finding(
            seen, Level.FAIL, "plan", text, f"make them, or choose another plan: canary plan set {seen.overview.app} PLAN"
        )
    requests = f"{plan.quota} requests" if plan.quota is not None else "as many requests as the evidence earns"
    words = f"{requests} in {len(plan.stages)} stage{'s' if len(plan.stages) > 1 else ''}"
    named = f" ({plan.preset})" if plan.preset else ""
    return _finding(seen, Level.OK, "plan", f"{words}{named}" if parameter else f"{words} (the default)")


def _latest(seen: Examined) -> Finding:
    latest, now = seen.overview.parameters.get("latest"), seen.overview.at
    if latest is None or is_blank(latest.value):
        return _finding(seen, Level.OK, "latest", "it is blank: no release is running")
    key = release_key(latest.version, latest.value, latest.modified_at)
    known = {release.release: release for release in (*seen.followed, *seen.overview.recent)}
    age = now - latest.modified_at
    if key not in known:
        level = Level.WARN if age < LATE_MS else Level.FAIL
        text = f"release {key} was written {duration(age)} ago and is not opened"
        return _finding(seen, level, "latest", text, f"canary status {seen.overview.app}, then look at the flipper's log")
    release = known[key]
    if release.ended and now - release.since > LATE_MS:
        text = f"release {key} is {release.state}, but latest still names it"
        return _finding(seen, Level.FAIL, "latest", text, "look at the flipper's log")
    return _finding(seen, Level.OK, "latest", f"release {key} ({release.tag}) is {release.state}")


def _flipper(seen: Examined) -> Finding:
    last = seen.overview.item.last_pass
    if last is None:
        return _finding(seen, Level.FAIL, "flipper", "it has made no pass yet", "look at its log and at its schedule")
    age = seen.overview.at - last
    if age > LATE_MS:
        text = f"its last pass was {duration(age)} ago: the schedule does not wake it, or its passes fail"
        return _finding(seen, Level.FAIL, "flipper", text, "look at its log and at its schedule; see docs/operations.md")
    return _finding(seen, Level.OK, "flipper", f"its last pass was {duration(age)} ago")


def _lease(seen: Examined) -> Finding:
    until, now = seen.lease_until, seen.overview.at
    if until is None:
        return _finding(seen, Level.OK, "lease", "nobody holds it")
    if until > now + _LONGEST_LEASE_MS:
        text = f"it is held for another {duration(until - now)}, longer than anybody takes it: a clock went wrong"
        return _finding(seen, Level.FAIL, "lease", text, "remove lease_until from the app's item (sort key #app)")
    if until < now:
        return _finding(seen, Level.WARN, "lease", f"a pass ended without giving it back {duration(now - until)} ago")
    return _finding(seen, Level.OK, "lease", "a pass is being made just now")


def _release(seen: Examined, release: Release) -> Finding | None:
    app, age = seen.overview.app, seen.overview.at - release.since
    name = f"{release.release} ({release.tag})"
    if release.state is ReleaseState.HELD:
        level = Level.WARN if release.hold is Hold.APPROVAL else Level.FAIL  # its plan asks for a person
        return _finding(
            seen, level, "release", f"{name} is held for {duration(age)}: {release.reason}", next_commands(app, release.hold)
        )
    if passing(release) and age > STUCK_MS:
        text = f"{name} is {release.state} for {duration(age)}, which should take seconds"
        return _finding(seen, Level.FAIL, "release", text, "look at the flipper's log: its next pass goes on from there")
    if release.state is ReleaseState.PAUSED:
        return _finding(seen, Level.WARN, "release", f"{name} is paused for {duration(age)}", f"canary resume {app}")
    return None


def _switches(seen: Examined) -> Iterator[Finding]:
    item, now = seen.overview.item, seen.overview.at
    if stopped := item.stopped:
        text = f"all gates are stopped by {stopped.who} for {duration(now - stopped.at)}: {stopped.why}"
        yield _finding(seen, Level.WARN, "stop", text, "canary start-all")
    for arn, entry in item.quarantine.items():
        text = f"{entry.tag} since release {entry.release} ({entry.reason})"
        yield _finding(seen, Level.OK, "quarantine", text, f"canary retry {seen.overview.app} {arn}")


def _finding(seen: Examined, level: Level, check: str, text: str, cure: str = "") -> Finding:
    return Finding(level, check, text, cure, seen.overview.app)


def _why_invalid(parameter: Parameter) -> str:
    if is_blank(parameter.value):
        return "it is blank"
    try:
        parse_pointer(parameter.value)
    except InvalidTarget as error:
        return str(error)
    return ""
