"""Many at once: never over quota, and nobody is turned away."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from canary.domain.states import ReleaseState

pytestmark = pytest.mark.xdist_group("crowd")
#: Each request at once is a process of the embedded AWS; many more of them than processors only keep one another waiting.
AT_ONCE = 20
#: So that latest is not promoted while the crowd is still at it.
WAITS = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}


@pytest.fixture(scope="module", autouse=True)
def _all_at_their_posts(get):
    """Have all processes of the router started: that takes a small machine longer than the router waits for AWS."""
    with ThreadPoolExecutor(AT_ONCE) as crowd:
        assert {answer.status for answer in crowd.map(lambda _: get("/health"), range(2 * AT_ONCE))} == {200}


def test_of_two_hundred_requests_at_once_two_go_to_latest_and_all_are_answered(subject, call, machine, sfn):
    current, latest = machine(), machine(WAITS)
    release = subject.given(current=current, latest=latest)

    with ThreadPoolExecutor(AT_ONCE) as crowd:
        answers = list(crowd.map(lambda n: call(subject.name, {"n": n}), range(200)))

    assert Counter((answer.status, answer.body.get("routed_to")) for answer in answers) == {
        (202, "latest"): 2,
        (202, "current"): 198,
    }
    assert len({answer.body["request_id"] for answer in answers}) == 200
    assert len(executions(sfn, latest)) == 2
    assert len(executions(sfn, current)) == 198
    found = subject.release(release)
    assert (found.claimed, found.granted, found.in_flight) == (2, 2, 2)
    rows = {row.request_id for row in subject.rows(release)}
    assert rows == {answer.body["request_id"] for answer in answers if answer.body["routed_to"] == "latest"}


def test_a_key_twenty_times_at_once_is_one_execution_and_has_the_same_answer_after_the_promotion(
    subject, call, get, machine, sfn, eventually
):
    current, latest = machine(), machine()
    release = subject.given(current=current, latest=latest, plan={"stages": [{"quota": 1, "weight": 100}]})
    with ThreadPoolExecutor(AT_ONCE) as crowd:
        answers = list(crowd.map(lambda _: call(subject.name, {"n": 1}, idempotency_key="order-7"), range(20)))

    done = [answer for answer in answers if answer.status == 202]
    early = [answer for answer in answers if answer.status == 409]
    assert done
    assert len(done) + len(early) == 20, Counter(answer.status for answer in answers)
    assert all(answer.body == done[0].body for answer in done)
    assert all(answer.headers["retry-after"] and answer.headers["content-type"] == "application/problem+json" for answer in early)
    assert len(executions(sfn, current)) + len(executions(sfn, latest)) == 1
    assert done[0].body["routed_to"] == "latest"
    assert subject.release(release).claimed == 1

    subject.becomes(release, ReleaseState.PROMOTED)
    again = call(subject.name, {"n": 1}, idempotency_key="order-7")
    assert (again.status, again.body) == (202, done[0].body)
    assert len(executions(sfn, current)) + len(executions(sfn, latest)) == 1

    other = call(subject.name, {"n": 2}, idempotency_key="order-7")
    assert (other.status, other.headers["content-type"]) == (422, "application/problem+json")
    found = get(f"/{subject.name}/requests/{done[0].body['request_id']}")
    assert (found.status, found.body["status"], found.body["routed_to"]) == (200, "SUCCEEDED", "latest")


def test_flippers_woken_by_every_event_at_once_twice_and_late_promote_once(
    subject, call, machine, ssm, stack, event_files, eventually
):
    release = subject.given(current=machine(), latest=machine())
    assert [call(subject.name).body["routed_to"] for _ in range(2)] == ["latest"] * 2
    with ThreadPoolExecutor(6) as crowd:
        list(crowd.map(subject.wake, [*event_files, *reversed(event_files)]))

    def promoted_and_told():
        subject.wake()  # a pass looks again for those that it keeps waiting, but not for ever: then the schedule would take over
        found = subject.release(release)
        return found if found.state is ReleaseState.PROMOTED and not (found.notices or found.counted) else None

    promoted = eventually(promoted_and_told, within=60, every=0.5)
    assert [change.what for change in promoted.history].count("RUNNING → PROMOTING") == 1
    assert (promoted.tally.succeeded, promoted.claimed) == (2, 2)
    versions = ssm.get_parameter_history(Name=f"{stack.outputs['ParameterPrefix']}/{subject.name}/current")["Parameters"]
    assert len(versions) == 2, "current was written once by us"
    for event in event_files:
        subject.wake(event)
    assert subject.release(release) == promoted, "what comes late changes nothing"


def executions(sfn, machine):
    pages = sfn.get_paginator("list_executions").paginate(stateMachineArn=machine)
    return [execution for page in pages for execution in page["executions"]]
