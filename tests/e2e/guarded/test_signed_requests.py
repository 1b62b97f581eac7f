"""Deployed with Authorization=AWS_IAM: a request needs the key and a signature of somebody who may send requests."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from canary.local import deploy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("guarded")]

SEND = """
import json, sys
from dataclasses import asdict
from canary.client import discover
router = discover("local")
routed = router.send(sys.argv[1], {"order": 4711}, idempotency_key="order-4711")
print(json.dumps({"sent": asdict(routed), "found": asdict(router.find(sys.argv[1], routed.request_id))}))
"""


def signed(guarded, who: Mapping[str, str], path: str, body: bytes = b"{}", **changed: str) -> dict[str, str]:
    """The headers of a request with a key and a signature by botocore, with other credentials where they are ``changed``."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    credentials = Credentials(*({**who, **changed}[name] for name in names))
    request = AWSRequest("POST", guarded.stack.router_url + path, {"x-api-key": guarded.stack.api_key}, body)
    SigV4Auth(credentials, "execute-api", guarded.stack.region).add_auth(request)
    return dict(request.headers.items())


def post(guarded, path: str, headers: Mapping[str, str], body: bytes = b"{}") -> tuple[int, str]:
    url = urlsplit(guarded.stack.router_url)
    with contextlib.closing(http.client.HTTPConnection(url.hostname, url.port, timeout=40)) as connection:
        connection.request("POST", url.path + path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_the_client_of_an_upstream_app_finds_the_router_signs_and_is_served(guarded, standing, upstream):
    said = guarded.run(upstream, SEND, standing)
    assert said.code == 0, said.err
    sent, found = said.json["sent"], said.json["found"]
    assert (sent["status"], sent["routed_to"]) == (202, "current")
    assert found["request_id"] == sent["request_id"]


def test_what_botocore_signs_is_served(guarded, standing, upstream):
    status, answer = post(guarded, f"/{standing}", signed(guarded, upstream, f"/{standing}"))
    assert status == 202, answer


class TestWhatIsRefused:
    """By API Gateway, with 403; the router, which would have answered 202, is not asked."""

    def test_a_key_without_a_signature(self, guarded, standing):
        status, answer = post(guarded, f"/{standing}", {"x-api-key": guarded.stack.api_key})
        assert (status, json.loads(answer)["message"]) == (403, "Missing Authentication Token")

    def test_a_signature_without_a_key(self, guarded, standing, upstream):
        headers = signed(guarded, upstream, f"/{standing}")
        assert headers.pop("x-api-key") == guarded.stack.api_key
        assert post(guarded, f"/{standing}", headers)[0] == 403

    @pytest.mark.parametrize("changed", [{"AWS_SECRET_ACCESS_KEY": "a guess"}, {"AWS_ACCESS_KEY_ID": "AKIAOFNOBODY"}])
    def test_a_signature_with_credentials_that_are_not_somebodys(self, guarded, standing, upstream, changed):
        assert post(guarded, f"/{standing}", signed(guarded, upstream, f"/{standing}", **changed))[0] == 403

    def test_a_signature_that_was_made_for_another_app(self, guarded, standing, upstream):
        assert post(guarded, f"/{standing}", signed(guarded, upstream, "/another"))[0] == 403

    def test_a_signature_that_was_made_for_another_body(self, guarded, standing, upstream):
        status, answer = post(
            guarded, f"/{standing}", signed(guarded, upstream, f"/{standing}", b'{"order": 1}'), b'{"order": 2}'
        )
        assert status == 403
        assert "signature" in answer

    @pytest.mark.parametrize("who", ["tagger", "operator", "viewer"])
    def test_a_signature_of_somebody_who_may_not_send_requests(self, guarded, standing, request, who):
        status, answer = post(guarded, f"/{standing}", signed(guarded, request.getfixturevalue(who), f"/{standing}"))
        assert status == 403
        assert "execute-api:Invoke" in answer


def test_every_operation_was_handed_to_api_gateway_with_authorization_by_iam(guarded):
    """What the embedded AWS makes of it is another matter, see docs/limits.md: this is what it was given."""
    cloudformation = guarded.stack.client("cloudformation")
    given = cloudformation.get_template(StackName=deploy.ROUTER_STACK, TemplateStage="Processed")["TemplateBody"]
    body = (given if isinstance(given, dict) else json.loads(given))["Resources"]["RouterApi"]["Properties"]["Body"]
    chosen = [
        operation["x-amazon-apigateway-auth"]["type"] for methods in body["paths"].values() for operation in methods.values()
    ]
    (stack,) = cloudformation.describe_stacks(StackName=deploy.ROUTER_STACK)["Stacks"]
    assert {"ParameterKey": "Authorization", "ParameterValue": "AWS_IAM"} in stack["Parameters"]
    assert len(chosen) == 3
    assert all(one == {"Fn::If": ["WantsSignatures", "AWS_IAM", "NONE"]} for one in chosen)
