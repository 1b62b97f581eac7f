"""What operators ask for: in which order it is carried out, and what is refused with which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.audit import ExecutionStatus
from canary.domain.release import Ask, Change, Verb
from canary.domain.states import Gate, Hold, ReleaseState
from canary.errors import Unavailable
from tests.fakes.scene import APP, Scene, machine

SLOWER = Unavailable("sfn", "ThrottlingException", "slower")
_S = ReleaseState


def opened(*stages: object, **plan: object) -> Scene:
    scene = Scene(plan={"stages": list(stages) or ["earned"], **plan}, current=machine("v1"))
    scene.ran_before(500, 2)
    scene.write_latest(machine("v2"))
    scene.flip()
    return scene


def asks(scene: Scene, *verbs: Verb, force: bool = False) -> None:
    """Put asks in a row, as operators do who do not wait for one another."""
    before = scene.only_release()
    wanted = tuple(Ask(verb, f"ops {number}", "because", scene.clock(), force=force) for number, verb in enumerate(verbs))
    gate = Gate.CLOSED if {Verb.ABORT, Verb.PAUSE} & set(verbs) else before.gate
    assert scene.releases.save(before, replace(before, asks=wanted, gate=gate))


def run(scene: Scene, number: int) -> None:
    scene.spend(number)
    scene.end_workflows()
    scene.flip()


def last(scene: Scene) -> Change:
    return scene.only_release().history[-1]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("before", [[Verb.PROMOTE], [Verb.PAUSE, Verb.PROMOTE], [Verb.RESUME, Verb.PROMOTE, Verb.RESUME]])
def test_an_abort_goes_before_all_that_was_asked_earlier(before, force):
    scene = opened({"quota": 3, "bake": "1h"})
    run(scene, 3)
    asks(scene, *before, Verb.ABORT, force=force)
    scene.flip()
    release = scene.only_release()
    assert (release.state, scene.parameter("current"), release.asks) == (_S.ABORTED, machine("v1"), ())
    refused = [(change.what, change.why) for change in release.history if change.what.endswith("refused")]
    assert refused
    assert all(why == "the release is ABORTED" for _, why in refused)
    assert f"abort by ops {len(before)}" in (release.reason or "")


def test_an_abort_that_was_asked_first_is_not_overtaken_by_a_promotion():
    scene = opened({"quota": 3, "bake": "1h"})
    run(scene, 3)
    asks(scene, Verb.ABORT, Verb.PROMOTE)
    scene.flip()
    assert scene.only_release().state is _S.ABORTED


def test_asks_without_an_abort_are_carried_out_as_they_came():
    scene = opened({"quota": 3, "bake": "1h"})
    asks(scene, Verb.PAUSE, Verb.RESUME, Verb.PAUSE)
    scene.flip()
    assert scene.only_release().state is _S.PAUSED
    assert [change.what for change in scene.only_release().history[-3:]] == [
        "RUNNING → PAUSED",
        "PAUSED → RUNNING",
        "RUNNING → PAUSED",
    ]


class TestAPromotionThatNobodyCanJudge:
    """It is refused with the reason, so that nobody thinks that it is on its way."""

    @pytest.mark.parametrize("force", [False, True])
    @pytest.mark.parametrize(
        ("call", "words"),
        [
            ("sfn.observe", "cannot be followed: sfn: ThrottlingException: slower: ask again"),
            ("sfn.failures", "not everything can be seen"),
        ],
    )
    def test_because_something_cannot_be_read_just_now(self, call, words, force):
        scene = opened({"weight": 50, "bake": {"completed": 1_000}}, max_failure_rate=0.5)
        scene.behaves("v2")
        for _ in range(6):
            scene.spend(10)
            scene.flip()
        scene.calls.fail(SLOWER, call)
        asks(scene, Verb.PROMOTE, force=force)
        scene.flip()
        release = scene.only_release()
        assert (release.state, release.gate, last(scene).what) == (_S.RUNNING, Gate.OPEN, "promote refused")
        assert last(scene).why.startswith("promotion needs proof, and ")
        assert words in last(scene).why
        assert last(scene).why.endswith("ask again")
        scene.calls.let_live()
        scene.flip()
        assert (scene.only_release().asks, scene.parameter("current")) == ((), machine("v1"))
        asks(scene, Verb.PROMOTE, force=force)
        scene.flip()
        assert scene.only_release().state is _S.PROMOTED

    def test_an_abort_is_carried_out_all_the_same(self):
        scene = opened()
        scene.spend()
        scene.calls.fail(SLOWER, "sfn.observe", "sfn.failures")
        scene.ask(Verb.ABORT, "enough")
        scene.flip()
        assert (scene.only_release().state, scene.only_release().reason) == (_S.ABORTED, "abort by ops: enough")

    def test_a_pause_and_a_resume_too(self):
        scene = opened()
        scene.spend()
        scene.calls.fail(SLOWER, "sfn.observe", "sfn.failures")
        for verb, state in ((Verb.PAUSE, _S.PAUSED), (Verb.RESUME, _S.RUNNING)):
            scene.ask(verb)
            scene.flip()
            assert scene.only_release().state is state


class TestWithAnotherCurrentThanTheEvidenceComparesWith:
    def proved(self) -> Scene:
        scene = opened({"quota": 3, "bake": "5h"}, max_failure_rate=0.9)
        run(scene, 3)
        scene.parameters.put(APP, "current", machine("v0"))
        return scene

    def test_a_promotion_is_refused_with_what_helps(self):
        scene = self.proved()
        asks(scene, Verb.PROMOTE)
        scene.flip()
        refused = next(change for change in scene.only_release().history if change.what == "promote refused")
        assert refused.why.startswith(f"promotion needs proof: current is {machine('v0')} by now, and the evidence compares with")
        assert "write that back, or release again" in refused.why
        assert (scene.only_release().hold, scene.parameter("current")) == (Hold.CURRENT, machine("v0"))

    @pytest.mark.parametrize("held", [False, True])
    def test_by_force_it_replaces_that_one_which_becomes_previous(self, held):
        scene = self.proved()
        if held:
            scene.flip()
            assert scene.only_release().hold is Hold.CURRENT
        scene.ask(Verb.PROMOTE, "it is the right one", force=True)
        scene.flip()
        assert scene.only_release().state is _S.PROMOTED
        assert (scene.parameter("current"), scene.parameter("previous")) == (machine("v2"), machine("v0"))
        assert "forced past stage 1 of 1" in (scene.only_release().verdict or "")

    def test_force_promotes_over_no_current_that_cannot_be_called(self):
        scene = self.proved()
        scene.parameters.put(APP, "current", "oops")
        scene.ask(Verb.PROMOTE, force=True)
        scene.flip()
        assert "current is missing or names no target" in next(
            change.why for change in scene.only_release().history if change.what == "promote refused"
        )
        assert scene.parameter("current") == "oops"


def test_an_abort_is_carried_out_while_another_stack_is_current():
    scene = opened()
    scene.spend()
    scene.parameters.put(APP, "current", machine("v0"))
    scene.flip()
    scene.ask(Verb.ABORT)
    scene.end_workflows(ExecutionStatus.SUCCEEDED)
    scene.flip()
    assert (scene.only_release().state, scene.parameter("current")) == (_S.ABORTED, machine("v0"))
