"""What the verbs write with --json. Times as in the tables; what is not known is absent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from canary.domain.app import Parameter
from canary.domain.audit import Row
from canary.domain.plan_document import plan_document
from canary.domain.release import Ask, Probe, Release, timestamp
from canary.domain.states import ON_TRIAL
from canary.domain.words import weight_of_proof
from canary.operating.finding import Finding
from canary.operating.judging import Weighed, verdict_now
from canary.operating.reading import Overview


def release_document(release: Release, now: int, weighed: Weighed | None = None) -> dict[str, Any]:
    """Write a release; with what the judge would say of it now, where that was asked."""
    return _known(
        {
            "app": release.app,
            "release": release.release,
            "state": release.state.value,
            "reason": release.reason,
            "since": timestamp(release.since),
            "tag": release.tag,
            "target": release.target,
            "commit": release.commit,
            "by": release.by,
            "opened_at": timestamp(release.opened_at),
            "ended_at": _time(release.ended_at),
            "deadline": timestamp(release.opened_at + release.plan.deadline_ms) if release.state in ON_TRIAL else None,
            **_progress(release),
            "verdict": _verdict(release, now, weighed),
            "numbers": _numbers(weighed),
            "alarms": {name: state.value for name, state in weighed.case.alarms.items()} or None if weighed else None,
            "record": release.record,
            "weight_of_proof": weight_of_proof(release.plan),
            "warning": release.warning,
            "restored_from": release.restored_from,
            "plan": plan_document(release.plan),
            "asks": [_ask(ask) for ask in release.asks],
            "history": [{"at": timestamp(c.at), "who": c.who, "what": c.what, "why": c.why} for c in release.history],
        }
    )


def overview_document(overview: Overview) -> dict[str, Any]:
    """Write all about an app."""
    item, stopped = overview.item, overview.item.stopped
    return _known(
        {
            "app": overview.app,
            "at": timestamp(overview.at),
            **{name: _parameter(overview.parameters.get(name)) for name in ("current", "latest", "previous")},
            "mirror": item.mirror.value if item.mirror else None,
            "parameters_unreadable": overview.trouble,
            "last_pass": _time(item.last_pass),
            "stopped": {"who": stopped.who, "why": stopped.why, "at": timestamp(stopped.at)} if stopped else None,
            "quarantine": [
                {"target": arn, "tag": q.tag, "release": q.release, "reason": q.reason, "at": timestamp(q.at)}
                for arn, q in item.quarantine.items()
            ],
            "release": release_document(overview.release, overview.at, overview.weighed) if overview.release else None,
            "waiting": overview.waiting.release if overview.waiting else None,
            "recent": [
                {"release": r.release, "tag": r.tag, "state": r.state.value, "opened_at": timestamp(r.opened_at)}
                for r in overview.recent
            ],
        }
    )


def row_document(row: Row) -> dict[str, Any]:
    """Write an audit row, with the names of the table."""
    return _known(
        {
            "release_id": f"{row.app}#{row.release}",
            "request_id": row.request_id,
            "app": row.app,
            "tag": row.tag,
            "arm": row.arm.value,
            "share": row.share,
            "target": row.target,
            "transform_id": row.transform_id,
            "state_machine": row.state_machine,
            "status": row.status.value,
            "claimed_at": timestamp(row.claimed_at),
            "started_at": _time(row.started_at),
            "stopped_at": _time(row.stopped_at),
            "duration_ms": row.duration_ms,
            "tenant": row.tenant,
            "error": row.error,
            "payload_sha256": row.payload_sha256,
            "payload_bytes": row.payload_bytes,
            "fell_back": row.fell_back or None,
            "unstarted": row.unstarted or None,
        }
    )


#: The columns of a row, in their order.
ROW_COLUMNS = (
    "release_id",
    "request_id",
    "app",
    "tag",
    "arm",
    "share",
    "target",
    "transform_id",
    "state_machine",
    "status",
    "claimed_at",
    "started_at",
    "stopped_at",
    "duration_ms",
    "tenant",
    "error",
    "payload_sha256",
    "payload_bytes",
    "fell_back",
    "unstarted",
)


def finding_document(finding: Finding) -> dict[str, Any]:
    """Write a finding."""
    words = {"level": finding.level.value, "check": finding.check, "app": finding.app, "text": finding.text, "next": finding.cure}
    return {name: word for name, word in words.items() if word}


def _progress(release: Release) -> dict[str, Any]:
    """How far a release is."""
    tally, watched = release.tally, release.watched
    return {
        "stage": release.stage + 1,
        "stages": len(release.plan.stages),
        "gate": release.gate.value,
        "share": release.share if release.granted else None,
        "slots": {
            "granted": release.granted,
            "claimed": release.claimed,
            "free": max(0, release.granted - release.claimed),
            "in_flight": release.in_flight,
        },
        "outcomes": {
            "succeeded": tally.succeeded,
            "failed": tally.failed,
            "timed_out": tally.timed_out,
            "aborted": tally.aborted,
            "lost": tally.lost,
            "refunded": tally.refunded,
        },
        "behind": release.behind,
        "hold": release.hold.value if release.hold else None,
        "probes": [_probe(number, probe) for number, probe in sorted(release.probes.items())] or None,
        "watched": {"since": timestamp(watched.since), "until": timestamp(watched.until), "started": watched.started}
        if watched.since
        else None,
    }


def _probe(number: int, probe: Probe) -> dict[str, Any]:
    about = {"transform_id": probe.transform_id, "started_at": _time(probe.started_at), "error": probe.error}
    return _known({"number": number + 1, "status": probe.status.value, **about})


def _ask(ask: Ask) -> dict[str, Any]:
    words = {"verb": ask.verb.value, "who": ask.who, "why": ask.why, "at": timestamp(ask.at), "force": ask.force or None}
    return _known(words)


def _verdict(release: Release, now: int, weighed: Weighed | None) -> str | None:
    """What the judge says of a release: now, while it is on trial. Where evidence is weighed, its item alone does not tell."""
    if release.state not in ON_TRIAL:
        return release.verdict
    if weighed is not None:
        return str(weighed.verdict)
    return None if release.plan.judged else str(verdict_now(release, now))


def _numbers(weighed: Weighed | None) -> dict[str, Any] | None:
    """The numbers behind the verdict, where all could be read that they are made of."""
    if weighed is None or weighed.verdict.numbers is None or weighed.trouble:
        return None
    return asdict(weighed.verdict.numbers)


def _parameter(parameter: Parameter | None) -> dict[str, Any] | None:
    if parameter is None:
        return None
    pointer = parameter.pointer
    words = {"arn": pointer.target.arn, "tag": pointer.tag, "commit": pointer.commit, "by": pointer.by} if pointer else {}
    about = {"value": parameter.value, "version": parameter.version, "modified_at": timestamp(parameter.modified_at)}
    return _known({**words, **about})


def _known(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}


def _time(at: int | None) -> str | None:
    return timestamp(at) if at is not None else None
