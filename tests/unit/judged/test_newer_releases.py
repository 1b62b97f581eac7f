"""A newer write to latest while a release runs: it supersedes, waits, or is refused, as the running release's plan says."""

from __future__ import annotations

import json

import pytest

from canary.domain.audit import ExecutionStatus
from canary.domain.release import Release, Verb
from canary.domain.states import Gate, ReleaseState
from tests.fakes.scene import APP, Scene, arn, machine

DAY_MS = 86_400_000
_S = ReleaseState


def opened(policy: str, **plan: object) -> Scene:
    scene = Scene(plan={"stages": [{"quota": 2}], "on_new_release": policy, **plan})
    scene.write_latest(arn("v2"))
    scene.flip()
    return scene


def states(scene: Scene) -> list[ReleaseState]:
    return [release.state for release in scene.all_releases()]


def first(scene: Scene) -> Release:
    return scene.all_releases()[0]


def last(scene: Scene) -> Release:
    return scene.all_releases()[-1]


def prove(scene: Scene, stack: str, status: ExecutionStatus = ExecutionStatus.SUCCEEDED) -> None:
    assert scene.spend() == 2
    assert len(scene.sent_to(stack)) == 2
    scene.end_workflows(status)
    scene.flip()


class TestSupersede:
    def test_three_writes_and_the_last_one_is_on_trial(self):
        scene = opened("supersede")
        scene.spend(1)
        scene.write_latest(arn("v3"))
        scene.write_latest(arn("v4"))
        scene.flip()
        assert states(scene) == [_S.SUPERSEDED, _S.RUNNING]
        assert (last(scene).target, first(scene).gate) == (arn("v4"), Gate.CLOSED)


