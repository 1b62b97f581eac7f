"""Requests with an Idempotency-Key, and what became of requests on record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from canary.domain.audit import IN_FLIGHT, ExecutionStatus, Row, Status
from canary.domain.keyed import Answer, KeyRecord, KeyState, Repeat, judge_repeat, key_digest
from canary.domain.request_id import record_of, without_release
from canary.domain.target import is_execution, shorten
from canary.errors import Unavailable
from canary.routing.problem import Problem
from canary.routing.router import Reply, Request, Router, Toss

if TYPE_CHECKING:
    from canary.ports import Keys
    from canary.routing.needs import Audit, Executions
    from canary.routing.view import Known

#: An error of these kinds started nothing: the key is free again. Any other answer is kept, errors too.
_NOTHING_STARTED = frozenset({404, 413, 503})


#: How statuses of executions are told, where the contract has no such word.
_TOLD = {
    ExecutionStatus.PENDING_REDRIVE: "RUNNING",
    ExecutionStatus.MISSING: "UNKNOWN",
    ExecutionStatus.UNREADABLE: "UNKNOWN",
}


class Records:
    """One record for each key, and the same answer for a day."""

    def __init__(self, router: Router, keys: Keys, audit: Audit, executions: Executions, *, clock: Callable[[], int]) -> None:
        self._router = router
        self._keys = keys
        self._audit = audit
        self._executions = executions
        self._clock = clock

    def take(self, request: Request, known: Known, toss: Toss | None, api_key: str, key: str) -> Reply:
        """Route a request under its key. Raises `Problem`."""
        digest = key_digest(request.app, api_key, request.tenant or "", key)
        record = KeyRecord(
            key=digest,
            app=request.app,
            state=KeyState.IN_PROGRESS,
            request_id=self._router.new_id(toss, digest),
            body_sha256=hashlib.sha256(request.body).hexdigest(),
            since=self._clock(),
        )
        found = self._begin(record)
        if found is not None:
            taken = self._repeat(found, record)
            if isinstance(taken, Reply):
                return taken
            record, toss = taken, None
        try:
            reply = self._router.send(request, known, record.request_id, toss)
        except Problem as problem:
            if found is not None and problem.status in _NOTHING_STARTED:
                self._give_back(record, found)
            else:
                self._finish(record, problem.status, problem.body)
            raise
        self._finish(record, reply.status, reply.body)
        return reply

    def _begin(self, record: KeyRecord, over: KeyRecord | None = None) -> KeyRecord | None:
        try:
            return self._keys.begin(record, self._clock(), over)
        except Unavailable as error:
            detail = "a request with an Idempotency-Key needs its record, which cannot be written just now: try again"
            raise Problem(503, detail, retry_after=2) from error

    def _repeat(self, found: KeyRecord, record: KeyRecord) -> Reply | KeyRecord:
        """Answer a repeat, or take over what a crash left: the record to go on with."""
        match judge_repeat(found, record.body_sha256, self._clock()):
            case Repeat.OTHER_BODY:
                raise Problem(422, "this Idempotency-Key was used with another body: use a new key for a new request")
            case Repeat.SAME_ANSWER if found.answer is not None:
                self._router.count("Repeated", record.app)
                return Reply(status=found.answer.status, body=found.answer.body, because="the key's answer is on record")
            case Repeat.TAKE_OVER:
                return self._take_over(found, record)
            case _:
                raise _in_progress(found)

    def _take_over(self, found: KeyRecord, record: KeyRecord) -> Reply | KeyRecord:
        """Go on with a request whose router died, under its own id; it goes to current, unless latest has it already.

        The row is read first: where it cannot be, or tells nothing yet, the next repeat may try at once.
        """
        try:
            row = self._row(found.app, found.request_id)
        except Unavailable as error:
            detail = "what became of the first request with this key cannot be read just now: try again"
            raise Problem(503, detail, retry_after=2, request_id=found.request_id) from error
        if row is not None and row.status is Status.CLAIMED:
            raise _in_progress(found)
        mine = replace(found, since=record.since)
        if self._begin(mine, found) is not None:
            raise _in_progress(found)
        if row is None or (row.status not in IN_FLIGHT and (row.unstarted or row.fell_back)):
            return mine
        body = _body_of(row)
        if row.status is Status.LOST:
            detail = "latest had this request and what became of it is unknown: use a new key if it should run again"
            problem = Problem(504, detail, request_id=found.request_id)
            self._finish(mine, 504, problem.body)
            raise problem
        self._finish(mine, 202, body)
        return Reply(status=202, body=body, because="latest had taken it before its router died")

    def _give_back(self, record: KeyRecord, found: KeyRecord) -> None:
        """Leave a record that was taken over as it was found, for the next repeat to take over.

        The key is not free: nothing was started this time, but what the first router started is not known. Under the same id
        a state machine runs it once.
        """
        try:
            self._keys.begin(found, self._clock(), record)
        except Unavailable:
            self._router.count("Degraded", record.app)

    def find(self, app: str, request_id: str) -> Reply:
        """Tell what became of a request on record. Raises `Problem` 404."""
        place = record_of(request_id)
        try:
            record = self._keys.get(place.key) if place and place.key else None
            row = self._row(app, request_id)
            if record is not None and (record.app != app or request_id not in _ids(record)):
                record = None
            if row is None and record is None:
                what = "only those sent to latest and those with an Idempotency-Key are"
                detail = f"request {shorten(request_id)!r} is not on record: {what}"
                raise Problem(404, detail)
            body = dict(record.answer.body) if record and record.answer else (_body_of(row) if row else {})
            body = {"request_id": request_id, "app": app, **body}
            return Reply(status=200, body={**body, "status": self._status(row, record, body)})
        except Unavailable as error:
            raise Problem(503, "the records cannot be read just now: try again", retry_after=2) from error

    def _status(self, row: Row | None, record: KeyRecord | None, body: dict[str, Any]) -> str:
        if row is not None and not row.fell_back and not row.unstarted:
            return row.status.value
        if record is None or record.state is not KeyState.DONE:
            return row.status.value if row is not None else "IN_PROGRESS"
        if (arn := body.get("transform_id")) is None:
            return "SUCCEEDED" if record.answer and record.answer.status < 400 else "FAILED"
        seen = self._executions.observe([arn])[arn].status if is_execution(arn) else ExecutionStatus.UNREADABLE
        return _TOLD.get(seen, seen.value)

    def _row(self, app: str, request_id: str) -> Row | None:
        place = record_of(request_id)
        if place is None or place.release is None:
            return None
        return self._audit.rows(app, place.release, [request_id]).get(request_id)

    def _finish(self, record: KeyRecord, status: int, body: dict[str, Any]) -> None:
        state = KeyState.FREE if status in _NOTHING_STARTED else KeyState.DONE
        answer = Answer(status=status, body=body) if state is KeyState.DONE else None
        try:
            self._keys.finish(replace(record, state=state, answer=answer))
        except Unavailable:
            # The work is done and the upstream gets its answer; an error here would only make it ask again.
            self._router.count("Degraded", record.app)


def _ids(record: KeyRecord) -> set[str]:
    """The id that the key was taken under, and the one that it was answered with: latest's may have been given up."""
    return {record.request_id, without_release(record.request_id)}


def _in_progress(found: KeyRecord) -> Problem:
    return Problem(409, "the first request with this key is still in progress", retry_after=2, request_id=found.request_id)


def _body_of(row: Row) -> dict[str, Any]:
    body: dict[str, Any] = {
        "request_id": row.request_id,
        "app": row.app,
        "routed_to": "current" if row.fell_back or row.unstarted else "latest",
        "tag": row.tag,
        "transform_id": row.transform_id,
        "response": None,
    }
    return body | ({"fell_back": True} if row.fell_back else {})
