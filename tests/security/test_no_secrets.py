"""A secret in every field that somebody else fills: where it may stand afterwards, and that it stands nowhere else."""

from __future__ import annotations

import io
import json
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import botocore.handlers
import moto.core.models  # first: it puts itself into the list of handlers that is changed below
import pytest
from botocore.awsrequest import AWSResponse

from canary import startup
from canary.aws import clients
from flipper import app as flipper
from router import app as router
from tests.conftest import ACCOUNT, REGION, ROOT
from tests.fakes.endpoint import Answer, Asked, moto_answers, serving
from tests.integration.conftest import Raw
from tests.integration.test_router_handler import Context
from tests.security.policies import AUDIT, RELEASES
from tests.security.stage import Stage, function, machine, staged

APP = "transformer"
#: What the test's own hands write, one for each place.
BODY, HEADER, KEY, TENANT, API_KEY = "s3cret-body", "s3cret-header", "s3cret-key", "s3cret-tenant", "s3cret-api-key"
QUERY, ANSWER, MESSAGE, CAUSE, WORDS = "s3cret-query", "s3cret-answer", "s3cret-message", "s3cret-cause", "s3cret-words"
UNREADABLE = "s3cret-unreadable"
EVERYWHERE = (BODY, HEADER, KEY, TENANT, API_KEY, QUERY, ANSWER, MESSAGE, CAUSE, WORDS, UNREADABLE)
FAILS = {"errorType": "WeightError", "errorMessage": f"cannot weigh {MESSAGE}", "stackTrace": [f"at {MESSAGE}"]}


pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("secrets")]
assert moto.core.models


@dataclass
class Heard:
    """All that left the functions, by place."""

    log: io.StringIO = field(default_factory=io.StringIO)
    answers: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    metrics: str = ""
    told: str = ""
    rows: str = ""
    keys: str = ""
    releases: str = ""


def answer_of(url: str) -> Answer:
    """The stacks: f1 answers, f2 fails."""
    if "transformer-f2" in url:
        return Answer(FAILS, 200, {"X-Amz-Function-Error": "Unhandled"})
    return Answer({"done": ANSWER})


def event(**changes: Any) -> Any:
    made = json.loads((ROOT / "events" / "api-post-app.json").read_text())
    made |= {"path": f"/{APP}", "pathParameters": {"app": APP}, "queryStringParameters": {"q": QUERY}, **changes}
    made["body"] = changes.get("body", json.dumps({"card": BODY, BODY: 1}))
    headers = {"X-Other": HEADER, "Authorization": HEADER, "Cookie": HEADER, "User-Agent": HEADER, "x-api-key": API_KEY}
    made["headers"] = {
        **made["headers"],
        **headers,
        "X-Canary-Tenant": TENANT,
        "Idempotency-Key": KEY,
        **changes.get("headers", {}),
    }
    made["requestContext"]["identity"] |= {"apiKey": API_KEY, "userAgent": HEADER}
    return made


