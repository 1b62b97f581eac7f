"""Idempotency keys, in memory. The contract suite holds this to what the real adapter does."""

from __future__ import annotations

from dataclasses import dataclass, field

from canary.domain.keyed import KEEP_MS as KEEP_KEYS_MS
from canary.domain.keyed import KeyRecord, KeyState
from tests.fakes.calls import Calls
from tests.fakes.remembering import Remembering


@dataclass
class FakeKeys:
    calls: Calls
    table: Remembering[str, KeyRecord] = field(init=False)

    def __post_init__(self) -> None:
        self.table = Remembering("key", self.calls)

    def get(self, key: str) -> KeyRecord | None:
        return self.calls.made("ddb.key", lambda: self.table.get(key))

    def begin(self, record: KeyRecord, now: int, over: KeyRecord | None = None) -> KeyRecord | None:
        return self.calls.made("ddb.begin_key", lambda: self._begin(record, now, over))

    def finish(self, record: KeyRecord) -> None:
        self.calls.made("ddb.finish_key", lambda: self._finish(record))

    def _begin(self, record: KeyRecord, now: int, over: KeyRecord | None) -> KeyRecord | None:
        there = self.table.get(record.key)
        live = there is not None and there.state is not KeyState.FREE and (there.since + KEEP_KEYS_MS) // 1000 >= now // 1000
        taken_over = over is not None and there is not None and (there.request_id, there.since) == (over.request_id, over.since)
        if live and not taken_over and there != record:
            return there
        self.table[record.key] = record
        return None

    def _finish(self, record: KeyRecord) -> None:
        there = self.table.get(record.key)
        if there is not None and (there.request_id, there.since) == (record.request_id, record.since):
            self.table[record.key] = record
