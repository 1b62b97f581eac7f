"""How a release's trial looks: what it may do, what has come of it, what speaks for and against it, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.text import Text

from canary.cli.show_evidence import evidence_bars, normal_words
from canary.cli.text import ahead, clock, plain
from canary.domain.alarm import AlarmState
from canary.domain.audit import Status
from canary.domain.judge import Judgement
from canary.domain.plan import NoData, Stage
from canary.domain.plan_words import span_words
from canary.domain.release import Release
from canary.domain.states import ON_TRIAL, Gate, Hold, ReleaseState
from canary.domain.words import duration, of_traffic, requests, weight_of_proof
from canary.operating.judging import Weighed
from canary.operating.reading import Overview
from canary.operating.telling import excluded

Line = tuple[str, Text]

#: What ends a hold; of a manual gate its time does as well.
_ENDS: Final = {
    Hold.LOST: "until `canary resume`, which gives a new slot for each one that is LOST",
    Hold.UNSENT: "until `canary resume`, which lets it try as often again",
    Hold.OBSERVATION: "until it can be seen again; then it goes on by itself",
    Hold.ALARM: "until the alarm is there; then it goes on by itself",
    Hold.CURRENT: "until current names a target that may be called; then it goes on by itself",
    Hold.FOREIGN: "until `canary resume`, which flips from what current is then",
    Hold.DEADLINE: "until a person decides: its time is over",
}
_NO_DATA: Final = {
    NoData.ABORT: "then it is aborted",
    NoData.PROMOTE: "then it is promoted, if nothing failed",
    NoData.HOLD: "then it is held, for a person to decide",
}
_ALARM_STYLES: Final = {AlarmState.OK: "green", AlarmState.ALARM: "bold red", AlarmState.INSUFFICIENT_DATA: "yellow"}


def trial_lines(seen: Overview, release: Release) -> Iterator[Line]:
    """Show a release's trial, as far as there is one."""
    yield from _queue(seen)
    if release.plan.preflight and release.accepted:
        yield "preflight", Text(preflight_words(release))
    if release.granted or release.accepted:
        yield "stage", Text(_stage(release))
        yield "slots", Text(f"{_slots(release, seen.weighed)}; gate ").append(_gate(release.gate))
        yield "outcomes", Text(_outcomes(release))
    if seen.weighed is not None:
        yield from _weighed(release, seen.weighed)
    elif release.verdict:
        yield "verdict", Text(plain(release.verdict))
    if release.hold is not None:
        yield "held", Text(_held(release, release.hold, seen.at), style="yellow")
    if release.state in ON_TRIAL:
        yield (
            "deadline",
            Text(f"{ahead(release.opened_at + release.plan.deadline_ms, seen.at)}: {_NO_DATA[release.plan.no_data]}"),
        )
    if release.state is ReleaseState.WATCHING and release.plan.watch and not release.returning:
        yield "watch", Text(watch_words(release, seen.at))
    if release.granted and (proof := weight_of_proof(release.plan)):
        yield "proof", Text(f"{proof}. For more: canary plan set {release.app} careful", style="dim")


def _queue(seen: Overview) -> Iterator[Line]:
    if first := seen.first:
        words = f"behind release {first.release} ({plain(first.tag)}, {first.state}): it opens once that one has ended"
        yield "waits", Text(words, style="yellow")
    if waiting := seen.waiting:
        yield "queue", Text(f"release {waiting.release} ({plain(waiting.tag)}) waits behind this one")


def preflight_words(release: Release) -> str:
    """Say how many of the preflight's requests have succeeded."""
    total, probes = len(release.plan.preflight), release.probes.values()
    words = f"{sum(probe.status is Status.SUCCEEDED for probe in probes)} of {requests(total)} succeeded, synthetic"
    running = sum(probe.status in {Status.CLAIMED, Status.RUNNING} for probe in probes)
    return f"{words}; {running} running" if running else words


def _stage(release: Release) -> str:
    plan, stage = release.plan, release.plan.stages[release.stage]
    words = f"{release.stage + 1} of {len(plan.stages)}: {_share(stage)}"
    if stage.min_completed:
        words += f", {stage.min_completed} of them finished"
    if stage.bake:
        words += f", baking {span_words(stage.bake)}"
    if stage.gate:
        words += ", then a person says `canary promote`"
    return f"{words} (plan {plan.preset!r})" if plan.preset else words


def _share(stage: Stage) -> str:
    if stage.quota is not None:
        return f"{requests(stage.quota)} at {stage.weight} %"
    return f"as many as are earned, at {stage.weight} % at most" if stage.earned else f"{stage.weight} % of the requests"


def _slots(release: Release, weighed: Weighed | None) -> str:
    stage = release.plan.stages[release.stage]
    free = max(0, release.granted - release.claimed)
    words = f"{release.granted} granted, {release.claimed} claimed, {free} free"
    if stage.quota is None and not stage.earned:  # the coin gives; how many could be claimed at once says nothing to people
        words = f"{release.claimed} claimed"
    numbers = weighed.verdict.numbers if weighed else None
    if stage.earned and numbers is not None:
        words += f", {numbers.slots} earned at a time"
    return f"{words}; {of_traffic(release.share)}" if release.plan.judged else words


def _outcomes(release: Release) -> str:
    tally = release.tally
    on_the_way = f"at most {release.in_flight}" if release.batches else f"{release.in_flight}"  # of a batch some may be unused
    words = f"{tally.succeeded} succeeded, {tally.failures} failed, {tally.lost} lost, {on_the_way} in flight"
    return f"{words}, {tally.refunded} unsent" if tally.refunded else words


def _weighed(release: Release, weighed: Weighed) -> Iterator[Line]:
    verdict, names = weighed.verdict, weighed.case.now.alarms
    if verdict.numbers is not None and not weighed.trouble:
        yield "normal", Text(normal_words(weighed.case.baseline))
        yield "fails", Text(excluded(verdict.numbers))
        yield "evidence", evidence_bars(weighed)
    if names:
        yield "alarms", _alarms(weighed)
    words = Text(str(verdict))
    if release.state is ReleaseState.RUNNING and verdict.judgement in {Judgement.PASS, Judgement.FAIL}:
        words.append("; the flipper acts on it in its next pass", style="dim")
    yield "verdict", words


def _alarms(weighed: Weighed) -> Text:
    words, states = Text(), weighed.case.alarms
    for number, name in enumerate(weighed.case.now.alarms):
        state = states.get(name)
        words.append(f"{', ' if number else ''}{plain(name)} ")
        words.append(state.value if state else "not found", style=_ALARM_STYLES[state] if state else "red")
    return words


def _held(release: Release, hold: Hold, now: int) -> str:
    gate = release.plan.stages[release.stage].gate
    if gate is not None and release.gate_ends is not None:
        end = ahead(release.gate_ends, now)
        return f"for approval: until `canary promote`; without an answer {end} the plan says {gate.default}"
    return _ENDS.get(hold, "")


def watch_words(release: Release, now: int) -> str:
    """Say how long it is watched, how far that is, and what it is for."""
    span, watched = release.plan.watch, release.watched
    words = (
        f"{span_words(span)}, {duration(now - watched.since)} so far; {watched.started} executions started since the promotion"
    )
    seen = f" and before {clock(watched.until)}" if watched.until > watched.since else ""
    return f"{words}{seen}; if it fails, the stack before it serves again by itself"


def _gate(gate: Gate) -> Text:
    return Text(gate.value, style="green" if gate is Gate.OPEN else "yellow")