@pytest.fixture(scope="module", params=["lean", "botocore"])
def heard(request) -> Heard:
    """One app's life, with a secret in every field."""
    said, printed = Heard(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
        a_life(said, request.param, patch)
        begin(patch, None)
    said.metrics = printed.getvalue()
    return said


def a_life(said: Heard, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (router, flipper):
        monkeypatch.setattr(module.logger.registered_handler, "stream", said.log)

    def stacks(request: Any, **_: Any) -> AWSResponse:
        told = answer_of(request.url)
        return AWSResponse(request.url, told.status, {**told.headers, "content-length": str(len(told.raw))}, Raw(told.raw))

    def over_http(asked: Asked) -> Answer:
        return answer_of(asked.path) if asked.operation == "Invoke" else moto_answers(asked)

    handlers = [("before-send.lambda.Invoke", stacks), *botocore.handlers.BUILTIN_HANDLERS]
    monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)
    with ExitStack() as exits:
        stage = exits.enter_context(staged())
        for name, value in {**stage.environ, startup.TRANSPORT: transport}.items():
            monkeypatch.setenv(name, value)
        served = exits.enter_context(serving(over_http))
        begin(monkeypatch, served.url if transport == "lean" else None)
        live(stage, said, monkeypatch, served.url if transport == "lean" else None)
        keep(stage, said)


def begin(monkeypatch: pytest.MonkeyPatch, url: str | None) -> None:
    """New processes. The flipper always talks by the SDK, the router by the server where there is one."""
    clients._with_timeout.cache_clear()
    router.desk.cache_clear()
    flipper.flipper.cache_clear()
    if url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        router.desk()
        monkeypatch.delenv("AWS_ENDPOINT_URL")


def live(stage: Stage, said: Heard, monkeypatch: pytest.MonkeyPatch, url: str | None) -> None:
    def ask(**changes: Any) -> dict[str, Any]:
        answer = router.handler(event(**changes), Context())
        (said.answers if answer["statusCode"] < 400 else said.failures).append(json.dumps(answer))
        return answer

    def pointer(arn: str) -> str:
        return json.dumps({"arn": arn, "tag": "v1", "password": WORDS})

    stage.client("lambda")  # made before the SDK's clients of the functions
    stage.write(APP, "current", pointer(function("f1")))
    flipper.handler({"detail": {"name": f"/canary/{APP}/latest", "x": BODY}}, Context())
    assert ask()["statusCode"] == 200
    ask(body=f"{BODY} is not JSON")
    ask(body=json.dumps({"other": BODY}))  # another body under the same key
    ask(headers={"Idempotency-Key": KEY + "\u00e9"})
    ask(path=f"/{QUERY}_", pathParameters={"app": QUERY})
    stage.write(APP, "plan", json.dumps({"stages": [{"quota": 2, "weight": 100}], "max_failures": 1, "deadline": "1d"}))
    stage.write(APP, "latest", pointer(function("f2")))
    latest_is_looked_up(monkeypatch, stage)
    begin(monkeypatch, url)
    assert json.loads(ask(headers={"Idempotency-Key": KEY + "-2"})["body"])["fell_back"]
    stage.write("broken", "current", pointer(function("f2")))
    assert ask(path="/broken", pathParameters={"app": "broken"}, headers={"Idempotency-Key": KEY + "-3"})["statusCode"] == 502
    flipper.handler({}, Context())
    a_workflow_fails(stage, ask, lambda: begin(monkeypatch, url), pointer)
    stage.write(APP, "latest", f'{{"arn": "{UNREADABLE}')  # cannot be read
    flipper.handler({}, Context())
    stage.write(APP, "latest", json.dumps({"arn": f"arn:aws:lambda:{REGION}:999999999999:function:transformer-x", "pw": WORDS}))
    flipper.handler({}, Context())


def latest_is_looked_up(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    """moto's Lambda knows no functions here, so the flipper is told that they are there."""
    from canary.aws.inventory import StackInventory  # noqa: PLC0415

    monkeypatch.setattr(StackInventory, "problem", lambda *_: None)
    flipper.handler({}, Context())
    assert stage.client("ssm").get_parameter(Name=f"/canary/{APP}/latest")["Parameter"]["Value"] != "NONE"


def a_workflow_fails(stage: Stage, ask: Any, begin_anew: Any, pointer: Any) -> None:
    from moto.stepfunctions.models import stepfunctions_backends  # noqa: PLC0415

    stage.write(APP, "latest", pointer(machine("v2")))
    flipper.handler({}, Context())
    begin_anew()
    assert json.loads(ask(headers={"Idempotency-Key": KEY + "-4"})["body"])["routed_to"] == "latest"
    stage.end_workflows("FAILED")
    for each in stepfunctions_backends[ACCOUNT][REGION].state_machines:
        for execution in each.executions:
            execution.error, execution.cause = "WorkflowError", f"because of {CAUSE}"
    flipper.handler({}, Context())


def keep(stage: Stage, said: Heard) -> None:
    items = stage.client("dynamodb").scan(TableName=AUDIT)["Items"]
    said.rows = json.dumps([item for item in items if not item["release_id"]["S"].startswith("key#")])
    said.keys = json.dumps([item for item in items if item["release_id"]["S"].startswith("key#")])
    said.releases = json.dumps(stage.client("dynamodb").scan(TableName=RELEASES)["Items"])
    told = [
        call.parameters for calls in stage.recorder.calls.values() for call in calls if call.operation in {"PutEvents", "Publish"}
    ]
    said.told = json.dumps(told)


def found(text: str, *, but: tuple[str, ...] = ()) -> list[str]:
    return [secret for secret in EVERYWHERE if secret in text and secret not in but]


class TestNowhere:
    def test_not_in_the_logs(self, heard):
        log = heard.log.getvalue()
        assert '"not routed"' in log
        assert "SaveRelease" in log
        assert found(log) == []

    def test_not_in_the_metrics_nor_in_anything_else_that_is_printed(self, heard):
        assert "RoutedToLatest" in heard.metrics
        assert '"routed"' in heard.metrics
        assert found(heard.metrics) == []

    def test_not_in_an_error_that_upstream_apps_see(self, heard):
        assert {json.loads(each)["statusCode"] for each in heard.failures} == {400, 404, 422, 502}
        assert found("".join(heard.failures)) == []

    def test_not_in_events_nor_in_what_people_are_told(self, heard):
        assert "Release Aborted" in heard.told or "Release Opened" in heard.told
        assert found(heard.told) == []

    def test_of_a_failed_stack_only_the_kind_of_its_error_is_kept(self, heard):
        assert "WeightError" in heard.rows
        assert "WorkflowError" in heard.rows


class TestOnlyWhereTheContractSaysSo:
    def test_in_a_row_the_tenant_alone(self, heard):
        assert TENANT in heard.rows
        assert found(heard.rows, but=(TENANT,)) == []

    def test_in_a_keys_record_the_answer_alone(self, heard):
        assert ANSWER in heard.keys
        assert found(heard.keys, but=(ANSWER,)) == []

    def test_in_an_answer_the_stacks_own_answer_alone(self, heard):
        assert ANSWER in "".join(heard.answers)
        assert found("".join(heard.answers), but=(ANSWER,)) == []

    def test_in_the_releases_table_the_parameters_as_they_stand(self, heard):
        """A promotion copies a value as it stands, from the item where it was frozen."""
        assert WORDS in heard.releases
        assert found(heard.releases, but=(WORDS, UNREADABLE)) == []
