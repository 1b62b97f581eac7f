"""The evidence records. They live in the audit table, those of each release in a partition of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from canary.aws.faults import conditionally, translated
from canary.aws.tables import RecordItem, bound
from canary.domain.audit import KEEP_MS
from canary.domain.record import Record
from canary.domain.release import from_timestamp, timestamp

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SERVICE: Final = "DynamoDB"


class RecordTable:
    """One item for each decision, by its time. A record is written once."""

    def __init__(self, client: DynamoDBClient, table: str, region: str) -> None:
        self._client = client
        self._table = table
        self._model = bound(RecordItem, table, region)

    def put(self, record: Record) -> None:
        """Keep a record; one with the same name is kept as it is."""
        kwargs = self._item(record).get_save_kwargs_from_instance(condition=self._model.request_id.does_not_exist())
        conditionally(_SERVICE, self._client.put_item, kwargs)

    def named(self, app: str, release: str, name: str) -> Record | None:
        """Read one record, consistently."""
        key = {"release_id": {"S": _partition(app, release)}, "request_id": {"S": name}}
        with translated(_SERVICE):
            item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return self._record(release, item) if item else None

    def of_release(self, app: str, release: str) -> Sequence[Record]:
        """Read the records of a release, oldest first, consistently."""
        with translated(_SERVICE):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="release_id = :release",
                ExpressionAttributeValues={":release": {"S": _partition(app, release)}},
                ConsistentRead=True,
            )
            return tuple(self._record(release, item) for page in pages for item in page["Items"])

    def _item(self, record: Record) -> RecordItem:
        return self._model(
            _partition(record.app, record.release),
            record.name,
            app=record.app,
            at=timestamp(record.at),
            rev=record.rev,
            code=record.code,
            judgement=record.judgement,
            reason=record.reason,
            decision=record.decision,
            case=dict(record.case),
            numbers=dict(record.numbers),
            before=record.before,
            expires_at=(record.at + KEEP_MS) // 1000,
        )

    def _record(self, release: str, raw: Any) -> Record:
        item: Any = self._model.from_raw_data(raw)
        return Record(
            app=item.app,
            release=release,
            rev=int(item.rev),
            at=from_timestamp(item.at),
            code=item.code,
            judgement=item.judgement,
            reason=item.reason,
            decision=item.decision,
            case=item.case,
            numbers=item.numbers,
            before=item.before,
        )


def _partition(app: str, release: str) -> str:
    return f"{app}#{release}#evidence"
