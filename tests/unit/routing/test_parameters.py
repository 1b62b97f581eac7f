"""What the router makes of an app's parameters: missing, wrong, not allowed, not to be read."""

from __future__ import annotations

import pytest

from canary.routing.problem import Problem
from tests.fakes.scene import APP, Scene, arn
from tests.unit.routing.trial import on_trial


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
