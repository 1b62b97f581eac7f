"""What the router does with one request."""

from __future__ import annotations

import pytest

from canary.domain.audit import Arm, Status
from canary.domain.call import Call, CallResult
from canary.domain.release import Verb
from canary.domain.request_id import digest_of, record_of
from canary.domain.states import Gate, ReleaseState
from canary.errors import Unavailable
from canary.routing.problem import Problem
from canary.routing.router import Request
from tests.fakes.aws import answer
from tests.fakes.scene import APP, LONG_MS, Scene, arn, machine


def on_trial(plan=None, target=None) -> Scene:
    scene = Scene(plan=plan)
    scene.write_latest(target or arn("v2"))
    scene.flip()
    assert scene.only_release().state is ReleaseState.RUNNING
    return scene


def failed(result: CallResult, error: str = "broken") -> Call:
    return Call(result=result, error=error)


def test_without_a_release_a_request_goes_to_current_and_nothing_but_the_parameters_is_read():
    scene = Scene()
    desk = scene.desk()
    scene.send(desk)
    before = len(scene.calls.log)
    reply = scene.send(desk)
    assert scene.calls.log[before:] == ["stack.call"]
    assert (reply.status, reply.body["routed_to"], reply.body["tag"]) == (202, "current", "live")


def test_an_answer_without_a_transform_id_is_200():
    scene = Scene()
    scene.stacks.behaviour[arn("v1")] = answer(rows=7)
    reply = scene.send()
    assert (reply.status, reply.body["transform_id"], reply.body["response"]) == (200, None, {"rows": 7})


def test_exactly_the_granted_slots_go_to_latest():
    scene = on_trial()
    desk = scene.desk()
    went = [scene.send(desk).body["routed_to"] for _ in range(10)]
    assert went.count("latest") == 2
    assert len(scene.sent_to("v2")) == 2


def test_the_coin_keeps_a_request_with_current_while_slots_remain():
    scene = on_trial(plan={"stages": [{"quota": 2, "weight": 30}]})
    assert scene.send(scene.desk(draw=0.31)).body["routed_to"] == "current"
    assert scene.send(scene.desk(draw=0.29)).body["routed_to"] == "latest"


def test_many_routers_with_the_same_stale_view_stay_within_the_quota():
    scene = on_trial(plan={"stages": [{"quota": 3}]})
    desks = [scene.desk() for _ in range(20)]
    for desk in desks:
        scene.send(desk)
    assert len(scene.sent_to("v2")) == 3


def test_the_audit_row_is_durable_before_the_request_is_sent():
    scene = on_trial()
    scene.send()
    log = scene.calls.log
    assert log.index("ddb.claim") < log.index("ddb.put_row") < log.index("stack.call") < log.index("ddb.update_row")
    (row,) = scene.rows()
    assert (row.status, row.payload_bytes, row.state_machine) == (Status.RUNNING, 2, machine("v2"))


@pytest.mark.parametrize("service", ["ddb.claim", "ddb.put_row"])
def test_what_cannot_be_put_on_record_does_not_go_to_latest(service):
    scene = on_trial()
    desk = scene.desk()

    def fail(_: int, name: str, when: str) -> None:
        if name == service and when == "before":
            raise Unavailable("DynamoDB", "InternalServerError", "down")

    scene.calls.on_call = fail
    reply = scene.send(desk)
    assert reply.body["routed_to"] == "current"
    assert "fell_back" not in reply.body
    assert scene.sent_to("v2") == []
    assert ("Degraded", APP) in scene.counts


@pytest.mark.parametrize(
    ("result", "status", "unstarted"),
    [
        (CallResult.FAILED, Status.FAILED, False),
        (CallResult.TIMED_OUT, Status.FAILED, False),
        (CallResult.MISSING, Status.FAILED, False),
        (CallResult.REFUSED, Status.LOST, True),
        (CallResult.TOO_LARGE, Status.LOST, True),
    ],
)
def test_a_failure_of_latest_is_recorded_and_current_serves(result, status, unstarted):
    scene = on_trial()
    scene.stacks.behaviour[arn("v2")] = failed(result)
    reply = scene.send()
    assert (reply.status, reply.body["routed_to"], reply.body["fell_back"]) == (202, "current", True)
    (row,) = scene.rows()
    assert (row.status, row.unstarted, row.fell_back, row.error) == (status, unstarted, True, "broken")


