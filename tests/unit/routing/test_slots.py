"""Which request goes to latest: one slot each, while there are any and time is left."""

from __future__ import annotations

import pytest

from canary.domain.release import Verb
from canary.domain.states import Gate
from canary.routing.router import Request
from tests.fakes.scene import APP, Scene, arn
from tests.fakes.stacks import answer
from tests.unit.routing.trial import on_trial


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


def test_a_release_with_too_little_time_left_is_not_even_claimed():
    scene = on_trial()
    hurried = Request(app=APP, body=b"{}", deadline=scene.clock.now + 12_000)
    assert scene.desk().take(hurried, "key-id", None).body["routed_to"] == "current"
    assert scene.only_release().claimed == 0
