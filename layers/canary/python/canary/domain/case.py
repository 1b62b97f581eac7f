"""Cases: what the judge is given, made from a release and what was seen of it; and as the document that is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from canary.domain.alarm import AlarmState
from canary.domain.app import Seen
from canary.domain.baseline import Baseline
from canary.domain.batch import unseen_since
from canary.domain.evidence import Epoch, Evidence, gather
from canary.domain.judge import Case, Verdict, judge
from canary.domain.measure import Numbers
from canary.domain.plan_document import plan_document, plan_from
from canary.domain.record import Record
from canary.domain.release import Release
from canary.domain.sight import Sight, WatchSight
from canary.domain.states import Hold, ReleaseState


def sight_of(release: Release, seen: Seen) -> Sight | None:
    """What was seen of a release; None when it could not be looked at, and something is there to be seen."""
    sight = seen.sights.get(release.release)
    if sight is not None:
        return sight
    stage, blinded = release.plan.stages[release.stage], release.hold is Hold.OBSERVATION
    return None if (release.plan.judged and release.claimed) or stage.alarms or blinded else Sight()


def case_of(release: Release, sight: Sight, now: int) -> Case:
    """Put the case of a release on trial, or in its watch."""
    tally = release.tally
    watch = sight.watch if release.state is ReleaseState.WATCHING else None
    return Case(
        plan=release.plan,
        stage=release.stage,
        at=now,
        stage_since=release.watched.since if watch else release.stage_since,
        completed=max(0, tally.known - release.stage_base),  # what was on its way when the stage began ends first
        in_flight=release.in_flight,
        unseen=len(release.open),
        free=max(0, release.granted - release.claimed),
        succeeded=tally.succeeded,
        failures=tally.failures,
        lost=tally.lost,
        lost_forgiven=release.lost_forgiven,
        refunded=tally.refunded,
        refunds_forgiven=release.refunds_forgiven,
        evidence=_evidence(release, sight, watch, now),
        baseline=release.baseline,
        alarms={name: sight.alarms[name] for name in release.plan.stages[release.stage].alarms if name in sight.alarms},
        blind=sight.blind,
        watch=watch,
    )


def _evidence(release: Release, sight: Sight, watch: WatchSight | None, now: int) -> Evidence:
    """The evidence of the trial, and of the executions since the promotion: all of them are latest's, at a share of one."""
    if sight.unfollowed:
        return Evidence()
    gathered, running = release.gathered, sight.running
    evidence = gather(
        gathered,
        running,
        sight.control,
        release.baseline,
        hung_after=release.plan.hung_after,
        lost=release.tally.lost,
        now=now,
        unseen_since=unseen_since(release.batches.values()),
    )
    if sight.uncompared:  # perhaps current fails as often: then what the coin sent says nothing of latest
        evidence = replace(evidence, epochs=())
    if watch is None:
        return evidence
    return replace(
        evidence,
        finished=evidence.finished + watch.succeeded + watch.failed,
        failed=evidence.failed + watch.failed,
        alone_started=evidence.alone_started + watch.started,
        alone_failed=evidence.alone_failed + watch.failed,
    )


def recorded(release: Release, case: Case, verdict: Verdict, decision: str, code: str) -> Record:
    """Make the evidence record of a decision."""
    return Record(
        app=release.app,
        release=release.release,
        rev=release.rev,
        at=case.at,
        code=code,
        judgement=verdict.judgement.value,
        reason=verdict.reason,
        decision=decision,
        case=case_document(case),
        numbers=_fields(verdict.numbers) if verdict.numbers else {},
        before=release.record,
    )


def judged_again(record: Record) -> Verdict:
    """Judge the case of a record once more, with the code that is here now. Raises `ValueError` when it cannot be read."""
    try:
        return judge(case_from(record.case))
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"the case of record {record.name} cannot be read: {error!r}") from error


def case_document(case: Case) -> dict[str, Any]:
    """Write a case as a JSON document."""
    evidence, watch = case.evidence, case.watch
    return {
        **_fields(case),
        "plan": plan_document(case.plan),
        "evidence": {**_fields(evidence), "epochs": [_fields(each) for each in evidence.epochs], "bins": list(evidence.bins)},
        "baseline": {**_fields(case.baseline), "cuts_ms": list(case.baseline.cuts_ms)},
        "alarms": {name: state.value for name, state in case.alarms.items()},
        "watch": _fields(watch) if watch else None,
    }


def _fields(value: Case | Evidence | Epoch | Baseline | WatchSight | Numbers) -> dict[str, Any]:
    """The fields of a flat value. `asdict` looks into everything, and takes longer than the judgement."""
    return {name: getattr(value, name) for name in value.__slots__}


def case_from(document: Mapping[str, Any]) -> Case:
    """Read a case back. Raises `ValueError`, `KeyError`, `TypeError`."""
    evidence, baseline, watch = document["evidence"], document["baseline"], document["watch"]
    epochs = tuple(Epoch(**epoch) for epoch in evidence["epochs"])
    fields = {
        **document,
        "plan": plan_from(document["plan"]),
        "evidence": Evidence(**{**evidence, "epochs": epochs, "bins": tuple(evidence["bins"])}),
        "baseline": Baseline(**{**baseline, "cuts_ms": tuple(baseline["cuts_ms"])}),
        "alarms": {name: AlarmState(state) for name, state in document["alarms"].items()},
        "watch": WatchSight(**watch) if watch else None,
    }
    return Case(**fields)
