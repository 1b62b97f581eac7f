"""Who may call: an API key, or a key and a signature; and how large a request may be."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
import yaml

from canary.client import Unreachable, discover
from canary.wire.credentials import Credentials
from canary.wire.sign import Signer
from tests.conftest import ROOT, template
from tests.fakes.endpoint import Headers

REGION = "eu-west-1"
CONTRACT = yaml.safe_load((ROOT / "openapi.yaml").read_text())
OPERATIONS = [operation for methods in CONTRACT["paths"].values() for operation in methods.values()]
SERVED = {"request_id": "r", "app": "transformer", "routed_to": "current", "tag": "v1", "transform_id": None}


class Door:
    """An API that answers what it is told to, and remembers what it was sent."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Headers, bytes]] = []
        self.statuses = [200]
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = Headers({name.lower(): value for name, value in self.headers.items()})
                door.asked.append((self.command, self.path, headers, body))
                content = json.dumps(SERVED).encode()
                self.send_response(door.statuses.pop(0) if len(door.statuses) > 1 else door.statuses[0])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/live"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def registered(moto, door, monkeypatch):
    """A router in Cloud Map, and the credentials of an upstream app."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name, value in (("ACCESS_KEY_ID", "AKID"), ("SECRET_ACCESS_KEY", "its-secret"), ("SESSION_TOKEN", "its-token")):
        monkeypatch.setenv(f"AWS_{name}", value)

    def register(**more: str) -> None:
        cloud_map = moto("servicediscovery")
        cloud_map.create_http_namespace(Name="canary")
        space = cloud_map.list_namespaces()["Namespaces"][0]["Id"]
        service = cloud_map.create_service(Name="router", NamespaceId=space)["Service"]["Id"]
        key = moto("apigateway").create_api_key(name="k", value="the-key-of-an-upstream-app", enabled=True)["id"]
        attributes = {"environment": "staging", "api_key_id": key, "url": door.url, **more}
        cloud_map.register_instance(ServiceId=service, InstanceId="staging", Attributes=attributes)

    return register


def signed_by_our_own_signer(method: str, path: str, headers: Headers, body: bytes) -> str:
    """What another implementation of SigV4 makes of the same request, with the credentials that it should have."""
    at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    names = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    wanted = {name: headers[name] for name in names if name not in {"x-amz-date", "x-amz-security-token"}}
    credentials = Credentials("AKID", "its-secret", "its-token")
    (found,) = re.findall(
        r"authorization:(.*)\r\n", Signer(REGION, "execute-api").sign(credentials, at, method, path, wanted, body)
    )
    return str(found)


class TestTheClient:
    def test_it_signs_where_service_discovery_says_so_and_brings_the_key_too(self, registered, door):
        registered(authorization="AWS_IAM")
        discover("staging", REGION).send("transformer", {"order": 1}, idempotency_key="k")
        [(method, path, headers, body)] = door.asked
        assert headers["x-amz-security-token"] == "its-token"
        assert headers["x-api-key"] == "the-key-of-an-upstream-app"
        assert headers["authorization"] == signed_by_our_own_signer(method, path, headers, body)
        assert "its-secret" not in str(headers)

    @pytest.mark.parametrize("more", [{}, {"authorization": "API_KEY"}], ids=["an older router", "a key alone"])
    def test_it_does_not_sign_where_nobody_asks_for_it(self, registered, door, more):
        registered(**more)
        discover("staging", REGION).send("transformer", {})
        assert "authorization" not in door.asked[0][2]

    def test_each_try_is_signed_with_the_credentials_of_that_moment(self, registered, door, monkeypatch):
        registered(authorization="AWS_IAM")
        router = discover("staging", REGION)
        signed: list[str] = []
        sign = router._sign
        router._sign = lambda *request: signed.append("once more") or sign(*request)
        router._pause = lambda _: None
        door.statuses = [503, 200]
        router.send("transformer", {})
        assert len(signed) == len(door.asked) == 2

    def test_without_credentials_it_says_what_is_missing(self, registered, door, monkeypatch):
        registered(authorization="AWS_IAM")
        router = discover("staging", REGION)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name)
        monkeypatch.setattr("boto3.Session.get_credentials", lambda _: None)
        with pytest.raises(Unreachable, match="no AWS credentials to sign with"):
            router.send("transformer", {})
        assert not door.asked


class TestTheEndpoint:
    @pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation["operationId"])
    def test_every_operation_is_authorised_as_the_installation_says(self, operation):
        assert operation["x-amazon-apigateway-auth"] == {"type": {"Fn::If": ["WantsSignatures", "AWS_IAM", "NONE"]}}
        assert operation["security"] == [{"api_key": []}]

    def test_signatures_are_wanted_where_the_parameter_says_so_and_discovery_says_the_same(self):
        assert template()["Conditions"]["WantsSignatures"] == {"Fn::Equals": [{"Ref": "Authorization"}, "AWS_IAM"]}
        assert template()["Parameters"]["Authorization"]["AllowedValues"] == ["API_KEY", "AWS_IAM"]
        attributes = template()["Resources"]["DiscoveryInstance"]["Properties"]["InstanceAttributes"]
        assert attributes["authorization"] == {"Ref": "Authorization"}
