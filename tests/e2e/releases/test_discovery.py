"""Upstream apps find the router by the name of its environment, and need nothing else."""

from __future__ import annotations

import boto3
import pytest

from canary.client import NotDiscovered, RouterProblem, discover
from canary.local import exports


@pytest.fixture
def as_an_upstream_app(stack, monkeypatch):
    for name, value in exports(stack).items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def test_the_router_is_discovered_by_its_environment_and_serves(subject, machine, as_an_upstream_app, eventually, stack):
    subject.given(current=machine(), latest=machine())
    router = discover("local")
    assert router.url == stack.router_url

    routed = router.send(subject.name, {"order": 4711}, idempotency_key="order-4711", tenant="acme")
    assert (routed.status, routed.routed_to, routed.fell_back) == (202, "latest", False)
    assert router.send(subject.name, {"order": 4711}, idempotency_key="order-4711", tenant="acme") == routed
    eventually(lambda: router.find(subject.name, routed.request_id).status == "SUCCEEDED")
    with pytest.raises(RouterProblem, match="404") as refused:
        router.send("nobody", {})
    assert refused.value.status == 404


def test_an_environment_without_a_router_is_not_found(as_an_upstream_app):
    with pytest.raises(NotDiscovered, match="'production'"):
        discover("production")


def test_what_is_registered_tells_the_keys_id_and_not_the_key(stack):
    instances = stack.client("servicediscovery").discover_instances(
        NamespaceName=stack.outputs["ServiceNamespace"], ServiceName=stack.outputs["ServiceName"]
    )["Instances"]
    [attributes] = [instance["Attributes"] for instance in instances]
    assert attributes["environment"] == "local"
    assert attributes["api_key_id"] == stack.outputs["ApiKeyId"]
    assert stack.api_key not in str(instances)
