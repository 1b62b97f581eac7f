"""What operators do at the same time, and to which release."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.asks import NotPossible
from canary.domain.release import Release, Verb
from canary.domain.states import Hold, ReleaseState
from canary.operating.holds import next_commands
from canary.operating.queue import in_turn, waiting_for
from tests.fakes.scene import APP, Scene, arn

_S = ReleaseState


def promoted() -> Scene:
    scene = Scene()
    scene.write_latest(arn("v2"))
    scene.flip()
    desk = scene.desk()
    for _ in range(2):
        scene.send(desk)
    scene.end_workflows()
    scene.flip()
    return scene


def test_two_who_roll_back_at_the_same_time_roll_back_once():
    scene = promoted()
    scene.ask(Verb.ROLLBACK, "mine")
    scene.ask(Verb.ROLLBACK, "theirs")
    scene.flip()
    assert scene.only_release().state is _S.ROLLED_BACK
    assert scene.parameter("current") == arn("v1")
    scene.ask(Verb.ROLLBACK, "it was not v2")
    scene.ask(Verb.ROLLBACK, "so say I")
    scene.flip()
    assert scene.only_release().state is _S.PROMOTED
    assert scene.parameter("current") == arn("v2")
    assert scene.only_release().asks == ()


def test_an_ask_that_means_another_state_than_there_is_by_now_is_not_put():
    scene = promoted()
    meant = scene.only_release()
    scene.ask(Verb.ROLLBACK)
    scene.flip()
    with pytest.raises(NotPossible, match="is ROLLED_BACK by now, and was PROMOTED just before"):
        scene.operator().ask(APP, Verb.ROLLBACK, "because", meant=meant)
    assert scene.only_release().asks == ()
    scene.operator().ask(APP, Verb.ROLLBACK, "because", meant=scene.only_release())
    assert len(scene.only_release().asks) == 1


def test_a_release_that_is_held_for_a_decision_is_not_resumed_to_be_held_again():
    scene = Scene(plan={"stages": [{"quota": 1, "gate": "manual"}, {"quota": 1}]})
    scene.write_latest(arn("v2"))
    scene.flip()
    scene.send()
    scene.end_workflows()
    scene.flip()
    held = scene.only_release()
    assert held.hold is Hold.APPROVAL
    with pytest.raises(NotPossible, match=r"waits for approval: `canary promote transformer`"):
        scene.ask(Verb.RESUME)
    # An ask that was put before it was held is refused by the flipper, and the gate's time goes on.
    early = replace(held, asks=(*held.asks, *scene.operator().ask(APP, Verb.PAUSE, "x").asks))
    early = replace(early, asks=tuple(replace(ask, verb=Verb.RESUME) for ask in early.asks), gate=held.gate)
    assert scene.releases.save(scene.only_release(), early)
    scene.flip()
    after = scene.only_release()
    assert (after.state, after.hold, after.since) == (_S.HELD, Hold.APPROVAL, held.since)
    assert after.history[-1].what == "resume refused"


def release(name: str, state: ReleaseState, opened_at: int, behind: str | None = None) -> Release:
    return Release(
        app=APP, release=name, rev=1, state=state, since=opened_at, opened_at=opened_at, written_at=opened_at, value="v",
        target="t", tag=name, behind=behind,
    )  # fmt: skip


def test_who_goes_first_comes_first_and_who_has_ended_not_at_all():
    first, old, waiting = release("a", _S.WATCHING, 1), release("b", _S.ABORTED, 2), release("c", _S.OPENING, 3, behind="a")
    assert in_turn([waiting, old, first]) == [first, waiting]
    assert waiting_for(first, in_turn([waiting, old, first])) == waiting
    assert waiting_for(waiting, [first, waiting]) is None
    opened = replace(waiting, state=_S.RUNNING)
    assert in_turn([opened, old]) == [opened]
    assert waiting_for(first, [opened]) is None


@pytest.mark.parametrize("hold", [*Hold, None])
def test_every_hold_has_a_cure(hold):
    words = next_commands("transformer", hold)
    assert words.endswith(", or canary abort transformer")
    assert ("canary resume" in words) is (hold in {Hold.LOST, Hold.UNSENT, Hold.FOREIGN, None})
    assert ("canary promote" in words) is (hold in {Hold.APPROVAL, Hold.DEADLINE})
