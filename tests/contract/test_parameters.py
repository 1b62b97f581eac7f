"""What the parameters promise."""

from __future__ import annotations

import pytest

from canary.domain.app import Parameter
from tests.contract.hands import LEAN_TOO

pytestmark = LEAN_TOO

APP = "transformer"


def test_several_parameters_are_read_at_once_and_missing_ones_are_absent(parameters):
    parameters.write(APP, "current", "one")
    parameters.write(APP, "plan", "{}")
    found = parameters.read(APP, "current", "latest", "previous", "plan")
    assert {name: parameter.value for name, parameter in found.items()} == {"current": "one", "plan": "{}"}


def test_an_unknown_app_has_no_parameters(parameters):
    assert parameters.read("nobody", "current", "latest") == {}


def test_every_write_gives_the_next_version_and_is_read_back(parameters):
    assert [parameters.write(APP, "latest", value) for value in ("one", "two", "two")] == [1, 2, 3]
    read = parameters.read(APP, "latest")["latest"]
    assert (read.value, read.version) == ("two", 3)


def test_a_parameter_says_when_it_was_written_to_the_millisecond(parameters):
    parameters.write(APP, "latest", "one")
    parameters.write(APP, "latest", "two")
    read = parameters.read(APP, "latest")["latest"]
    newest = parameters.history(APP)[-1]
    assert read == Parameter(newest.value, newest.version, newest.modified_at)
    assert read.modified_at > 1_600_000_000_000


def test_the_history_of_latest_is_told_oldest_first_with_its_descriptions(parameters):
    parameters.write(APP, "latest", "one", "by the pipeline")
    parameters.write(APP, "latest", "NONE", "canary:00000001-0123abcd:blank")
    parameters.write(APP, "latest", "three")
    told = [(v.version, v.value, v.description) for v in parameters.history(APP)]
    assert told == [(1, "one", "by the pipeline"), (2, "NONE", "canary:00000001-0123abcd:blank"), (3, "three", "")]


def test_a_long_history_is_told_whole(parameters):
    for number in range(60):
        parameters.write(APP, "latest", f"value {number}")
    assert [v.version for v in parameters.history(APP)] == list(range(1, 61))


def test_the_history_holds_the_last_hundred_versions(parameters):
    for number in range(103):
        parameters.write(APP, "latest", f"value {number}")
    assert [v.version for v in parameters.history(APP)] == list(range(4, 104))


def test_apps_are_all_those_that_have_a_parameter_each_once_in_order(parameters):
    for app, name in (("zeta", "latest"), (APP, "current"), (APP, "latest"), ("alpha-2", "plan")):
        parameters.write(app, name, "value")
    assert parameters.apps() == ("alpha-2", APP, "zeta")


def test_without_parameters_there_are_no_apps(parameters):
    assert parameters.apps() == ()


def test_what_no_app_can_be_called_is_no_app(parameters):
    parameters.write("Shared", "current", "value")
    parameters.write(APP, "current", "value")
    assert parameters.apps() == (APP,)


@pytest.mark.parametrize("value", ["", "x" * 4097])
def test_an_empty_and_an_oversized_value_are_refused_and_nothing_is_written(parameters, value):
    with pytest.raises(ValueError, match="4096"):
        parameters.write(APP, "latest", value)
    assert parameters.read(APP, "latest") == {}


def test_the_largest_value_is_taken(parameters):
    parameters.write(APP, "plan", "x" * 4096)
    assert parameters.read(APP, "plan")["plan"].value == "x" * 4096