@pytest.mark.parametrize(
    ("result", "http"),
    [(CallResult.FAILED, 502), (CallResult.TIMED_OUT, 504), (CallResult.MISSING, 0), (CallResult.REFUSED, 0)],
)
def test_with_fallback_unstarted_only_what_surely_started_nothing_falls_back(result, http):
    scene = on_trial(plan={"stages": [{"quota": 2}], "fallback": "unstarted"})
    scene.stacks.behaviour[arn("v2")] = failed(result)
    if http:
        with pytest.raises(Problem) as caught:
            scene.send()
        assert caught.value.status == http
        assert scene.sent_to("v1") == []
    else:
        assert scene.send().body["fell_back"] is True


@pytest.mark.parametrize(
    ("result", "http"),
    [
        (CallResult.FAILED, 502),
        (CallResult.MISSING, 502),
        (CallResult.TIMED_OUT, 504),
        (CallResult.REFUSED, 503),
        (CallResult.TOO_LARGE, 413),
    ],
)
def test_a_failure_of_current_is_told_in_its_own_words(result, http):
    scene = Scene()
    scene.stacks.behaviour[arn("v1")] = failed(result)
    with pytest.raises(Problem) as caught:
        scene.send()
    assert caught.value.status == http
    assert caught.value.body["status"] == http
    assert "request_id" in caught.value.body


def test_a_body_too_large_for_latest_alone_goes_to_current_unclaimed():
    scene = on_trial(target=machine("v2"))
    reply = scene.send(body=b'"' + b"x" * 300_000 + b'"')
    assert reply.body["routed_to"] == "current"
    assert scene.only_release().claimed == 0


def test_a_body_too_large_for_current_is_413():
    scene = Scene()
    with pytest.raises(Problem) as caught:
        scene.send(body=b'"' + b"x" * (6 * 1024 * 1024) + b'"')
    assert caught.value.status == 413


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.ABORT])
def test_a_stale_router_cannot_claim_after(verb):
    scene = on_trial()
    desk = scene.desk()
    scene.send(scene.desk(draw=0.99))
    known = desk._router.known(APP)
    assert known.release is not None
    assert known.release.gate is Gate.OPEN
    scene.ask(verb)
    assert scene.send(desk).body["routed_to"] == "current"
    assert scene.sent_to("v2") == []


def test_once_the_slots_are_gone_the_router_does_not_ask_again_until_it_reads_the_release_anew():
    scene = on_trial()
    stale, other = scene.desk(), scene.desk()
    stale._router.known(APP)
    for _ in range(2):
        scene.send(other)
    scene.send(stale)
    before = len(scene.calls.log)
    scene.send(stale)
    assert scene.calls.log[before:] == ["stack.call"]


def test_a_release_that_the_flipper_has_not_opened_gets_nothing():
    scene = Scene()
    scene.write_latest(arn("v2"))
    assert scene.send().body["routed_to"] == "current"


def test_a_claim_that_the_flipper_has_given_up_is_not_sent():
    scene = on_trial()
    desk = scene.desk()

    def stall(_: int, name: str, when: str) -> None:
        if name == "ddb.claim" and when == "after":
            scene.calls.let_live()
            scene.clock.pass_by(LONG_MS)
            scene.flip()

    scene.calls.on_call = stall
    patient = Request(app=APP, body=b"{}", deadline=scene.clock.now + 10 * LONG_MS)
    reply = desk.take(patient, "key-id", None)
    assert reply.body["routed_to"] == "current"
    assert scene.sent_to("v2") == []
    (row,) = scene.rows()
    assert (row.status, row.unstarted) == (Status.LOST, True)


