"""The coin as the router tosses it, and the control samples that it keeps meanwhile."""

from __future__ import annotations

import pytest

from canary.domain.audit import Arm, Status
from canary.domain.call import CallResult
from canary.domain.release import Verb
from canary.domain.request_id import digest_of, record_of
from canary.errors import Unavailable
from canary.routing.problem import Problem
from tests.fakes.scene import APP, Scene, arn, machine
from tests.unit.routing.trial import failed, on_trial


class TestTheToss:
    """The coin is tossed while slots are free, and what it showed is on record: in the row, or in the name."""

    def test_without_a_release_there_is_nothing_to_toss_for(self):
        router = Scene().desk()._router
        assert router.toss(router.known(APP)) is None

    def test_it_shows_latest_with_the_chance_of_the_share(self):
        scene = on_trial(plan={"stages": [{"weight": 30}]})
        tosses = [(draw, scene.desk(draw)._router) for draw in (0.0, 0.299, 0.3, 0.99)]
        shown = [(draw, toss.to_latest, toss.share) for draw, router in tosses if (toss := router.toss(router.known(APP)))]
        assert shown == [(0.0, True, 3_000), (0.299, True, 3_000), (0.3, False, 3_000), (0.99, False, 3_000)]

    def test_at_a_share_of_one_it_always_shows_latest(self):
        scene = on_trial(plan={"stages": [{"weight": 100}]})
        assert scene.send(scene.desk(draw=0.999_999)).body["routed_to"] == "latest"

    @pytest.mark.parametrize("why", ["paused", "stopped", "no slots", "held"])
    def test_it_is_not_tossed_where_latest_cannot_get_the_request(self, why):
        scene = on_trial(plan={"stages": [{"quota": 2, "weight": 50}]})
        if why == "paused":
            scene.ask(Verb.PAUSE)
        elif why == "stopped":
            scene.operator().stop(APP, "fire")
        elif why == "no slots":
            scene.spend()
        else:
            scene.stacks.behaviour[arn("v2")] = failed(CallResult.UNCLEAR)
            scene.send()
            scene.flip()
        router = scene.desk(0.99)._router
        known = router.known(APP)
        assert router.toss(known) is None
        place = record_of(router.new_id(None))
        assert place is not None
        assert place.control is None

    def test_a_keyed_request_that_lost_the_coin_says_so_as_well(self):
        scene = on_trial(plan={"stages": [{"weight": 50}]})
        reply = scene.send(scene.desk(0.99), key="k")
        place = record_of(reply.body["request_id"])
        assert place is not None
        assert place.control == (digest_of(scene.only_release().release), 5_000)
        assert place.key is not None
        assert scene.send(scene.desk(0.0), key="k").body == reply.body, "a repeat is not tossed again"
        assert scene.sent_to("v2") == []

    def test_a_keyed_request_is_tossed_for_once(self):
        scene = on_trial(plan={"stages": [{"weight": 50}]})
        draws = iter([0.0])
        desk = scene.desk()
        desk._router._draw = lambda: next(draws)
        assert scene.send(desk, key="k").body["routed_to"] == "latest"


