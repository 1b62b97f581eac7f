"""Every flow, killed at every call it makes, before and after the call takes effect, and once more while it recovers."""

from __future__ import annotations

from itertools import count

import pytest

from canary.domain.release import Verb
from canary.domain.states import Hold, ReleaseState
from canary.flipping.flipper import Pass
from tests.fakes.calls import Killed
from tests.fakes.scene import Scene, machine
from tests.unit.flows import FLOWS, Flow, check_invariants


def survive(flow: Flow, kills: list[tuple[int, str]]) -> Scene | None:
    """Run a flow whose flippers are killed where ``kills`` says, one after the other; None when it makes fewer calls."""
    scene = flow.scene()
    pending = list(kills)
    flip = scene.flip

    def mortal() -> list[object]:
        while pending:
            number, half = pending[0]
            before = len(scene.calls.log)
            scene.calls.kill_at(number, half)
            try:
                flip()
            except Killed:
                pending.pop(0)
                check_invariants(scene)
                continue
            finally:
                scene.calls.let_live()
            made = len(scene.calls.log) - before
            pending[0] = (number - made, half)
            check_invariants(scene)
            break
        result = flip()
        check_invariants(scene)
        return list(result)

    scene.flip = mortal  # type: ignore[method-assign]
    flow.happens(scene)
    if pending:
        return None
    for _ in range(2):
        scene.flip()
    return scene


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_that_nobody_kills_ends_as_it_should(name):
    scene = survive(FLOWS[name], [])
    assert scene is not None
    FLOWS[name].ended(scene)


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_in_which_every_event_comes_three_times_ends_as_it_should(name):
    scene = FLOWS[name].scene()
    flip = scene.flip

    def again() -> list[Pass]:
        return [done for _ in range(3) for done in flip()]

    scene.flip = again  # type: ignore[method-assign]
    FLOWS[name].happens(scene)
    scene.flip()
    check_invariants(scene)
    FLOWS[name].ended(scene)


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("half", ["before", "after"])
def test_a_flow_whose_flipper_is_killed_at_any_call_ends_as_if_nothing_had_happened(name, half, record_property):
    flow, killed = FLOWS[name], 0
    for number in count():
        scene = survive(flow, [(number, half)])
        if scene is None:
            break
        flow.ended(scene)
        killed += 1
    assert killed > 10, "the flow makes more calls than that"
    record_property("cases", killed)


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_survives_a_second_crash_while_it_recovers_from_the_first(name, record_property):
    flow, killed = FLOWS[name], 0
    for first in count(0, flow.step):
        for second in range(0, 40, 5):
            scene = survive(flow, [(first, "after"), (second, "after")])
            if scene is None:
                break
            flow.ended(scene)
            killed += 1
        if second == 0:
            break
    record_property("cases", killed)


#: Plans by what a router does for a request of theirs, and whether the request is keyed.
REQUESTS = {
    "a claim": ({"stages": [{"quota": 3, "weight": 100}]}, None),
    "a keyed claim": ({"stages": [{"quota": 3, "weight": 100}]}, "key"),
    "a slot out of a batch": (
        {"stages": [{"weight": 100, "min_completed": 3}, "earned"], "max_failure_rate": 0.9, "deadline": "5h"},
        None,
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("half", ["before", "after"])
def test_a_router_that_is_killed_at_any_call_of_a_request_costs_at_most_that_slot(name, half, record_property):
    plan, key = REQUESTS[name]
    for number in count():
        scene = Scene(plan=plan, current=machine("v1"))
        scene.ran_before(19, 0)
        scene.write_latest(machine("v2"))
        scene.flip()
        scene.calls.kill_at(number, half)
        try:
            scene.send(key=key)
        except Killed:
            check_invariants(scene)
        else:
            break
        finally:
            scene.calls.let_live()
        for _ in range(8):
            if scene.only_release().hold is Hold.LOST:  # a person lets pass what nobody knows of
                scene.ask(Verb.RESUME)
            scene.flip()
            check_invariants(scene)
            scene.spend(5)
            scene.end_workflows()
            check_invariants(scene)
        scene.clock.pass_by(100_000)
        scene.flip()
        release = scene.only_release()
        assert release.state is ReleaseState.PROMOTED
        assert all(row.counted for row in scene.rows())
        assert (release.open, release.batches, release.in_flight) == ({}, {}, 0)
    assert number > 3, "a request to latest makes more calls than that"
    record_property("cases", number)
