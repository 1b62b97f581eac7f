"""The audit table: one row for each request that was sent to latest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from canary.domain.audit import IN_FLIGHT, KEEP_MS, Arm, Row, RowUpdate, Status
from canary.errors import Unavailable
from canary.lean.asking import asked, written
from canary.lean.items import (
    NOT_UNDERSTOOD,
    TRUE,
    Update,
    flag_of,
    listing,
    mapping,
    number,
    number_of,
    quoted,
    text,
    text_of,
    time,
    time_of,
)
from canary.wire.call import Wire
from canary.wire.endpoints import DYNAMODB

_BATCH: Final = 100
_IN_FLIGHT: Final = tuple(text(status.value) for status in sorted(IN_FLIGHT))
_FLYING: Final = Update("#0 IN (:0, :1)", ("status",))
_AND_WRITTEN_ONCE: Final = Update("(#0 IN (:0, :1) AND (attribute_not_exists (#1) OR #1 = :2))", ("status", "transform_id"))
#: What a put says beside the table and the item.
_UNLESS_THERE: Final = {
    "ConditionExpression": '"attribute_not_exists (#0)"',
    "ReturnValuesOnConditionCheckFailure": '"ALL_OLD"',
    "ExpressionAttributeNames": mapping({"#0": '"request_id"'}),
}


class LeanAudit:
    """Rows. What identifies a row is written once; a finished row does not change again."""

    def __init__(self, wire: Wire, table: str) -> None:
        self._wire = wire
        self._table = quoted(table)
        self._name = table

    def put(self, row: Row) -> Row | None:
        """Put a row, unless there is one: then return that one, and change nothing."""
        document = mapping({"TableName": self._table, "Item": _item(row), **_UNLESS_THERE})
        there = written(self._wire, "PutItem", document)
        if there is None:
            return None
        return _row(there) if there else self.rows(row.app, row.release, [row.request_id]).get(row.request_id)

    def update(self, row: Row, update: RowUpdate) -> bool:
        """Move a row in flight on; False when it is not in flight any more, or has another transform id."""
        changes = _changes(row, update)
        if update.transform_id is None:
            members = _FLYING.members(_IN_FLIGHT, changes)
        else:
            members = _AND_WRITTEN_ONCE.members((*_IN_FLIGHT, changes["transform_id"]), changes)
        key = _key(row.app, row.release, row.request_id)
        return written(self._wire, "UpdateItem", f'{{"TableName":{self._table},"Key":{key},{members}}}') is None

    def rows(self, app: str, release: str, request_ids: Iterable[str]) -> Mapping[str, Row]:
        """Read rows, consistently; missing ones are absent. One call for up to 100 of them."""
        wanted = list(dict.fromkeys(request_ids))
        found: dict[str, Row] = {}
        for start in range(0, len(wanted), _BATCH):
            keys = [_key(app, release, name) for name in wanted[start : start + _BATCH]]
            while keys:
                of_table = mapping({"Keys": listing(keys), "ConsistentRead": "true"})
                answer = asked(self._wire, DYNAMODB, "BatchGetItem", f'{{"RequestItems":{{{self._table}:{of_table}}}}}')
                for row in map(_row, answer.get("Responses", {}).get(self._name, [])):
                    found[row.request_id] = row
                left = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
                keys = [_key(app, release, key["request_id"]["S"]) for key in left]
        return found


def _changes(row: Row, update: RowUpdate) -> dict[str, str]:
    changes = {"status": text(update.status.value)}
    for name, words in (
        ("transform_id", update.transform_id),
        ("state_machine", update.state_machine),
        ("error", update.error),
    ):
        if words is not None:
            changes[name] = text(words)
    for name, at in (("started_at", update.started_at), ("stopped_at", update.stopped_at)):
        if at is not None:
            changes[name] = time(at)
    for name, flag in (("unstarted", update.unstarted), ("fell_back", update.fell_back)):
        if flag:
            changes[name] = TRUE
    started = update.started_at if update.started_at is not None else row.started_at
    if update.status not in IN_FLIGHT and update.stopped_at is not None:
        changes["expires_at"] = number((update.stopped_at + KEEP_MS) // 1000)
        if started is not None:
            changes["duration_ms"] = number(max(0, update.stopped_at - started))
    return changes


def _item(row: Row) -> str:
    item = {
        "release_id": text(_release_id(row.app, row.release)),
        "request_id": text(row.request_id),
        "app": text(row.app),
        "tag": text(row.tag),
        "arm": text(row.arm.value),
        "target": text(row.target),
        "status": text(row.status.value),
        "claimed_at": time(row.claimed_at),
    }
    for name, words in (
        ("transform_id", row.transform_id),
        ("state_machine", row.state_machine),
        ("tenant", row.tenant),
        ("error", row.error),
        ("batch", row.batch),
        ("payload_sha256", row.payload_sha256),
        ("in_flight", None if row.counted else _release_id(row.app, row.release)),
    ):
        if words is not None:
            item[name] = text(words)
    finished = row.status not in IN_FLIGHT and row.stopped_at is not None
    for name, count in (
        ("share", row.share),
        ("payload_bytes", row.payload_bytes),
        ("duration_ms", row.duration_ms),
        ("expires_at", ((row.stopped_at or 0) + KEEP_MS) // 1000 if finished else None),
    ):
        if count is not None:
            item[name] = number(count)
    for name, at in (("started_at", row.started_at), ("stopped_at", row.stopped_at)):
        if at is not None:
            item[name] = time(at)
    for name, flag in (("unstarted", row.unstarted), ("fell_back", row.fell_back)):
        if flag:
            item[name] = TRUE
    return mapping(item)


def _row(item: dict[str, Any]) -> Row:
    try:
        app, release = item["release_id"]["S"].split("#", 1)
        return Row(
            app=app,
            release=release,
            request_id=item["request_id"]["S"],
            status=Status(item["status"]["S"]),
            claimed_at=time_of(item, "claimed_at") or 0,
            target=text_of(item, "target") or "",
            tag=text_of(item, "tag") or "",
            arm=Arm(text_of(item, "arm") or Arm.LATEST),
            share=number_of(item, "share"),
            batch=text_of(item, "batch"),
            transform_id=text_of(item, "transform_id"),
            state_machine=text_of(item, "state_machine"),
            started_at=time_of(item, "started_at"),
            stopped_at=time_of(item, "stopped_at"),
            tenant=text_of(item, "tenant"),
            error=text_of(item, "error"),
            payload_sha256=text_of(item, "payload_sha256"),
            payload_bytes=number_of(item, "payload_bytes"),
            unstarted=flag_of(item, "unstarted"),
            fell_back=flag_of(item, "fell_back"),
            counted=text_of(item, "in_flight") is None,
        )
    except NOT_UNDERSTOOD as error:
        raise Unavailable(DYNAMODB.title, "Unreadable", f"a row cannot be understood: {error!r}") from error


def _release_id(app: str, release: str) -> str:
    return f"{app}#{release}"


def _key(app: str, release: str, request_id: str) -> str:
    return mapping({"release_id": text(_release_id(app, release)), "request_id": text(request_id)})
