"""Control: current's failures while the coin decides, however many there are, and while nobody knows where to find them."""

from __future__ import annotations

import random

import pytest

from canary.domain.audit import SKEW_MS, ExecutionStatus
from canary.domain.call import Call, CallResult
from canary.domain.evidence import Epoch
from canary.domain.release import Control, Release, Verb
from canary.domain.states import Gate, Hold, ReleaseState
from canary.errors import Unavailable
from canary.flipping import look
from canary.routing.problem import Problem
from tests.fakes.scene import APP, Scene, arn, machine

WINS, LOSES = 0.0, 0.99
ENDLESS = {"weight": 20, "min_completed": 10_000}
TOO_MANY = Unavailable("sfn", "TooMany", "more than 10000 have failed")
_S = ReleaseState


def opened(*stages: object, lambdas: bool = False, **plan: object) -> Scene:
    stack = arn if lambdas else machine
    scene = Scene(plan={"stages": list(stages) or [{"weight": 50}], "max_failure_rate": 0.9, **plan}, current=stack("v1"))
    scene.ran_before(400, 200)
    scene.write_latest(stack("v2"))
    scene.flip()
    return scene


def toss(scene: Scene, wins: int, losses: int) -> None:
    winner, loser = scene.desk(WINS), scene.desk(LOSES)
    assert all(scene.send(winner).body["routed_to"] == "latest" for _ in range(wins))
    assert all(scene.send(loser).body["routed_to"] == "current" for _ in range(losses))


def end(scene: Scene, stack: str, failed: int) -> None:
    """End what runs on a stack, the first ones badly."""
    going = [
        name
        for name, each in scene.stacks.executions.items()
        if f"transformer-{stack}:" in name and each.status is ExecutionStatus.RUNNING
    ]
    for number, name in enumerate(going):
        status = ExecutionStatus.FAILED if number < failed else ExecutionStatus.SUCCEEDED
        scene.stacks.end(name.rsplit(":", 1)[-1], status)


def epochs(scene: Scene) -> tuple[Epoch, ...]:
    """The epochs of the newest evidence record."""
    return tuple(Epoch(**each) for each in scene.kept()[-1].case["evidence"]["epochs"])


