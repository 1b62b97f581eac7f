"""Every test of this folder runs twice: against the fakes that other tests rely on, and against the adapters on moto."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from canary.aws.alarms import AlarmBook
from canary.aws.audit import AuditTable
from canary.aws.executions import StepFunctions
from canary.aws.keys import KeyTable
from canary.aws.parameters import ParameterStore
from canary.aws.records import RecordTable
from canary.aws.releases import ReleaseTable
from canary.ports import Alarms, Apps, Audit, Executions, Keys, Parameters, Records, Releases, Slots
from tests.contract.hands import FakeHands, Hands, MotoHands
from tests.fakes.aws import Clock, FakeAlarms, FakeAudit, FakeKeys, FakeParameters, FakeRecords, FakeReleases, FakeStacks
from tests.fakes.calls import Calls

REGION = "eu-west-1"


class Table(Slots, Releases, Apps, Protocol):
    """One adapter implements all three."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the contract is about, and the hands that do what others do to the same AWS."""

    parameters: Parameters
    table: Table
    audit: Audit
    records: Records
    keys: Keys
    executions: Executions
    alarms: Alarms
    hands: Hands


def in_memory() -> Ports:
    calls, clock = Calls(), Clock()
    stacks, alarms = FakeStacks(calls, clock), FakeAlarms(calls)
    return Ports(
        FakeParameters(calls, clock),
        FakeReleases(calls),
        FakeAudit(calls),
        FakeRecords(calls),
        FakeKeys(calls),
        stacks,
        alarms,
        FakeHands(stacks, alarms),
    )


def on_aws(client: Any, tables: Any) -> Ports:
    dynamodb, states, cloudwatch = client("dynamodb"), client("stepfunctions"), client("cloudwatch")
    return Ports(
        ParameterStore(client("ssm"), "/canary"),
        ReleaseTable(dynamodb, tables.releases, REGION),
        AuditTable(dynamodb, tables.audit, REGION),
        RecordTable(dynamodb, tables.audit, REGION),
        KeyTable(dynamodb, tables.audit, REGION),
        StepFunctions(states),
        AlarmBook(cloudwatch),
        MotoHands(states, cloudwatch),
    )


@pytest.fixture(params=["fakes", "adapters"])
def ports(request: pytest.FixtureRequest) -> Ports:
    if request.param == "fakes":
        return in_memory()
    return on_aws(request.getfixturevalue("moto"), request.getfixturevalue("tables"))


@pytest.fixture
def parameters(ports: Ports) -> Parameters:
    return ports.parameters


@pytest.fixture
def table(ports: Ports) -> Table:
    return ports.table


@pytest.fixture
def audit(ports: Ports) -> Audit:
    return ports.audit


@pytest.fixture
def records(ports: Ports) -> Records:
    return ports.records


@pytest.fixture
def keys(ports: Ports) -> Keys:
    return ports.keys


@pytest.fixture
def executions(ports: Ports) -> Executions:
    return ports.executions


@pytest.fixture
def alarms(ports: Ports) -> Alarms:
    return ports.alarms


@pytest.fixture
def hands(ports: Ports) -> Hands:
    return ports.hands
