"""What each adapter makes of an AWS that refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from botocore.exceptions import EndpointConnectionError

from canary.aws.alarms import AlarmBook
from canary.aws.audit import AuditTable
from canary.aws.executions import StepFunctions
from canary.aws.faults import translated
from canary.aws.inventory import StackInventory
from canary.aws.keys import KeyTable
from canary.aws.notices import NoticeBoard
from canary.aws.parameters import ParameterStore
from canary.aws.records import RecordTable
from canary.aws.releases import ReleaseTable
from canary.domain.app import App
from canary.domain.audit import Row, RowUpdate, Status
from canary.domain.keyed import KeyRecord, KeyState
from canary.domain.record import Record
from canary.domain.release import Notice, NoticeKind, Release
from canary.domain.states import ReleaseState
from canary.domain.target import parse_target
from canary.errors import Denied, Unavailable
from tests.integration.conftest import REGION, Wire, error, error_in_xml

NOW = 1_795_246_200_123
RELEASE = Release(
    app="a", release="00000001-0123abcd", rev=1, state=ReleaseState.RUNNING, since=NOW, opened_at=NOW, written_at=NOW,
    value="v", target="t", tag="v2",
)  # fmt: skip
ROW = Row(app="a", release=RELEASE.release, request_id="r", status=Status.CLAIMED, claimed_at=NOW, target="t", tag="v2")
KEY = KeyRecord(key="k", app="a", state=KeyState.IN_PROGRESS, request_id="r", body_sha256="aa", since=NOW)
FUNCTION = parse_target("arn:aws:lambda:eu-west-1:123456789012:function:transformer-v2:live")
MACHINE = parse_target("arn:aws:states:eu-west-1:123456789012:stateMachine:transformer-v2")
RECORD = Record(
    app="a", release=RELEASE.release, rev=1, at=NOW, code="1", judgement="WAIT", reason="x", decision="x", case={}, numbers={}
)
EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:transformer-v2:r"


def table(client):
    return ReleaseTable(client, "releases", REGION)


def audit(client):
    return AuditTable(client, "audit", REGION)


def records(client):
    return RecordTable(client, "audit", REGION)


def key_table(client):
    return KeyTable(client, "audit", REGION)


CALLS = {
    "ssm read": ("ssm", lambda c: ParameterStore(c, "/canary").read("a", "current")),
    "ssm write": ("ssm", lambda c: ParameterStore(c, "/canary").write("a", "current", "v")),
    "ssm history": ("ssm", lambda c: ParameterStore(c, "/canary").history("a")),
    "ssm apps": ("ssm", lambda c: ParameterStore(c, "/canary").apps()),
    "release": ("dynamodb", lambda c: table(c).release("a", RELEASE.release)),
    "claim": ("dynamodb", lambda c: table(c).claim("a", RELEASE.release, "r", NOW)),
    "create": ("dynamodb", lambda c: table(c).create(RELEASE)),
    "save": ("dynamodb", lambda c: table(c).save(RELEASE, replace(RELEASE, reason="x"))),
    "app": ("dynamodb", lambda c: table(c).app("a")),
    "save app": ("dynamodb", lambda c: table(c).save_app(App(app="a"), App(app="a", checked=1))),
    "lease": ("dynamodb", lambda c: table(c).lease("a", "me", NOW, NOW)),
    "give back": ("dynamodb", lambda c: table(c).give_back("a", "me", NOW)),
    "apps": ("dynamodb", lambda c: table(c).apps()),
    "recent": ("dynamodb", lambda c: table(c).recent("a", 3)),
    "put row": ("dynamodb", lambda c: audit(c).put(ROW)),
    "update row": ("dynamodb", lambda c: audit(c).update(ROW, RowUpdate(status=Status.RUNNING))),
    "rows": ("dynamodb", lambda c: audit(c).rows("a", RELEASE.release, ["r"])),
    "in flight": ("dynamodb", lambda c: audit(c).in_flight("a", RELEASE.release)),
    "mark counted": ("dynamodb", lambda c: audit(c).mark_counted(ROW)),
    "rows of a release": ("dynamodb", lambda c: list(audit(c).of_release("a", RELEASE.release))),
    "put record": ("dynamodb", lambda c: records(c).put(RECORD)),
    "records": ("dynamodb", lambda c: records(c).of_release("a", RELEASE.release)),
    "key": ("dynamodb", lambda c: key_table(c).get("k")),
    "begin": ("dynamodb", lambda c: key_table(c).begin(KEY, NOW)),
    "finish": ("dynamodb", lambda c: key_table(c).finish(KEY)),
    "describe": ("stepfunctions", lambda c: StepFunctions(c).observe([EXECUTION])),
    "list": ("stepfunctions", lambda c: StepFunctions(c).observe([f"{EXECUTION}{n}" for n in range(20)])),
    "past": ("stepfunctions", lambda c: StepFunctions(c).past(MACHINE.arn)),
    "failures": ("stepfunctions", lambda c: StepFunctions(c).failures(MACHINE.arn, NOW)),
    "started": ("stepfunctions", lambda c: StepFunctions(c).started(MACHINE.arn, NOW, NOW + 1)),
    "succeeded": ("stepfunctions", lambda c: StepFunctions(c).succeeded(MACHINE.arn, NOW, 1)),
    "stop": ("stepfunctions", lambda c: StepFunctions(c).stop(EXECUTION, "because")),
    "alarms": ("cloudwatch", lambda c: AlarmBook(c).states(["errors"])),
    "stack, a function": ("lambda", lambda c: StackInventory(c, c).problem(FUNCTION)),
    "stack, a state machine": ("stepfunctions", lambda c: StackInventory(c, c).problem(MACHINE)),
    "event": ("events", lambda c: NoticeBoard(c, c, "default", "t").send(RELEASE, Notice(NoticeKind.OPENED, "x", NOW))),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("code", "status"), [("ThrottlingException", 400), ("InternalServerError", 500)])
def test_a_service_that_is_throttled_or_broken_is_unavailable_and_says_so_by_its_code(scripted, name, code, status):
    service, call = CALLS[name]
    with pytest.raises(Unavailable) as caught:
        call(scripted(service, error(code, status)).client)
    assert caught.value.code == code
    assert not isinstance(caught.value, Denied)
    assert code in str(caught.value)


#: These have an answer of their own when we may not ask.
SAID_OTHERWISE = {"describe", "list", "stack, a function", "stack, a state machine"}


@pytest.mark.parametrize("name", sorted(CALLS.keys() - SAID_OTHERWISE))
def test_a_service_that_we_may_not_use_is_denied(scripted, name):
    service, call = CALLS[name]
    with pytest.raises(Denied) as caught:
        call(scripted(service, error("AccessDeniedException", 403)).client)
    assert caught.value.code == "AccessDeniedException"


def test_a_topic_that_refuses_is_unavailable_after_the_event_went_out(scripted):
    events = scripted("events", Wire({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}))
    sns = scripted("sns", error_in_xml("Throttling"))
    with pytest.raises(Unavailable) as caught:
        NoticeBoard(events.client, sns.client, "default", "arn:aws:sns:x:1:t").send(RELEASE, Notice(NoticeKind.OPENED, "x", NOW))
    assert (caught.value.service, caught.value.code, len(events.requests)) == ("SNS", "Throttling", 1)


def test_a_service_that_cannot_be_reached_is_unavailable_and_keeps_its_cause(scripted):
    cause = EndpointConnectionError(endpoint_url="https://ssm")
    with pytest.raises(Unavailable) as caught, translated("SSM"):
        raise cause
    assert (caught.value.code, caught.value.__cause__) == ("EndpointConnectionError", cause)
