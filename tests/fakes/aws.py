"""In-memory stand-ins for the ports. The contract suite holds them to what the real adapters do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from canary.domain.app import App, Parameter, Version
from canary.domain.audit import IN_FLIGHT, Execution, ExecutionStatus, Row, RowUpdate
from canary.domain.call import Call, CallResult
from canary.domain.claim import Claimed
from canary.domain.keyed import KEEP_MS as KEEP_KEYS_MS
from canary.domain.keyed import KeyRecord, KeyState
from canary.domain.release import Gate, Notice, Release
from canary.domain.target import APP_NAME, Target
from tests.fakes.calls import Calls


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
        return self.calls.made("ssm.history", lambda: tuple(self.versions.get((app, "latest"), ())))

    def apps(self) -> tuple[str, ...]:
        return self.calls.made("ssm.apps", lambda: tuple(sorted({app for app, _ in self.versions if APP_NAME.fullmatch(app)})))

    def put(self, app: str, name: str, value: str, description: str = "") -> int:
        """Write as somebody else: no call of ours."""
        versions = self.versions.setdefault((app, name), [])
        newest = versions[-1].version if versions else 0
        versions.append(Version(value, newest + 1, self.clock(), description))
        del versions[:-100]
        return versions[-1].version

    def value(self, app: str, name: str) -> str | None:
        versions = self.versions.get((app, name))
        return versions[-1].value if versions else None

    def _read(self, app: str, names: tuple[str, ...]) -> Mapping[str, Parameter]:
        newest = {name: self.versions[app, name][-1] for name in names if (app, name) in self.versions}
        return {name: Parameter(v.value, v.version, v.modified_at) for name, v in newest.items()}


@dataclass
class FakeReleases:
    """The releases table: Slots, Releases and Apps."""

    calls: Calls
    releases: dict[tuple[str, str], Release] = field(default_factory=dict)
    items: dict[str, App] = field(default_factory=dict)
    leases: dict[str, tuple[str, int, bool]] = field(default_factory=dict)
    last_passes: dict[str, int] = field(default_factory=dict)

    def release(self, app: str, release: str) -> Release | None:
        return self.calls.made("ddb.release", lambda: self.releases.get((app, release)))

    def claim(self, app: str, release: str, request_id: str, now: int) -> Claimed:
        return self.calls.made("ddb.claim", lambda: self._claim(app, release, request_id, now))

    def create(self, release: Release) -> bool:
        return self.calls.made("ddb.create", lambda: self._create(release))

    def save(self, before: Release, after: Release, *, idle: bool = False) -> bool:
        return self.calls.made("ddb.save", lambda: self._save(before, after, idle))

    def app(self, app: str) -> App | None:
        return self.calls.made("ddb.app", lambda: self._app(app))

    def save_app(self, before: App, after: App) -> bool:
        return self.calls.made("ddb.save_app", lambda: self._save_app(before, after))

    def lease(self, app: str, owner: str, now: int, until: int) -> bool:
        return self.calls.made("ddb.lease", lambda: self._lease(app, owner, now, until))

    def give_back(self, app: str, owner: str, now: int, *, done: bool = True) -> bool:
        return self.calls.made("ddb.give_back", lambda: self._give_back(app, owner, now, done))

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

    def _create(self, release: Release) -> bool:
        key = (release.app, release.release)
        if key in self.releases:
            return False
        self.releases[key] = release
        return True

    def _save(self, before: Release, after: Release, idle: bool) -> bool:
        there = self.releases.get((before.app, before.release))
        if there is None or there.rev != before.rev or (idle and (there.claimed != before.claimed or there.open)):
            return False
        gone = before.open.keys() - after.open.keys()
        self.releases[before.app, before.release] = replace(
            after,
            rev=before.rev + 1,
            claimed=there.claimed + after.claimed - before.claimed,
            open={request_id: at for request_id, at in there.open.items() if request_id not in gone},
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

    def _lease(self, app: str, owner: str, now: int, until: int) -> bool:
        held = self.leases.get(app)
        if held is not None and held[0] != owner and held[1] >= now:
            self.leases[app] = (held[0], held[1], True)
            return False
        self.leases[app] = (owner, until, False)
        return True

    def _give_back(self, app: str, owner: str, now: int, done: bool) -> bool:
        held = self.leases.get(app)
        if held is None or held[0] != owner:
            return True
        if held[2]:
            self.leases[app] = (held[0], held[1], False)
            return False
        del self.leases[app]
        if done:
            self.last_passes[app] = now
        return True


@dataclass
class FakeAudit:
    calls: Calls
    table: dict[tuple[str, str, str], Row] = field(default_factory=dict)

    def put(self, row: Row) -> Row | None:
        return self.calls.made("ddb.put_row", lambda: self._put(row))

    def update(self, row: Row, update: RowUpdate) -> bool:
        return self.calls.made("ddb.update_row", lambda: self._update(row, update))

    def rows(self, app: str, release: str, request_ids: Iterable[str]) -> Mapping[str, Row]:
        wanted = tuple(request_ids)
        return self.calls.made(
            "ddb.rows", lambda: {name: self.table[app, release, name] for name in wanted if (app, release, name) in self.table}
        )

    def in_flight(self, app: str, release: str) -> tuple[str, ...]:
        return self.calls.made(
            "ddb.in_flight",
            lambda: tuple(
                sorted(name for (a, r, name), row in self.table.items() if (a, r) == (app, release) and not row.counted)
            ),
        )

    def mark_counted(self, row: Row) -> None:
        self.calls.made("ddb.mark_counted", lambda: self._mark(row))

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
    table: dict[str, KeyRecord] = field(default_factory=dict)

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
class FakeStacks:
    """Targets, their executions, and which of them exist. ``behaviour`` says by ARN how a stack's call ends."""

    calls: Calls
    clock: Clock
    behaviour: dict[str, Call] = field(default_factory=dict)
    sent: list[tuple[str, str]] = field(default_factory=list)
    executions: dict[str, Execution] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def call(
        self, target: Target, body: bytes, request_id: str, release: str | None, timeout_ms: int, transform_id: str | None
    ) -> Call:
        return self.calls.made("stack.call", lambda: self._call(target, request_id))

    def observe(self, arns: Iterable[str]) -> Mapping[str, Execution]:
        wanted = tuple(arns)
        missing = ExecutionStatus.MISSING
        return self.calls.made(
            "sfn.observe", lambda: {arn: self.executions.get(arn, Execution(arn=arn, status=missing)) for arn in wanted}
        )

    def problem(self, target: Target) -> str | None:
        return self.calls.made("stack.problem", lambda: self.problems.get(target.arn))

    def end_all(self, status: ExecutionStatus, *, of: str = "") -> None:
        for arn, execution in self.executions.items():
            if execution.status is ExecutionStatus.RUNNING and of in arn:
                self.executions[arn] = replace(execution, status=status, stopped_at=self.clock())

    def _call(self, target: Target, request_id: str) -> Call:
        self.sent.append((target.name, request_id))
        if target.arn in self.behaviour:
            return self.behaviour[target.arn]
        arn = f"arn:aws:states:{target.region}:{target.account}:execution:{target.name}:{request_id}"
        self.executions.setdefault(arn, Execution(arn=arn, status=ExecutionStatus.RUNNING, started_at=self.clock()))
        return Call(result=CallResult.ANSWERED, answer={"executionArn": arn}, transform_id=arn)


@dataclass
class FakeNotices:
    calls: Calls
    sent: list[tuple[str, str]] = field(default_factory=list)

    def send(self, release: Release, notice: Notice) -> None:
        self.calls.made("events.send", lambda: self.sent.append((release.release, notice.kind.value)))


def answer(**words: Any) -> Call:
    """A target's answer without a workflow."""
    return Call(result=CallResult.ANSWERED, answer=words)
