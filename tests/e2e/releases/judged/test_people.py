"""What people do to a judged release: they approve it, pause it, force it, stop what it runs, and try it again."""

from __future__ import annotations

import pytest

from canary.domain.release import Verb
from canary.domain.states import Gate, Hold, ReleaseState
from tests.e2e.releases.judged.orders import FAILS, PATIENCE_S, order, plays

JUDGED = {"stages": [{"quota": 6, "weight": 100}], "alpha": 0.01}
APPROVED = {"type": "manual", "timeout": "1h", "default": "abort"}


def gated(**gate):
    return {"stages": [{"quota": 2, "weight": 100, "gate": {**APPROVED, **gate}}]}


@pytest.fixture
def held(subject, machine, seasoned, call, look):
    """Bring a release to its manual gate."""

    def at_the_gate(plan):
        release = subject.given(current=seasoned, latest=machine(plays("latest")), plan=plan)
        for _ in range(2):
            assert call(subject.name, order()).body["routed_to"] == "latest"
        look(release)
        return release

    return at_the_gate


@pytest.mark.parametrize(
    ("default", "ends", "words"),
    [("abort", ReleaseState.ABORTED, "the plan says abort"), ("continue", ReleaseState.PROMOTED, "the plan says continue")],
)
def test_a_gate_at_which_nobody_answers_does_as_the_plan_says(subject, held, evidence, eventually, default, ends, words):
    release = held(gated(timeout="1s", default=default))
    eventually(lambda: subject.wake() and subject.release(release).state is ends, within=PATIENCE_S)
    ended = subject.release(release)
    assert any(words in change.why for change in ended.history)
    assert (list(subject.item().quarantine) == [ended.target]) is (ends is ReleaseState.ABORTED)
    assert len(evidence.of(ended)) == 2, "at the gate, and after it"


def test_a_gate_opens_for_the_one_who_approves(subject, held, call, canary, evidence):
    release = held(gated())
    waiting = subject.release(release)
    assert (waiting.state, waiting.hold, waiting.gate) == (ReleaseState.HELD, Hold.APPROVAL, Gate.CLOSED)
    assert "waits for approval" in waiting.reason
    assert call(subject.name, order()).body["routed_to"] == "current"

    said = canary("promote", subject.name, "--yes", "--reason", "the totals are right")
    assert said.returncode == 0, said.stderr
    promoted = subject.becomes(release, ReleaseState.PROMOTED)
    assert any("the totals are right" in change.why and change.who != "flipper" for change in promoted.history)
    assert [record.judgement for record in evidence.of(promoted)] == ["PASS", "PASS"]


def test_a_paused_release_gets_nothing_more_and_aborts_all_the_same_when_what_it_got_fails(
    subject, machine, seasoned, word, call, look, evidence
):
    release = subject.given(current=seasoned, latest=machine(word.definition), plan={**JUDGED, "hung_after": 100})
    for _ in range(2):
        assert call(subject.name, order()).body["routed_to"] == "latest"
    asked = subject.operator.ask(subject.name, Verb.PAUSE, "an incident upstream")
    assert (asked.gate, asked.granted - asked.claimed) == (Gate.CLOSED, 4)
    assert call(subject.name, order()).body["routed_to"] == "current", "at once, though four slots are free"
    subject.wake()
    subject.becomes(release, ReleaseState.PAUSED)

    for _ in range(2):
        word.fail()
    aborted = look(release)
    assert (aborted.state, aborted.claimed) == (ReleaseState.ABORTED, 2)
    assert [change.what for change in aborted.history][-2:] == ["PAUSED → ABORTING", "ABORTING → ABORTED"]
    evidence.thrown_out(aborted)


def test_what_runs_on_an_aborted_stack_is_stopped_where_the_plan_says_so(subject, machine, seasoned, call, sfn, eventually):
    release = subject.given(current=seasoned, latest=machine(plays("latest")), plan={**JUDGED, "on_abort": "stop"})
    answer = call(subject.name, order(latest={"seconds": 600}))
    subject.operator.ask(subject.name, Verb.ABORT, "it loses orders")
    eventually(lambda: subject.wake() and subject.release(release).in_flight == 0, within=PATIENCE_S)
    stopped = sfn.describe_execution(executionArn=answer.body["transform_id"])
    assert (stopped["status"], stopped["error"]) == ("ABORTED", "Canary")
    assert "it loses orders" in stopped["cause"]
    [row] = subject.rows(release)
    assert (row.status, subject.release(release).tally.aborted) == ("ABORTED", 1)


def test_a_promotion_by_force_needs_one_success_and_no_failure(subject, machine, seasoned, call, look, canary, evidence):
    release = subject.given(current=seasoned, latest=machine(plays("latest")), plan={"preset": "careful"})
    said = canary("promote", subject.name, "--force", "--yes", "--reason", "an incident")
    assert said.returncode == 1
    assert "nothing has succeeded" in said.stdout + said.stderr

    call(subject.name, order())
    look(release)
    said = canary("promote", subject.name, "--force", "--yes", "--reason", "an incident")
    assert said.returncode == 0, said.stderr
    forced = look(release)
    assert forced.state is ReleaseState.WATCHING
    assert subject.value("current") == forced.target
    record, verdict = evidence.last(forced)
    assert verdict.judgement == "WAIT"
    assert "forced past stage 1 of 1" in record.decision
    assert "an incident" in record.decision


def test_a_stack_that_was_thrown_out_is_tried_again_when_somebody_says_so(subject, machine, seasoned, call, look, canary):
    latest = machine(plays("latest"))
    release = subject.given(current=seasoned, latest=latest, plan=JUDGED)
    for _ in range(2):
        call(subject.name, FAILS)
    assert look(release).state is ReleaseState.ABORTED
    assert "quarantined" in subject.tag(latest).refusal
    said = canary("retry", subject.name, latest)
    assert said.returncode == 0, said.stderr
    again = subject.tag(latest)
    assert again.state is ReleaseState.RUNNING
    assert (again.tally.known, again.baseline.failed) == (0, 0), "what was evidence then is none now"
