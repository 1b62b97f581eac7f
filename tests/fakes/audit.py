"""The audit rows, in memory. The contract suite holds this to what the real adapter does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from canary.domain.audit import GRACE_MS, IN_FLIGHT, Row, RowUpdate
from canary.domain.request_id import new_request_id
from tests.fakes.calls import Calls
from tests.fakes.remembering import Remembering


@dataclass
class FakeAudit:
    calls: Calls
    table: Remembering[tuple[str, str, str], Row] = field(init=False)

    def __post_init__(self) -> None:
        self.table = Remembering("row", self.calls)

    def put(self, row: Row) -> Row | None:
        return self.calls.made("ddb.put_row", lambda: self._put(row))

    def update(self, row: Row, update: RowUpdate) -> bool:
        return self.calls.made("ddb.update_row", lambda: self._update(row, update))

    def rows(self, app: str, release: str, request_ids: Iterable[str]) -> Mapping[str, Row]:
        wanted = sorted(set(request_ids))  # in no order that anybody may rely on, but always in the same
        return self.calls.made(
            "ddb.rows", lambda: {name: self.table[app, release, name] for name in wanted if (app, release, name) in self.table}
        )

    def in_flight(self, app: str, release: str) -> tuple[str, ...]:
        return self.calls.made(
            "ddb.in_flight",
            lambda: tuple(
                sorted(
                    name
                    for (a, r, name), row in self.table.all_seen("ddb.in_flight")
                    if (a, r) == (app, release) and not row.counted
                )
            ),
        )

    def mark_counted(self, row: Row) -> None:
        self.calls.made("ddb.mark_counted", lambda: self._mark(row))

    def of_release(self, app: str, release: str, *, newest_first: bool = False) -> Iterable[Row]:
        rows = sorted(self.table.items(), reverse=newest_first)
        return self.calls.made("ddb.of_release", lambda: tuple(row for (a, r, _), row in rows if (a, r) == (app, release)))

    def of_batches(self, app: str, release: str, batch_ids: Collection[str], since: int) -> Mapping[str, int]:
        return self.calls.made("ddb.of_batches", lambda: self._of_batches(app, release, batch_ids, since))

    def _of_batches(self, app: str, release: str, batch_ids: Collection[str], since: int) -> Mapping[str, int]:
        first = new_request_id(since - GRACE_MS, 0)
        rows = (row for (a, r, name), row in self.table.items() if (a, r) == (app, release) and name > first)
        return Counter(row.batch for row in rows if row.batch is not None and row.batch in batch_ids)

    def _put(self, row: Row) -> Row | None:
        there = self.table.get((row.app, row.release, row.request_id))
        if there is None:
            self.table[row.app, row.release, row.request_id] = row
        return there

    def _update(self, row: Row, update: RowUpdate) -> bool:
        there = self.table.get((row.app, row.release, row.request_id))
        if there is None or there.status not in IN_FLIGHT:
            return False
        if update.transform_id is not None and there.transform_id not in {None, update.transform_id}:
            return False
        known = {name: value for name in update.__slots__ if (value := getattr(update, name)) is not None and value is not False}
        self.table[row.app, row.release, row.request_id] = replace(there, **known)
        return True

    def _mark(self, row: Row) -> None:
        key = (row.app, row.release, row.request_id)
        if key in self.table:
            self.table[key] = replace(self.table[key], counted=True)
