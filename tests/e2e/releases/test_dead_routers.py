"""Routers that died on the way: before their row was written, after it, and after the work had begun."""

from __future__ import annotations

import base64
import json
import secrets

import pytest

from canary.domain.audit import Row, Status
from canary.domain.release import Verb
from canary.domain.request_id import new_request_id
from canary.domain.states import Gate, ReleaseState

LONG_AGO_MS = 61_000


@pytest.fixture
def left_behind(now):
    """What a router leaves that died a minute ago: its claim, with a `status` its row, and the work that it had `begun`.

    A pass may come at any moment between these. So the work comes before the row, which would be lost without it, and a claim
    is old only where no row follows: else the claim would be given back, and the row refused.
    """

    def leave(subject, release, status=None, age_ms=LONG_AGO_MS, begun=None) -> Row:
        at = now() - age_ms
        request_id = new_request_id(at, secrets.randbits(80), release.release)
        if begun:
            begun(request_id)
        claimed_at = now() if status else at
        assert subject.releases.claim(subject.name, release.release, request_id, claimed_at) == "WON"
        row = Row(
            app=subject.name,
            release=release.release,
            request_id=request_id,
            status=status or Status.CLAIMED,
            claimed_at=at,
            target=release.target,
            tag=release.tag,
        )
        if status:
            assert subject.audit.put(row) is None
        return row

    return leave


def test_a_claim_without_a_row_is_given_back_once_and_the_release_goes_on(subject, call, machine, left_behind):
    latest = machine()
    release = subject.given(current=machine(), latest=latest)
    row = left_behind(subject, release)
    subject.wake()
    settled = subject.await_release(
        release.release, lambda found: found.tally.refunded == 1 and not (found.counted or found.notices)
    )
    assert (settled.state, settled.claimed, settled.granted, settled.open) == (ReleaseState.RUNNING, 0, 2, {})
    [lost] = subject.rows(release)
    assert (lost.status, lost.unstarted) == (Status.LOST, True)

    subject.wake()
    assert subject.release(release) == settled, "it is given back once"
    assert subject.audit.put(row) == lost, "a router that was only slow finds the door closed, and sends nothing"

    assert [call(subject.name).body["routed_to"] for _ in range(3)] == ["latest", "latest", "current"]
    promoted = subject.becomes(release, ReleaseState.PROMOTED)
    assert (promoted.tally.succeeded, promoted.tally.lost, promoted.tally.refunded) == (2, 0, 1)
    assert subject.value("current") == latest


def test_a_claim_whose_router_may_still_live_is_left_alone(subject, machine, left_behind):
    release = subject.given(current=machine(), latest=machine())
    row = left_behind(subject, release, age_ms=20_000)
    subject.wake()
    assert (subject.release(release).claimed, subject.rows(release)) == (1, [])
    assert row.request_id in subject.release(release).open


def test_a_row_without_an_execution_is_lost_holds_the_release_and_a_resume_grants_a_replacement(
    subject, call, machine, left_behind, told, eventually
):
    current, latest = machine(), machine()
    release = subject.given(current=current, latest=latest)
    left_behind(subject, release, Status.CLAIMED)
    subject.wake()
    held = subject.becomes(release, ReleaseState.HELD)
    assert (held.gate, held.claimed, held.granted, held.tally.lost, held.tally.refunded) == (Gate.CLOSED, 1, 2, 1, 0)
    assert "unknown" in held.reason
    [row] = subject.rows(release)
    assert (row.status, row.unstarted) == (Status.LOST, False)
    [word] = eventually(lambda: [m for m in told(subject.name) if m.get("detail-type") == "Release Held"])
    assert "canary resume" in word["detail"]["text"], "it says what to do next"
    assert call(subject.name).body["routed_to"] == "current"

    subject.operator.ask(subject.name, Verb.RESUME, "that one was never started")
    subject.wake()
    resumed = subject.becomes(release, ReleaseState.RUNNING)
    assert (resumed.gate, resumed.claimed, resumed.granted) == (Gate.OPEN, 1, 3)
    eventually(lambda: call(subject.name).body["routed_to"] == "latest", within=30)
    assert call(subject.name).body["routed_to"] == "latest"
    promoted = subject.becomes(release, ReleaseState.PROMOTED)
    assert (promoted.claimed, promoted.tally.succeeded, promoted.tally.lost) == (3, 2, 1)
    assert subject.value("current") == latest


def test_an_execution_that_the_dead_router_had_started_is_found_by_its_name(subject, call, machine, sfn, left_behind):
    latest = machine()
    release = subject.given(current=machine(), latest=latest)
    started = []

    def start(request_id):
        started.append(sfn.start_execution(stateMachineArn=latest, name=request_id, input="{}")["executionArn"])

    left_behind(subject, release, Status.CLAIMED, begun=start)
    assert call(subject.name).body["routed_to"] == "latest"
    subject.wake()
    promoted = subject.becomes(release, ReleaseState.PROMOTED)
    assert (promoted.tally.succeeded, promoted.tally.lost) == (2, 0)
    assert {found.transform_id for found in subject.rows(release)} >= set(started)


def test_a_run_that_a_lambda_target_had_started_under_our_id_is_found_too(subject, call, awslambda, v1, v2, left_behind):
    release = subject.given(current=v1.function_alias_arn, latest=v2.function_alias_arn)
    assert call(subject.name).body["routed_to"] == "latest", "from this one the state machine is known"

    def run(request_id):
        context = base64.b64encode(json.dumps({"custom": {"canary_request_id": request_id}}).encode()).decode()
        awslambda.invoke(FunctionName=v2.function_alias_arn, Payload=b"{}", ClientContext=context)

    left_behind(subject, release, Status.CLAIMED, begun=run)
    subject.wake()
    promoted = subject.becomes(release, ReleaseState.PROMOTED)
    assert (promoted.tally.succeeded, promoted.tally.lost) == (2, 0)
