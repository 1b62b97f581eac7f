"""The audit table: one row for each request that was sent to latest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pynamodb.expressions.update import Action

from canary.aws.faults import conditionally, translated
from canary.aws.tables import AuditItem, bound
from canary.domain.audit import GRACE_MS, IN_FLIGHT, KEEP_MS, Arm, Row, RowUpdate, Status
from canary.domain.release import from_timestamp, timestamp
from canary.domain.request_id import new_request_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SERVICE: Final = "DynamoDB"
_BATCH: Final = 100
#: A filter names no more; of more batches all rows are read, and those of others left out here.
_MOST_NAMED: Final = 100


class AuditTable:
    """Rows. What identifies a row is written once; a finished row does not change again."""

    def __init__(self, client: DynamoDBClient, table: str, region: str) -> None:
        self._client = client
        self._table = table
        self._model = bound(AuditItem, table, region)

    def put(self, row: Row) -> Row | None:
        """Put a row, unless there is one: then return that one, and change nothing."""
        model = self._model
        kwargs = _item(model, row).get_save_kwargs_from_instance(
            condition=model.request_id.does_not_exist(), return_values_on_condition_failure="ALL_OLD"
        )
        there = conditionally(_SERVICE, self._client.put_item, kwargs)
        if there is None:
            return None
        return self._row(there) if there else self.rows(row.app, row.release, [row.request_id]).get(row.request_id)

    def update(self, row: Row, update: RowUpdate) -> bool:
        """Move a row in flight on; False when it is not in flight any more, or has another transform id."""
        model = self._model
        condition = model.status.is_in(*(status.value for status in sorted(IN_FLIGHT)))
        if update.transform_id is not None:
            condition &= model.transform_id.does_not_exist() | (model.transform_id == update.transform_id)
        kwargs = model(_release_id(row.app, row.release), row.request_id).get_update_kwargs_from_instance(
            actions=self._actions(row, update), condition=condition
        )
        return self._write(kwargs)

    def rows(self, app: str, release: str, request_ids: Iterable[str]) -> Mapping[str, Row]:
        """Read rows, consistently; missing ones are absent. One call for up to 100 of them."""
        wanted = list(dict.fromkeys(request_ids))
        found: dict[str, Row] = {}
        for start in range(0, len(wanted), _BATCH):
            keys = [_key(app, release, name) for name in wanted[start : start + _BATCH]]
            while keys:
                with translated(_SERVICE):
                    answer = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
                for item in answer["Responses"].get(self._table, []):
                    row = self._row(item)
                    found[row.request_id] = row
                left = answer["UnprocessedKeys"].get(self._table)
                keys = list(left["Keys"]) if left else []
        return found

    def in_flight(self, app: str, release: str) -> tuple[str, ...]:
        """Name the rows that are in flight or not counted yet (eventually consistent)."""
        with translated(_SERVICE):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                IndexName="in_flight",
                KeyConditionExpression="in_flight = :release",
                ExpressionAttributeValues={":release": {"S": _release_id(app, release)}},
            )
            return tuple(item["request_id"]["S"] for page in pages for item in page["Items"])

    def mark_counted(self, row: Row) -> None:
        """Take a finished and counted row out of the index of rows in flight."""
        model = self._model
        kwargs = model(_release_id(row.app, row.release), row.request_id).get_update_kwargs_from_instance(
            actions=[model.in_flight.remove()], condition=model.in_flight.exists()
        )
        self._write(kwargs)

    def of_release(self, app: str, release: str, *, newest_first: bool = False) -> Iterable[Row]:
        """Read all rows of a release by pages, oldest first unless it is said otherwise."""
        with translated(_SERVICE):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="release_id = :release",
                ExpressionAttributeValues={":release": {"S": _release_id(app, release)}},
                ScanIndexForward=not newest_first,
            )
            for page in pages:
                yield from (self._row(item) for item in page["Items"])

    def of_batches(self, app: str, release: str, batch_ids: Collection[str], since: int) -> Mapping[str, int]:
        """Count the rows of batches, consistently; one without rows is absent. ``since``: when the oldest was taken.

        One query, by pages, however many batches: rows' ids sort by time, and some are older than their batch.
        """
        if not batch_ids:
            return {}
        names = {f":{number}": {"S": name} for number, name in enumerate(batch_ids)} if len(batch_ids) <= _MOST_NAMED else {}
        first = new_request_id(since - GRACE_MS, 0)
        found: Counter[str] = Counter()
        with translated(_SERVICE):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="release_id = :release AND request_id > :first",
                FilterExpression=f"#batch IN ({', '.join(names)})" if names else "attribute_exists (#batch)",
                ProjectionExpression="#batch",
                ExpressionAttributeNames={"#batch": "batch"},
                ExpressionAttributeValues={":release": {"S": _release_id(app, release)}, ":first": {"S": first}, **names},
                ConsistentRead=True,
            )
            for page in pages:
                found.update(item["batch"]["S"] for item in page["Items"])
        return {name: found[name] for name in batch_ids if name in found}

    def _actions(self, row: Row, update: RowUpdate) -> list[Any]:
        model = self._model
        actions: list[Action] = [model.status.set(update.status.value)]
        for attribute, text in (
            (model.transform_id, update.transform_id),
            (model.state_machine, update.state_machine),
            (model.error, update.error),
            (model.started_at, _time(update.started_at)),
            (model.stopped_at, _time(update.stopped_at)),
        ):
            if text is not None:
                actions.append(attribute.set(text))
        if update.unstarted:
            actions.append(model.unstarted.set(True))
        if update.fell_back:
            actions.append(model.fell_back.set(True))
        started = update.started_at if update.started_at is not None else row.started_at
        if update.status not in IN_FLIGHT and update.stopped_at is not None:
            actions.append(model.expires_at.set((update.stopped_at + KEEP_MS) // 1000))
            if started is not None:
                actions.append(model.duration_ms.set(max(0, update.stopped_at - started)))
        return actions

    def _row(self, raw: Any) -> Row:
        item: Any = self._model.from_raw_data(raw)
        app, release = item.release_id.split("#", 1)
        return Row(
            app=app,
            release=release,
            request_id=item.request_id,
            status=Status(item.status),
            claimed_at=from_timestamp(item.claimed_at or timestamp(0)),
            target=item.target or "",
            tag=item.tag or "",
            arm=Arm(item.arm or Arm.LATEST.value),
            share=int(item.share) if item.share is not None else None,
            batch=item.batch,
            transform_id=item.transform_id,
            state_machine=item.state_machine,
            started_at=from_timestamp(item.started_at) if item.started_at else None,
            stopped_at=from_timestamp(item.stopped_at) if item.stopped_at else None,
            tenant=item.tenant,
            error=item.error,
            payload_sha256=item.payload_sha256,
            payload_bytes=int(item.payload_bytes) if item.payload_bytes is not None else None,
            unstarted=bool(item.unstarted),
            fell_back=bool(item.fell_back),
            counted=item.in_flight is None,
        )

    def _write(self, kwargs: dict[str, Any]) -> bool:
        return conditionally(_SERVICE, self._client.update_item, kwargs) is None


def _item(model: type[AuditItem], row: Row) -> AuditItem:
    finished = row.status not in IN_FLIGHT
    return model(
        _release_id(row.app, row.release),
        row.request_id,
        app=row.app,
        tag=row.tag,
        arm=row.arm.value,
        share=row.share,
        batch=row.batch,
        target=row.target,
        transform_id=row.transform_id,
        state_machine=row.state_machine,
        status=row.status.value,
        claimed_at=timestamp(row.claimed_at),
        started_at=_time(row.started_at),
        stopped_at=_time(row.stopped_at),
        duration_ms=row.duration_ms,
        tenant=row.tenant,
        error=row.error,
        payload_sha256=row.payload_sha256,
        payload_bytes=row.payload_bytes,
        expires_at=(row.stopped_at + KEEP_MS) // 1000 if finished and row.stopped_at is not None else None,
        unstarted=row.unstarted or None,
        fell_back=row.fell_back or None,
        in_flight=None if row.counted else _release_id(row.app, row.release),
    )


def _release_id(app: str, release: str) -> str:
    return f"{app}#{release}"


def _key(app: str, release: str, request_id: str) -> dict[str, Any]:
    return {"release_id": {"S": _release_id(app, release)}, "request_id": {"S": request_id}}


def _time(at: int | None) -> str | None:
    return timestamp(at) if at is not None else None
