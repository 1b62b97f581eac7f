"""Settings."""

from __future__ import annotations

import itertools

import pytest

from canary.config import flipper_settings, operator_settings, router_settings
from canary.domain.target import Allowed
from canary.errors import Misconfigured

COMMON = {
    "CANARY_PREFIX": "/canary", "CANARY_RELEASES_TABLE": "releases", "CANARY_AUDIT_TABLE": "audit",
    "CANARY_ACCOUNT": "123456789012",
    "CANARY_TARGET_PATTERN": "transformer-*", "CANARY_ENVIRONMENT": "local", "AWS_REGION": "eu-west-1",
}  # fmt: skip
FLIPPER = COMMON | {"CANARY_TOPIC_ARN": "topic", "CANARY_EVENT_BUS": "default"}
OPERATOR = COMMON | {"CANARY_FLIPPER_FUNCTION": "flipper", "CANARY_ROUTER_FUNCTION": "router"}


def test_all_that_is_said_is_read():
    settings = router_settings(COMMON)
    assert (settings.prefix, settings.releases_table, settings.audit_table, settings.environment, settings.region) == (
        "/canary", "releases", "audit", "local", "eu-west-1",
    )  # fmt: skip
    assert settings.allowed == Allowed("transformer-*", "123456789012", "eu-west-1")
    assert (flipper_settings(FLIPPER).topic_arn, flipper_settings(FLIPPER).event_bus) == ("topic", "default")


@pytest.mark.parametrize("prefix", ["/canary", "canary", "/canary/", "canary/"])
def test_slashes_around_the_prefix_do_not_matter(prefix):
    assert router_settings(COMMON | {"CANARY_PREFIX": prefix}).prefix == "/canary"


@pytest.mark.parametrize("gone", list(itertools.combinations(FLIPPER, 2)), ids="+".join)
@pytest.mark.parametrize("empty", [False, True])
def test_all_that_is_missing_is_named_at_once_and_nothing_else(gone, empty):
    environ = {name: "" if name in gone else value for name, value in FLIPPER.items() if empty or name not in gone}
    with pytest.raises(Misconfigured) as refusal:
        flipper_settings(environ)
    assert {name for name in FLIPPER if name in str(refusal.value)} == set(gone)


def test_an_operator_asks_the_stack_only_for_what_the_environment_leaves_out():
    asked: list[bool] = []

    def stack() -> dict[str, str]:
        asked.append(True)
        return OPERATOR | {"CANARY_PREFIX": "/of-the-stack", "CANARY_FLIPPER_FUNCTION": "of-the-stack"}

    assert operator_settings(OPERATOR, stack).flipper_function == "flipper"
    assert asked == []
    partial = {name: value for name, value in OPERATOR.items() if name != "CANARY_FLIPPER_FUNCTION"}
    settings = operator_settings(partial, stack)
    assert (settings.flipper_function, settings.installation.prefix) == ("of-the-stack", "/canary")


def test_what_neither_the_environment_nor_the_stack_says_is_named():
    with pytest.raises(Misconfigured, match="CANARY_FLIPPER_FUNCTION, CANARY_ROUTER_FUNCTION"):
        operator_settings(COMMON, dict)
