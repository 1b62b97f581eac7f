"""A release with 100,000 settled requests and 1,000 open ones is judged within one pass of the flipper.

The pass is the flipper's own, on the real adapter of Step Functions, whose answers come over the wire of a real client by
buckets of AWS's rates. Time is simulated: each call of AWS takes as long as it says here, and the flipper has a minute.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest

from canary.aws.executions import StepFunctions
from canary.domain.audit import Execution, ExecutionStatus, Row, Status
from canary.domain.evidence import Share, Slice
from canary.domain.release import Release
from canary.domain.request_id import new_request_id
from canary.domain.states import Gate, ReleaseState
from canary.domain.tally import Tally
from canary.domain.target import execution_arn
from canary.flipping.flipper import Flipper, Pass
from tests.fakes.scene import APP, Scene, machine
from tests.load.step_functions import StepFunctionsService

SETTLED, OPEN = 100_000, 1_000
PASS_MS = 60_000
#: What a call takes, in milliseconds, beside those of Step Functions: guesses on the long side.
TAKES_MS = {"ddb": 8, "ssm": 30, "events": 30, "cloudwatch": 60}
#: BatchGetItem reads 100 rows, a page of a query of the index about as many thousand; the fakes do all with one call.
ROWS_IN_A_CALL = 100
#: Its stage lasts for longer than the test looks, and nothing hangs so far.
PLAN = {"stages": [{"weight": 50, "bake": "1h"}], "alpha": 0.01, "hung_after": 100, "deadline": "2d"}


@dataclass(frozen=True, slots=True)
class Lies:
    """Where the open requests lie: ``starts`` gives the time between the start of request ``number`` and now."""

    words: str
    starts: Callable[[int], int]
    ended: Callable[[int], bool]


HOUR = 3_600_000
LIES = (
    Lies("all run and are the newest", lambda n: 10 * n + 1, lambda n: False),
    Lies("all have ended and are the newest", lambda n: 10 * n + 1, lambda n: True),
    Lies("all run, longer than all others", lambda n: 3 * HOUR + n, lambda n: False),
    Lies("all have just ended, after longer than all others", lambda n: 3 * HOUR + n, lambda n: True),
    Lies("they lie among all others, and half have ended", lambda n: 7_200 * n, lambda n: n % 2 == 0),
)


@dataclass(slots=True)
class Large:
    """The release, its flipper and what that asks of Step Functions."""

    scene: Scene
    release: Release
    service: StepFunctionsService

    def one_pass(self) -> Pass:
        world = replace(self.scene.world(), executions=StepFunctions(self.service.client))
        [done] = Flipper(world, lambda *_, **__: None).run()
        return done

    def now(self) -> Release:
        return self.scene.releases.releases[APP, self.release.release]


def large(lies: Lies) -> Large:
    scene = Scene(plan=json.loads(json.dumps(PLAN)), current=machine("v1"))
    scene.ran_before(200, 0)
    scene.write_latest(machine("v2"))
    scene.flip()
    opened = scene.only_release()
    assert opened.state is ReleaseState.RUNNING, opened.reason
    now = scene.clock.now
    any_row = Row(
        app=APP,
        release=opened.release,
        request_id="",
        status=Status.RUNNING,
        claimed_at=0,
        target=machine("v2"),
        tag=opened.tag,
        share=opened.share,
        state_machine=machine("v2"),
    )
    settled, executions = _settled(any_row, now)
    scene.audit.table.update(settled)
    executions = [*scene.stacks.executions.values(), *executions]
    for number in range(OPEN):
        at = now - lies.starts(number)
        row, execution = _request(any_row, number, at, Status.RUNNING)
        scene.audit.table[APP, row.release, row.request_id] = row
        ended = lies.ended(number)
        executions.append(replace(execution, status=ExecutionStatus.SUCCEEDED, stopped_at=now) if ended else execution)
    grown = replace(
        opened,
        opened_at=now - 4 * HOUR,
        written_at=now - 4 * HOUR,
        stage_since=now - 4 * HOUR,
        claimed=SETTLED + OPEN,
        granted=SETTLED + OPEN,
        gate=Gate.OPEN,
        tally=Tally(succeeded=SETTLED),
        state_machine=machine("v2"),
        named=True,
        gathered=replace(
            opened.gathered,
            shares={opened.share: Share(finished=SETTLED)},
            bins=tuple(SETTLED * part // 100 for part in (25, 25, 25, 20, 5)),
            prefix=Slice(now - 4 * HOUR, SETTLED),
        ),
    )
    scene.releases.releases[APP, grown.release] = grown
    service = StepFunctionsService(scene.clock, executions)
    scene.calls.on_call = _passing_time(scene)
    return Large(scene, grown, service)


@cache
def _settled(any_row: Row, now: int) -> tuple[dict[tuple[str, str, str], Row], list[Execution]]:
    """The settled requests, one every 72 ms over two hours: made once, since every scene is the same so far."""
    rows, executions = {}, []
    for number in range(SETTLED):
        at = now - 2 * HOUR + 72 * number
        row, execution = _request(any_row, OPEN + number, at, Status.SUCCEEDED)
        rows[APP, row.release, row.request_id] = replace(row, stopped_at=at + 1_000, counted=True)
        executions.append(replace(execution, stopped_at=at + 1_000))
    return rows, executions


def _request(any_row: Row, number: int, at: int, status: Status) -> tuple[Row, Execution]:
    request_id = new_request_id(at, number, any_row.release)
    arn = execution_arn(machine("v2"), request_id)
    row = replace(any_row, request_id=request_id, status=status, claimed_at=at, started_at=at, transform_id=arn)
    return row, Execution(arn=arn, status=ExecutionStatus(status.value), started_at=at)


def _passing_time(scene: Scene) -> Callable[[int, str, str], None]:
    def on_call(number: int, name: str, when: str) -> None:
        calls = OPEN // ROWS_IN_A_CALL if name in {"ddb.rows", "ddb.in_flight"} else 1
        scene.clock.pass_by(calls * TAKES_MS[name.split(".", maxsplit=1)[0]] if when == "before" else 0)

    return on_call


@pytest.mark.parametrize("lies", LIES, ids=lambda lies: lies.words)
def test_a_large_release_is_judged_within_one_pass_and_within_the_rates_of_step_functions(lies):
    made = large(lies)
    began, records = made.scene.clock.now, len(made.scene.kept())
    done = made.one_pass()
    took, release = made.scene.clock.now - began, made.now()

    assert (done.result, done.error) == ("done", None)
    assert (release.state, len(made.scene.kept()) - records) == (ReleaseState.PROMOTED, 1), release.reason
    assert not made.service.throttled
    assert made.service.calls["ListExecutions"] <= 30
    assert made.service.calls["DescribeExecution"] <= 200
    assert took < PASS_MS, f"{took / 1000:.1f} s"


@pytest.mark.parametrize("lies", [each for each in LIES if each.ended(0)], ids=lambda lies: lies.words)
def test_what_one_pass_leaves_the_next_ones_count_each_once(lies):
    made = large(lies)
    ended = sum(lies.ended(number) for number in range(OPEN))
    passes = 0
    while made.now().tally.succeeded < SETTLED + ended:
        passes += 1
        assert passes <= 5, made.now().tally
        made.scene.clock.pass_by(PASS_MS)
        made.one_pass()
    assert made.now().tally == Tally(succeeded=SETTLED + ended), "none is lost, and none counts twice"
    assert made.now().in_flight == OPEN - ended
    assert len(made.scene.audit.in_flight(APP, made.release.release)) == OPEN - ended
    assert not made.service.throttled


def test_a_pass_over_a_large_release_takes_little_memory():
    made = large(LIES[1])
    tracemalloc.start()
    try:
        made.one_pass()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made.now().tally.succeeded == SETTLED + OPEN
    assert peak < 20e6, f"{peak / 1e6:.0f} MB"
