"""Evidence records, in memory. The contract suite holds this to what the real adapter does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from canary.domain.record import Record
from tests.fakes.calls import Calls
from tests.fakes.remembering import Remembering


@dataclass
class FakeRecords:
    """Evidence records. What comes back has been JSON, as in the table."""

    calls: Calls
    table: Remembering[tuple[str, str, str], Record] = field(init=False)

    def __post_init__(self) -> None:
        self.table = Remembering("record", self.calls)

    def put(self, record: Record) -> None:
        self.calls.made("ddb.put_record", lambda: self._put(record))

    def named(self, app: str, release: str, name: str) -> Record | None:
        return self.calls.made("ddb.record", lambda: self.table.get((app, release, name)))

    def of_release(self, app: str, release: str) -> Sequence[Record]:
        return self.calls.made(
            "ddb.records", lambda: tuple(record for (a, r, _), record in sorted(self.table.items()) if (a, r) == (app, release))
        )

    def _put(self, record: Record) -> None:
        key = (record.app, record.release, record.name)
        if key not in self.table:
            self.table[key] = _kept(record)


def _kept(record: Record) -> Record:
    return replace(record, case=json.loads(json.dumps(record.case)), numbers=json.loads(json.dumps(record.numbers)))
