"""A release that somebody ends: a newer one, an operator, or a hand that writes NONE."""

from __future__ import annotations

from canary.domain.release import Verb
from canary.domain.states import Gate, ReleaseState

WAITS = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}
ONE = {"stages": [{"quota": 1, "weight": 100}]}


def test_a_newer_write_supersedes_and_the_older_ones_requests_are_followed_to_their_end(subject, call, machine, sfn, eventually):
    first = subject.given(current=machine(), latest=machine(WAITS))
    answer = call(subject.name)
    assert answer.body["routed_to"] == "latest"

    newer = machine()
    second = subject.tag(newer)
    superseded = subject.release(first)
    assert (superseded.state, superseded.gate) == (ReleaseState.SUPERSEDED, Gate.CLOSED)
    assert second.release in superseded.reason
    assert subject.item().quarantine == {}, "it did not fail"
    assert (second.state, second.target) == (ReleaseState.RUNNING, newer)

    sfn.stop_execution(executionArn=answer.body["transform_id"])
    subject.wake()
    eventually(lambda: [row.status for row in subject.rows(first)] == ["ABORTED"])
    eventually(lambda: subject.release(first).tally.aborted == 1)
    assert subject.release(second).state is ReleaseState.RUNNING, "what becomes of the older one's requests is not its concern"
    assert subject.value("latest") == newer


def test_the_same_value_written_again_is_a_new_release(subject, machine):
    latest = machine()
    first = subject.given(current=machine(), latest=latest)
    second = subject.tag(latest)
    assert second.release != first.release
    assert subject.release(first).state is ReleaseState.SUPERSEDED
    assert second.state is ReleaseState.RUNNING


def test_routers_that_have_not_heard_of_the_newer_release_claim_nothing_of_the_older_one(subject, call, machine):
    first = subject.given(current=machine(), latest=machine(WAITS), plan={"stages": [{"quota": 9, "weight": 100}]})
    assert call(subject.name).body["routed_to"] == "latest", "the router has the release in its cache now"
    subject.tag(machine())
    assert call(subject.name).body["routed_to"] == "current"
    assert subject.release(first).claimed == 1


def test_an_abort_in_flight_closes_the_gate_at_once_and_the_flipper_does_the_rest(subject, call, machine, sfn, eventually):
    current, latest = machine(), machine(WAITS)
    release = subject.given(current=current, latest=latest)
    answer = call(subject.name)
    assert answer.body["routed_to"] == "latest"

    assert subject.operator.ask(subject.name, Verb.ABORT, "it is on fire").gate is Gate.CLOSED
    assert call(subject.name).body["routed_to"] == "current", "before the flipper knows, and whatever the router remembers"

    subject.wake()
    aborted = subject.becomes(release, ReleaseState.ABORTED)
    assert "abort by olga: it is on fire" in aborted.reason
    assert any((change.who, change.what) == ("olga", "RUNNING → ABORTING") for change in aborted.history)
    assert subject.values() == (current, "NONE", None)
    assert latest in subject.item().quarantine
    assert (aborted.claimed, aborted.in_flight) == (1, 1)

    sfn.stop_execution(executionArn=answer.body["transform_id"])
    eventually(lambda: subject.wake() and subject.release(release).in_flight == 0)
    # Settled to the last request, it is followed no longer. The pass that woke first may not have come that far yet.
    eventually(lambda: subject.wake() and subject.item().followed == ())


def test_none_written_by_hand_withdraws_the_release_without_quarantine(subject, call, machine):
    latest = machine(WAITS)
    release = subject.given(current=machine(), latest=latest)
    subject.parameters.write(subject.name, "latest", "NONE")
    subject.wake()
    withdrawn = subject.becomes(release, ReleaseState.ABORTED)
    assert "withdrawn" in withdrawn.reason
    assert withdrawn.gate is Gate.CLOSED
    assert subject.item().quarantine == {}
    assert call(subject.name).body["routed_to"] == "current"
    assert subject.tag(latest).state is ReleaseState.RUNNING


def test_a_pause_holds_and_a_resume_goes_on(subject, call, machine):
    release = subject.given(current=machine(), latest=machine())
    assert call(subject.name).body["routed_to"] == "latest"
    subject.operator.ask(subject.name, Verb.PAUSE, "lunch")
    assert call(subject.name).body["routed_to"] == "current"
    subject.wake()
    subject.becomes(release, ReleaseState.PAUSED)
    subject.operator.ask(subject.name, Verb.RESUME, "back")
    subject.wake()
    assert subject.becomes(release, ReleaseState.RUNNING).gate is Gate.OPEN
    assert subject.parameters.read(subject.name, "latest")["latest"].version == 1


def test_the_emergency_stop_closes_every_gate_and_a_release_opens_behind_it_only_later(subject, call, machine):
    release = subject.given(current=machine(), latest=machine(WAITS))
    assert call(subject.name).body["routed_to"] == "latest"
    subject.operator.stop(subject.name, "all hands")
    assert call(subject.name).body["routed_to"] == "current", "whatever the router remembers"
    subject.operator.start(subject.name)
    assert subject.release(release).gate is Gate.OPEN

    subject.operator.stop(subject.name, "all hands again")
    newer = subject.tag(machine())
    assert (newer.state, newer.gate) == (ReleaseState.RUNNING, Gate.CLOSED)
    subject.operator.start(subject.name)
    assert subject.release(newer).gate is Gate.OPEN


def test_a_request_in_flight_is_no_proof_yet(subject, call, machine, eventually):
    current = machine()
    release = subject.given(current=current, latest=machine(WAITS), plan=ONE)
    assert call(subject.name).body["routed_to"] == "latest"
    subject.wake()
    found = subject.release(release)
    assert (found.state, found.in_flight) == (ReleaseState.RUNNING, 1)
    assert subject.value("current") == current
