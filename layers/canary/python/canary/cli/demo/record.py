"""The demo checks itself: what must have happened, told from what was read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from canary.cli.demo.app import Look
from canary.cli.demo.traffic import Sent
from canary.cli.text import plain
from canary.domain.audit import Row, Status
from canary.domain.release import Release
from canary.domain.states import ReleaseState

#: The default plan's.
QUOTA: Final = 2


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was to happen, and what did."""

    ok: bool
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that was read at the end. ``versions``: the one before, the one to be promoted, the one to be thrown out."""

    versions: tuple[str, str, str]
    look: Look
    sent: Sequence[Sent]
    rows: Sequence[Row]
    releases: Sequence[Release]

    @property
    def failed(self) -> tuple[Sent, ...]:
        """Requests that the upstream did not get served."""
        return tuple(sent for sent in self.sent if not sent.served)

    def to_latest(self, tag: str) -> tuple[Sent, ...]:
        """Requests that went to a version while it was on trial."""
        return tuple(sent for sent in self.sent if sent.routed_to == "latest" and sent.tag == tag)

    def release(self, tag: str) -> Release | None:
        """The release of a version."""
        return next((release for release in self.releases if release.tag == tag), None)

    def rows_of(self, tag: str) -> tuple[Row, ...]:
        """The audit rows of a version."""
        return tuple(row for row in self.rows if row.tag == tag)


def checks(record: Record) -> Iterator[Check]:
    """Check everything that the demo promises."""
    before, good, bad = record.versions
    yield _served(record)
    yield _quota(record, good)
    yield _succeeded(record, good)
    yield _ended(record, good, ReleaseState.PROMOTED)
    yield _contained(record, bad)
    yield _ended(record, bad, ReleaseState.ABORTED)
    quarantined = {entry.tag for entry in record.look.item.quarantine.values()}
    yield Check(quarantined == {bad}, f"in quarantine: {', '.join(sorted(quarantined)) or 'nobody'}")
    names = ("current", "previous", "latest")
    values = tuple(record.look.tag(name) for name in names)
    words = ", ".join(f"{name} is {value or 'blank'}" for name, value in zip(names, values, strict=True))
    yield Check(values == (good, before, None), words)


def facts(record: Record, results: Sequence[Check], seconds: float) -> dict[str, Any]:
    """Write the record for programs."""
    return {
        "ok": all(check.ok for check in results),
        "requests": {
            "sent": len(record.sent),
            "routed_to_current": sum(sent.routed_to == "current" for sent in record.sent),
            "routed_to_latest": sum(sent.routed_to == "latest" for sent in record.sent),
            "failed_for_upstream": len(record.failed),
        },
        "releases": [
            {
                "release": release.release,
                "tag": release.tag,
                "state": release.state.value,
                "reason": release.reason,
                "requests": len(record.to_latest(release.tag)),
                "succeeded": release.tally.succeeded,
                "failed": release.tally.failures,
            }
            for release in reversed(record.releases)
        ],
        **{name: record.look.tag(name) for name in ("current", "latest", "previous")},
        "checks": [{"ok": check.ok, "what": check.words} for check in results],
        "seconds": round(seconds, 1),
    }


def _served(record: Record) -> Check:
    failed = record.failed
    words = f"{len(record.sent)} requests were sent to the router, and {len(failed) or 'none'} failed for upstream"
    if failed:
        words += f" (the first: HTTP {failed[0].status or 'none'}, {plain(failed[0].problem)})"
    return Check(bool(record.sent) and not failed, words)


def _quota(record: Record, tag: str) -> Check:
    answered = {sent.request_id for sent in record.to_latest(tag)}
    on_record = {row.request_id for row in record.rows_of(tag)}
    words = f"{_requests(answered)} went to {tag} on trial, {len(on_record)} are on record"
    if answered != on_record:
        words += ", not the same"
    return Check(answered == on_record and len(answered) == QUOTA, words)


def _succeeded(record: Record, tag: str) -> Check:
    good = sum(row.status is Status.SUCCEEDED for row in record.rows_of(tag))
    return Check(good == QUOTA, f"the workflows of {good} of them succeeded")


def _contained(record: Record, tag: str) -> Check:
    answered = {sent.request_id for sent in record.sent if sent.tag == tag}
    on_record = {row.request_id for row in record.rows_of(tag)}
    words = f"{_requests(answered)} went to {tag}, {QUOTA} at most"
    return Check(answered == on_record and 1 <= len(answered) <= QUOTA, words)


def _ended(record: Record, tag: str, state: ReleaseState) -> Check:
    release = record.release(tag)
    if release is None:
        return Check(ok=False, words=f"the release of {tag} was never opened")
    return Check(release.state is state, f"the release of {tag} is {release.state}: {plain(release.reason)}")


def _requests(ids: AbstractSet[str]) -> str:
    return "1 request" if len(ids) == 1 else f"{len(ids)} requests"
