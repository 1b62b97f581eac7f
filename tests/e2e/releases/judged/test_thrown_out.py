"""Versions that are worse than current: they fail, they are slow, they hang. They are out after few requests."""

from __future__ import annotations

import pytest

from canary.domain.states import ReleaseState
from tests.e2e.releases.judged.orders import FAILS, PATIENCE_S, QUICK, SLOWEST, order, plays

JUDGED = {"stages": [{"quota": 40, "weight": 100}], "alpha": 0.01}
THREE_IN_TEN = [order(), FAILS, order(), order(), FAILS, order(), FAILS, order(), order(), order()]


@pytest.fixture
def out(subject, evidence):
    """Wait for the end of a release that the judge has thrown out; return its release and the record of the decision."""

    def ended(release):
        aborted = subject.becomes(release, ReleaseState.ABORTED)
        assert aborted.gate == "CLOSED"
        assert list(subject.item().quarantine) == [aborted.target]
        assert subject.values() == (subject.item().mirror.value, "NONE", None), "current serves, as before"
        return aborted, evidence.thrown_out(aborted)

    return ended


@pytest.fixture
def with_past(machine, ran, sfn):
    """A current that has run for so long each time; made anew where the computer has stalled meanwhile."""

    def made(seconds):
        for _ in range(5):
            current = machine(plays("current"))
            ran(current, seconds)
            past = sfn.list_executions(stateMachineArn=current)["executions"]
            took = sorted((each["stopDate"] - each["startDate"]).total_seconds() for each in past)
            if all(real < told + 0.5 for real, told in zip(took, sorted(seconds), strict=True)):
                return current
        return pytest.fail("this computer stalls all the time: no past was as it was told to be")

    return made


def test_a_version_that_fails_three_times_in_ten_is_out_after_few(subject, machine, ran, call, look, out):
    current = machine(plays("current"))
    ran(current, [SLOWEST, *QUICK * 3])  # what a busy machine adds to latest's makes it neither slow nor hanging
    release = subject.given(current=current, latest=machine(plays("latest")), plan=JUDGED)
    for body in THREE_IN_TEN:
        call(subject.name, body)
        if look(release).state is not ReleaseState.RUNNING:
            break
    aborted, record = out(release)
    assert aborted.claimed <= 7
    assert f"{aborted.tally.failed} of {aborted.tally.known} finished requests failed" in record.reason
    assert call(subject.name, order()).body["routed_to"] == "current"


def test_a_version_that_takes_twice_as_long_is_out_though_it_never_fails(subject, machine, with_past, call, look, out):
    usual = [2 * seconds for seconds in QUICK]
    plan = {**JUDGED, "hung_after": 100}  # nothing is to be out because it hangs
    release = subject.given(current=with_past(usual * 2), latest=machine(plays("latest")), plan=plan)
    for seconds in usual:
        call(subject.name, order(seconds=seconds, latest={"seconds": 2 * seconds}))
    aborted, record = out(look(release))
    assert aborted.tally.failures == 0
    assert "it is slower than current" in record.reason


def test_a_version_that_hangs_is_out_though_nothing_has_ended(subject, machine, ran, call, sfn, out, eventually):
    current = machine(plays("current"))
    ran(current, [0.1] * 20)
    release = subject.given(current=current, latest=machine(plays("latest")), plan=JUDGED)
    answers = [call(subject.name, order(latest={"seconds": 600})) for _ in range(2)]
    eventually(lambda: subject.wake() and subject.release(release).state is not ReleaseState.RUNNING, within=PATIENCE_S)
    aborted, record = out(release)
    assert aborted.in_flight == 2
    assert "2 requests hang" in record.reason
    for answer in answers:
        running = sfn.describe_execution(executionArn=answer.body["transform_id"])
        assert running["status"] == "RUNNING", "it may finish: the plan does not say stop"
