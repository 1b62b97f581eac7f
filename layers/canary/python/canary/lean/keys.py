"""The records of idempotency keys. They live in the audit table, each in a partition of its own."""

from __future__ import annotations

import json
from typing import Any, Final

from canary.aws.answers import kept_text
from canary.domain.keyed import KEEP_MS, Answer, KeyRecord, KeyState
from canary.errors import Unavailable
from canary.lean.asking import asked, written
from canary.lean.items import NOT_UNDERSTOOD, Update, mapping, number, number_of, quoted, text, text_of
from canary.wire.call import Wire
from canary.wire.endpoints import DYNAMODB

_SORT: Final = "key"
_OURS: Final = Update("(#0 = :0 AND #1 = :1)", ("routed_as", "since"))


class LeanKeys:
    """One record for each key."""

    def __init__(self, wire: Wire, table: str) -> None:
        self._wire = wire
        self._table = quoted(table)

    def get(self, key: str) -> KeyRecord | None:
        """Read a key's record, consistently."""
        document = mapping({"TableName": self._table, "Key": mapping(_key(key)), "ConsistentRead": "true"})
        item = asked(self._wire, DYNAMODB, "GetItem", document).get("Item")
        return _record(item) if item else None

    def begin(self, record: KeyRecord, now: int, over: KeyRecord | None = None) -> KeyRecord | None:
        """Put the record, unless a live one is there that is not ``over``: then return that one, and change nothing.

        A put whose answer was lost and that is sent again finds its own record: that is a success.
        """
        free = "((attribute_not_exists (#0) OR #1 < :0) OR #2 = :1)"
        names = {"#0": "request_id", "#1": "expires_at", "#2": "status"}
        values = {":0": number(now // 1000), ":1": text(KeyState.FREE.value)}
        if over is not None:
            free = f"({free} OR (#3 = :2 AND #4 = :3))"
            names |= {"#3": "routed_as", "#4": "since"}
            values |= {":2": text(over.request_id), ":3": number(over.since)}
        item = written(
            self._wire,
            "PutItem",
            mapping(
                {
                    "TableName": self._table,
                    "Item": _item(record),
                    "ConditionExpression": quoted(free),
                    "ReturnValuesOnConditionCheckFailure": '"ALL_OLD"',
                    "ExpressionAttributeNames": mapping({place: quoted(name) for place, name in names.items()}),
                    "ExpressionAttributeValues": mapping(values),
                }
            ),
        )
        if item is None:
            return None
        there = _record(item) if item else self.get(record.key)
        return None if there == record else there

    def finish(self, record: KeyRecord) -> None:
        """Keep the answer with the record, if it is still ours."""
        changes = {"status": text(record.state.value)}
        if record.answer is not None:
            changes["answer_status"] = number(record.answer.status)
            changes["answer"] = text(kept_text(record.answer))
        members = _OURS.members((text(record.request_id), number(record.since)), changes)
        key = mapping(_key(record.key))
        written(self._wire, "UpdateItem", f'{{"TableName":{self._table},"Key":{key},{members}}}')


def _item(record: KeyRecord) -> str:
    return mapping(
        {
            **_key(record.key),
            "app": text(record.app),
            "status": text(record.state.value),
            "routed_as": text(record.request_id),
            "payload_sha256": text(record.body_sha256),
            "since": number(record.since),
            "expires_at": number((record.since + KEEP_MS) // 1000),
        }
    )


def _record(item: dict[str, Any]) -> KeyRecord:
    try:
        words, status = text_of(item, "answer"), number_of(item, "answer_status")
        return KeyRecord(
            key=item["release_id"]["S"].removeprefix("key#"),
            app=item["app"]["S"],
            state=KeyState(item["status"]["S"]),
            request_id=item["routed_as"]["S"],
            body_sha256=item["payload_sha256"]["S"],
            since=int(item["since"]["N"]),
            answer=Answer(status=status, body=json.loads(words)) if words is not None and status is not None else None,
        )
    except NOT_UNDERSTOOD as error:
        raise Unavailable(DYNAMODB.title, "Unreadable", f"a key's record cannot be understood: {error!r}") from error


def _key(key: str) -> dict[str, str]:
    return {"release_id": text(f"key#{key}"), "request_id": text(_SORT)}
