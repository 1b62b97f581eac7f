"""Who may do what: the template's policies against the calls that the code really makes, in both directions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from tests.conftest import ROOT, template
from tests.security.driving import OPERATOR, TAGGER, UPSTREAM, VIEWER
from tests.security.policies import API, FLIPPER, KEY, ROUTER, TOPIC, Need, allowed, arn, grants_of
from tests.security.recording import _RULES, Recorder
from tests.security.stage import FLIPPER_ROLE, PORTS, ROUTER_ROLE

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("permissions")]

PACKAGE = ROOT / "layers" / "canary" / "python" / "canary"
ROLES = [ROUTER_ROLE, FLIPPER_ROLE]
PEOPLE = [TAGGER, OPERATOR, VIEWER, UPSTREAM]


def _runs(function: str) -> set[Need]:
    """What Lambda does in a function's name: its log, and its traces, for which X-Ray knows no resources."""
    log = arn("logs", f"log-group:/aws/lambda/{function}:*")
    return {
        Need("logs:CreateLogStream", log),
        Need("logs:PutLogEvents", log),
        Need("xray:PutTelemetryRecords", "*"),
        Need("xray:PutTraceSegments", "*"),
    }


#: What is needed beside the calls that botocore or the lean transport make, and why.
BESIDE = {
    ROUTER_ROLE: _runs(ROUTER),
    FLIPPER_ROLE: _runs(FLIPPER)
    | {
        Need("sqs:SendMessage", arn("sqs", "failed-passes")),  # Lambda puts a pass aside that failed twice
        Need("kms:Decrypt", arn("kms", "key/topic")),  # SNS encrypts in the publisher's name
        Need("kms:GenerateDataKey", arn("kms", "key/topic")),
    },
    UPSTREAM: {  # the client calls API Gateway itself
        Need("execute-api:Invoke", arn("execute-api", f"{API}/live/POST/transformer")),
        Need("execute-api:Invoke", arn("execute-api", f"{API}/live/GET/transformer/requests/r")),
    },
}


def needs(recorder: Recorder, who: str) -> set[Need]:
    found = recorder.needs(who) | BESIDE.get(who, set())
    return {Need(n.action, re.sub(r"apikeys/\w+", f"apikeys/{KEY}", n.resource), n.context) for n in found}


@pytest.mark.parametrize("who", [*ROLES, *PEOPLE])
def test_nothing_is_missing(recorder, who):
    grants = grants_of(who)
    missing = [f"{need.action} on {need.resource}" for need in needs(recorder, who) if not allowed(grants, need)]
    assert not missing


@pytest.mark.parametrize("who", [*ROLES, *PEOPLE])
def test_nothing_is_allowed_that_no_call_needs(recorder, who):
    needed = needs(recorder, who)
    idle = [f"{grant.action} on {grant.resource}" for grant in grants_of(who) if not any(map(grant.allows, needed))]
    assert not idle


@pytest.mark.parametrize("who", [*ROLES, *PEOPLE])
def test_a_condition_lists_what_the_calls_say_and_no_more(recorder, who):
    for grant in grants_of(who):
        said = recorder.contexts(who, grant.action)
        idle = {(key, value) for key, value in grant.values() if value not in said[key]}
        assert idle <= {("dynamodb:ReturnValues", "UPDATED_NEW")} | {("dynamodb:ReturnValues", "UPDATED_OLD")}


def test_both_transports_of_the_router_need_the_same(recorder):
    """Two routers, each on its own, meet the same things: what they ask of IAM does not tell them apart."""
    asked = {transport: recorder.needs(f"{ROUTER_ROLE} on {transport}") for transport in ("lean", "botocore")}
    found = [{(n.action, re.sub(r":execution:.*", "", n.resource)) for n in needs} for needs in asked.values()]
    assert found[0] == found[1]
    assert len(found[0]) > 10


class TestTheRecording:
    """It is worth as much as it has seen: what the source names has to have been called."""

    def test_every_operation_that_an_adapter_names_was_called(self, recorder):
        session = botocore.session.get_session()
        named = {
            xform_name(operation): (service, operation)
            for service in sorted({service for service, _ in _RULES})
            for operation in session.get_service_model(service).operation_names
        }
        wanted = {named[word] for word in _attributes_and_texts(PACKAGE / "aws") if word in named}
        assert wanted - recorder.operations() == set()
        assert len(wanted) > 15

    def test_every_operation_that_the_lean_transport_names_was_called(self, recorder):
        operations = {operation: service for service, operation in _RULES}
        wanted = {(operations[word], word) for word in _attributes_and_texts(PACKAGE / "lean") if word in operations}
        assert wanted - recorder.operations() == set()
        assert len(wanted) > 5

    def test_every_port_that_the_flipper_uses_was_used(self, worked):
        """And none that it does not use: else the flipper would be allowed what only the test does."""
        assert set(_of_the_world(PACKAGE / "flipping")) == worked.used

    def test_a_call_that_nobody_has_thought_of_is_an_error(self):
        from tests.security.recording import AwsCall  # noqa: PLC0415

        with pytest.raises(AssertionError, match="ssm:DeleteParameter is new"):
            _ = AwsCall("ssm", "DeleteParameter", {}).needs


