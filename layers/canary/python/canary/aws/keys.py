"""The records of idempotency keys. They live in the audit table, each in a partition of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pynamodb.expressions.update import Action

from canary.aws.answers import kept_text
from canary.aws.faults import conditionally, translated
from canary.aws.tables import KeyItem, bound
from canary.domain.keyed import KEEP_MS, Answer, KeyRecord, KeyState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SERVICE: Final = "DynamoDB"
_SORT: Final = "key"


class KeyTable:
    """One record for each key."""

    def __init__(self, client: DynamoDBClient, table: str, region: str) -> None:
        self._client = client
        self._table = table
        self._model = bound(KeyItem, table, region)

    def get(self, key: str) -> KeyRecord | None:
        """Read a key's record, consistently."""
        with translated(_SERVICE):
            answer = self._client.get_item(
                TableName=self._table,
                Key={"release_id": {"S": _partition(key)}, "request_id": {"S": _SORT}},
                ConsistentRead=True,
            )
        item = answer.get("Item")
        return self._record(item) if item else None

    def begin(self, record: KeyRecord, now: int, over: KeyRecord | None = None) -> KeyRecord | None:
        """Put the record, unless a live one is there that is not ``over``: then return that one, and change nothing.

        A put whose answer was lost and that is sent again finds its own record: that is a success.
        """
        model = self._model
        free = model.request_id.does_not_exist() | (model.expires_at < now // 1000) | (model.status == KeyState.FREE.value)
        if over is not None:
            free |= (model.routed_as == over.request_id) & (model.since == over.since)
        kwargs = self._item(record).get_save_kwargs_from_instance(condition=free, return_values_on_condition_failure="ALL_OLD")
        item = conditionally(_SERVICE, self._client.put_item, kwargs)
        if item is None:
            return None
        there = self._record(item) if item else self.get(record.key)
        return None if there == record else there

    def finish(self, record: KeyRecord) -> None:
        """Keep the answer with the record, if it is still ours."""
        model = self._model
        actions: list[Action] = [model.status.set(record.state.value)]
        if record.answer is not None:
            actions.append(model.answer_status.set(record.answer.status))
            actions.append(model.answer.set(kept_text(record.answer)))
        mine = (model.routed_as == record.request_id) & (model.since == record.since)
        kwargs = model(_partition(record.key), _SORT).get_update_kwargs_from_instance(actions=actions, condition=mine)
        conditionally(_SERVICE, self._client.update_item, kwargs)

    def _item(self, record: KeyRecord) -> KeyItem:
        return self._model(
            _partition(record.key),
            _SORT,
            app=record.app,
            status=record.state.value,
            routed_as=record.request_id,
            payload_sha256=record.body_sha256,
            since=record.since,
            expires_at=(record.since + KEEP_MS) // 1000,
        )

    def _record(self, raw: Any) -> KeyRecord:
        item: Any = self._model.from_raw_data(raw)
        answer = None
        if item.answer is not None and item.answer_status is not None:
            answer = Answer(status=int(item.answer_status), body=json.loads(item.answer))
        return KeyRecord(
            key=item.release_id.removeprefix("key#"),
            app=item.app,
            state=KeyState(item.status),
            request_id=item.routed_as,
            body_sha256=item.payload_sha256,
            since=int(item.since),
            answer=answer,
        )


def _partition(key: str) -> str:
    return f"key#{key}"
