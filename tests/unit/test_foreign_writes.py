"""Somebody writes a parameter at every point of every flow: nothing of theirs is lost, nothing of theirs is overwritten."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from canary.domain.asks import NotPossible
from canary.domain.audit import ExecutionStatus
from canary.domain.release import Verb
from canary.domain.states import Gate, ReleaseState
from tests.fakes.calls import Killed
from tests.fakes.scene import APP, LONG_MS, Scene, machine
from tests.unit.flows import EARNED, HOUR_MS, TWO, check_invariants

_S = ReleaseState
GOOD, BAD = ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED


def opened(plan: dict[str, Any] | None = None) -> Scene:
    scene = Scene(plan=plan, current=machine("v1"))
    if plan is not None:
        scene.ran_before(19, 0)
    scene.write_latest(machine("v2"))
    scene.flip()
    return scene


def spent(ended: ExecutionStatus, plan: dict[str, Any] | None = None) -> Scene:
    """A release whose first slots are used, and how they ended is there to be seen."""
    scene = opened(plan)
    scene.spend()
    scene.end_workflows(ended)
    return scene


def promoted(plan: dict[str, Any] | None = None) -> Scene:
    scene = spent(GOOD, plan)
    scene.flip()
    assert scene.parameter("current") == machine("v2")
    return scene


def proved() -> Scene:
    """The last earned slots have ended well."""
    scene = opened(EARNED)
    for _ in range(2):
        scene.spend()
        scene.end_workflows()
        scene.flip()
    scene.spend()
    scene.end_workflows()
    return scene


def approved() -> Scene:
    scene = spent(GOOD, {"stages": [{"quota": 1, "gate": "manual"}]})
    scene.flip()
    scene.ask(Verb.PROMOTE)
    return scene


def forced() -> Scene:
    scene = spent(GOOD, EARNED)
    scene.flip()
    scene.ask(Verb.PROMOTE, force=True)
    return scene


def watched() -> Scene:
    scene = promoted({"stages": TWO, "watch": "1h"})
    scene.clock.pass_by(HOUR_MS)
    return scene


def failing_in_the_watch() -> Scene:
    scene = promoted({"stages": TWO, "watch": "8h"})
    for _ in range(4):
        scene.send()
    scene.end_workflows(BAD)
    scene.clock.pass_by(LONG_MS)
    return scene


def taken_back() -> Scene:
    scene = promoted()
    scene.ask(Verb.ROLLBACK)
    return scene


def returning() -> Scene:
    scene = taken_back()
    scene.flip()
    scene.ask(Verb.ROLLBACK)
    return scene


def flown(ended: ExecutionStatus) -> Scene:
    scene = opened({"stages": TWO, "preflight": [1]})
    scene.end_workflows(ended)
    return scene


#: The moment before the pass that decides, by what it is going to decide.
MOMENTS: dict[str, Callable[[], Scene]] = {
    "promotion": lambda: spent(GOOD),
    "abort": lambda: spent(BAD),
    "promotion by evidence": proved,
    "abort by evidence": lambda: spent(BAD, EARNED),
    "stop on abort": lambda: spent(BAD, {"stages": [{"quota": 3}], "on_abort": "stop"}),
    "approval": approved,
    "force": forced,
    "end of the watch": watched,
    "rollback by the watch": failing_in_the_watch,
    "rollback by hand": taken_back,
    "return": returning,
    "preflight": lambda: flown(GOOD),
    "failed preflight": lambda: flown(BAD),
}


def at_call(scene: Scene, number: int, half: str, act: Callable[[], None]) -> Callable[[], bool]:
    """Act at the ``number``-th call from now; tell whether it came to that."""
    start, done = len(scene.calls.log), []

    def check(at: int, _: str, when: str) -> None:
        if (at - start, when) == (number, half) and not done:
            done.append(at)
            scene.calls.let_live()
            act()

    scene.calls.on_call = check
    return lambda: bool(done)


@pytest.mark.parametrize("half", ["before", "after"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_write_to_latest_at_any_point_becomes_the_next_release(moment, half):
    for number in count():
        scene = MOMENTS[moment]()
        acted = at_call(scene, number, half, lambda: scene.write_latest(machine("v3")))  # noqa: B023 - called at once
        scene.flip()
        check_invariants(scene)
        if not acted():
            break
        for _ in range(3):
            scene.end_workflows()  # the next one's preflight
            scene.flip()
        check_invariants(scene)
        first, last = scene.all_releases()[0], scene.all_releases()[-1]
        assert (last.target, last.state) == (machine("v3"), _S.RUNNING), f"call {number}"
        assert scene.parameter("latest") == machine("v3")
        assert first.ended
        assert (scene.parameter("current") == machine("v2")) is (first.state is _S.PROMOTED)
    assert number > 10


@pytest.mark.parametrize("half", ["before", "after"])
@pytest.mark.parametrize("policy", ["queue", "reject"])
@pytest.mark.parametrize("ended", [GOOD, BAD])
def test_a_write_to_latest_at_any_point_waits_or_is_refused_where_the_plan_says_so(ended, policy, half):
    for number in count():
        scene = spent(ended, {"stages": TWO, "on_new_release": policy})
        acted = at_call(scene, number, half, lambda: scene.write_latest(machine("v3")))  # noqa: B023 - called at once
        scene.flip()
        check_invariants(scene)
        if not acted():
            break
        for _ in range(2):
            scene.flip()
        check_invariants(scene)
        first, last = scene.all_releases()
        assert (last.target, last.state in {_S.RUNNING} | ({_S.REJECTED} if policy == "reject" else set())) == (
            machine("v3"),
            True,
        )
        assert first.state is (_S.PROMOTED if ended is GOOD else _S.ABORTED), "its turn was its own to the end"
        assert scene.parameter("latest") == (machine("v3") if last.state is _S.RUNNING else "NONE")
    assert number > 15


@pytest.mark.parametrize("half", ["before", "after"])
@pytest.mark.parametrize("moment", ["promotion", "abort by evidence", "rollback by the watch", "return"])
def test_a_write_to_latest_and_a_crash_right_after_it_lose_nothing(moment, half):
    for number in count():
        scene = MOMENTS[moment]()

        def write_and_die() -> None:
            scene.write_latest(machine("v3"))  # noqa: B023 - called at once
            scene.calls.kill_at(1, "after")  # noqa: B023

        acted = at_call(scene, number, half, write_and_die)
        try:
            scene.flip()
        except Killed:
            scene.calls.let_live()
        scene.calls.let_live()
        if not acted():
            break
        for _ in range(2):
            scene.flip()
        last = scene.all_releases()[-1]
        assert (last.target, last.state) == (machine("v3"), _S.RUNNING), f"call {number}"
    assert number > 15


@pytest.mark.parametrize("half", ["before", "after"])
def test_two_writes_to_latest_leave_the_newest(half):
    for number in count():
        scene = spent(BAD)

        def write() -> None:
            scene.write_latest(machine("v3"))  # noqa: B023 - called at once
            at_call(scene, 1, "before", lambda: scene.write_latest(machine("v4")))  # noqa: B023

        acted = at_call(scene, number, half, write)
        scene.flip()
        scene.calls.let_live()
        if not acted():
            break
        scene.flip()
        last = scene.all_releases()[-1]
        wrote_both = any(v.value == machine("v4") for v in scene.parameters.versions[APP, "latest"])
        assert last.target == machine("v4" if wrote_both else "v3"), f"call {number}"


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.ABORT])
@pytest.mark.parametrize("moment", ["promotion", "promotion by evidence", "force", "approval"])
def test_a_stop_at_any_point_before_the_flip_wins_over_it(moment, verb):
    for number in count():
        scene = MOMENTS[moment]()
        asked_first = bool(scene.only_release().asks)  # what was asked before the stop is carried out before it
        stopped_in_time: list[bool] = []

        def stop() -> None:
            running = scene.operator().running(APP)  # noqa: B023 - called at once
            if running is not None and running.state is _S.RUNNING and not asked_first:  # noqa: B023
                scene.ask(verb)  # noqa: B023
                stopped_in_time.append(True)  # noqa: B023

        acted = at_call(scene, number, "before", stop)
        scene.flip()
        if not acted():
            break
        if stopped_in_time:
            assert scene.parameter("current") == machine("v1"), f"call {number}"
            assert scene.only_release().state in {_S.PAUSED, _S.ABORTED}
    assert number > 15


@pytest.mark.parametrize("moment", ["promotion", "promotion by evidence", "preflight"])
def test_an_emergency_stop_at_any_point_before_the_flip_lets_no_request_through_and_nothing_be_promoted(moment):
    for number in count():
        scene = MOMENTS[moment]()
        before = len(scene.sent_to("v2"))
        in_time: list[bool] = []

        def stop() -> None:
            in_time.append(scene.only_release().state in {_S.RUNNING, _S.OPENING})  # noqa: B023 - called at once
            scene.operator().stop(APP, "fire")  # noqa: B023

        acted = at_call(scene, number, "before", stop)
        scene.flip()
        if not acted():
            break
        assert scene.only_release().gate is Gate.CLOSED
        assert scene.send().body["routed_to"] == "current"
        if in_time[0]:
            assert (scene.parameter("current"), len(scene.sent_to("v2"))) == (machine("v1"), before)
    assert number > 10


def test_a_pause_at_any_point_while_an_unreadable_release_goes_on_again_stays_a_pause():
    for number in count():
        scene = spent(ExecutionStatus.UNREADABLE, EARNED)
        scene.flip()
        assert scene.only_release().state is _S.HELD
        for arn_, execution in list(scene.stacks.executions.items()):
            if execution.status is ExecutionStatus.UNREADABLE:
                scene.stacks.ran(machine("v2"), arn_.rsplit(":", 1)[-1], started_at=execution.started_at or 0, duration_ms=1_000)
        acted = at_call(scene, number, "before", lambda: scene.ask(Verb.PAUSE))  # noqa: B023 - called at once
        scene.flip()
        if not acted():
            break
        scene.flip()
        assert (scene.only_release().state, scene.only_release().gate) == (_S.PAUSED, Gate.CLOSED)
    assert number > 10


@pytest.mark.parametrize(
    "moment", ["promotion", "promotion by evidence", "force", "rollback by hand", "rollback by the watch", "return"]
)
def test_current_written_at_any_point_of_a_flip_is_never_overwritten_unseen(moment):
    for number in count():
        scene = MOMENTS[moment]()
        written = scene.calls.log.count("ssm.write current")
        goes_back = moment.startswith("rollback")
        acted = at_call(scene, number, "before", lambda: scene.parameters.put(APP, "current", machine("v9")))  # noqa: B023
        scene.flip()
        if not acted():
            break
        release, current = scene.only_release(), scene.parameter("current")
        if current == machine("v9"):
            assert release.state in {_S.HELD, _S.PROMOTED, _S.WATCHING, _S.ROLLED_BACK}
            continue
        # Their write came before the release was judged, and is kept as previous; or in the one gap that SSM leaves,
        # between the flip's read of current and its write.
        assert current == machine("v1" if goes_back else "v2")
        once = scene.calls.log.count("ssm.write current") == written + 1
        assert once or (not goes_back and scene.parameter("previous") == machine("v9"))
    assert number > 10


@pytest.mark.parametrize("verb", [Verb.ROLLBACK, Verb.ABORT])
def test_a_verb_at_any_point_of_a_promotion_is_carried_out_or_refused_and_never_lost(verb):
    for number in count():
        scene = MOMENTS["promotion by evidence"]()
        told: list[str] = []

        def ask() -> None:
            try:
                scene.ask(verb)  # noqa: B023 - called at once
                told.append("asked")  # noqa: B023
            except NotPossible:
                told.append("refused")  # noqa: B023

        acted = at_call(scene, number, "after", ask)
        scene.flip()
        if not acted():
            break
        scene.flip()
        release = scene.only_release()
        assert release.asks == ()
        if told == ["asked"]:
            gone = release.state in {_S.ABORTED, _S.ROLLED_BACK}
            assert gone or f"{verb} refused" in [change.what for change in release.history]
            assert (scene.parameter("current") == machine("v1")) is gone
        else:
            assert scene.parameter("current") == machine("v2")
    assert number > 15


def test_a_write_that_was_replaced_before_anybody_saw_it_is_not_opened_by_a_stale_read():
    scene = Scene()
    scene.write_latest(machine("v2"))
    scene.clock.pass_by(60_000)
    scene.write_latest("no target at all")
    versions = scene.parameters.versions[APP, "latest"]
    hidden = []

    def read_late(_: int, call: str, when: str) -> None:
        if not scene.releases.releases or scene.all_releases()[0].state is not ReleaseState.REJECTED:
            return
        if call in {"ssm.read", "ssm.history"} and when == "before":
            hidden.append(versions[1:])
            del versions[1:]
        elif call in {"ssm.read", "ssm.history"} and hidden:
            versions.extend(hidden.pop())

    scene.calls.on_call = read_late
    scene.flip()
    scene.calls.on_call = None
    scene.flip()
    assert [(release.release[:8], release.state) for release in scene.all_releases()] == [("00000002", ReleaseState.REJECTED)]
    assert scene.parameter("latest") == "NONE"


def test_a_parameter_made_anew_is_a_new_release_and_so_is_a_write_that_is_dated_before_the_one_before_it():
    scene = Scene()
    for _ in range(3):
        scene.write_latest("no target at all")
        scene.flip()
    del scene.parameters.versions[APP, "latest"]
    scene.write_latest(machine("v2"))
    scene.flip()
    assert [release.release[:8] for release in scene.in_state(ReleaseState.RUNNING)] == ["00000001"]
    scene.clock.now -= 3_000
    scene.write_latest(machine("v3"))
    scene.clock.now += 3_000
    scene.flip()
    assert [release.release[:8] for release in scene.in_state(ReleaseState.RUNNING)] == ["00000002"]