def _attributes_and_texts(folder: Path) -> set[str]:
    nodes = [node for path in folder.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return texts | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def _of_the_world(folder: Path) -> Iterator[tuple[str, str]]:
    """Each ``world.port.method``."""
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr in PORTS:
                where = ast.unparse(node.value.value)
                if where.endswith("world"):
                    yield node.value.attr, node.attr


class TestWhatNobodyMay:
    @pytest.mark.parametrize("who", [*ROLES, *PEOPLE])
    def test_nothing_can_be_deleted_and_no_policy_be_changed(self, who):
        verbs = {grant.action.partition(":")[2] for grant in grants_of(who)}
        assert not [
            verb
            for verb in verbs
            if re.match(r"Delete|Remove|Create(?!LogStream)|Attach|Put(?!Item|Parameter|Events|Log|T)", verb)
        ]
        assert not [grant.action for grant in grants_of(who) if "*" in grant.action or grant.action.startswith("iam:")]

    @pytest.mark.parametrize("who", [TAGGER, OPERATOR, VIEWER, UPSTREAM])
    def test_no_person_or_job_writes_the_record_of_requests(self, who):
        audit = arn("dynamodb", "table/audit")
        assert not [n for n in ("PutItem", "UpdateItem", "DeleteItem") if allowed(grants_of(who), Need(f"dynamodb:{n}", audit))]

    @pytest.mark.parametrize("name", ["current", "previous", "plan"])
    @pytest.mark.parametrize("who", [ROUTER_ROLE, *PEOPLE])
    def test_who_begins_or_stops_a_release_does_not_write_what_is_current_nor_how_much_is_to_be_proved(self, who, name):
        parameter = arn("ssm", f"parameter/canary/transformer/{name}")
        assert not allowed(grants_of(who), Need("ssm:PutParameter", parameter))

    def test_only_taggers_and_the_flipper_write_latest(self):
        latest = Need("ssm:PutParameter", arn("ssm", "parameter/canary/transformer/latest"))
        assert [who for who in [*ROLES, *PEOPLE] if allowed(grants_of(who), latest)] == [FLIPPER_ROLE, TAGGER]

    @pytest.mark.parametrize(
        "attribute",
        ["state", "granted", "claimed", "succeeded", "failed", "flip", "value", "target", "mirror", "plan", "notices"],
    )
    def test_an_operator_cannot_forge_evidence_nor_a_promotion(self, attribute):
        """IAM sees which attributes an update names: those of an ask and of a gate, and no others."""
        table = arn("dynamodb", "table/releases")
        said = {"dynamodb:ReturnValues": frozenset({"NONE"})}
        asks = Need("dynamodb:UpdateItem", table, {**said, "dynamodb:Attributes": frozenset({"app", "release", "asks", "rev"})})
        forges = Need("dynamodb:UpdateItem", table, {**said, "dynamodb:Attributes": frozenset({"app", "release", attribute})})
        assert allowed(grants_of(OPERATOR), asks)
        assert not allowed(grants_of(OPERATOR), forges)


class TestThePoliciesForPeople:
    @pytest.mark.parametrize("policy", PEOPLE)
    def test_it_is_an_output_that_can_be_attached(self, policy):
        output = template()["Outputs"][f"{policy}Arn"]
        assert output["Value"] == {"Ref": policy}
        assert output["Description"]

    @pytest.mark.parametrize("policy", PEOPLE)
    def test_it_is_attached_to_nobody_by_the_stack_and_bears_no_name_of_its_own(self, policy):
        """A name would need more rights to deploy, and would make two stacks of one account collide."""
        properties = template()["Resources"][policy]["Properties"]
        assert properties.keys() == {"Description", "PolicyDocument"}

    def test_the_topic_that_the_tests_mean_is_the_flippers(self):
        assert allowed(grants_of(FLIPPER_ROLE), Need("sns:Publish", TOPIC))
