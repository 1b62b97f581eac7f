"""What others do to the AWS that an adapter reads: run state machines, set alarms off. One pair of hands for each side."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from canary.domain.alarm import AlarmState
from canary.domain.audit import ExecutionStatus
from canary.domain.target import execution_arn
from tests.fakes.alarms import FakeAlarms
from tests.fakes.stacks import FakeStacks

#: What the tests of this folder run against, and those of what the router needs.
SIDES = ["fakes", "adapters"]
LEAN_TOO = pytest.mark.parametrize("ports", [*SIDES, "lean"], indirect=True)

REGION, ACCOUNT = "eu-west-1", "123456789012"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:transformer-v1"
OTHER = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:transformer-v2"
NOBODY = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:nobody"


class Hands(Protocol):
    """The state machines MACHINE and OTHER exist, NOBODY does not."""

    def run(self, name: str, status: ExecutionStatus, started_at: int, duration_ms: int = 0, *, machine: str = MACHINE) -> str:
        """Have an execution, and return its ARN."""

    def alarm(self, name: str, state: AlarmState) -> None:
        """Have an alarm in a state."""


@dataclass
class FakeHands:
    stacks: FakeStacks
    alarms: FakeAlarms

    def __post_init__(self) -> None:
        self.stacks.gone.add(NOBODY)

    def run(self, name: str, status: ExecutionStatus, started_at: int, duration_ms: int = 0, *, machine: str = MACHINE) -> str:
        return self.stacks.ran(machine, name, started_at=started_at, duration_ms=duration_ms, status=status)

    def alarm(self, name: str, state: AlarmState) -> None:
        self.alarms.alarms[name] = state


@dataclass
class MotoHands:
    """moto's executions start now and run for ever: what they became is written into its memory."""

    states: Any
    cloudwatch: Any
    machines: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from moto.stepfunctions.models import stepfunctions_backends  # noqa: PLC0415 - slow to import

        definition = '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}'
        for arn in (MACHINE, OTHER):
            name = arn.rsplit(":", 1)[1]
            self.states.create_state_machine(name=name, definition=definition, roleArn=f"arn:aws:iam::{ACCOUNT}:role/r")
        self.machines = {machine.arn: machine for machine in stepfunctions_backends[ACCOUNT][REGION].state_machines}

    def run(self, name: str, status: ExecutionStatus, started_at: int, duration_ms: int = 0, *, machine: str = MACHINE) -> str:
        self.states.start_execution(stateMachineArn=machine, name=name, input="{}")
        execution = self.machines[machine].executions[-1]
        execution.status, execution.start_date = status.value, _moment(started_at)
        if status is not ExecutionStatus.RUNNING:
            execution.stop_date = _moment(started_at + duration_ms)
            execution.stop = _refuse
        return execution_arn(machine, name)

    def alarm(self, name: str, state: AlarmState) -> None:
        self.cloudwatch.put_metric_alarm(
            AlarmName=name, Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
        self.cloudwatch.set_alarm_state(AlarmName=name, StateValue=state.value, StateReason="because")


def _refuse(*_: Any, **__: Any) -> None:
    """Refuse to stop what has ended, as Step Functions does; moto would abort it."""
    from moto.core.exceptions import JsonRESTError  # noqa: PLC0415 - slow to import

    raise JsonRESTError("ValidationException", "Execution is not running")


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)
