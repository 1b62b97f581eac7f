"""Every test of this folder runs twice: against the fakes that other tests rely on, and against the adapters on moto.

What the router needs runs a third time: against its own adapters on the lean transport.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pytest

from canary.aws.alarms import AlarmBook
from canary.aws.audit import AuditTable
from canary.aws.executions import StepFunctions
from canary.aws.keys import KeyTable
from canary.aws.parameters import ParameterStore
from canary.aws.records import RecordTable
from canary.aws.releases import ReleaseTable
from canary.lean.audit import LeanAudit
from canary.lean.executions import LeanExecutions
from canary.lean.keys import LeanKeys
from canary.lean.parameters import LeanParameters
from canary.lean.slots import LeanSlots
from canary.ports import Alarms, Apps, Audit, Executions, Keys, Parameters, Records, Releases, Slots
from tests.contract.hands import SIDES, FakeHands, Hands, MotoHands
from tests.fakes.alarms import FakeAlarms
from tests.fakes.audit import FakeAudit
from tests.fakes.calls import Calls
from tests.fakes.clock import Clock
from tests.fakes.endpoint import wired
from tests.fakes.keys import FakeKeys
from tests.fakes.parameters import FakeParameters
from tests.fakes.records import FakeRecords
from tests.fakes.releases import FakeReleases
from tests.fakes.stacks import FakeStacks

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


@dataclass(frozen=True, slots=True)
class Beside:
    """What the router has an adapter of its own for; the rest is done by the other, on the same AWS."""

    own: Any
    names: tuple[str, ...]
    other: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own if name in self.names else self.other, name)


def lean(other: Ports, wire: Any, tables: Any) -> Ports:
    return replace(
        other,
        parameters=Beside(LeanParameters(wire, "/canary"), ("read",), other.parameters),
        table=Beside(LeanSlots(wire, tables.releases), ("claim", "claim_batch"), other.table),
        audit=Beside(LeanAudit(wire, tables.audit), ("put", "update", "rows"), other.audit),
        keys=LeanKeys(wire, tables.audit),
        executions=Beside(LeanExecutions(wire), ("observe",), other.executions),
    )


@pytest.fixture(params=SIDES)
def ports(request: pytest.FixtureRequest) -> Iterator[Ports]:
    if request.param == "fakes":
        yield in_memory()
        return
    tables = request.getfixturevalue("tables")
    adapters = on_aws(request.getfixturevalue("moto"), tables)
    if request.param == "adapters":
        yield adapters
        return
    with wired(request.getfixturevalue("moto_over_http")) as wire:
        yield lean(adapters, wire, tables)


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