def test_latest_is_not_called_with_the_rest_of_a_slow_requests_time():
    scene = on_trial()

    def slow(_: int, name: str, when: str) -> None:
        if name == "ddb.claim" and when == "after":
            scene.clock.pass_by(20_000)

    scene.calls.on_call = slow
    assert scene.send().body["routed_to"] == "current"
    assert scene.sent_to("v2") == []
    (row,) = scene.rows()
    assert (row.status, row.unstarted) == (Status.LOST, True)


def test_a_row_that_cannot_be_updated_after_the_call_does_not_cost_the_upstream_its_answer():
    scene = on_trial()

    def fail(_: int, name: str, when: str) -> None:
        if name == "ddb.update_row":
            raise Unavailable("DynamoDB", "InternalServerError", "down")

    scene.calls.on_call = fail
    assert scene.send().body["routed_to"] == "latest"
    scene.calls.let_live()
    scene.flip()
    (row,) = scene.rows()
    assert row.status in {Status.RUNNING, Status.LOST}


def test_an_unknown_app_is_404():
    with pytest.raises(Problem) as caught:
        Scene().desk()._router.known("unknown")
    assert caught.value.status == 404


def test_an_unknown_app_that_is_asked_for_again_and_again_gathers_no_frames():
    desk = Scene().desk()
    depths = []
    for _ in range(5):
        with pytest.raises(Problem) as caught:
            desk._router.known("unknown")
        depths.append(len(caught.traceback))
    assert len(set(depths[1:])) == 1


def test_while_ssm_is_down_a_warm_router_serves_what_it_knew():
    scene = on_trial()
    desk = scene.desk()
    scene.send(desk)
    scene.calls.down = {"ssm"}
    scene.clock.pass_by(60_000)
    assert scene.send(desk).body["routed_to"] == "latest"
    assert scene.send(desk).body["routed_to"] == "current"
    assert ("Degraded", APP) in scene.counts


def test_while_ssm_is_down_a_cold_router_serves_the_mirror():
    scene = on_trial()
    scene.calls.down = {"ssm"}
    assert scene.send().body["routed_to"] == "current"
    assert scene.sent_to("v1") != []


def test_with_both_down_and_nothing_cached_the_answer_is_503_with_retry_after():
    scene = on_trial()
    scene.calls.down = {"ssm", "ddb"}
    with pytest.raises(Problem) as caught:
        scene.send()
    assert caught.value.status == 503
    assert caught.value.headers == {"Retry-After": "5"}


def test_with_dynamodb_down_current_serves_from_a_cold_start():
    scene = on_trial()
    scene.calls.down = {"ddb"}
    assert scene.send().body["routed_to"] == "current"


def test_ssm_is_asked_seldom_while_it_fails():
    scene = on_trial()
    desk = scene.desk()
    scene.send(desk)
    scene.calls.down = {"ssm"}
    scene.clock.pass_by(6_000)
    before = scene.calls.log.count("ssm.read")
    for _ in range(100):
        scene.send(desk)
        scene.clock.pass_by(100)
    assert scene.calls.log.count("ssm.read") - before <= 1


def test_a_current_that_names_no_target_is_served_from_the_mirror():
    scene = Scene()
    scene.flip()
    scene.parameters.put(APP, "current", "oops")
    assert scene.send().body["routed_to"] == "current"
    assert scene.sent_to("v1") != []


@pytest.mark.parametrize(
    "foreign",
    [
        "arn:aws:lambda:eu-west-1:999999999999:function:transformer-v2:live",
        "arn:aws:lambda:us-east-1:123456789012:function:transformer-v2:live",
        "arn:aws:lambda:eu-west-1:123456789012:function:payments:live",
    ],
)
def test_a_target_that_is_not_allowed_is_never_called_and_is_counted(foreign):
    scene = Scene()
    scene.write_latest(foreign)
    reply = scene.send()
    assert reply.body["routed_to"] == "current"
    assert ("TargetRefused", APP) in scene.counts
    assert {name for name, _ in scene.stacks.sent} == {"transformer-v1"}


def test_a_latest_that_names_no_target_is_left_to_the_flipper():
    scene = Scene()
    scene.write_latest("arn:aws:s3:::bucket")
    assert scene.send().body["routed_to"] == "current"


