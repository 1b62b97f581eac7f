"""The router's handler with the events of API Gateway, on both transports, against moto, held to openapi.yaml."""

from __future__ import annotations

import base64
import io
import json
import re
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from openapi_schema_validator import OAS30Validator

from canary import bootstrap, startup
from canary.aws import clients
from canary.aws.releases import ReleaseTable
from canary.domain.plan import Plan, Stage
from canary.domain.release import Release, release_key
from canary.domain.states import Gate, ReleaseState
from router import app as router
from tests.fakes.endpoint import Answer, scripted_answers, serving
from tests.integration.conftest import ACCOUNT, REGION, Wire, error

ROOT = Path(__file__).parents[2]
APP = "transformer"
SECRET = "4111-1111-1111-1111"
CONTRACT = yaml.safe_load((ROOT / "openapi.yaml").read_text())
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:transformer-v1:live"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:transformer-v1"


@dataclass(slots=True)
class Context:
    """What the Lambda runtime hands over."""

    function_name: str = "router"
    function_version: str = "1"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:router:live"
    aws_request_id: str = "lambda-request"
    client_context: Any = None
    identity: Any = field(default=None)

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


def resolved(node: Any) -> Any:
    """A part of the contract with its references followed."""
    if isinstance(node, dict) and "$ref" in node:
        place = CONTRACT
        for step in node["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        return resolved(place)
    if isinstance(node, dict):
        return {key: resolved(value) for key, value in node.items()}
    return [resolved(each) for each in node] if isinstance(node, list) else node


def hold_to_contract(answer: dict[str, Any], path: str, method: str) -> Any:
    """The answer's body, once openapi.yaml has nothing against the answer."""
    declared = resolved(CONTRACT["paths"][path][method]["responses"])[str(answer["statusCode"])]
    headers = {name: value[0] for name, value in answer["multiValueHeaders"].items()}
    body = json.loads(answer["body"], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    OAS30Validator(declared["content"][headers["Content-Type"]]["schema"]).validate(body)
    if answer["statusCode"] >= 400:
        assert body["status"] == answer["statusCode"]
    return body


@pytest.fixture(params=["lean", "botocore"])
def settings(request, moto, tables, monkeypatch):
    """The environment that template.yaml gives the router, and a process that has just begun."""
    if request.param == "lean":
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("moto_over_http").url)
    values = {
        "CANARY_TRANSPORT": request.param,
        "CANARY_PREFIX": "/canary", "CANARY_RELEASES_TABLE": tables.releases, "CANARY_AUDIT_TABLE": tables.audit,
        "CANARY_TARGET_PATTERN": "transformer-*", "CANARY_ACCOUNT": ACCOUNT, "CANARY_ENVIRONMENT": "local",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bootstrap, "quick", moto)  # making clients is slow; theirs differ in timeouts only
    clients._with_timeout.cache_clear()
    router.desk.cache_clear()
    yield values
    clients._with_timeout.cache_clear()
    router.desk.cache_clear()


@pytest.fixture
def target(settings, moto, scripted, monkeypatch):
    """Current is a function that answers what the test says, and notes what it was asked."""

    def answering(*answers: Wire) -> Any:
        moto("ssm").put_parameter(Name=f"/canary/{APP}/current", Value=FUNCTION, Type="String", Overwrite=True)
        if settings["CANARY_TRANSPORT"] == "botocore":
            service = scripted("lambda", *answers)
            monkeypatch.setattr(bootstrap, "invoking", lambda _: service.client)
            return service
        told = [Answer(each.body, each.status, each.headers) for each in answers]
        served = servers.enter_context(serving(scripted_answers(*told)))
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", served.url)
        return SimpleNamespace(requests=served.asked)

    with ExitStack() as servers:
        yield answering


@pytest.fixture
def workflow(settings, moto):
    """Current is a state machine."""
    definition = '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}'
    moto("stepfunctions").create_state_machine(
        name="transformer-v1", definition=definition, roleArn=f"arn:aws:iam::{ACCOUNT}:role/r"
    )
    moto("ssm").put_parameter(Name=f"/canary/{APP}/current", Value=MACHINE, Type="String")


@pytest.fixture
def post(load_event):
    def send(body: Any = None, *, app: str = APP, headers: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
        event = load_event("api-post-app")
        event |= {"path": f"/{app}", "pathParameters": {"app": app}, **changes}
        if body is not None:
            event["body"] = body
        for name, value in (headers or {}).items():
            event["headers"][name] = value
            event["multiValueHeaders"][name] = [value]
        return router.handler(event, Context())

    return send


@pytest.fixture
def unkeyed(load_event):
    event = load_event("api-post-app")
    for headers in (event["headers"], event["multiValueHeaders"]):
        del headers["Idempotency-Key"]
    return event


@pytest.fixture
def log(monkeypatch, capsys):
    """All that a handler wrote, and the lines that say what became of a request, those of the metrics among them."""
    lines = io.StringIO()
    monkeypatch.setattr(router.logger.registered_handler, "stream", lines)

    def read() -> tuple[str, list[dict[str, Any]]]:
        printed, complained = capsys.readouterr()
        documents = [json.loads(line) for line in f"{printed}{lines.getvalue()}".splitlines()]
        return printed + complained + lines.getvalue(), [line for line in documents if "message" in line]

    return read


class TestPost:
    def test_a_request_that_starts_a_workflow_is_accepted(self, workflow, post):
        answer = post()
        body = hold_to_contract(answer, "/{app}", "post")
        assert (answer["statusCode"], body["routed_to"], body["tag"]) == (202, "current", "transformer-v1")
        assert (
            body["transform_id"]
            == body["response"]["executionArn"]
            == f"{MACHINE.replace(':stateMachine:', ':execution:')}:{body['request_id']}"
        )
        assert answer["multiValueHeaders"]["X-Canary-Request-Id"] == [body["request_id"]]
        assert answer["multiValueHeaders"]["X-Canary-Routed-To"] == ["current"]

    def test_a_request_that_the_target_answers_itself_is_done(self, target, post):
        target(Wire({"lines": 3, "name": "ü"}))
        answer = post()
        body = hold_to_contract(answer, "/{app}", "post")
        assert (answer["statusCode"], body["transform_id"], body["response"]) == (200, None, {"lines": 3, "name": "ü"})

    def test_the_target_gets_the_body_byte_by_byte(self, target, post):
        service = target(Wire({}))
        post(' {"b": "\u00fc",\n "a":1} ')
        assert service.requests[0].body == ' {"b": "\u00fc",\n "a":1} '.encode()

    def test_a_body_in_base64_is_unpacked(self, target, post):
        service = target(Wire({}))
        answer = post(base64.b64encode(b'{"order": 1}').decode(), isBase64Encoded=True)
        assert (answer["statusCode"], service.requests[0].body) == (200, b'{"order": 1}')

    @pytest.mark.parametrize("body", ["null", "7", '"text"', "[]", "true", "1e999"])
    def test_any_json_is_taken(self, target, post, body):
        service = target(Wire({}))
        assert post(body)["statusCode"] == 200
        assert service.requests[0].body == body.encode()

    @pytest.mark.parametrize(
        "body", ["", " ", "{", "{'a': 1}", "NaN", '{"a": Infinity}', "-Infinity", "[" * 100_000, "\ud800", "\ufeff{}", "{} {}"]
    )
    def test_what_is_not_json_is_refused_and_wakes_no_target(self, target, post, body):
        service = target(Wire({}))
        answer = post(body)
        problem = hold_to_contract(answer, "/{app}", "post")
        assert (answer["statusCode"], problem["detail"]) == (400, "the body is not JSON")
        assert service.requests == []

    @pytest.mark.parametrize("body", ["not base64!", base64.b64encode(b"\xff\xfe{").decode()])
    def test_base64_that_holds_no_json_is_refused(self, target, post, body):
        target(Wire({}))
        assert post(body, isBase64Encoded=True)["statusCode"] == 400

    def test_no_body_at_all_is_refused(self, target, unkeyed):
        target(Wire({}))
        answer = router.handler({**unkeyed, "body": None}, Context())
        assert (answer["statusCode"], hold_to_contract(answer, "/{app}", "post")["title"]) == (400, "Bad Request")

    @pytest.mark.parametrize("name", ["Idempotency-Key", "X-Canary-Tenant"])
    @pytest.mark.parametrize("value", ["", "x" * 256, "grün", "line\nbreak", "\x7f"])
    def test_a_header_that_is_not_as_it_must_be_is_refused_by_its_name(self, target, post, name, value):
        target(Wire({}))
        answer = post(headers={name: value})
        assert (answer["statusCode"], name in hold_to_contract(answer, "/{app}", "post")["detail"]) == (400, True)

    @pytest.mark.parametrize("app", ["unknown", "UPPER", "-dash", "a" * 41, "health", "1st"])
    def test_an_app_that_is_not_there_is_not_found(self, target, post, app):
        target(Wire({}))
        answer = post(app=app)
        assert (answer["statusCode"], hold_to_contract(answer, "/{app}", "post")["title"]) == (404, "Not Found")

    def test_a_path_that_is_not_in_the_contract_is_not_found(self, settings, post):
        answer = post(path="/transformer/and/more")
        assert answer["statusCode"] == 404
        assert answer["multiValueHeaders"]["Content-Type"] == ["application/problem+json"]

    @pytest.mark.parametrize(
        ("wire", "status"),
        [
            (Wire({"errorType": "E", "errorMessage": SECRET}, headers={"X-Amz-Function-Error": "Unhandled"}), 502),
            (Wire({"statusCode": 503, "body": SECRET}), 502),
            (error("ResourceNotFoundException", 404), 502),
            (error("TooManyRequestsException", 429), 503),
            (error("RequestTooLargeException", 413), 413),
        ],
    )
    def test_a_target_that_fails_is_told_as_the_contract_says(self, target, post, wire, status):
        target(wire)
        answer = post()
        body = hold_to_contract(answer, "/{app}", "post")
        assert (answer["statusCode"], SECRET in answer["body"]) == (status, False)
        assert ("Retry-After" in answer["multiValueHeaders"]) == (status == 503)
        assert answer["multiValueHeaders"]["X-Canary-Request-Id"] == [body["request_id"]]

    def test_the_same_key_gives_the_same_answer_and_another_body_is_refused(self, target, post):
        service = target(Wire({"lines": 1}), Wire({"lines": 2}))
        first, second = post(), post()
        assert (first["body"], first["statusCode"]) == (second["body"], second["statusCode"])
        assert len(service.requests) == 1
        other = post('{"order": 2}')
        assert other["statusCode"] == 422
        hold_to_contract(other, "/{app}", "post")

    def test_a_plan_whose_expression_is_none_turns_nobody_away(self, target, post, moto):
        target(Wire({"executionArn": "arn"}))
        for plan in ('{"transform_id": "[[["}', '{"transform_id": "length(nowhere)"}', "[" * 4000, "nonsense"):
            moto("ssm").put_parameter(Name=f"/canary/{APP}/plan", Value=plan, Type="String", Overwrite=True)
            router.desk.cache_clear()
            assert post(headers={"Idempotency-Key": plan[:20]})["statusCode"] == 202

    def test_rubbish_in_latest_turns_nobody_away(self, target, post, moto):
        target(Wire({}))
        for number, value in enumerate(("{", "[", '{"arn": ' + "[" * 4000, "{}", '{"arn": null}', "arn:aws:lambda", "\u00fc")):
            moto("ssm").put_parameter(Name=f"/canary/{APP}/latest", Value=value, Type="String", Overwrite=True)
            router.desk.cache_clear()
            assert post(headers={"Idempotency-Key": str(number)})["statusCode"] == 200

    def test_a_defect_is_told_to_the_log_and_not_to_the_caller(self, settings, post, monkeypatch, log):
        def broken(*_: Any) -> None:
            raise RuntimeError("what went wrong")

        monkeypatch.setattr(startup, "desk", broken)
        answer = post()
        assert (answer["statusCode"], "what went wrong" in answer["body"]) == (500, False)
        assert answer["headers"]["Content-Type"] == "application/problem+json"
        _, (line,) = log()
        assert (line["message"], "what went wrong" in line["exception"]) == ("a defect", True)


class TestGet:
    def test_health_says_that_the_router_is_there_without_asking_anybody(self, load_event):
        answer = router.handler(load_event("api-get-health"), Context())
        assert hold_to_contract(answer, "/health", "get")["status"] == "ok"

    def test_a_request_that_is_not_on_record_is_not_found(self, settings, load_event):
        answer = router.handler(load_event("api-get-request"), Context())
        assert (answer["statusCode"], hold_to_contract(answer, "/{app}/requests/{request_id}", "get")["title"]) == (
            404,
            "Not Found",
        )

    def test_a_keyed_request_can_be_followed(self, workflow, post, load_event):
        body = json.loads(post()["body"])
        event = load_event("api-get-request")
        event["path"] = f"/{APP}/requests/{body['request_id']}"
        event["pathParameters"]["request_id"] = body["request_id"]
        answer = router.handler(event, Context())
        found = hold_to_contract(answer, "/{app}/requests/{request_id}", "get")
        assert {**body, "status": "RUNNING"} == found
        assert answer["multiValueHeaders"]["X-Canary-Routed-To"] == ["current"]


def on_trial(moto, tables) -> str:
    """A release whose latest is a function, with one slot. Its weight is 100: the coin always shows latest."""
    value = FUNCTION.replace("v1", "v2")
    ssm = moto("ssm")
    ssm.put_parameter(Name=f"/canary/{APP}/latest", Value=value, Type="String")
    found = ssm.get_parameter(Name=f"/canary/{APP}/latest")["Parameter"]
    at = round(found["LastModifiedDate"].timestamp() * 1000)
    name = release_key(1, value, at)
    release = Release(
        app=APP,
        release=name,
        rev=1,
        state=ReleaseState.RUNNING,
        since=at,
        opened_at=at,
        written_at=at,
        value=value,
        target=value,
        tag="live",
        plan=Plan(stages=(Stage(quota=1, weight=100),)),
        share=10_000,
        granted=1,
        gate=Gate.OPEN,
    )
    ReleaseTable(moto("dynamodb"), tables.releases, REGION).create(release)
    return name


class TestARelease:
    def test_one_request_goes_to_latest_and_is_on_record_without_its_payload(self, target, post, moto, tables):
        service = target(Wire({"lines": 1}))
        name = on_trial(moto, tables)
        went = [
            json.loads(post(f'{{"card": "{SECRET}", "n": {n}}}', headers={"Idempotency-Key": f"k{n}"})["body"]) for n in range(3)
        ]
        assert [body["routed_to"] for body in went] == ["latest", "current", "current"]
        assert "transformer-v2" in service.requests[0].url
        (row,) = (
            item
            for item in moto("dynamodb").scan(TableName=tables.audit)["Items"]
            if "#" in item["release_id"]["S"] and "arm" in item
        )
        assert (row["release_id"]["S"], row["status"]["S"], row["tenant"]["S"]) == (f"{APP}#{name}", "SUCCEEDED", "acme")
        assert SECRET not in json.dumps(row)

    def test_a_request_that_latest_fails_is_served_by_current_and_says_so(self, target, post, moto, tables):
        target(Wire({"errorMessage": SECRET}, headers={"X-Amz-Function-Error": "Unhandled"}), Wire({"lines": 1}))
        on_trial(moto, tables)
        body = hold_to_contract(post(), "/{app}", "post")
        assert (body["routed_to"], body["fell_back"], body["response"]) == ("current", True, {"lines": 1})
        assert SECRET not in json.dumps(moto("dynamodb").scan(TableName=tables.audit)["Items"])


class TestLogs:
    def test_one_request_leaves_one_line_that_says_where_it_went_and_why(self, target, post, log):
        target(Wire({"lines": 1}))
        body = json.loads(post()["body"])
        _, lines = log()
        (line,) = lines
        assert (line["message"], line["request_id"], line["app"], line["routed_to"]) == (
            "routed",
            body["request_id"],
            APP,
            "current",
        )
        assert (line["service"], line["level"], line["http_status"]) == ("router", "INFO", 200)
        assert (line["RoutedToCurrent"], line["function_request_id"]) == ([1.0], Context().aws_request_id)
        assert "xray_trace_id" not in line

    def test_a_repeat_that_the_record_answers_leaves_one_too(self, target, post, log):
        target(Wire({"lines": 1}))
        for _ in range(2):
            post(headers={"Idempotency-Key": "a-key"})
        first, again = log()[1]
        assert (first["request_id"], first.get("Repeated")) == (again["request_id"], None)
        assert (again["message"], again["Repeated"], again["because"]) == ("routed", [1.0], "the key's answer is on record")

    def test_a_line_of_a_traced_request_names_its_trace(self, target, post, log, monkeypatch):
        target(Wire({"lines": 1}))
        monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1")
        post()
        assert [line["xray_trace_id"] for line in log()[1]] == ["1-5bef4de7-ad49b0e87f6ef6c87fc2e700"]

    def test_where_only_warnings_are_asked_for_a_line_of_metrics_says_no_more(self, target, post, log):
        target(Wire({"lines": 1}))
        router.logger.setLevel("WARNING")
        try:
            post()
        finally:
            router.logger.setLevel("INFO")
        text, lines = log()
        assert ("RoutedToCurrent" in text, lines) == (True, [])

    def test_a_request_that_was_not_routed_leaves_one_too(self, target, post, log):
        target(error("TooManyRequestsException", 429))
        body = json.loads(post()["body"])
        _, (line,) = log()
        assert (line["message"], line["level"], line["request_id"], line["status"]) == (
            "not routed",
            "WARNING",
            body["request_id"],
            503,
        )
        assert line["function_request_id"] == Context().aws_request_id

    @pytest.mark.parametrize(
        "answers",
        [
            [Wire({"said": SECRET})],
            [
                Wire(
                    {"errorType": "E", "errorMessage": SECRET, "stackTrace": [SECRET]},
                    headers={"X-Amz-Function-Error": "Unhandled"},
                )
            ],
            [Wire({"statusCode": 500, "body": SECRET})],
            [Wire(SECRET.encode())],
            [error("TooManyRequestsException", 429, SECRET)],
            [error("InvalidRequestContentException", 400, SECRET)],
            [Wire({"statusCode": 500, "body": SECRET}), Wire({"said": SECRET})],
        ],
    )
    @pytest.mark.parametrize("released", [False, True])
    def test_no_payload_is_ever_in_the_log(self, target, post, moto, tables, log, answers, released):
        target(*answers)
        if released:
            on_trial(moto, tables)
        post(f'{{"card": "{SECRET}"}}', headers={"Idempotency-Key": "a-key"})
        post(f'{{"card": "{SECRET}"')
        text, lines = log()
        assert SECRET not in text
        assert [line["message"] for line in lines] in (["routed", "not routed"], ["not routed", "not routed"])

    def test_neither_the_key_nor_the_api_key_is_in_the_log(self, target, post, log):
        target(Wire({}))
        post(headers={"Idempotency-Key": "very-private"})
        text, _ = log()
        assert not re.search(r"very-private|k7Qm2Zr9Xw4T|q1w2e3r4t5", text)
