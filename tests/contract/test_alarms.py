"""What the reading of alarms promises."""

from __future__ import annotations

import pytest

from canary.domain.alarm import AlarmState


@pytest.mark.parametrize("state", AlarmState)
def test_an_alarm_is_in_the_state_that_it_is_in(alarms, hands, state):
    hands.alarm("errors", state)
    assert alarms.states(["errors"]) == {"errors": state}


def test_only_those_that_are_asked_for_come(alarms, hands):
    hands.alarm("errors", AlarmState.OK)
    hands.alarm("latency", AlarmState.ALARM)
    assert alarms.states(["latency"]) == {"latency": AlarmState.ALARM}


def test_an_alarm_that_does_not_exist_is_absent(alarms, hands):
    hands.alarm("errors", AlarmState.OK)
    assert alarms.states(["errors", "nobody"]) == {"errors": AlarmState.OK}


def test_without_a_name_none_comes(alarms, hands):
    hands.alarm("errors", AlarmState.ALARM)
    assert alarms.states([]) == {}


def test_a_name_that_is_said_twice_comes_once(alarms, hands):
    hands.alarm("errors", AlarmState.OK)
    assert alarms.states(name for name in ["errors", "errors"]) == {"errors": AlarmState.OK}


def test_more_than_a_hundred_come_too(alarms, hands):
    names = [f"alarm-{number:03d}" for number in range(105)]
    for name in names:
        hands.alarm(name, AlarmState.INSUFFICIENT_DATA)
    assert sorted(alarms.states(names)) == names
