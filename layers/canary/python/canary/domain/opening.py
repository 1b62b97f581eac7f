"""How a release opens: its target and plan are looked at, its preflight runs, and its first slots are granted."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from canary.domain import flip
from canary.domain.app import Inspection, Learned, Parameter, Seen
from canary.domain.asks import carry_out
from canary.domain.audit import Status
from canary.domain.changes import abort, goes_on, overtaken, save, waits
from canary.domain.evidence import Evidence
from canary.domain.measure import bad_rate
from canary.domain.plan import InvalidPlan, OnNewRelease, Plan
from canary.domain.plan_document import parse_plan
from canary.domain.release import NoticeKind, Release
from canary.domain.stages import begun
from canary.domain.states import Gate, ReleaseState
from canary.domain.steps import BlankLatest, CreateRelease, RunProbe, SaveApp, Step
from canary.domain.target import MOST_CHARACTERS, InvalidTarget, parse_pointer, shorten
from canary.domain.words import duration, of_traffic, percent, requests, weight_of_proof

_S = ReleaseState
_RUNNING_PROBES: Final = frozenset({Status.CLAIMED, Status.RUNNING})


def adopt(seen: Seen, now: int) -> Step | None:
    """Open a release for what ``latest`` names, once no other is in its way."""
    key = flip.latest_key(seen)
    if key is None or seen.latest is None or key in seen.releases:
        return None
    if seen.latest.version < seen.app.newest and seen.latest.modified_at < seen.app.newest_at:
        return None  # read as it was before a newer write, which has had its release already
    unfinished = [release for release in seen.releases.values() if not release.ended]
    first = next((release for release in unfinished if goes_on(release)), None)
    if unfinished and (first is None or len(unfinished) > 1):
        return None
    if key not in seen.app.followed:
        followed, latest = (*seen.app.followed, key), seen.latest
        after = replace(seen.app, followed=followed, newest=latest.version, newest_at=latest.modified_at)
        return SaveApp(after, f"latest names release {key}")
    if not flip.history_is_whole(seen):  # it may be older than latest: whether this is a write put back is not known yet
        return None
    return CreateRelease(_created(key, seen.latest, first, seen, now), "a new release")


def _created(key: str, latest: Parameter, first: Release | None, seen: Seen, now: int) -> Release:
    value, refusal = latest.value, None
    # What cannot be read is told in events: of JSON not even a part, since it may hold words that are nobody's business.
    shown = "{…}" if value.lstrip().startswith("{") else value
    target, tag, by, commit = shorten(shown), shorten(shown, 40), None, None
    try:
        pointer = parse_pointer(value)
        target, tag, by, commit = pointer.target.arn, pointer.tag, pointer.by, pointer.commit
    except InvalidTarget as error:
        refusal = str(error)
    if first is not None and first.plan.on_new_release is OnNewRelease.REJECT:
        refusal = (
            f"release {first.release} ({first.tag}) is {first.state}, and its plan refuses newer ones: release again after it"
        )
    return Release(
        app=seen.app.app,
        release=key,
        rev=1,
        state=_S.OPENING,
        since=now,
        opened_at=now,
        written_at=latest.modified_at,
        value=value,
        target=target,
        tag=tag,
        by=by,
        commit=commit,
        refusal=refusal,
        behind=first.release if first else None,
        restored_from=flip.restored_release(seen.history),
    ).noted("opened", now=now, why=f"{tag} was written to latest", who=by or "release tagging")


def opening(release: Release, seen: Seen, now: int) -> Step | None:
    """Decide on a release that is OPENING."""
    if release.refusal:
        if step := blank_left(release, seen):
            return step
        after = release.moved(_S.REJECTED, now=now, why=release.refusal)
        return save(release, after.announcing(NoticeKind.REJECTED, f"{release.tag}: {release.refusal}", now))
    if step := overtaken(release, seen, now):
        return step
    if release.asks:
        return carry_out(release, seen, now)
    if waits(release, seen):
        return None
    return _preflight(release, seen, now) if release.accepted else _looked_at(release, seen, now)


def blank_left(release: Release, seen: Seen) -> Step | None:
    """Blank what was refused, or aborted: behind another release, once that has ended."""
    if flip.latest_key(seen) != release.release or waits(release, seen):
        return None
    return BlankLatest(release.release, "nothing more will go there: the router stays with current")


def _looked_at(release: Release, seen: Seen, now: int) -> Step | None:
    inspection = seen.inspection
    if inspection is None:
        return None
    try:
        plan = parse_plan(inspection.plan_text)
    except InvalidPlan as error:
        return _refuse(release, f"the plan cannot be used: {error}", now)
    if problem := _objection(release, inspection, plan, seen):
        return _refuse(release, problem, now)
    accepted = replace(
        release,
        plan=plan,
        against=seen.serving.target.arn if seen.serving else None,
        baseline=inspection.baseline,
        control=inspection.control,
        warning=inspection.warning,
        accepted=True,
        opened_at=now,  # its deadline counts from here, however long it had to wait behind another
    )
    if plan.preflight:
        why = f"the preflight comes first: {requests(len(plan.preflight))}, synthetic"
        return save(release, accepted.noted("accepted", now=now, why=why))
    return _begin(release, accepted, seen, now)


def _objection(release: Release, inspection: Inspection, plan: Plan, seen: Seen) -> str | None:
    if inspection.problem:
        return inspection.problem
    if len(release.value) > MOST_CHARACTERS:
        return f"its value has {len(release.value)} characters, and current could not hold it: {MOST_CHARACTERS} at most"
    if seen.serving is None:
        return f"there is no valid current stack: set {release.app}/current first (canary init)"
    if seen.serving.target.arn == release.target:
        return "it is the current stack already"
    if entry := seen.app.quarantine.get(release.target):
        return (
            f"{release.tag!r} is quarantined since release {entry.release} ({entry.reason}): "
            f"see `canary status {release.app} --release {entry.release}`, then `canary retry {release.app} {release.target}`"
        )
    normal, bad = inspection.baseline.rate, bad_rate(plan, inspection.baseline)
    if plan.judged and bad <= normal:
        itself = f"and current itself fails {percent(normal)} of the time"
        return f"max_failure_rate is {percent(bad)}, {itself}: nothing could pass; raise it"
    return None


def _refuse(release: Release, why: str, now: int) -> Step:
    return save(release, release.noted("refused", now=now, why=why, refusal=why))


def _preflight(release: Release, seen: Seen, now: int) -> Step | None:
    """Run what the plan wants to see succeed before any real request. Each has to."""
    if now >= release.opened_at + release.plan.deadline_ms:
        why = f"the preflight did not end within the deadline of {duration(release.plan.deadline_ms)}; no real request was sent"
        return abort(release, why, now)
    total = len(release.plan.preflight)
    for number in range(total):
        probe = release.probes.get(number)
        if probe is None:
            if release.release in seen.probed:
                return None
            return RunProbe(release, number, f"preflight {number + 1} of {total}")
        if probe.status not in _RUNNING_PROBES | {Status.SUCCEEDED}:
            error = f" ({probe.error})" if probe.error else ""
            return abort(
                release, f"preflight {number + 1} of {total} ended as {probe.status}{error}; no real request was sent", now
            )
    if any(probe.status is not Status.SUCCEEDED for probe in release.probes.values()):
        return None
    return _begin(release, release, seen, now)


def _begin(before: Release, release: Release, seen: Seen, now: int) -> Step:
    """Grant the first slots and open the gate."""
    plan = release.plan
    target = parse_pointer(release.value).target
    mutable = f"{target.arn} is mutable: publish a version and release that" if target.mutable else None
    warning = ". ".join(filter(None, (release.warning, mutable))) or None
    changes = begun(release, 0, Evidence(), release.baseline, now)
    granted = f"{requests(changes['granted'])} to begin with, {of_traffic(changes['share'])}" if plan.judged else ""
    granted = granted or f"{plan.stages[0].quota} slots granted"
    after = release.moved(
        _S.RUNNING,
        now=now,
        why=granted,
        gate=Gate.CLOSED if seen.app.stopped or release.stopping else Gate.OPEN,
        warning=warning,
        **changes,
    )
    proof = weight_of_proof(plan)
    preset = f" by the plan {plan.preset!r}" if plan.preset else ""
    first = requests(changes["granted"])
    text = f"{release.tag} is on trial{preset}: {first}" + (f" ({proof})" if proof else "")
    return save(before, after.announcing(NoticeKind.OPENED, text + (f". {warning}" if warning else ""), now))


def learned(release: Release, seen: Seen) -> Step | None:
    """Keep what a release has learned of current's workflows, for the next one's baseline."""
    if release.control is None or seen.serving is None or release.control.machine is None:
        return None
    news = Learned(seen.serving.target.arn, release.control)
    if seen.app.learned == news or release.against not in {None, news.target} or news.target == release.target:
        return None
    return SaveApp(replace(seen.app, learned=news), "where current's workflows run is known now")