class TestQueue:
    def test_a_newer_one_waits_and_routers_go_on_with_the_one_in_front(self):
        scene = opened("queue")
        desk = scene.desk()
        scene.send(desk)
        scene.write_latest(arn("v3"))
        scene.flip()
        assert states(scene) == [_S.RUNNING, _S.OPENING]
        assert (last(scene).behind, last(scene).gate, last(scene).granted) == (first(scene).release, Gate.CLOSED, 0)
        assert scene.spend() == 1
        assert len(scene.sent_to("v2")) == 2
        assert scene.sent_to("v3") == []
        assert scene.parameter("latest") == arn("v3")

    def test_nothing_is_looked_up_for_one_that_waits(self):
        scene = opened("queue")
        scene.write_latest(arn("v3"))
        scene.flip()
        before = scene.calls.log.count("stack.problem")
        for _ in range(3):
            scene.flip()
        assert scene.calls.log.count("stack.problem") == before

    @pytest.mark.parametrize("ended", [ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED])
    def test_it_opens_when_the_one_in_front_has_ended_and_is_tried_in_its_turn(self, ended):
        scene = opened("queue")
        scene.write_latest(arn("v3"))
        scene.flip()
        prove(scene, "v2", ended)
        promoted = ended is ExecutionStatus.SUCCEEDED
        assert states(scene) == [_S.PROMOTED if promoted else _S.ABORTED, _S.RUNNING]
        assert scene.parameter("current") == arn("v2" if promoted else "v1")
        assert scene.parameter("latest") == arn("v3")
        prove(scene, "v3")
        assert (last(scene).state, scene.parameter("current")) == (_S.PROMOTED, arn("v3"))
        assert scene.parameter("previous") == arn("v2" if promoted else "v1")

    def test_a_third_write_takes_the_place_of_the_one_that_waits(self):
        scene = opened("queue")
        for stack in ("v3", "v4"):
            scene.write_latest(arn(stack))
            scene.flip()
        assert states(scene) == [_S.RUNNING, _S.SUPERSEDED, _S.OPENING]
        assert last(scene).behind == first(scene).release
        prove(scene, "v2")
        assert states(scene) == [_S.PROMOTED, _S.SUPERSEDED, _S.RUNNING]
        assert last(scene).target == arn("v4")

    def test_its_deadline_counts_from_its_own_turn(self):
        scene = opened("queue", deadline="30d")
        scene.parameters.put(APP, "plan", json.dumps({"stages": [{"quota": 2}], "deadline": "1d"}))
        scene.write_latest(arn("v3"))
        scene.flip()
        scene.clock.pass_by(3 * DAY_MS)
        prove(scene, "v2")
        scene.flip()
        assert states(scene) == [_S.PROMOTED, _S.RUNNING]
        scene.clock.pass_by(DAY_MS)
        scene.flip()
        assert last(scene).state is _S.ABORTED

    def test_blanking_latest_by_hand_withdraws_both(self):
        scene = opened("queue")
        scene.write_latest(arn("v3"))
        scene.flip()
        scene.write_latest("NONE")
        scene.flip()
        assert states(scene) == [_S.ABORTED, _S.ABORTED]
        assert all((release.reason or "").startswith("withdrawn") for release in scene.all_releases())
        assert scene.releases.items[APP].quarantine == {}
        assert scene.releases.items[APP].followed == ()

    def test_blanking_latest_before_the_newer_one_was_seen_withdraws_the_one_in_front(self):
        scene = opened("queue")
        scene.write_latest(arn("v3"))
        scene.write_latest("NONE")
        scene.flip()
        assert states(scene) == [_S.ABORTED]

    def test_an_abort_of_the_one_that_waits_leaves_the_one_in_front_alone(self):
        """What we blank ourselves must not pass for a withdrawal by hand, so that latest stays until the first has ended."""
        scene = opened("queue")
        scene.write_latest(arn("v3"))
        scene.flip()
        scene.ask(Verb.ABORT, "no need", release=last(scene).release)
        for _ in range(3):
            scene.flip()
        assert states(scene) == [_S.RUNNING, _S.ABORTED]
        assert scene.parameter("latest") == arn("v3")
        prove(scene, "v2")
        assert states(scene) == [_S.PROMOTED, _S.ABORTED]
        assert (scene.parameter("current"), scene.parameter("latest")) == (arn("v2"), "NONE")
        assert scene.releases.items[APP].followed == ()

    def test_an_abort_of_the_one_in_front_lets_the_next_one_begin(self):
        scene = opened("queue")
        scene.write_latest(arn("v3"))
        scene.flip()
        scene.ask(Verb.ABORT, release=first(scene).release)
        scene.flip()
        assert states(scene) == [_S.ABORTED, _S.RUNNING]
        assert list(scene.releases.items[APP].quarantine) == [arn("v2")]

    def test_it_waits_for_the_watch_as_well(self):
        scene = opened("queue", watch="2h")
        scene.write_latest(arn("v3"))
        scene.flip()
        prove(scene, "v2")
        assert states(scene) == [_S.WATCHING, _S.OPENING]
        assert scene.send().body["routed_to"] == "current"
        scene.clock.pass_by(2 * 3_600_000)
        scene.flip()
        assert states(scene) == [_S.PROMOTED, _S.RUNNING]

    def test_a_rollback_in_the_watch_does_not_wait_for_the_one_that_waits_for_it(self):
        scene = opened("queue", watch="2h")
        scene.write_latest(arn("v3"))
        scene.flip()
        prove(scene, "v2")
        scene.ask(Verb.ROLLBACK, release=first(scene).release)
        scene.flip()
        assert states(scene) == [_S.ROLLED_BACK, _S.RUNNING]
        assert scene.parameter("current") == arn("v1")

    def test_a_value_that_names_no_target_is_refused_at_once_and_blanked_when_the_one_in_front_has_ended(self):
        scene = opened("queue")
        scene.write_latest("nonsense")
        scene.flip()
        assert states(scene) == [_S.RUNNING, _S.REJECTED]
        assert scene.parameter("latest") == "nonsense"
        prove(scene, "v2")
        assert states(scene) == [_S.PROMOTED, _S.REJECTED]
        assert scene.parameter("latest") == "NONE"

    def test_a_paused_one_in_front_stays_paused(self):
        scene = opened("queue")
        scene.ask(Verb.PAUSE)
        scene.flip()
        scene.write_latest(arn("v3"))
        scene.flip()
        assert states(scene) == [_S.PAUSED, _S.OPENING]
        assert scene.send().body["routed_to"] == "current"


