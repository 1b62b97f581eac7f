"""In-memory stand-ins for the ports. The contract suite holds them to what the real adapters do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

from canary.domain.alarm import AlarmState
from canary.domain.app import App, Parameter, Version
from canary.domain.audit import FAILURES, GRACE_MS, IN_FLIGHT, OUTCOMES, Execution, ExecutionStatus, Row, RowUpdate
from canary.domain.baseline import MOST_PAST, Past
from canary.domain.batch import Batch
from canary.domain.call import Call, CallResult
from canary.domain.claim import Claimed
from canary.domain.keyed import KEEP_MS as KEEP_KEYS_MS
from canary.domain.keyed import KeyRecord, KeyState
from canary.domain.record import Record
from canary.domain.release import Notice, Release
from canary.domain.request_id import new_request_id
from canary.domain.states import Gate
from canary.domain.target import APP_NAME, Target, execution_arn, parse_target, state_machine_of
from canary.errors import Unavailable
from tests.fakes.calls import Calls
from tests.fakes.remembering import Remembering


@dataclass
class Clock:
    """Moves only when it is told to, by a millisecond at each look, as time does."""

    now: int = 1_795_246_200_000

    def __call__(self) -> int:
        self.now += 1
        return self.now

    def pass_by(self, milliseconds: int) -> None:
        self.now += milliseconds


@dataclass
class FakeParameters:
    calls: Calls
    clock: Clock
    versions: dict[tuple[str, str], list[Version]] = field(default_factory=dict)

    def read(self, app: str, *names: str) -> Mapping[str, Parameter]:
        return self.calls.made("ssm.read", lambda: self._read(app, names))

    def write(self, app: str, name: str, value: str, description: str = "") -> int:
        if not 0 < len(value) <= 4096:
            raise ValueError(f"a value has 1 to 4096 characters, not {len(value)}")
        return self.calls.made(f"ssm.write {name}", lambda: self.put(app, name, value, description))

    def history(self, app: str) -> tuple[Version, ...]:
        return self.calls.made("ssm.history", lambda: self._as_of(app, "latest", self.clock.now - self.calls.age("ssm.history")))

    def apps(self) -> tuple[str, ...]:
        return self.calls.made("ssm.apps", lambda: tuple(sorted({app for app, _ in self.versions if APP_NAME.fullmatch(app)})))

    def put(self, app: str, name: str, value: str, description: str = "") -> int:
        """Write as somebody else: no call of ours."""
        versions = self.versions.setdefault((app, name), [])
        newest = versions[-1].version if versions else 0
        before = versions[-1] if versions else None
        versions.append(Version(value, newest + 1, self.clock(), description))
        del versions[:-100]
        self.calls.changed("parameter", (app, name), before, versions[-1])
        return versions[-1].version

    def value(self, app: str, name: str) -> str | None:
        versions = self.versions.get((app, name))
        return versions[-1].value if versions else None

    def _read(self, app: str, names: tuple[str, ...]) -> Mapping[str, Parameter]:
        until = self.clock.now - self.calls.age("ssm.read")
        seen = {name: self._as_of(app, name, until) for name in names}
        return {name: Parameter(v[-1].value, v[-1].version, v[-1].modified_at) for name, v in seen.items() if v}

    def _as_of(self, app: str, name: str, until: int) -> tuple[Version, ...]:
        return tuple(version for version in self.versions.get((app, name), ()) if version.modified_at <= until)


@dataclass
class FakeReleases:
    """The releases table: Slots, Releases and Apps."""

    calls: Calls
    releases: Remembering[tuple[str, str], Release] = field(init=False)
    items: Remembering[str, App] = field(init=False)
    leases: dict[str, tuple[str, int, bool]] = field(default_factory=dict)
    last_passes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.releases = Remembering("release", self.calls)
        self.items = Remembering("app", self.calls)

    def release(self, app: str, release: str) -> Release | None:
        return self.calls.made("ddb.release", lambda: self.releases.get((app, release)))

    def claim(self, app: str, release: str, request_id: str, now: int) -> Claimed:
        return self.calls.made("ddb.claim", lambda: self._claim(app, release, request_id, now))

    def claim_batch(
        self, app: str, release: str, batch: tuple[str, Batch], granted: int, unused: tuple[str, int] | None = None
    ) -> int:
        return self.calls.made("ddb.claim_batch", lambda: self._claim_batch(app, release, batch, unused))

    def create(self, release: Release) -> bool:
        return self.calls.made("ddb.create", lambda: self._create(release))

    def save(self, before: Release, after: Release, *, idle: bool = False) -> bool:
        return self.calls.made("ddb.save", lambda: self._save(before, after, idle))

    def app(self, app: str) -> App | None:
        return self.calls.made("ddb.app", lambda: self._app(app))

    def save_app(self, before: App, after: App) -> bool:
        return self.calls.made("ddb.save_app", lambda: self._save_app(before, after))

    def lease(self, app: str, owner: str, now: int, until: int) -> bool:
        if self.calls.made("ddb.lease", lambda: self._take(app, owner, now, until)):
            return True
        if self.calls.made("ddb.lease word", lambda: self._leave_word(app)):
            return False
        return self.calls.made("ddb.lease", lambda: self._take(app, owner, now, until))  # they went just now

    def give_back(self, app: str, owner: str, now: int, *, done: bool = True) -> bool:
        if self.calls.made("ddb.give_back", lambda: self._end(app, owner, now, done)):
            return True
        return not self.calls.made("ddb.give_back word", lambda: self._take_word(app, owner))

    def apps(self) -> tuple[str, ...]:
        return self.calls.made("ddb.apps", lambda: tuple(sorted(self.items)))

    def _claim(self, app: str, release: str, request_id: str, now: int) -> Claimed:
        item = self.releases.get((app, release))
        if item is None:
            return Claimed.CLOSED
        if request_id in item.open:
            return Claimed.WON
        if item.gate is not Gate.OPEN:
            return Claimed.CLOSED
        if item.claimed >= item.granted:
            return Claimed.GONE
        self.releases[app, release] = replace(item, claimed=item.claimed + 1, open={**item.open, request_id: now})
        return Claimed.WON

    def _claim_batch(self, app: str, release: str, batch: tuple[str, Batch], unused: tuple[str, int] | None) -> int:
        item, (name, wanted) = self.releases.get((app, release)), batch
        if item is None or (item.gate is not Gate.OPEN and name not in item.batches):
            return 0
        if name in item.batches:
            return item.batches[name].slots
        returned = unused[1] if unused and unused[0] in item.batches else 0
        slots = min(wanted.slots, item.granted - item.claimed + returned)
        if slots < 1:
            return 0
        kept = {known: each for known, each in item.batches.items() if not unused or known != unused[0]}
        taken = {**kept, name: replace(wanted, slots=slots)}
        self.releases[app, release] = replace(item, claimed=item.claimed + slots - returned, batches=taken)
        return slots

    def _create(self, release: Release) -> bool:
        key = (release.app, release.release)
        if key in self.releases:
            return False
        self.releases[key] = release
        return True

    def _save(self, before: Release, after: Release, idle: bool) -> bool:
        there = self.releases.get((before.app, before.release))
        if (
            there is None
            or there.rev != before.rev
            or (idle and (there.claimed != before.claimed or there.open or there.batches))
        ):
            return False
        given_back = before.batches.keys() - after.batches.keys()
        if given_back - there.batches.keys():
            return False
        if after.granted < before.granted and there.claimed > after.granted:
            return False
        gone = before.open.keys() - after.open.keys()
        self.releases[before.app, before.release] = replace(
            after,
            rev=before.rev + 1,
            claimed=there.claimed + after.claimed - before.claimed,
            open={request_id: at for request_id, at in there.open.items() if request_id not in gone},
            batches={name: batch for name, batch in there.batches.items() if name not in given_back},
        )
        return True

    def _save_app(self, before: App, after: App) -> bool:
        there = self.items.get(before.app)
        if (there.rev if there else 0) != before.rev:
            return False
        self.items[before.app] = replace(after, rev=before.rev + 1)
        return True

    def _app(self, app: str) -> App | None:
        item = self.items.get(app)
        return replace(item, last_pass=self.last_passes.get(app)) if item else None

    def _take(self, app: str, owner: str, now: int, until: int) -> bool:
        held = self.leases.get(app)
        if held is not None and held[0] != owner and held[1] >= now:
            return False
        self.leases[app] = (owner, until, False)
        return True

    def _leave_word(self, app: str) -> bool:
        held = self.leases.get(app)
        if held is not None:
            self.leases[app] = (held[0], held[1], True)
        return held is not None

    def _end(self, app: str, owner: str, now: int, done: bool) -> bool:
        held = self.leases.get(app)
        if held is None or held[0] != owner or held[2]:
            return False
        del self.leases[app]
        if done:
            self.last_passes[app] = now
        return True

    def _take_word(self, app: str, owner: str) -> bool:
        held = self.leases.get(app)
        if held is None or held[0] != owner:
            return False
        self.leases[app] = (held[0], held[1], False)
        return True


@dataclass
class EventualSlots:
    """The releases table as routers read it: at half the price, and not always what was written last."""

    table: FakeReleases

    def release(self, app: str, release: str) -> Release | None:
        return self.table.calls.made("ddb.release", lambda: self.table.releases.seen((app, release), "ddb.release"))

    def claim(self, app: str, release: str, request_id: str, now: int) -> Claimed:
        return self.table.claim(app, release, request_id, now)

    def claim_batch(
        self, app: str, release: str, batch: tuple[str, Batch], granted: int, unused: tuple[str, int] | None = None
    ) -> int:
        return self.table.claim_batch(app, release, batch, granted, unused)

    def app(self, app: str) -> App | None:
        return self.table.calls.made("ddb.app", lambda: self.table.items.seen(app, "ddb.app"))


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

    def of_batch(self, app: str, release: str, batch_id: str, since: int) -> int:
        return self.calls.made(
            "ddb.of_batch",
            lambda: sum(
                row.batch == batch_id
                for (a, r, name), row in self.table.items()
                if (a, r) == (app, release) and name > new_request_id(since - GRACE_MS, 0)
            ),
        )

    def _put(self, row: Row) -> Row | None:
        there = self.table.get((row.app, row.release, row.request_id))
        if there is None:
            self.table[row.app, row.release, row.request_id] = row
        return there

    def _update(self, row: Row, update: RowUpdate) -> bool:
        there = self.table.get((row.app, row.release, row.request_id))
        if there is None or there.status not in IN_FLIGHT:
            return False
        known = {name: value for name in update.__slots__ if (value := getattr(update, name)) is not None and value is not False}
        self.table[row.app, row.release, row.request_id] = replace(there, **known)
        return True

    def _mark(self, row: Row) -> None:
        key = (row.app, row.release, row.request_id)
        if key in self.table:
            self.table[key] = replace(self.table[key], counted=True)


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


@dataclass
class FakeAlarms:
    """CloudWatch alarms by their names."""

    calls: Calls
    alarms: dict[str, AlarmState] = field(default_factory=dict)

    def states(self, names: Iterable[str]) -> Mapping[str, AlarmState]:
        wanted = dict.fromkeys(names)
        if not wanted:
            return {}
        return self.calls.made("cloudwatch.states", lambda: {name: self.alarms[name] for name in wanted if name in self.alarms})


@dataclass
class FakeStacks:
    """Targets, their executions, and which of them exist. ``behaviour`` says by ARN how a stack's call ends.

    ``gone`` are the ARNs of state machines that do not exist, ``synthetic`` the ids of requests that were marked so, ``stopped``
    the causes of stops by the execution's ARN.
    """

    calls: Calls
    clock: Clock
    behaviour: dict[str, Call] = field(default_factory=dict)
    sent: list[tuple[str, str]] = field(default_factory=list)
    synthetic: list[str] = field(default_factory=list)
    executions: Remembering[str, Execution] = field(init=False)
    stopped: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.executions = Remembering("execution", self.calls)

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
        return self.calls.made("stack.call", lambda: self._call(target, request_id, synthetic))

    def observe(self, arns: Iterable[str]) -> Mapping[str, Execution]:
        wanted = tuple(arns)
        missing = ExecutionStatus.MISSING
        return self.calls.made(
            "sfn.observe",
            lambda: {arn: self.executions.seen(arn, "sfn.observe") or Execution(arn=arn, status=missing) for arn in wanted},
        )

    def past(self, machine: str) -> Sequence[Past]:
        return self.calls.made("sfn.past", lambda: self._past(machine))

    def failures(self, machine: str, since: int) -> Sequence[Execution]:
        return self.calls.made("sfn.failures", lambda: self._failures(machine, since))

    def started(self, machine: str, since: int, until: int) -> Sequence[Execution]:
        return self.calls.made(
            "sfn.started",
            lambda: tuple(e for e in self._listed(machine) if since <= (e.started_at or 0) < until)[:MOST_PAST],
        )

    def succeeded(self, machine: str, since: int, most: int) -> Sequence[Execution]:
        return self.calls.made(
            "sfn.succeeded",
            lambda: tuple(
                e for e in self._listed(machine) if e.status is ExecutionStatus.SUCCEEDED and (e.started_at or 0) >= since
            )[: _PAGE * max(1, ceil(most / _PAGE))],
        )

    def stop(self, arn: str, cause: str) -> None:
        self.calls.made("sfn.stop", lambda: self._stop(arn, cause))

    def problem(self, target: Target) -> str | None:
        return self.calls.made("stack.problem", lambda: self.problems.get(target.arn))

    def end_all(self, status: ExecutionStatus, *, of: str = "") -> None:
        for arn, execution in self.executions.items():
            if execution.status is ExecutionStatus.RUNNING and of in arn:
                self.executions[arn] = replace(execution, status=status, stopped_at=self.clock())

    def end(self, name: str, status: ExecutionStatus, at: int | None = None) -> None:
        """End the running execution that bears this name."""
        (arn,) = (arn for arn in self.executions if arn.endswith(f":{name}"))
        if self.executions[arn].status is not ExecutionStatus.RUNNING:
            raise ValueError(f"{arn} is {self.executions[arn].status}: it has ended already")
        self.executions[arn] = replace(self.executions[arn], status=status, stopped_at=at if at is not None else self.clock())

    def ran(
        self, machine: str, name: str, *, started_at: int, duration_ms: int, status: ExecutionStatus = ExecutionStatus.SUCCEEDED
    ) -> str:
        """Add an execution of a state machine that was started by whomever, and has ended unless its status says otherwise."""
        arn = execution_arn(machine, name)
        stopped = started_at + duration_ms if status.value in OUTCOMES else None
        self.executions[arn] = Execution(arn=arn, status=status, started_at=started_at, stopped_at=stopped)
        return arn

    def _call(self, target: Target, request_id: str, synthetic: bool) -> Call:
        self.sent.append((target.name, request_id))
        if synthetic:
            self.synthetic.append(request_id)
        if target.arn in self.behaviour:
            return self.behaviour[target.arn]
        arn = f"arn:aws:states:{target.region}:{target.account}:execution:{target.name}:{request_id}"
        if arn not in self.executions:
            self.executions[arn] = Execution(arn=arn, status=ExecutionStatus.RUNNING, started_at=self.clock())
        return Call(result=CallResult.ANSWERED, answer={"executionArn": arn}, transform_id=arn)

    def _past(self, machine: str) -> tuple[Past, ...]:
        if _unqualified(machine) in self.gone:
            return ()
        return tuple(
            Past(e.status.value in FAILURES, e.started_at or 0, max(0, (e.stopped_at or 0) - (e.started_at or 0)))
            for e in self._listed(machine)[:MOST_PAST]
            if e.status.value in OUTCOMES
        )

    def _failures(self, machine: str, since: int) -> tuple[Execution, ...]:
        found = tuple(e for e in self._listed(machine) if e.status.value in FAILURES and (e.started_at or 0) >= since)
        if len(found) > MOST_PAST:
            raise Unavailable("sfn", "TooMany", f"more than {MOST_PAST} executions of {machine} have failed")
        return found

    def _listed(self, machine: str) -> list[Execution]:
        """All executions of a state machine, newest start first, as a list tells them: without their errors."""
        wanted = _unqualified(machine)
        if wanted in self.gone:
            raise Unavailable("sfn", "StateMachineDoesNotExist", wanted)
        seen = self.executions.all_seen("sfn.list")
        mine = [replace(e, error=None) for arn, e in seen if state_machine_of(arn) == wanted]
        return sorted(mine, key=lambda e: e.started_at or 0, reverse=True)

    def _stop(self, arn: str, cause: str) -> None:
        execution = self.executions.get(arn)
        if execution is None or execution.status is not ExecutionStatus.RUNNING:
            return
        self.stopped[arn] = cause
        self.executions[arn] = replace(execution, status=ExecutionStatus.ABORTED, stopped_at=self.clock(), error="Canary")


#: Executions on a page: `succeeded` gives whole pages.
_PAGE = 1000


def _unqualified(machine: str) -> str:
    return parse_target(machine).unqualified_arn


@dataclass
class FakeNotices:
    calls: Calls
    sent: list[tuple[str, str]] = field(default_factory=list)

    def send(self, release: Release, notice: Notice) -> None:
        self.calls.made("events.send", lambda: self.sent.append((release.release, notice.kind.value)))


def answer(**words: Any) -> Call:
    """A target's answer without a workflow."""
    return Call(result=CallResult.ANSWERED, answer=words)