class TestManyFailures:
    """Above a number they are counted for good, so that no page is read twice."""

    def outage(self, monkeypatch: pytest.MonkeyPatch, many: int, seed: int, rounds: int = 24) -> Scene:
        """Half of everything fails, on both stacks, now at one share and now at another."""
        monkeypatch.setattr(look, "MANY", many)
        scene, draw = opened({"weight": 50, "min_completed": 10}, ENDLESS, deadline="10d"), random.Random(seed)
        for _ in range(rounds):
            wins, losses = draw.randrange(3), draw.randrange(8)
            toss(scene, wins, losses)
            end(scene, "v1", draw.randrange(losses + 1))
            end(scene, "v2", draw.randrange(wins + 1) // 2)
            scene.flip()
        assert scene.only_release().state is _S.RUNNING
        return scene

    @pytest.mark.parametrize("seed", range(6))
    def test_it_makes_no_difference_to_what_is_compared(self, monkeypatch, seed):
        told, kept = [], []
        for many in (0, 5, 20, 10**6):
            scene = self.outage(monkeypatch, many, seed)
            kept.append(sum(each.control for each in scene.only_release().gathered.shares.values()))
            scene.ask_abort()
            told.append(epochs(scene))
        assert told == [told[0]] * 4
        assert {each.share for each in told[0]} == {5_000, 2_000}
        assert kept[0] >= kept[1] >= kept[2] > kept[3] == 0

    def test_they_are_read_from_there_on(self, monkeypatch):
        since: list[int] = []
        read = Scene().stacks.__class__.failures

        def spy(stacks, of, at):
            since.append(at)
            return read(stacks, of, at)

        monkeypatch.setattr(Scene().stacks.__class__, "failures", spy)
        scene = self.outage(monkeypatch, 5, 1)
        assert since == sorted(since)
        release = scene.only_release()
        assert since[0] == release.opened_at - SKEW_MS
        assert since[-1] <= release.gathered.compared_until
        assert len(set(since)) > 5
        hung = release.baseline.overdue_ms(release.plan.hung_after)
        assert hung is not None
        assert scene.clock.now - release.gathered.compared_until >= hung, "what is younger may still fail"

    def test_one_that_runs_for_long_and_fails_then_is_counted_once(self, monkeypatch):
        monkeypatch.setattr(look, "MANY", 3)
        scene = opened(ENDLESS, deadline="10d")
        toss(scene, 0, 1)
        (late,) = scene.sent_to("v1")
        for number in range(24):
            toss(scene, 1, 2)
            for name in scene.sent_to("v1")[-2:]:
                scene.stacks.end(name, ExecutionStatus.FAILED)
            if number == 8:
                scene.stacks.end(late, ExecutionStatus.FAILED)
            end(scene, "v2", number % 2)
            scene.flip()
        assert scene.only_release().gathered.compared_until > 0
        scene.ask_abort()
        assert epochs(scene) == (Epoch(2_000, 49 + 12, 12),)

    def test_without_durations_nobody_knows_what_is_old_enough_and_all_are_read_each_time(self, monkeypatch):
        monkeypatch.setattr(look, "MANY", 2)
        scene = Scene(plan={"stages": [ENDLESS], "max_failure_rate": 0.9}, current=machine("v1"))
        scene.write_latest(machine("v2"))
        scene.flip()
        for _ in range(20):
            toss(scene, 1, 2)
            end(scene, "v1", 2)
            end(scene, "v2", 0)
            scene.flip()
        assert scene.only_release().gathered.compared_until == 0
        scene.ask_abort()
        assert epochs(scene) == (Epoch(2_000, 40, 0),)

    def test_what_somebody_else_was_faster_than_to_count_is_told_all_the_same(self, monkeypatch):
        monkeypatch.setattr(look, "MANY", 0)
        scene = opened(deadline="10d")
        toss(scene, 2, 10)
        end(scene, "v1", 10)
        end(scene, "v2", 1)
        scene.clock.pass_by(7_200_000)
        save = scene.releases.save
        lost: list[str] = []

        def slower(before: Release, after: Release, *, idle: bool = False) -> bool:
            if after.gathered.compared_until and not lost:
                lost.append(after.release)
                scene.ask(Verb.ABORT)
            return save(before, after, idle=idle)

        monkeypatch.setattr(scene.releases, "save", slower)
        scene.flip()
        assert (len(lost), scene.only_release().gathered.compared_until) == (1, 0)
        assert epochs(scene) == (Epoch(5_000, 11, 1),)


def test_more_than_can_be_read_at_all_hold_the_release_and_it_goes_on_when_they_can():
    scene = opened()
    for _ in range(6):
        toss(scene, 2, 2)
        end(scene, "v1", 2)
        end(scene, "v2", 2)
        scene.calls.fail(TOO_MANY, "sfn.failures")
        scene.flip()
        release = scene.only_release()
        assert (release.state, release.hold, release.gate) == (_S.HELD, Hold.OBSERVATION, Gate.CLOSED)
        scene.calls.let_live()
        scene.flip()
        assert scene.only_release().state is _S.RUNNING


class TestWhileNobodyKnowsWhereCurrentsWorkflowsAre:
    """Current is a Lambda, and no request of this release has gone there yet."""

    def failing(self, number: int = 20) -> Scene:
        scene = opened(lambdas=True)
        toss(scene, number, 0)
        end(scene, "v2", number)
        scene.flip()
        return scene

    def test_nothing_is_compared_and_nothing_is_held_against_the_history_either(self):
        scene = self.failing()
        release = scene.only_release()
        assert (release.state, release.control, release.tally.failures) == (_S.RUNNING, None, 20)
        scene.ask_abort()
        evidence = scene.kept()[-1].case["evidence"]
        assert (evidence["epochs"], evidence["alone_started"], evidence["alone_failed"]) == ([], 0, 0)

    def test_from_the_first_answered_sample_on_they_are_compared(self):
        scene = self.failing()
        toss(scene, 0, 1)
        scene.flip()
        release = scene.only_release()
        assert (release.control, release.state) == (Control(machine("v1"), named=True), _S.ABORTED)
        assert "of 20 failures while the coin decided, 20 were latest's" in (release.reason or "")

    def test_from_the_first_failed_sample_on_too(self):
        """A call of current that fails says nothing of its workflows, and it is a failure to compare with."""
        scene = self.failing()
        scene.stacks.behaviour[arn("v1")] = Call(result=CallResult.FAILED, error="Unhandled")
        with pytest.raises(Problem):
            scene.send(scene.desk(LOSES))
        scene.flip()
        release = scene.only_release()
        assert (release.control, release.state) == (None, _S.ABORTED)
        assert epochs(scene) == (Epoch(5_000, 21, 20),)

    def test_current_failing_as_much_meanwhile_is_seen_when_it_is_found(self):
        """Also where the one request of which a record was kept had failed before anybody looked."""
        scene = opened(lambdas=True)
        toss(scene, 12, 12)
        end(scene, "v1", 12)
        end(scene, "v2", 12)
        scene.flip()
        assert scene.only_release().state is _S.RUNNING
        scene.ask_abort()
        assert epochs(scene) == (Epoch(5_000, 24, 12),)

    def test_it_is_no_blindness_and_the_release_goes_on(self):
        scene = self.failing(1)
        (done,) = scene.flip()
        assert (done.result, scene.only_release().hold, scene.only_release().gate) == ("done", None, Gate.OPEN)
        assert ("ReleaseHeld", APP) not in scene.counts
