"""Evidence compares latest with one current. Where somebody writes another, it is evidence of nothing, until that is back."""

from __future__ import annotations

import json

import pytest

from canary.domain.audit import ExecutionStatus
from canary.domain.call import Call, CallResult
from canary.domain.evidence import Epoch
from canary.domain.release import Control, Verb
from canary.domain.states import Gate, Hold, ReleaseState
from canary.routing.problem import Problem
from tests.fakes.scene import APP, Scene, arn, machine

WINS, LOSES = 0.0, 0.99
_S = ReleaseState


def opened(*stages: object, lambdas: bool = False, **plan: object) -> Scene:
    stack = arn if lambdas else machine
    scene = Scene(plan={"stages": list(stages) or [{"weight": 50}], **plan}, current=stack("v1"))
    scene.ran_before(500, 2)
    scene.write_latest(stack("v2"))
    scene.flip()
    assert scene.only_release().state is _S.RUNNING
    return scene


def now(scene: Scene) -> tuple[ReleaseState, Hold | None, Gate]:
    release = scene.only_release()
    return release.state, release.hold, release.gate


def run(scene: Scene, number: int, status: ExecutionStatus = ExecutionStatus.SUCCEEDED) -> None:
    scene.spend(number)
    scene.end_workflows(status)
    scene.flip()


class TestAnotherCurrentWrittenByHand:
    def test_it_holds_a_judged_release_and_says_what_helps(self):
        scene = opened("earned")
        scene.parameters.put(APP, "current", machine("v0"))
        scene.flip()
        assert now(scene) == (_S.HELD, Hold.CURRENT, Gate.CLOSED)
        assert scene.only_release().reason == (
            f"current is {machine('v0')} by now, and the evidence compares with {machine('v1')}: "
            "write that back, or release again"
        )
        assert [kind for _, kind in scene.notices.sent].count("Release Held") == 1

    def test_it_goes_on_by_itself_when_that_is_written_back(self):
        scene = opened("earned")
        scene.behaves("v2")
        scene.parameters.put(APP, "current", machine("v0"))
        for _ in range(3):
            scene.flip()
        assert now(scene) == (_S.HELD, Hold.CURRENT, Gate.CLOSED)
        scene.parameters.put(APP, "current", json.dumps({"arn": machine("v1"), "tag": "the old one"}))
        scene.flip()
        assert now(scene) == (_S.RUNNING, None, Gate.OPEN)
        for _ in range(40):
            scene.spend()
            scene.flip()
        assert (now(scene)[0], scene.parameter("current")) == (_S.PROMOTED, machine("v2"))

    def test_what_was_proved_before_promotes_nothing_meanwhile(self):
        scene = opened({"weight": 100, "bake": "3h"}, max_failure_rate=0.5)
        run(scene, 12)
        scene.parameters.put(APP, "current", machine("v0"))
        scene.clock.pass_by(4 * 3_600_000)
        scene.flip()
        assert (now(scene)[1], scene.parameter("current")) == (Hold.CURRENT, machine("v0"))
        scene.parameters.put(APP, "current", machine("v1"))
        scene.flip()
        assert (now(scene)[0], scene.parameter("previous")) == (_S.PROMOTED, machine("v1"))

    def test_failures_still_throw_it_out(self):
        scene = opened("earned")
        scene.spend()
        scene.parameters.put(APP, "current", machine("v0"))
        scene.end_workflows(ExecutionStatus.FAILED)
        scene.flip()
        assert (now(scene)[0], scene.parameter("current")) == (_S.ABORTED, machine("v0"))

    def test_the_same_stack_in_other_words_is_no_other(self):
        scene = opened("earned")
        scene.parameters.put(APP, "current", json.dumps({"arn": machine("v1"), "tag": "1.0"}))
        scene.flip()
        assert now(scene) == (_S.RUNNING, None, Gate.OPEN)

    @pytest.mark.parametrize("plan", [None, {"stages": [{"quota": 2}]}])
    def test_a_plan_that_counts_compares_with_nothing_and_goes_on(self, plan):
        scene = Scene(plan=plan, current=machine("v1"))
        scene.write_latest(machine("v2"))
        scene.flip()
        scene.parameters.put(APP, "current", machine("v0"))
        scene.flip()
        assert now(scene) == (_S.RUNNING, None, Gate.OPEN)
        run(scene, 2)
        assert now(scene)[0] is _S.PROMOTED
        assert (scene.parameter("current"), scene.parameter("previous")) == (machine("v2"), machine("v0"))

    def test_latest_itself_is_another_too_and_by_force_it_is_promoted(self):
        """Who lost the coin would be served by latest as well: nothing is left to compare it with."""
        scene = opened({"weight": 50}, max_failure_rate=0.5)
        run(scene, 1)
        scene.parameters.put(APP, "current", machine("v2"))
        scene.flip()
        assert now(scene) == (_S.HELD, Hold.CURRENT, Gate.CLOSED)
        scene.ask(Verb.PROMOTE, force=True)
        scene.flip()
        assert (now(scene)[0], scene.parameter("current"), scene.parameter("latest")) == (_S.PROMOTED, machine("v2"), "NONE")


