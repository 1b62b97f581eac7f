"""The words of the tests of judged releases: a current with a past, slots used as they are earned, evidence on record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from canary.aws.records import RecordTable
from canary.domain.case import judged_again
from canary.domain.judge import Judgement, Verdict
from canary.domain.record import Record
from canary.domain.states import ReleaseState
from canary.local import LocalStack, exports
from tests.e2e.releases.judged.orders import PACE, PATIENCE_S, QUICK, SLOWEST, order, plays


@pytest.fixture(scope="session")
def ran(sfn, eventually) -> Callable[..., None]:
    """Let a state machine run so many times, before any release: `ran(machine, [0.1, 0.2])`."""

    def run(machine: str, seconds: Sequence[float], *, pace: float = 0.0) -> None:
        for each in seconds:
            sfn.start_execution(stateMachineArn=machine, name=uuid.uuid4().hex, input=json.dumps(order(seconds=each)))
            time.sleep(pace)
        running = {"stateMachineArn": machine, "statusFilter": "RUNNING"}
        eventually(lambda: not sfn.list_executions(**running)["executions"], within=PATIENCE_S)

    return run


@pytest.fixture
def seasoned_apart(machine, ran) -> str:
    """A current that has run thirty times, and succeeded each time, all at once; it may be let fail."""
    arn: str = machine(plays("current"))
    ran(arn, [SLOWEST / 2, *QUICK])
    return arn


@pytest.fixture(scope="session")
def seasoned(sfn, ran) -> Iterator[str]:
    """A current that has run thirty times, and succeeded each time, by and by. Nobody may let it fail."""
    arn = sfn.create_state_machine(
        name=f"seasoned-{uuid.uuid4().hex[:8]}",
        definition=json.dumps(plays("current")),
        roleArn="arn:aws:iam::000000000000:role/any",
    )["stateMachineArn"]
    ran(arn, [SLOWEST, *QUICK], pace=PACE)
    yield arn
    sfn.delete_state_machine(stateMachineArn=arn)


@dataclass(frozen=True, slots=True)
class Word:
    """Stacks of this ``definition`` work until somebody says the word, however long that takes."""

    sfn: Any
    activity: str

    @property
    def definition(self) -> dict[str, Any]:
        return {"StartAt": "Work", "States": {"Work": {"Type": "Task", "Resource": self.activity, "End": True}}}

    def succeed(self) -> None:
        """Let the next one that works succeed."""
        self.sfn.send_task_success(taskToken=self._next(), output="{}")

    def fail(self) -> None:
        """Let the next one that works fail."""
        self.sfn.send_task_failure(taskToken=self._next(), error="TotalsMismatch")

    def _next(self) -> str:
        token: str = self.sfn.get_activity_task(activityArn=self.activity)["taskToken"]
        return token


@pytest.fixture
def word(sfn) -> Iterator[Word]:
    """For work that has to be under way while a test does something: its end does not come too soon."""
    arn = sfn.create_activity(name=f"word-{uuid.uuid4().hex[:8]}")["activityArn"]
    yield Word(sfn, arn)
    sfn.delete_activity(activityArn=arn)


@pytest.fixture
def forget(set_environment) -> Callable[[], Any]:
    """Start the routers anew: they remember nothing then."""
    return lambda: set_environment("RouterFunction", STARTED=uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What stands in the audit table about the decisions on a release."""

    table: RecordTable

    def of(self, release: Any) -> list[Record]:
        """The records, oldest first; each is judged anew, and says the same."""
        records = list(self.table.of_release(release.app, release.release))
        for record in records:
            again = judged_again(record)
            assert (again.judgement, again.reason) == (record.judgement, record.reason), record.name
            numbers = {name: getattr(again.numbers, name) for name in record.numbers}
            assert numbers == pytest.approx(dict(record.numbers), abs=1e-9), record.name
        return records

    def last(self, release: Any) -> tuple[Record, Verdict]:
        record = self.of(release)[-1]
        return record, judged_again(record)

    def thrown_out(self, release: Any) -> Record:
        """The record of the FAIL that ended a release."""
        [record] = [record for record in self.of(release) if record.judgement == Judgement.FAIL]
        assert release.verdict == f"FAIL: {record.reason}"
        return record


@pytest.fixture
def evidence(dynamodb, stack) -> Evidence:
    return Evidence(RecordTable(dynamodb, stack.outputs["AuditTable"], stack.region))


@pytest.fixture
def look(subject, eventually) -> Callable[..., Any]:
    """Let the flipper look until all that a release was sent is counted, and return the release as it is then."""

    def settled(release: Any) -> Any:
        eventually(lambda: _counted(subject.release(release)) or not subject.wake({"app": subject.name}), within=PATIENCE_S)
        # Somebody else's pass may have counted the last one, and not have decided yet.
        eventually(lambda: subject.operator.wake(subject.name) == "done", within=PATIENCE_S)
        return subject.release(release)

    return settled


def _counted(release: Any) -> bool:
    """Whether nothing is on its way but what is left of batches, which comes back a minute later."""
    return release.in_flight <= sum(batch.slots for batch in release.batches.values()) and not release.counted


@pytest.fixture
def climb(subject, call, look) -> Callable[..., list[int]]:
    """Send requests to latest, as many as there are free slots, let the flipper look at what became of them, and so on.

    `climb(release, orders)` returns how many there were each time; it ends with the release's trial, or with the orders.
    """

    def up(release: Any, orders: Iterable[Any]) -> list[int]:
        ladder: list[int] = []
        waiting = iter(orders)
        while (found := subject.release(release)).state is ReleaseState.RUNNING:
            sent = 0
            for body in islice(waiting, found.granted - found.claimed):
                if call(subject.name, body).body["routed_to"] == "current":
                    assert subject.release(release).state is not ReleaseState.RUNNING, "a free slot is taken"
                    break
                sent += 1
            ladder.append(sent)
            if not sent:
                break
            look(release)
        return ladder

    return up


@pytest.fixture
def canary(stack: LocalStack) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line as its users have it: `canary("promote", app, "--yes")`."""
    program = Path(sys.executable).parent / "canary"
    environment = {**os.environ, **exports(stack), "COLUMNS": "160"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *words], env=environment, capture_output=True, text=True, timeout=60, check=False)

    return run
