"""Earned slots: few requests at first, more as they succeed, until enough is proved or latest is out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from canary.domain import pace
from canary.domain.audit import ExecutionStatus
from canary.domain.evidence import Evidence
from canary.domain.pace import slots
from canary.domain.release import Release
from canary.domain.states import Gate, ReleaseState
from canary.errors import Denied, Unavailable
from tests.fakes.scene import APP, Scene, machine

HOUR_MS = 3_600_000
EARNED = {"stages": ["earned"]}


def opened(plan: dict[str, object] | str = EARNED, *, executions: int = 500, failed: int = 2) -> Scene:
    scene = Scene(plan=plan, current=machine("v1"))
    scene.ran_before(executions, failed)
    scene.write_latest(machine("v2"))
    scene.flip()
    assert scene.only_release().state is ReleaseState.RUNNING
    return scene


def climb(scene: Scene, rounds: int = 60, watch: Callable[[Release], None] = lambda _: None) -> Release:
    """Use every slot in every round, until the release has ended."""
    for _ in range(rounds):
        scene.spend()
        watch(scene.all_releases()[-1])
        scene.flip()
        watch(scene.all_releases()[-1])
        if scene.all_releases()[-1].ended:
            break
    return scene.all_releases()[-1]


def test_a_clean_release_earns_two_slots_then_more_and_more_and_is_promoted_after_about_thirty():
    scene = opened()
    earned, clean = [scene.spend()], 0
    while scene.only_release().state is ReleaseState.RUNNING:
        scene.end_workflows()
        scene.flip()
        clean += earned[-1]
        earned.append(scene.spend())
    assert earned[:-1] == [2, 2, 3, 5, 8, 13]
    assert clean == 33
    release = scene.only_release()
    assert (release.state, scene.parameter("current"), release.gate) == (ReleaseState.PROMOTED, machine("v2"), Gate.CLOSED)
    assert "33 of 33 requests succeeded; it fails at most 9.1" in (release.verdict or "")


def test_requests_on_the_way_are_never_more_than_earned():
    scene = opened()
    scene.behaves("v2")

    def within(release: Release) -> None:
        known = Evidence(finished=release.tally.known, failed=release.tally.failures)
        assert release.in_flight <= slots(known, release.baseline)

    assert climb(scene, watch=within).state is ReleaseState.PROMOTED


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_version_that_fails_often_is_out_after_few(every):
    scene = opened()
    scene.behaves("v2", fails=lambda number: number % every == every - 1)
    release = climb(scene)
    assert (release.state, scene.parameter("current"), scene.parameter("latest")) == (ReleaseState.ABORTED, machine("v1"), "NONE")
    assert release.claimed <= {1: 4, 2: 8, 3: 14}[every]
    assert "requests failed, where 0.499 % is normal" in (release.reason or "")
    assert machine("v2") in scene.releases.items[APP].quarantine


def with_five_free() -> Scene:
    scene = opened()
    for _ in range(3):
        scene.spend()
        scene.end_workflows()
        scene.flip()
    assert free(scene.only_release()) == 5
    return scene


def free(release: Release) -> int:
    return release.granted - release.claimed


def test_a_failure_takes_slots_away_again():
    scene = with_five_free()
    scene.spend(1)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.flip()
    release = scene.only_release()
    assert (free(release), release.state) == (2, ReleaseState.RUNNING)


def test_slots_are_not_taken_away_from_whom_has_claimed_them():
    scene = with_five_free()
    assert scene.spend() == 5
    scene.stacks.end(next(row.request_id for row in scene.rows() if not row.counted), ExecutionStatus.FAILED)
    scene.flip()
    release = scene.only_release()
    assert (release.claimed, release.granted, release.in_flight) == (12, 12, 4)


@pytest.mark.parametrize("meanwhile", [1, 2, 3, 4])
def test_slots_that_are_claimed_while_they_are_taken_away_stay_claimed(meanwhile):
    """The flipper has read that four are free, and routers claim some before it writes that two are."""
    scene = with_five_free()
    scene.spend(1)
    scene.end_workflows(ExecutionStatus.FAILED)
    seen: list[Release] = []

    def claim(_: int, name: str, when: str) -> None:
        release = scene.only_release()
        seen.append(release)
        if (name, when, len(release.counted)) == ("ddb.save", "before", 0) and release.tally.failures and release.claimed == 8:
            scene.spend(meanwhile)

    scene.calls.on_call = claim
    scene.flip()
    release = scene.only_release()
    assert release.claimed == 8 + meanwhile
    assert all(one.claimed <= one.granted for one in seen)
    assert free(release) == max(0, 2 - meanwhile)


def test_one_that_is_twice_as_slow_is_thrown_out():
    scene = opened()
    scene.behaves("v2", slow=2.5)
    release = climb(scene)
    assert release.state is ReleaseState.ABORTED
    assert "slower than current" in (release.reason or "")
    assert release.claimed < 60


def test_one_that_is_as_quick_as_current_is_not():
    scene = opened()
    scene.behaves("v2", slow=1.0)
    assert climb(scene).state is ReleaseState.PROMOTED


def test_one_that_hangs_is_thrown_out():
    scene = opened()
    scene.behaves("v2", slow=None)
    release = climb(scene)
    assert release.state is ReleaseState.ABORTED
    assert "2 requests hang: on the way for" in (release.reason or "")
    assert release.claimed <= 4


class TestSomeThatHang:
    """They count as failed until they end. They keep nobody from sending others, and nothing from being weighed."""

    def climbed(self, hang: set[int], rounds: int = 14) -> tuple[Scene, list[int]]:
        """All but these requests succeed, the first is 0; and how many slots there were in each round."""
        scene, sent = opened({"stages": ["earned"], "deadline": "10d"}), []
        for _ in range(rounds):
            sent.append(scene.spend())
            for number, row in enumerate(scene.rows()):
                if number not in hang and not row.counted:
                    scene.stacks.end(row.request_id, ExecutionStatus.SUCCEEDED)
            scene.flip()
            scene.clock.pass_by(HOUR_MS)
            scene.flip()
            if scene.only_release().ended:
                break
        return scene, sent

    @pytest.mark.parametrize("number", [0, 3])
    def test_one_alone_throws_nothing_out_and_what_was_claimed_after_it_is_proof(self, number):
        scene, sent = self.climbed({number})
        release = scene.only_release()
        assert (release.state, scene.parameter("current"), release.in_flight) == (ReleaseState.PROMOTED, machine("v2"), 1)
        assert min(sent) >= 2
        assert release.claimed > 50, "as with one failure, it takes more than the 33 of a clean release"

    def test_one_alone_is_told_while_the_release_waits(self):
        scene, _ = self.climbed({0}, rounds=3)
        reasons = [record.reason for record in scene.kept()]
        assert any("1 request hangs: on the way for" in reason for reason in reasons)

    def test_two_do_not_keep_others_from_being_sent(self):
        scene, sent = self.climbed({20, 21})
        assert sent[:6] == [2, 2, 3, 5, 8, 13]
        assert min(sent[6:]) >= 5
        assert (scene.only_release().state, scene.only_release().in_flight) == (ReleaseState.PROMOTED, 2)

    def test_two_of_the_first_throw_it_out(self):
        scene, _ = self.climbed({0, 1})
        assert scene.only_release().state is ReleaseState.ABORTED

    def test_one_that_ends_well_after_all_is_a_success_and_the_release_climbs_as_if_nothing_had_been(self):
        scene, _ = self.climbed({0}, rounds=3)
        before = scene.only_release().granted - scene.only_release().claimed
        scene.end_workflows()
        scene.flip()
        release = scene.only_release()
        assert (release.tally.failures, release.in_flight) == (0, 0)
        assert release.granted - release.claimed == slots(Evidence(finished=6), release.baseline) > before


def test_what_hangs_is_told_by_the_workflows_own_start_and_only_beyond_the_plans_limit():
    scene = opened({"stages": ["earned"], "hung_after": 100, "deadline": "10d"})
    scene.behaves("v2", slow=None)
    climb(scene, rounds=30)
    release = scene.only_release()
    assert (release.state, release.claimed) == (ReleaseState.RUNNING, 2)


def test_without_a_history_two_failures_are_still_enough():
    scene = opened(executions=0)
    scene.behaves("v2", fails=lambda _: True)
    assert climb(scene).claimed == 2
    assert scene.only_release().state is ReleaseState.ABORTED


def test_without_a_history_it_takes_as_long_and_says_nothing_of_durations():
    scene = opened(executions=0)
    scene.behaves("v2", slow=4.0)
    assert climb(scene).state is ReleaseState.PROMOTED


def test_no_evidence_never_promotes_and_the_deadline_ends_it():
    scene = opened({"stages": ["earned"], "deadline": "3h"})
    scene.clock.pass_by(2 * HOUR_MS)
    scene.flip()
    assert scene.only_release().state is ReleaseState.RUNNING
    scene.clock.pass_by(HOUR_MS)
    scene.flip()
    release = scene.only_release()
    assert (release.state, scene.parameter("current")) == (ReleaseState.ABORTED, machine("v1"))
    assert "not decided within its deadline of 3 h" in (release.reason or "")


def test_while_step_functions_does_not_answer_nothing_is_decided():
    scene = opened()
    scene.spend()
    scene.end_workflows()
    scene.calls.down = {"sfn"}
    before = scene.only_release()
    scene.flip()
    after = scene.only_release()
    assert (after.state, after.granted, after.gate) == (before.state, before.granted, Gate.OPEN)


def test_success_of_the_young_does_not_prove_what_the_old_still_may_refute():
    """The first request of all runs on and on: nothing that was claimed after it promotes."""
    scene = opened({"stages": ["earned"], "hung_after": 100, "deadline": "10d"})
    scene.spend(1)
    (oldest,) = [row.request_id for row in scene.rows()]
    for _ in range(12):
        scene.spend()
        for row in scene.rows():
            arn_ = row.transform_id or ""
            if row.request_id != oldest and scene.stacks.executions[arn_].status is ExecutionStatus.RUNNING:
                scene.stacks.end(row.request_id, ExecutionStatus.SUCCEEDED)
        scene.flip()
    release = scene.only_release()
    assert (release.state, release.tally.succeeded > 50) == (ReleaseState.RUNNING, True)
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is ReleaseState.PROMOTED


def test_a_bigger_quota_of_a_judged_plan_is_no_proof_by_itself():
    scene = opened({"stages": [{"quota": 5}, "earned"]})
    scene.behaves("v2")
    climb(scene, rounds=4)
    release = scene.only_release()
    assert (release.stage, release.state) == (1, ReleaseState.RUNNING)


def test_a_large_quota_is_granted_in_portions_so_that_the_item_stays_small(monkeypatch):
    monkeypatch.setattr(pace, "MOST_OUT", 20)
    scene = opened({"stages": [{"quota": 50}], "max_failure_rate": 0.1}, executions=0)
    assert (scene.only_release().granted, scene.spend()) == (20, 20)
    scene.flip()
    assert scene.only_release().granted == 40
    scene.spend(9)
    scene.flip()
    assert scene.only_release().granted == 40, "11 are free, and a write for each request would cost more than it is worth"
    scene.spend(2)
    scene.flip()
    assert scene.only_release().granted == 50, "never more than the quota"


@pytest.mark.parametrize(("error", "state"), [(Unavailable, ReleaseState.OPENING), (Denied, ReleaseState.RUNNING)])
def test_a_history_that_cannot_be_read_is_waited_for_and_one_that_may_not_be_is_none(error, state):
    scene = Scene(plan=EARNED, current=machine("v1"))
    scene.ran_before()

    def fail(_: int, name: str, when: str) -> None:
        if name == "sfn.past":
            raise error("sfn", "Code", "no")

    scene.calls.on_call = fail
    scene.write_latest(machine("v2"))
    scene.flip()
    assert scene.only_release().state is state
    scene.calls.let_live()
    scene.flip()
    release = scene.only_release()
    assert (release.state, release.baseline.executions) == (ReleaseState.RUNNING, 500 if error is Unavailable else 0)