class TestSamplesOfAnotherCurrent:
    """Routers may know of it before the flipper does, or after it."""

    def test_its_failed_calls_are_no_evidence(self):
        scene = opened(lambdas=True)
        assert scene.send(scene.desk(WINS)).body["routed_to"] == "latest"
        scene.parameters.put(APP, "current", arn("v0"))
        scene.stacks.behaviour[arn("v0")] = Call(result=CallResult.FAILED, error="Unhandled")
        for _ in range(5):
            with pytest.raises(Problem):
                scene.send(scene.desk(LOSES))
        assert {row.target for row in scene.samples()} == {arn("v0")}
        scene.end_workflows()
        scene.flip()
        release = scene.only_release()
        assert {share: each.control for share, each in release.gathered.shares.items()} == {5_000: 0}
        assert all(row.counted for row in scene.samples()), "seen, and done with"

    def test_they_do_not_tell_where_the_workflows_of_the_compared_one_run(self):
        scene = opened(lambdas=True)
        scene.parameters.put(APP, "current", arn("v0"))
        scene.send(scene.desk(LOSES))
        scene.flip()
        assert (len(scene.samples()), scene.only_release().control) == (1, None)

    def test_failed_workflows_of_it_are_not_found_by_their_names_either(self):
        scene = opened()
        scene.send(scene.desk(WINS))
        scene.parameters.put(APP, "current", machine("v0"))
        for _ in range(4):
            scene.send(scene.desk(LOSES))
        scene.end_workflows(ExecutionStatus.FAILED)
        scene.flip()
        scene.ask_abort()
        assert [Epoch(**each) for each in scene.kept()[-1].case["evidence"]["epochs"]] == [Epoch(5_000, 1, 1)]


class TestWhatIsLearnedOfCurrent:
    def sampled(self) -> Scene:
        scene = opened(lambdas=True)
        scene.send(scene.desk(LOSES))
        return scene

    def test_it_is_kept_for_the_next_release(self):
        scene = self.sampled()
        scene.flip()
        kept = scene.releases.items[APP].learned
        assert kept is not None
        assert (kept.target, kept.control) == (arn("v1"), Control(machine("v1"), named=True))

    def test_it_is_not_taken_for_another_current(self):
        scene = self.sampled()
        scene.parameters.put(APP, "current", arn("v0"))
        scene.flip()
        scene.flip()
        assert scene.only_release().control == Control(machine("v1"), named=True)
        assert scene.releases.items[APP].learned is None
        scene.write_latest(arn("v3"))
        scene.flip()
        newer = scene.all_releases()[-1]
        assert (newer.against, newer.control, newer.baseline.executions) == (arn("v0"), None, 0)


def test_a_rollback_aborts_a_release_behind_it_that_was_accepted():
    """It stood behind the promoted one, whose watch is over: its preflight runs, and what it was to be compared with goes."""
    plan = {"stages": [{"quota": 1}], "watch": {"completed": 1}, "on_new_release": "queue", "deadline": "10d"}
    scene = Scene(plan=plan, current=machine("v1"))
    scene.write_latest(machine("v2"))
    scene.flip()
    run(scene, 1)
    scene.parameters.put(APP, "plan", json.dumps({**plan, "preflight": [{}]}))
    scene.write_latest(machine("v3"))
    scene.flip()
    first, second = scene.all_releases()
    assert (first.state, second.state, second.behind) == (_S.WATCHING, _S.OPENING, first.release)
    scene.send()
    scene.stacks.end(scene.sent_to("v2")[-1], ExecutionStatus.SUCCEEDED)
    scene.flip()
    scene.flip()
    first, second = scene.all_releases()
    assert (first.state, second.state, second.accepted) == (_S.PROMOTED, _S.OPENING, True)
    scene.ask(Verb.ROLLBACK, "wrong numbers", release=first.release)
    scene.flip()
    first, second = scene.all_releases()
    assert (first.state, second.state, scene.parameter("current")) == (_S.ROLLED_BACK, _S.ABORTED, machine("v1"))
    assert second.reason == f"rollback of {first.tag} by ops"
