"""Wake-ups that come twice, late, or for nothing: the result is the same."""

from __future__ import annotations

import contextlib

import pytest

from canary.domain.release import Verb
from canary.domain.states import ReleaseState

pytestmark = pytest.mark.xdist_group("outages")


@pytest.fixture
def every_event_twice(events, stack):
    """Each rule that wakes the flipper has a second target: the flipper again."""
    rules = [rule["Name"] for rule in events.list_rules()["Rules"] if rule["Name"].startswith("canary-local")]
    assert len(rules) == 3
    with contextlib.ExitStack() as afterwards:
        for rule in rules:
            [target] = events.list_targets_by_rule(Rule=rule)["Targets"]
            events.put_targets(Rule=rule, Targets=[{**target, "Id": "again"}])
            afterwards.callback(events.remove_targets, Rule=rule, Ids=["again"])
        yield


@pytest.mark.usefixtures("every_event_twice")
def test_with_every_event_delivered_twice_each_release_ends_once(
    subject, fresh_app, subject_named, call, machine, ssm, stack, eventually
):
    with fresh_app() as name:
        other = subject_named(name)
        aborted = other.given(current=machine(), latest=machine())
        release = subject.given(current=machine(), latest=machine())
        other.operator.ask(name, Verb.ABORT, "enough was seen", aborted.release)
        assert [call(subject.name).body["routed_to"] for _ in range(2)] == ["latest"] * 2
        # The embedded AWS drops an event that finds two passes under way, where AWS would send it again.
        eventually(lambda: subject.wake() and subject.release(release).state is ReleaseState.PROMOTED, within=100)
        promoted = subject.release(release)
        assert [change.what for change in promoted.history].count("RUNNING → PROMOTING") == 1
        assert (promoted.claimed, promoted.tally.succeeded) == (2, 2)
        ended = other.becomes(aborted, ReleaseState.ABORTED)
        assert [change.what for change in ended.history].count("ABORTING → ABORTED") == 1
        for app, writes in ((subject.name, 2), (name, 1)):
            path = f"{stack.outputs['ParameterPrefix']}/{app}/current"
            assert len(ssm.get_parameter_history(Name=path)["Parameters"]) == writes
