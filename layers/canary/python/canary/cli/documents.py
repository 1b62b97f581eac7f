"""What the verbs write with --json. Times as in the tables; what is not known is absent."""

from __future__ import annotations

from typing import Any

from canary.domain.app import Parameter
from canary.domain.audit import Row
from canary.domain.judge import judge, weight_of_proof
from canary.domain.plan import plan_document
from canary.domain.release import ON_TRIAL, Release, timestamp
from canary.operating.finding import Finding
from canary.operating.reading import Overview


def release_document(release: Release, now: int) -> dict[str, Any]:
    """Write a release."""
    tally = release.tally
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
            "stage": release.stage + 1,
            "stages": len(release.plan.stages),
            "gate": release.gate.value,
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
            "verdict": str(judge(release, now)) if release.state in ON_TRIAL else release.verdict,
            "weight_of_proof": weight_of_proof(release.plan),
            "warning": release.warning,
            "restored_from": release.restored_from,
            "plan": plan_document(release.plan),
            "asks": [{"verb": ask.verb.value, "who": ask.who, "why": ask.why, "at": timestamp(ask.at)} for ask in release.asks],
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
            "release": release_document(overview.release, overview.at) if overview.release else None,
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
