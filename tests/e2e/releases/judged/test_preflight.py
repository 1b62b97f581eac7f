"""Before any real request: synthetic ones, which all have to succeed."""

from __future__ import annotations

import pytest

from canary.domain.states import Gate, ReleaseState
from tests.e2e.releases.judged.orders import PATIENCE_S, order, plays

#: Fails what no upstream has asked for, or everything else.
FAILS_SYNTHETIC = """
def handler(event, context):
    return {'statusCode': 500 if context.client_context.custom.get('canary_synthetic') else 200}
"""
FAILS_REAL = FAILS_SYNTHETIC.replace("500 if", "200 if").replace("else 200", "else 500")


def with_preflight(*payloads):
    return {"stages": [{"quota": 1, "weight": 100}], "preflight": list(payloads)}


@pytest.fixture
def tested(subject, eventually):
    """Let the flipper look until a preflight is over. One that takes longer than seconds goes on in the next pass."""

    def over(release):
        def is_over():
            found = subject.releases.release(subject.name, release)  # none, while somebody else's pass has the app
            return found if found and found.state not in {ReleaseState.OPENING, ReleaseState.ABORTING} else None

        return eventually(lambda: subject.wake() and is_over(), within=PATIENCE_S)

    return over


@pytest.mark.parametrize("kind", ["function", "state machine"])
def test_a_preflight_that_fails_ends_the_release_before_any_real_request(
    subject, function, machine, seasoned, call, sfn, tested, kind
):
    good, bad = order(), order(fails=True)
    latest = function(FAILS_SYNTHETIC) if kind == "function" else machine(plays("latest"))
    subject.given(current=seasoned, plan=with_preflight(good, bad))
    subject.parameters.write(subject.name, "latest", latest)
    answers = [call(subject.name, good) for _ in range(3)]
    assert tested(subject.key()).state is ReleaseState.ABORTED
    answers += [call(subject.name, good) for _ in range(3)]

    aborted = subject.newest()
    assert "preflight" in aborted.reason
    assert "no real request was sent" in aborted.reason
    assert {answer.body["routed_to"] for answer in answers} == {"current"}
    assert (aborted.claimed, aborted.granted, subject.rows(aborted)) == (0, 0, [])
    assert subject.values() == (seasoned, "NONE", None)
    assert list(subject.item().quarantine) == [latest]
    if kind == "state machine":
        names = {execution["name"] for execution in sfn.list_executions(stateMachineArn=latest)["executions"]}
        assert names == {f"preflight-{number}-r{aborted.release}" for number in (0, 1)}


def test_a_preflight_that_succeeds_opens_the_gate_and_its_payloads_were_marked_as_synthetic(
    subject, function, seasoned, call, look, tested
):
    subject.given(current=seasoned, plan=with_preflight({"n": 1}, {"n": 2}))
    subject.parameters.write(subject.name, "latest", function(FAILS_REAL))
    release = tested(subject.key())
    assert (release.state, release.gate) == (ReleaseState.RUNNING, Gate.OPEN), release.reason
    assert [probe.status for probe in release.probes.values()] == ["SUCCEEDED"] * 2
    answer = call(subject.name, order())
    assert (answer.body["routed_to"], answer.body["fell_back"]) == ("current", True), "a real one is not marked"
    assert look(release).state is ReleaseState.ABORTED


def test_a_preflight_of_workflows_is_waited_for(subject, machine, seasoned, word, call, tested):
    subject.given(current=seasoned, plan=with_preflight(order()))
    subject.parameters.write(subject.name, "latest", machine(word.definition))
    release = subject.key()
    subject.wake()
    subject.becomes(release, ReleaseState.OPENING)
    assert call(subject.name, order()).body["routed_to"] == "current"
    word.succeed()
    assert tested(release).state is ReleaseState.RUNNING
