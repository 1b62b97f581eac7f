"""What the router and the flipper need from the world. Each method is one AWS call, and may raise `Unavailable`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from canary.domain.alarm import AlarmState
from canary.domain.app import App, Parameter, Version
from canary.domain.audit import Execution, Row, RowUpdate
from canary.domain.baseline import Past
from canary.domain.batch import Batch
from canary.domain.call import Call
from canary.domain.claim import Claimed
from canary.domain.keyed import KeyRecord
from canary.domain.record import Record
from canary.domain.release import Notice, Release
from canary.domain.target import Target


class Parameters(Protocol):
    """Parameter Store, below the prefix."""

    def read(self, app: str, *names: str) -> Mapping[str, Parameter]:
        """Read some of an app's parameters (current, latest, previous, plan) at once; missing ones are absent."""

    def write(self, app: str, name: str, value: str, description: str = "") -> int:
        """Write a parameter and return its new version."""

    def history(self, app: str) -> tuple[Version, ...]:
        """Return the versions of ``latest``, oldest first."""

    def apps(self) -> tuple[str, ...]:
        """Name all apps that have a parameter."""


class Slots(Protocol):
    """The router's side of the releases table."""

    def release(self, app: str, release: str) -> Release | None:
        """Read a release."""

    def claim(self, app: str, release: str, request_id: str, now: int) -> Claimed:
        """Take a slot, atomically; safe to repeat."""

    def claim_batch(
        self, app: str, release: str, batch: tuple[str, Batch], granted: int, unused: tuple[str, int] | None = None
    ) -> int:
        """Take many slots at once, as many as there are; 0: none. ``granted`` as it was read last.

        ``unused``: the batch before, of which so many were not used, and are given back by the same write.
        """

    def app(self, app: str) -> App | None:
        """Read an app's item, for its mirror."""


class Releases(Protocol):
    """The flipper's side of the releases table. All reads are consistent."""

    def release(self, app: str, release: str) -> Release | None:
        """Read a release."""

    def recent(self, app: str, most: int) -> Sequence[Release]:
        """Read an app's newest releases, newest first (eventually consistent)."""

    def create(self, release: Release) -> bool:
        """Put a release; False when there is one already."""

    def save(self, before: Release, after: Release, *, idle: bool = False) -> bool:
        """Write the difference; False when somebody else was faster."""


class Apps(Protocol):
    """The items of the apps."""

    def app(self, app: str) -> App | None:
        """Read an app's item."""

    def save_app(self, before: App, after: App) -> bool:
        """Write the difference; False when somebody else was faster."""

    def lease(self, app: str, owner: str, now: int, until: int) -> bool:
        """Take the app's lease; False when somebody holds it, who is then left word to look again."""

    def give_back(self, app: str, owner: str, now: int, *, done: bool = True) -> bool:
        """End the lease, and record a pass that was ``done``; False (and it goes on) when somebody asked for another look."""

    def apps(self) -> tuple[str, ...]:
        """Name all apps that have an item."""


class Audit(Protocol):
    """The audit table."""

    def put(self, row: Row) -> Row | None:
        """Put a row, unless there is one: then return that one, and change nothing."""

    def update(self, row: Row, update: RowUpdate) -> bool:
        """Move a row in flight on; False when it is not in flight any more, or has another transform id."""

    def rows(self, app: str, release: str, request_ids: Iterable[str]) -> Mapping[str, Row]:
        """Read rows, consistently; missing ones are absent."""

    def in_flight(self, app: str, release: str) -> tuple[str, ...]:
        """Name the rows that are in flight or not counted yet (eventually consistent)."""

    def mark_counted(self, row: Row) -> None:
        """Take a finished and counted row out of the index of rows in flight."""

    def of_release(self, app: str, release: str, *, newest_first: bool = False) -> Iterable[Row]:
        """Read all rows of a release by pages, oldest first unless it is said otherwise."""

    def of_batches(self, app: str, release: str, batch_ids: Collection[str], since: int) -> Mapping[str, int]:
        """Count the rows of batches, consistently; one without rows is absent. ``since``: when the oldest was taken."""


class Records(Protocol):
    """The evidence records: what was judged, and what was decided, for every decision."""

    def put(self, record: Record) -> None:
        """Keep a record; one with the same name is kept as it is."""

    def named(self, app: str, release: str, name: str) -> Record | None:
        """Read one record."""

    def of_release(self, app: str, release: str) -> Sequence[Record]:
        """Read the records of a release, oldest first."""


class Keys(Protocol):
    """The records of requests with an Idempotency-Key."""

    def get(self, key: str) -> KeyRecord | None:
        """Read a key's record, consistently."""

    def begin(self, record: KeyRecord, now: int, over: KeyRecord | None = None) -> KeyRecord | None:
        """Put the record, unless a live one is there that is not ``over``: then return that one, and change nothing."""

    def finish(self, record: KeyRecord) -> None:
        """Keep the answer with the record."""


class Targets(Protocol):
    """The stacks."""

    def call(
        self,
        target: Target,
        body: bytes,
        request_id: str,
        release: str | None,
        timeout_ms: int,
        transform_id: str | None,
        *,
        synthetic: bool = False,
    ) -> Call:
        """Start work on a stack, once. ``transform_id`` is the plan's expression for finding it in the answer. Never raises.

        ``synthetic`` work is marked as such: it is no upstream's.
        """


class Executions(Protocol):
    """Step Functions."""

    def observe(self, arns: Iterable[str]) -> Mapping[str, Execution]:
        """Read executions, by Describe or by List pages, whichever is cheaper.

        Of many, those that the service's rates do not let us read now are absent: the next time goes on.
        """

    def past(self, machine: str) -> Sequence[Past]:
        """Read the newest finished executions of a state machine, by pages, `MOST_PAST` at most."""

    def failures(self, machine: str, since: int) -> Sequence[Execution]:
        """Read the executions that started since then and have failed, timed out or been aborted, by pages.

        Raises `Unavailable` with the code ``TooMany`` when there are more than `MOST_PAST`.
        """

    def started(self, machine: str, since: int, until: int) -> Sequence[Execution]:
        """Read the executions that started from ``since`` on and before ``until``, by pages, `MOST_PAST` at most: the newest."""

    def succeeded(self, machine: str, since: int, most: int) -> Sequence[Execution]:
        """Read the executions that started since then and have succeeded, by pages: the newest, not many more than ``most``."""

    def stop(self, arn: str, cause: str) -> None:
        """Stop an execution; one that has ended or is not known stays as it is."""


class Alarms(Protocol):
    """CloudWatch alarms."""

    def states(self, names: Iterable[str]) -> Mapping[str, AlarmState]:
        """Read the states of alarms, composite ones too; those that do not exist are absent. Raises `Denied`, `Unavailable`."""


class Stacks(Protocol):
    """What exists."""

    def problem(self, target: Target) -> str | None:
        """Say why a target cannot be released: missing, or an Express workflow."""


class Notices(Protocol):
    """EventBridge and SNS."""

    def send(self, release: Release, notice: Notice) -> None:
        """Tell the world."""
