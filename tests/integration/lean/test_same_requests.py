"""What the router asks of AWS does not depend on the transport: both send the same operations with the same documents."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.aws.audit import AuditTable
from canary.aws.executions import StepFunctions
from canary.aws.keys import KeyTable
from canary.aws.parameters import ParameterStore
from canary.aws.releases import ReleaseTable
from canary.aws.targets import StackTargets
from canary.domain.audit import Arm, Row, RowUpdate, Status
from canary.domain.batch import Batch
from canary.domain.keyed import Answer, KeyRecord, KeyState
from canary.domain.target import parse_target
from canary.lean.audit import LeanAudit
from canary.lean.executions import LeanExecutions
from canary.lean.keys import LeanKeys
from canary.lean.parameters import LeanParameters
from canary.lean.slots import LeanSlots
from canary.lean.targets import LeanTargets
from tests.fakes.endpoint import Answer as Said
from tests.integration.conftest import ACCOUNT, REGION, Wire
from tests.strategies import texts, times

NOW = 1_795_246_200_123
NAME = "00000001-0123abcd"
FUNCTION = parse_target(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:transformer-v2:live")
LATEST = parse_target(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:transformer-v2:$LATEST")
MACHINE = parse_target(f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:transformer-v2:v1.0")
EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:transformer-v2:r"
ROW = Row(app="a", release=NAME, request_id="r", status=Status.CLAIMED, claimed_at=NOW, target="t", tag="v2")
KEY = KeyRecord(key="k", app="a", state=KeyState.IN_PROGRESS, request_id="r", body_sha256="aa", since=NOW)
#: Good enough an answer to every question.
ANSWER: dict[str, Any] = {
    "Parameters": [], "InvalidParameters": [], "Responses": {}, "UnprocessedKeys": {},
    "executionArn": EXECUTION, "stateMachineArn": MACHINE.arn, "startDate": NOW / 1000, "status": "RUNNING",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Side:
    """The router's ports, and what they asked of AWS last: operation, path, document."""

    parameters: Any
    slots: Any
    audit: Any
    keys: Any
    targets: Any
    executions: Any
    last: Callable[[], tuple[str, str, Any]]


@pytest.fixture
def botocores(scripted):
    services = {name: scripted(name, Wire(ANSWER)) for name in ("ssm", "dynamodb", "lambda", "stepfunctions")}
    seen = dict.fromkeys(services, 0)

    def last() -> tuple[str, str, Any]:
        (name,) = [name for name, service in services.items() if len(service.requests) > seen[name]]
        seen[name] = len(services[name].requests)
        request = services[name].requests[-1]
        operation = request.headers.get("X-Amz-Target", b"Invoke").decode().rsplit(".", 1)[-1]
        context = request.headers.get("X-Amz-Client-Context")
        return operation, request.url.split(".com", 1)[1], (_json(request.body), _context(context))

    client = {name: service.client for name, service in services.items()}
    return Side(
        ParameterStore(client["ssm"], "/canary"),
        ReleaseTable(client["dynamodb"], "releases", REGION, consistent=False),
        AuditTable(client["dynamodb"], "audit", REGION),
        KeyTable(client["dynamodb"], "audit", REGION),
        StackTargets(lambda _: client["lambda"], lambda _: client["stepfunctions"]),
        StepFunctions(client["stepfunctions"]),
        last,
    )


@pytest.fixture
def ours(answering):
    wire, served = answering(Said(ANSWER))

    def last() -> tuple[str, str, Any]:
        asked = served.asked[-1]
        return asked.operation, asked.path, (_json(asked.body), _context(asked.headers.get("x-amz-client-context")))

    return Side(
        LeanParameters(wire, "/canary"),
        LeanSlots(wire, "releases"),
        LeanAudit(wire, "audit"),
        LeanKeys(wire, "audit"),
        LeanTargets(wire),
        LeanExecutions(wire),
        last,
    )


def _json(body: bytes) -> Any:
    return json.loads(body)


def _context(encoded: str | bytes | None) -> Any:
    return json.loads(base64.b64decode(encoded)) if encoded else None