def test_a_current_that_is_not_allowed_is_counted_and_the_mirror_serves():
    scene = Scene()
    scene.flip()
    scene.parameters.put(APP, "current", arn("v1").replace("transformer-", "payments-"))
    assert scene.send().body["routed_to"] == "current"
    assert {name for name, _ in scene.stacks.sent} == {"transformer-v1"}
    assert ("TargetRefused", APP) in scene.counts


def test_a_transform_id_that_cannot_be_followed_is_lost_never_a_success():
    scene = on_trial()
    scene.stacks.behaviour[arn("v2")] = Call(result=CallResult.ANSWERED, answer={}, transform_id="job-17")
    assert scene.send().body["routed_to"] == "latest"
    scene.flip()
    release = scene.only_release()
    assert (release.tally.lost, release.tally.refunded, release.state) == (1, 0, ReleaseState.HELD)


def test_the_parameters_plan_finds_the_transform_id_for_current_as_well():
    scene = Scene(plan={"stages": [{"quota": 2}], "transform_id": "job.arn"})
    assert scene.desk()._router.known(APP).transform_id == "job.arn"


def test_an_app_beyond_the_caches_size_is_still_served():
    scene = Scene()
    desk = scene.desk()
    for number in range(1_100):
        scene.parameters.put(f"app-{number}", "current", arn("v1"))
        assert desk._router.known(f"app-{number}").current.tag == "live"
    assert len(desk._router._view._apps) <= 1_000


@pytest.mark.parametrize("lost", ["ddb.put_row", "ddb.update_row"])
def test_a_run_of_current_is_never_taken_for_latests(lost):
    """Where both share a state machine, current's run under latest's name would pass for latest's success."""
    shared = "arn:aws:states:eu-west-1:123456789012:stateMachine:transformer-shared"
    scene = Scene()
    scene.parameters.put(APP, "current", f"{shared}:1")
    scene.write_latest(f"{shared}:2")
    scene.flip()
    if lost == "ddb.update_row":
        scene.stacks.behaviour[f"{shared}:2"] = failed(CallResult.FAILED)

    def lose(_: int, name: str, when: str) -> None:
        if name == lost and when == "after":
            raise Unavailable("DynamoDB", "ReadTimeout", "it is done, and the answer is lost")
        if name == lost == "ddb.update_row":
            raise Unavailable("DynamoDB", "ReadTimeout", "it is not done")

    scene.calls.on_call = lose
    desk = scene.desk()
    replies = [scene.send(desk) for _ in range(2)]
    scene.calls.let_live()
    assert {reply.body["routed_to"] for reply in replies} == {"current"}
    scene.end_workflows()
    scene.flip()
    scene.flip()
    assert scene.parameter("current") == f"{shared}:1"
    assert scene.only_release().tally.succeeded == 0


def test_a_failure_of_aws_itself_says_nothing_about_the_stack_and_is_unknown():
    scene = on_trial()
    scene.stacks.behaviour[arn("v2")] = failed(CallResult.UNCLEAR, "ServiceException")
    assert scene.send().body["fell_back"] is True
    (row,) = scene.rows()
    assert (row.status, row.unstarted) == (Status.LOST, False)
    scene.flip()
    assert scene.only_release().state is ReleaseState.HELD


def test_an_answer_without_the_execution_that_the_plan_says_it_names_is_not_a_success():
    scene = on_trial(plan={"stages": [{"quota": 2}], "transform_id": "job.arn"})
    scene.stacks.behaviour[arn("v2")] = Call(result=CallResult.ANSWERED, answer={"rows": 7}, untraced=True)
    assert scene.send().body["routed_to"] == "latest"
    (row,) = scene.rows()
    assert row.status is Status.LOST


def test_a_release_with_too_little_time_left_is_not_even_claimed():
    scene = on_trial()
    hurried = Request(app=APP, body=b"{}", deadline=scene.clock.now + 12_000)
    assert scene.desk().take(hurried, "key-id", None).body["routed_to"] == "current"
    assert scene.only_release().claimed == 0


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
