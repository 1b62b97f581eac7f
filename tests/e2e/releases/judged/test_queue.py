"""A newer write to `latest` while a judged release runs: it waits, it is refused, or it takes over."""

from __future__ import annotations

import json

from canary.domain.states import Gate, ReleaseState
from tests.e2e.releases.judged.orders import order, plays

FOUR = {"stages": [{"quota": 4, "weight": 100}]}


def tagged(arn, tag):
    return json.dumps({"arn": arn, "tag": tag})


def test_a_newer_release_waits_its_turn_and_then_opens_by_itself(subject, machine, seasoned, call, look, forget):
    value, second_value = tagged(machine(plays("latest")), "v1"), tagged(machine(plays("latest")), "v2")
    first = subject.given(current=seasoned, latest=value, plan={**FOUR, "on_new_release": "queue"})
    call(subject.name, order())
    subject.parameters.write(subject.name, "latest", second_value)
    second = subject.key()
    subject.wake()
    waiting = subject.becomes(second, ReleaseState.OPENING)
    assert (waiting.state, waiting.behind, waiting.gate) == (ReleaseState.OPENING, first.release, Gate.CLOSED)
    assert subject.release(first).state is ReleaseState.RUNNING

    forget()
    answers = [call(subject.name, order()) for _ in range(4)]
    assert [(a.body["routed_to"], a.body["tag"]) for a in answers[:3]] == [("latest", "v1")] * 3, "the first goes on"
    assert answers[3].body["routed_to"] == "current", "it has no slots for more, and the second none yet"

    assert look(first).state is ReleaseState.PROMOTED
    opened = subject.becomes(waiting, ReleaseState.RUNNING)
    assert (opened.tag, opened.claimed, opened.gate) == ("v2", 0, Gate.OPEN)
    assert subject.values() == (value, second_value, seasoned)
    forget()
    assert call(subject.name, order()).body["tag"] == "v2"


def test_a_newer_release_is_refused_and_the_first_goes_on(subject, machine, seasoned, call, look, forget):
    first = subject.given(
        current=seasoned, latest=tagged(machine(plays("latest")), "v1"), plan={**FOUR, "on_new_release": "reject"}
    )
    call(subject.name, order())
    refused = subject.tag(tagged(machine(), "v2"))
    assert refused.state is ReleaseState.REJECTED
    assert f"release {first.release} (v1) is RUNNING, and its plan refuses newer ones" in refused.reason
    assert subject.key() == refused.release, "it stands there until the first has ended"
    forget()
    assert [call(subject.name, order()).body["tag"] for _ in range(3)] == ["v1"] * 3
    promoted = look(first)
    assert (promoted.state, subject.values()) == (ReleaseState.PROMOTED, (promoted.value, "NONE", seasoned))
    assert subject.item().quarantine == {}
    assert subject.item().followed == ()


def test_a_judged_release_that_is_overtaken_has_its_requests_followed_to_their_end(subject, machine, seasoned, call, look, sfn):
    first = subject.given(current=seasoned, latest=machine(plays("latest")), plan={"preset": "careful"})
    answers = [call(subject.name, order(latest={"seconds": 600})) for _ in range(2)]
    assert [answer.body["routed_to"] for answer in answers] == ["latest"] * 2
    second = subject.tag(machine(plays("latest")))
    overtaken = subject.release(first)
    assert (overtaken.state, overtaken.gate, overtaken.in_flight) == (ReleaseState.SUPERSEDED, Gate.CLOSED, 2)
    for answer in answers:
        sfn.stop_execution(executionArn=answer.body["transform_id"])
    followed = look(first)
    assert (followed.state, followed.tally.aborted) == (ReleaseState.SUPERSEDED, 2)
    assert subject.item().quarantine == {}, "it was overtaken before that"
    assert (followed.open, followed.counted) == ({}, {})
    assert subject.release(second).tally.known == 0
    assert first.release not in subject.item().followed
