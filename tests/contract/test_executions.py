"""What the reading of executions promises."""

from __future__ import annotations

import pytest

from canary.domain.audit import FAILURES, ExecutionStatus
from canary.domain.baseline import Past
from canary.errors import Unavailable
from tests.contract.hands import LEAN_TOO, MACHINE, NOBODY, OTHER

pytestmark = LEAN_TOO

NOW = 1_795_246_200_123
S = ExecutionStatus
FAILED = [S(status.value) for status in sorted(FAILURES)]


def names(executions) -> list[str]:
    return [execution.arn.rsplit(":", 1)[1] for execution in executions]


class TestPast:
    def test_a_state_machine_that_has_run_nothing_has_no_past(self, executions, hands):
        assert list(executions.past(MACHINE)) == []

    def test_one_that_does_not_exist_has_none_either(self, executions, hands):
        assert list(executions.past(NOBODY)) == []

    def test_finished_executions_come_newest_first_with_their_durations(self, executions, hands):
        hands.run("first", S.SUCCEEDED, NOW, 5_000)
        hands.run("third", S.FAILED, NOW + 20, 7)
        hands.run("second", S.ABORTED, NOW + 10, 0)
        assert list(executions.past(MACHINE)) == [
            Past(failed=True, started_at=NOW + 20, duration_ms=7),
            Past(failed=True, started_at=NOW + 10, duration_ms=0),
            Past(failed=False, started_at=NOW, duration_ms=5_000),
        ]

    @pytest.mark.parametrize("status", FAILED)
    def test_failed_timed_out_and_aborted_count_as_failed(self, executions, hands, status):
        hands.run("a", status, NOW)
        assert [past.failed for past in executions.past(MACHINE)] == [True]

    @pytest.mark.parametrize("status", [S.RUNNING, S.PENDING_REDRIVE])
    def test_what_has_not_ended_is_not_past(self, executions, hands, status):
        hands.run("a", status, NOW)
        hands.run("b", S.SUCCEEDED, NOW - 1)
        assert [past.started_at for past in executions.past(MACHINE)] == [NOW - 1]

    def test_executions_of_another_state_machine_are_not_its_past(self, executions, hands):
        hands.run("a", S.FAILED, NOW, machine=OTHER)
        assert list(executions.past(MACHINE)) == []

    @pytest.mark.parametrize("qualifier", [":live", ":7"])
    def test_an_alias_and_a_version_have_the_past_of_their_state_machine(self, executions, hands, qualifier):
        hands.run("a", S.SUCCEEDED, NOW, 3)
        assert list(executions.past(MACHINE + qualifier)) == [Past(failed=False, started_at=NOW, duration_ms=3)]


class TestFailures:
    def test_those_that_failed_since_come_newest_first(self, executions, hands):
        hands.run("early", S.FAILED, NOW - 1)
        for place, status in enumerate(FAILED):
            hands.run(f"at-{place}", status, NOW + place)
        assert names(executions.failures(MACHINE, NOW)) == ["at-2", "at-1", "at-0"]
        assert [each.status for each in executions.failures(MACHINE, NOW)] == FAILED[::-1]

    def test_those_that_run_or_have_succeeded_are_no_failures(self, executions, hands):
        for status in (S.RUNNING, S.SUCCEEDED):
            hands.run(status.value, status, NOW)
        assert list(executions.failures(MACHINE, 0)) == []

    def test_it_is_the_start_that_counts_and_not_the_end(self, executions, hands):
        hands.run("a", S.FAILED, NOW - 60_000, 120_000)
        assert list(executions.failures(MACHINE, NOW)) == []

    def test_those_of_another_state_machine_are_not_among_them(self, executions, hands):
        hands.run("a", S.FAILED, NOW, machine=OTHER)
        assert list(executions.failures(MACHINE, 0)) == []

    def test_when_the_state_machine_is_gone_nobody_says_that_nothing_failed(self, executions, hands):
        with pytest.raises(Unavailable) as caught:
            executions.failures(NOBODY, 0)
        assert caught.value.code == "StateMachineDoesNotExist"


class TestStarted:
    def test_the_first_moment_is_within_and_the_last_is_not(self, executions, hands):
        for place in range(-1, 4):
            hands.run(f"at{place}", S.RUNNING, NOW + place)
        assert names(executions.started(MACHINE, NOW, NOW + 3)) == ["at2", "at1", "at0"]

    def test_however_they_go_on(self, executions, hands):
        for place, status in enumerate([S.RUNNING, S.SUCCEEDED, *FAILED]):
            hands.run(f"at{place}", status, NOW + place)
        assert [each.status for each in executions.started(MACHINE, NOW, NOW + 9)] == [*FAILED[::-1], S.SUCCEEDED, S.RUNNING]

    def test_when_the_state_machine_is_gone_nobody_says_that_nothing_started(self, executions, hands):
        with pytest.raises(Unavailable) as caught:
            executions.started(NOBODY, 0, NOW)
        assert caught.value.code == "StateMachineDoesNotExist"


class TestSucceeded:
    def test_those_that_started_since_and_have_succeeded_come_newest_first(self, executions, hands):
        hands.run("early", S.SUCCEEDED, NOW - 1, 60_000)
        hands.run("first", S.SUCCEEDED, NOW)
        hands.run("second", S.SUCCEEDED, NOW + 1)
        for status in (S.RUNNING, *FAILED):
            hands.run(status.value, status, NOW + 2)
        assert names(executions.succeeded(MACHINE, NOW, 10)) == ["second", "first"]

    def test_no_fewer_than_wanted_come_where_there_are_as_many(self, executions, hands):
        for place in range(5):
            hands.run(f"at{place}", S.SUCCEEDED, NOW + place)
        assert names(executions.succeeded(MACHINE, NOW, 3))[:3] == ["at4", "at3", "at2"]

    def test_when_the_state_machine_is_gone_nobody_says_that_nothing_succeeded(self, executions, hands):
        with pytest.raises(Unavailable) as caught:
            executions.succeeded(NOBODY, 0, 1)
        assert caught.value.code == "StateMachineDoesNotExist"


class TestStop:
    def test_a_running_execution_ends_as_aborted(self, executions, hands):
        arn = hands.run("a", S.RUNNING, NOW)
        executions.stop(arn, "the release was aborted")
        seen = executions.observe([arn])[arn]
        assert (seen.status, seen.started_at, seen.stopped_at is not None) == (S.ABORTED, NOW, True)

    @pytest.mark.parametrize("status", [S.SUCCEEDED, *FAILED])
    def test_one_that_has_ended_stays_as_it_is(self, executions, hands, status):
        arn = hands.run("a", status, NOW, 5)
        executions.stop(arn, "too late")
        seen = executions.observe([arn])[arn]
        assert (seen.status, seen.started_at) == (status, NOW)

    def test_others_go_on(self, executions, hands):
        arns = [hands.run(name, S.RUNNING, NOW) for name in ("a", "b")]
        executions.stop(arns[0], "because")
        assert executions.observe(arns)[arns[1]].status is S.RUNNING

    def test_one_that_is_not_known_is_no_trouble(self, executions, hands):
        arn = f"{MACHINE.replace('stateMachine', 'execution')}:nobody"
        executions.stop(arn, "because")
        assert executions.observe([arn])[arn].status is S.MISSING
