"""Reading alarms, as CloudWatch tells of them."""

from __future__ import annotations

import pytest

from canary.aws.alarms import AlarmBook
from canary.domain.alarm import AlarmState
from canary.errors import Denied, Unavailable
from tests.integration.conftest import Wire, error


def alarm(name: str, state: str) -> dict[str, str]:
    return {"AlarmName": name, "StateValue": state}


def test_composite_alarms_are_asked_for_too_and_told_with_the_others(scripted):
    """Unless they are asked for, CloudWatch leaves them out; moto has none."""
    found = {"MetricAlarms": [alarm("errors", "OK")], "CompositeAlarms": [alarm("either", "ALARM")]}
    service = scripted("cloudwatch", Wire(found))
    assert AlarmBook(service.client).states(["errors", "either"]) == {"errors": AlarmState.OK, "either": AlarmState.ALARM}
    assert service.asked() == {
        "AlarmNames": ["errors", "either"],
        "AlarmTypes": ["CompositeAlarm", "MetricAlarm"],
        "MaxRecords": 100,
    }


def test_a_hundred_names_are_asked_for_at_once(scripted):
    service = scripted("cloudwatch", Wire({"MetricAlarms": []}))
    AlarmBook(service.client).states(f"alarm-{n}" for n in range(201))
    assert [len(service.asked(n)["AlarmNames"]) for n in range(3)] == [100, 100, 1]


def test_a_name_that_is_said_twice_is_asked_for_once(scripted):
    service = scripted("cloudwatch", Wire({"MetricAlarms": []}))
    AlarmBook(service.client).states(["a", "b", "a"])
    assert service.asked()["AlarmNames"] == ["a", "b"]


def test_a_page_that_names_another_is_not_the_last(scripted):
    first = Wire({"MetricAlarms": [alarm("a", "OK")], "NextToken": "b"})
    service = scripted("cloudwatch", first, Wire({"MetricAlarms": [alarm("b", "INSUFFICIENT_DATA")]}))
    assert AlarmBook(service.client).states(["a", "b"]) == {"a": AlarmState.OK, "b": AlarmState.INSUFFICIENT_DATA}


def test_without_names_nothing_is_asked_since_that_would_mean_all(scripted):
    service = scripted("cloudwatch", Wire({"MetricAlarms": [alarm("a", "ALARM")]}))
    assert AlarmBook(service.client).states([]) == {}
    assert service.requests == []


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
def test_alarms_that_we_may_not_see_are_denied(scripted, code):
    with pytest.raises(Denied):
        AlarmBook(scripted("cloudwatch", error(code, 403)).client).states(["a"])


def test_of_names_that_can_be_none_nothing_is_said(scripted):
    service = scripted("cloudwatch", Wire({}))
    with pytest.raises(Unavailable) as caught:
        AlarmBook(service.client).states([""])
    assert (caught.value.code, service.requests) == ("ParamValidationError", [])