def same(call: Callable[[Side], Any], botocores: Side, ours: Side) -> Any:
    """What both asked, once it is clear that it is the same."""
    call(botocores)
    call(ours)
    asked = botocores.last()
    assert ours.last() == asked
    return asked


DONE = replace(KEY, state=KeyState.DONE, answer=Answer(status=202, body={"request_id": "r", "response": "ü\ud800"}))
CALLS: dict[str, Callable[[Side], Any]] = {
    "parameters": lambda side: side.parameters.read("a", "current", "latest", "plan"),
    "claim": lambda side: side.slots.claim("a", NAME, "01ABC-r00000001-0123abcd", NOW),
    "claim a batch": lambda side: side.slots.claim_batch("a", NAME, ("b1", Batch(20, NOW)), 100),
    "claim a batch, and give back": lambda side: side.slots.claim_batch("a", NAME, ("b2", Batch(20, NOW)), 100, ("b1", 7)),
    "rows": lambda side: side.audit.rows("a", NAME, ["x", "y", "x"]),
    "put": lambda side: side.audit.put(ROW),
    "update": lambda side: side.audit.update(ROW, RowUpdate(status=Status.RUNNING)),
    "key": lambda side: side.keys.get("k"),
    "begin": lambda side: side.keys.begin(KEY, NOW),
    "begin over another": lambda side: side.keys.begin(KEY, NOW, replace(KEY, request_id="older", since=NOW - 5)),
    "finish": lambda side: side.keys.finish(DONE),
    "finish without an answer": lambda side: side.keys.finish(replace(KEY, state=KeyState.FREE)),
    "invoke": lambda side: side.targets.call(FUNCTION, b' {"a": "\xc3\xbc"} ', "r", NAME, 500, None),
    "invoke current": lambda side: side.targets.call(FUNCTION, b"{}", "r", None, 500, None),
    "invoke $LATEST": lambda side: side.targets.call(LATEST, b"{}", "r", None, 500, None, synthetic=True),
    "start": lambda side: side.targets.call(MACHINE, b'{"a": "\xc3\xbc"}', "r", NAME, 500, None),
    "describe": lambda side: side.executions.observe([EXECUTION]),
}


@pytest.mark.parametrize("name", CALLS)
def test_both_transports_send_the_same(name, botocores, ours):
    same(CALLS[name], botocores, ours)


maybe, when = st.none() | texts, st.none() | times
rows = st.builds(
    Row,
    app=st.just("a"), release=st.just(NAME), request_id=st.just("r"), status=st.sampled_from(Status), claimed_at=times,
    target=texts, tag=texts, arm=st.sampled_from(Arm), share=st.none() | st.integers(1, 10_000), transform_id=maybe,
    state_machine=maybe, started_at=when, stopped_at=when, tenant=maybe, error=maybe, payload_sha256=maybe,
    batch=maybe, payload_bytes=st.none() | st.integers(0, 7_000_000),
    unstarted=st.booleans(), fell_back=st.booleans(), counted=st.booleans(),
)  # fmt: skip
updates = st.builds(
    RowUpdate,
    status=st.sampled_from(Status), transform_id=maybe, state_machine=maybe, started_at=when, stopped_at=when, error=maybe,
    unstarted=st.booleans(), fell_back=st.booleans(),
)  # fmt: skip


@settings(max_examples=200)
@given(row=rows, update=updates)
def test_every_row_and_every_update_is_written_alike(botocores, ours, row, update):
    same(lambda side: side.audit.put(row), botocores, ours)
    same(lambda side: side.audit.update(row, update), botocores, ours)


def test_a_router_reads_of_a_release_and_of_an_app_what_it_needs_and_no_more(botocores, ours):
    for call in (lambda side: side.slots.release("a", NAME), lambda side: side.slots.app("a")):
        call(botocores)
        call(ours)
        (operation, path, (document, _)), (_, _, (whole, _)) = ours.last(), botocores.last()
        assert (operation, path) == ("GetItem", "/")
        names = document.pop("ExpressionAttributeNames")
        assert document.pop("ProjectionExpression").split(", ") == list(names)
        assert not {"history", "open", "notices", "quarantine"} & set(names.values())
        assert document == whole