class TestControlSamples:
    """Rows of current while the coin decides: which calls of it fail, and once how its workflows are named."""

    WEIGHED = {"stages": [{"weight": 50}]}  # noqa: RUF012 - read only

    def test_the_first_answered_one_of_a_process_is_kept_while_its_workflows_are_unknown(self):
        scene = on_trial(plan=self.WEIGHED)
        desk = scene.desk(0.99)
        replies = [scene.send(desk, tenant="acme", body=b"[1]") for _ in range(3)]
        (row,) = scene.samples()
        assert (row.request_id, row.arm, row.status, row.share) == (
            replies[0].body["request_id"],
            Arm.CURRENT,
            Status.RUNNING,
            5_000,
        )
        assert (row.target, row.tag, row.state_machine, row.tenant, row.payload_bytes) == (
            arn("v1"),
            "live",
            machine("v1"),
            "acme",
            3,
        )
        assert row.started_at is not None

    def test_the_next_release_gets_one_again(self):
        scene = on_trial(plan=self.WEIGHED)
        desk = scene.desk(0.99)
        scene.send(desk)
        scene.write_latest(arn("v3"))
        scene.flip()
        scene.clock.pass_by(60_000)
        scene.send(desk)
        assert [row.release for row in scene.samples()] == [release.release for release in scene.all_releases()]

    def test_none_is_kept_once_they_are_known(self):
        scene = on_trial(plan=self.WEIGHED)
        scene.send(scene.desk(0.99))
        scene.flip()
        scene.send(scene.desk(0.99))
        assert len(scene.samples()) == 1

    def test_none_is_kept_of_a_request_that_won_the_coin_or_for_which_it_was_not_tossed(self):
        scene = on_trial(plan=self.WEIGHED)
        scene.stacks.behaviour[arn("v2")] = failed(CallResult.FAILED)
        assert scene.send(scene.desk(0.0)).body["fell_back"] is True
        scene.ask(Verb.PAUSE)
        scene.send(scene.desk(0.99))
        assert scene.samples() == []

    @pytest.mark.parametrize(
        ("result", "kept"),
        [
            (CallResult.FAILED, Status.FAILED),
            (CallResult.TIMED_OUT, Status.FAILED),
            (CallResult.MISSING, Status.FAILED),
            (CallResult.REFUSED, None),
            (CallResult.TOO_LARGE, None),
            (CallResult.UNCLEAR, None),
        ],
    )
    def test_every_failed_call_is_kept_and_what_says_nothing_about_the_stack_is_not(self, result, kept):
        scene = on_trial(plan=self.WEIGHED)
        scene.stacks.behaviour[arn("v1")] = failed(result)
        desk = scene.desk(0.99)
        for _ in range(2):
            with pytest.raises(Problem):
                scene.send(desk)
        assert [(row.status, row.error) for row in scene.samples()] == ([(kept, "broken")] * 2 if kept else [])

    def test_a_failed_call_is_no_sample_of_how_workflows_are_named(self):
        scene = on_trial(plan=self.WEIGHED)
        desk = scene.desk(0.99)
        scene.stacks.behaviour[arn("v1")] = failed(CallResult.FAILED)
        with pytest.raises(Problem):
            scene.send(desk)
        del scene.stacks.behaviour[arn("v1")]
        scene.send(desk)
        scene.send(desk)
        assert [row.status for row in scene.samples()] == [Status.FAILED, Status.RUNNING]

    @pytest.mark.parametrize("call", ["answered", "failed"])
    def test_a_table_that_does_not_answer_hurts_nobody(self, call):
        scene = on_trial(plan=self.WEIGHED)
        desk = scene.desk(0.99)
        scene.send(scene.desk(0.99))
        if call == "failed":
            scene.stacks.behaviour[arn("v1")] = failed(CallResult.FAILED)

        def fail(_: int, name: str, when: str) -> None:
            if name == "ddb.put_row":
                raise Unavailable("DynamoDB", "InternalServerError", "down")

        scene.calls.on_call = fail
        if call == "failed":
            with pytest.raises(Problem) as caught:
                scene.send(desk)
            assert caught.value.status == 502
        else:
            assert scene.send(desk).body["routed_to"] == "current"
        assert ("Degraded", APP) in scene.counts

    def test_a_plan_that_counts_keeps_none(self):
        scene = on_trial(plan={"stages": [{"quota": 2, "weight": 50}]})
        scene.send(scene.desk(0.99))
        scene.stacks.behaviour[arn("v1")] = failed(CallResult.FAILED)
        with pytest.raises(Problem):
            scene.send(scene.desk(0.99))
        assert scene.rows() == []
