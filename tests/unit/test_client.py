"""The client for upstream apps, against a router that is a list of answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from moto import mock_aws

from canary.client import Followed, NotDiscovered, Routed, RouterClient, RouterProblem, Unreachable, discover

REGION = "eu-west-1"
ARN = "arn:aws:states:eu-west-1:123456789012:execution:transformer-v1:id"
SERVED = {
    "request_id": "id",
    "app": "transformer",
    "routed_to": "latest",
    "tag": "v1",
    "transform_id": ARN,
    "response": {"executionArn": ARN},
}


@dataclass
class FakeRouter:
    """Gives its answers one after the other, the last one for ever. An answer of None is a connection that breaks."""

    url: str
    answers: list[tuple[int, Any, dict[str, str]] | None] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    paused: list[float] = field(default_factory=list)

    def will_answer(self, status: int, body: Any, **headers: str) -> FakeRouter:
        self.answers.append((status, body, {name.replace("_", "-"): value for name, value in headers.items()}))
        return self

    def will_break(self) -> FakeRouter:
        self.answers.append(None)
        return self

    def client(self) -> RouterClient:
        return RouterClient(self.url, "the-key", pause=self.paused.append, draw=lambda: 0.5)


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fake.asked.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            answer = fake.answers.pop(0) if len(fake.answers) > 1 else fake.answers[0]
            if answer is None:
                self.close_connection = True
                return
            status, document, headers = answer
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815 - the name that the standard library calls

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake = FakeRouter(f"http://127.0.0.1:{server.server_port}/live")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield fake
    server.shutdown()
    server.server_close()


def test_a_request_is_sent_with_its_key_and_tenant_and_the_answer_is_a_value(router):
    router.will_answer(202, SERVED)
    routed = router.client().send("transformer", {"order": 1}, idempotency_key="order-1", tenant="acme")
    assert routed == Routed(202, "id", "latest", "v1", ARN, {"executionArn": ARN}, fell_back=False)
    method, path, headers, body = router.asked[0]
    assert (method, path, body) == ("POST", "/live/transformer", b'{"order": 1}')
    assert headers["x-api-key"] == "the-key"
    assert headers["idempotency-key"] == "order-1"
    assert headers["x-canary-tenant"] == "acme"
    assert headers["content-type"] == "application/json"


def test_a_request_that_fell_back_says_so(router):
    router.will_answer(200, {**SERVED, "routed_to": "current", "fell_back": True, "transform_id": None})
    assert router.client().send("transformer", {}).fell_back


def test_what_became_of_a_request_is_found(router):
    router.will_answer(200, {"request_id": "id", "app": "transformer", "routed_to": "latest", "tag": "v1", "status": "SUCCEEDED"})
    assert router.client().find("transformer", "id") == Followed("SUCCEEDED", "id", "latest", "v1", None, None, fell_back=False)
    assert router.asked[0][:2] == ("GET", "/live/transformer/requests/id")


@pytest.mark.parametrize("status", [429, 503])
def test_what_started_nothing_is_tried_again_after_the_time_that_the_router_asks_for(router, status):
    router.will_answer(status, {"title": "Busy", "detail": "later"}, Retry_After="2").will_answer(202, SERVED)
    assert router.client().send("transformer", {}).request_id == "id"
    assert router.paused == [3.0], "two seconds and half as much again, by its draw"


def test_it_is_not_tried_for_ever(router):
    router.will_answer(503, {"title": "Service Unavailable", "status": 503, "detail": "nothing to route to"}, Retry_After="1")
    with pytest.raises(RouterProblem, match="503 Service Unavailable: nothing to route to") as caught:
        router.client().send("transformer", {})
    assert len(router.asked) == 4
    assert caught.value.retry_after == 1
    assert caught.value.problem["detail"] == "nothing to route to"


def test_it_is_not_tried_beyond_the_callers_time(router):
    router.will_answer(503, {}, Retry_After="20")
    with pytest.raises(RouterProblem):
        router.client().send("transformer", {}, timeout=19)
    assert router.paused == []


@pytest.mark.parametrize("status", [400, 404, 413, 422, 502, 504])
def test_other_errors_are_raised_at_once(router, status):
    router.will_answer(status, {"title": "No", "detail": "never"})
    with pytest.raises(RouterProblem) as caught:
        router.client().send("transformer", {}, idempotency_key="k")
    assert caught.value.status == status
    assert len(router.asked) == 1


def test_a_key_in_progress_is_waited_for(router):
    router.will_answer(409, {}, Retry_After="2").will_answer(202, SERVED)
    assert router.client().send("transformer", {}, idempotency_key="k").status == 202


def test_silence_is_tried_again_only_where_that_is_safe(router):
    router.will_break().will_answer(202, SERVED)
    assert router.client().send("transformer", {}, idempotency_key="k").status == 202
    router.answers[:] = [None]
    before = len(router.asked)
    with pytest.raises(Unreachable):
        router.client().send("transformer", {})
    assert len(router.asked) == before + 1


def test_an_answer_that_is_not_json_is_a_problem_too(router):
    router.will_answer(502, b"<html>bad gateway</html>")
    with pytest.raises(RouterProblem, match="bad gateway"):
        router.client().send("transformer", {})


@pytest.mark.parametrize(
    "arguments", [{"app": "../admin"}, {"idempotency_key": "ä"}, {"tenant": "a\nb"}, {"idempotency_key": ""}]
)
def test_what_the_router_would_refuse_is_not_sent(router, arguments):
    with pytest.raises(ValueError, match=r"must be|no app's name"):
        router.client().send(**{"app": "transformer", "body": {}, **arguments})
    assert router.asked == []


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A router of staging and one of production; return the key of staging."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        gateway = boto3.client("apigateway", REGION)
        cloud_map = boto3.client("servicediscovery", REGION)
        cloud_map.create_http_namespace(Name="canary")
        namespace = cloud_map.list_namespaces()["Namespaces"][0]["Id"]
        service = cloud_map.create_service(Name="router", NamespaceId=namespace)["Service"]["Id"]
        keys = {}
        for environment in ("staging", "production"):
            key = gateway.create_api_key(name=environment, value=f"{environment}-" + "x" * 20, enabled=True)
            keys[environment] = key["value"]
            attributes = {
                "environment": environment,
                "url": f"https://{environment[:4]}0.execute-api.{REGION}.amazonaws.com/live",
                "api_key_id": key["id"],
            }
            cloud_map.register_instance(ServiceId=service, InstanceId=environment, Attributes=attributes)
        yield keys["staging"]


def test_the_router_of_an_environment_is_discovered_with_its_key(registered):
    router = discover("staging", REGION)
    assert router.url == "https://stag0.execute-api.eu-west-1.amazonaws.com/live"
    assert router._key == registered


def test_an_environment_that_nobody_registered_is_named(registered):
    with pytest.raises(NotDiscovered, match="environment 'nowhere'"):
        discover("nowhere", REGION)


def test_an_aws_error_while_discovering_is_told_as_such():
    with mock_aws(), pytest.raises(NotDiscovered, match="cannot be discovered"):
        discover("staging", REGION)


def test_on_an_endpoint_of_ones_own_the_url_is_the_one_at_which_that_serves_the_api(monkeypatch):
    answers = {
        "DiscoverInstances": {
            "Instances": [
                {"InstanceId": "a", "Attributes": {"environment": "production", "url": "https://x", "api_key_id": "no"}},
                {
                    "InstanceId": "b",
                    "Attributes": {
                        "environment": "local",
                        "url": "https://abc123.execute-api.eu-west-1.amazonaws.com/live",
                        "api_key_id": "id",
                    },
                },
            ]
        },
        "GetApiKey": {"value": "the-key"},
    }
    prefixed = {}

    def answer(client: Any, operation: str, _: Any) -> Any:
        prefixed[operation] = client.meta.config.inject_host_prefix
        return answers[operation]

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", answer)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    router = discover("local", REGION)
    assert router.url == "http://127.0.0.1:4566/restapis/abc123/live/_user_request_"
    assert prefixed["DiscoverInstances"] is False, "data-127.0.0.1 is nobody"
    assert router._key == "the-key"
