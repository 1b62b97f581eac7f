"""Every test of this folder runs twice: against the fakes that other tests rely on, and against the adapters on moto."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from canary.aws.audit import AuditTable
from canary.aws.keys import KeyTable
from canary.aws.parameters import ParameterStore
from canary.aws.releases import ReleaseTable
from canary.ports import Apps, Audit, Keys, Parameters, Releases, Slots
from tests.fakes.aws import Clock, FakeAudit, FakeKeys, FakeParameters, FakeReleases
from tests.fakes.calls import Calls

REGION = "eu-west-1"


class Table(Slots, Releases, Apps, Protocol):
    """One adapter implements all three."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the contract is about."""

    parameters: Parameters
    table: Table
    audit: Audit
    keys: Keys


def in_memory() -> Ports:
    calls, clock = Calls(), Clock()
    return Ports(FakeParameters(calls, clock), FakeReleases(calls), FakeAudit(calls), FakeKeys(calls))


def on_aws(client: Any, tables: Any) -> Ports:
    dynamodb = client("dynamodb")
    return Ports(
        ParameterStore(client("ssm"), "/canary"),
        ReleaseTable(dynamodb, tables.releases, REGION),
        AuditTable(dynamodb, tables.audit, REGION),
        KeyTable(dynamodb, tables.audit, REGION),
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
def keys(ports: Ports) -> Keys:
    return ports.keys