class TestReject:
    def test_a_newer_one_is_refused_and_routers_go_on_with_the_one_in_front(self):
        scene = opened("reject")
        scene.write_latest(arn("v3"))
        scene.flip()
        assert states(scene) == [_S.RUNNING, _S.REJECTED]
        assert "its plan refuses newer ones: release again after it" in (last(scene).reason or "")
        assert scene.spend() == 2
        assert len(scene.sent_to("v2")) == 2

    @pytest.mark.parametrize("ended", [ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED])
    def test_it_is_blanked_when_the_one_in_front_has_ended(self, ended):
        scene = opened("reject")
        scene.write_latest(arn("v3"))
        scene.flip()
        assert scene.parameter("latest") == arn("v3")
        prove(scene, "v2", ended)
        assert (scene.parameter("latest"), last(scene).state) == ("NONE", _S.REJECTED)
        assert scene.releases.items[APP].followed == ()
        assert arn("v3") not in scene.releases.items[APP].quarantine

    def test_three_writes_are_refused_one_by_one(self):
        scene = opened("reject")
        for stack in ("v3", "v4", "v5"):
            scene.write_latest(arn(stack))
            scene.flip()
        assert states(scene) == [_S.RUNNING, _S.REJECTED, _S.REJECTED, _S.REJECTED]
        prove(scene, "v2")
        assert (scene.parameter("current"), scene.parameter("latest")) == (arn("v2"), "NONE")
        assert scene.releases.items[APP].followed == ()

    def test_blanking_latest_by_hand_withdraws_the_one_in_front(self):
        scene = opened("reject")
        scene.write_latest(arn("v3"))
        scene.flip()
        scene.write_latest("NONE")
        scene.flip()
        assert states(scene) == [_S.ABORTED, _S.REJECTED]

    def test_what_was_refused_is_tried_when_it_is_written_again_later(self):
        scene = opened("reject")
        scene.write_latest(arn("v3"))
        scene.flip()
        prove(scene, "v2")
        scene.write_latest(arn("v3"))
        scene.flip()
        assert states(scene) == [_S.PROMOTED, _S.REJECTED, _S.RUNNING]


class TestRoutersMeanwhile:
    @pytest.mark.parametrize("policy", ["queue", "reject"])
    @pytest.mark.parametrize("value", [arn("v3"), "nonsense", arn("v3").replace("transformer", "payments")])
    def test_whatever_was_written_the_release_in_front_gets_its_requests(self, policy, value):
        scene = opened(policy)
        scene.write_latest(value)
        scene.flip()
        assert scene.spend() == 2
        assert len(scene.sent_to("v2")) == 2

    def test_a_release_in_front_whose_target_is_not_allowed_any_more_gets_nothing(self):
        scene = opened("queue")
        scene.write_latest(machine("v3"))
        scene.flip()
        front = first(scene)
        scene.releases.releases[APP, front.release] = type(front)(
            **{name: getattr(front, name) for name in front.__slots__} | {"value": arn("v2").replace("transformer", "payments")}
        )
        assert scene.send().body["routed_to"] == "current"
        assert ("TargetRefused", APP) in scene.counts

    def test_one_that_is_no_longer_in_front_does_not_hide_the_one_that_was_waiting(self):
        scene = opened("queue")
        scene.write_latest(arn("v3"))
        scene.flip()
        prove(scene, "v2")
        assert scene.spend() == 2
        assert len(scene.sent_to("v3")) == 2

    def test_a_claim_on_the_one_in_front_is_on_its_own_record(self):
        scene = opened("queue")
        scene.write_latest(arn("v3"))
        scene.flip()
        reply = scene.send()
        (row,) = scene.rows()
        assert (row.release, row.target, row.tag) == (first(scene).release, arn("v2"), "live")
        assert scene.desk().find(APP, reply.body["request_id"]).body["status"] == "RUNNING"
