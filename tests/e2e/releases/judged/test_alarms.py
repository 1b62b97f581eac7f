"""CloudWatch alarms of a stage: ALARM throws out, OK passes, and what is not there is not OK."""

from __future__ import annotations

import uuid

import pytest

from canary.domain.states import Hold, ReleaseState
from tests.e2e.releases.judged.orders import PATIENCE_S, order, plays


@pytest.fixture(scope="session")
def cloudwatch(stack):
    return stack.client("cloudwatch")


@pytest.fixture
def alarm(cloudwatch):
    """An alarm that may be set: `alarm("ALARM")`; at first there is none."""
    name = f"totals-{uuid.uuid4().hex[:8]}"

    def turn(state: str) -> None:
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="Test",
            MetricName="Totals",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="the test says so")

    turn.name = name
    yield turn
    cloudwatch.delete_alarms(AlarmNames=[name])


@pytest.fixture
def release(subject, machine, seasoned, alarm):
    plan = {"stages": [{"quota": 1, "weight": 100, "alarms": [alarm.name]}]}
    return lambda: subject.given(current=seasoned, latest=machine(plays("latest")), plan=plan)


def test_an_alarm_that_rings_throws_latest_out(subject, release, alarm):
    alarm("OK")
    running = release()
    subject.wake()
    assert subject.release(running).state is ReleaseState.RUNNING
    alarm("ALARM")
    subject.wake()
    aborted = subject.becomes(running, ReleaseState.ABORTED)
    assert aborted.reason == f"the alarm {alarm.name!r} is in state ALARM"
    assert list(subject.item().quarantine) == [aborted.target]


def test_an_alarm_that_is_missing_holds_until_it_is_there_and_ok(subject, release, alarm, call, look):
    running = release()
    subject.wake()
    held = subject.becomes(running, ReleaseState.HELD)
    assert held.hold is Hold.ALARM
    assert "what is not there is not OK" in held.reason

    alarm("INSUFFICIENT_DATA")
    subject.wake()
    subject.becomes(running, ReleaseState.RUNNING)
    call(subject.name, order())
    assert look(running).state is ReleaseState.RUNNING, "insufficient data passes nothing"
    alarm("OK")
    subject.wake()
    subject.becomes(running, ReleaseState.PROMOTED)


def test_an_alarm_that_cannot_be_read_passes_nothing(subject, release, alarm, call, look, given_environment, eventually):
    alarm("OK")
    running = release()
    with given_environment("FlipperFunction", AWS_ENDPOINT_URL_CLOUDWATCH="http://127.0.0.1:9"):
        assert call(subject.name, order()).body["routed_to"] == "latest"
        eventually(lambda: subject.operator.wake(subject.name) == "failed", within=PATIENCE_S)
        assert subject.release(running).state is ReleaseState.RUNNING
    assert look(running).state is ReleaseState.PROMOTED
