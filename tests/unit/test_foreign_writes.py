"""Somebody writes a parameter at every point of every flow: nothing of theirs is lost, nothing of theirs is overwritten."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from canary.domain.audit import ExecutionStatus
from canary.domain.release import ReleaseState, Verb
from tests.fakes.calls import Killed
from tests.fakes.scene import APP, Scene, arn


def ready(ended: ExecutionStatus) -> Scene:
    """A release whose evidence is complete: the next pass promotes it, or aborts it."""
    scene = Scene()
    scene.write_latest(arn("v2"))
    scene.flip()
    desk = scene.desk()
    scene.send(desk)
    scene.send(desk)
    scene.end_workflows(ended)
    return scene


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
@pytest.mark.parametrize("ended", [ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED])
def test_a_write_to_latest_at_any_point_of_a_flip_or_an_abort_becomes_the_next_release(ended, half):
    for number in count():
        scene = ready(ended)
        acted = at_call(scene, number, half, lambda: scene.write_latest(arn("v3")))  # noqa: B023 - called at once
        scene.flip()
        if not acted():
            break
        scene.flip()
        last = scene.all_releases()[-1]
        assert (last.target, last.state) == (arn("v3"), ReleaseState.RUNNING), f"call {number}: {scene.calls.log}"
        assert scene.parameter("latest") == arn("v3")
        assert scene.parameter("current") in {arn("v1"), arn("v2")}
        first = scene.all_releases()[0]
        assert first.ended
        assert (scene.parameter("current") == arn("v2")) is (first.state is ReleaseState.PROMOTED)
    assert number > 15


@pytest.mark.parametrize("half", ["before", "after"])
def test_a_write_to_latest_and_a_crash_right_after_it_lose_nothing(half):
    for number in count():
        scene = ready(ExecutionStatus.SUCCEEDED)

        def write_and_die() -> None:
            scene.write_latest(arn("v3"))  # noqa: B023 - called at once
            scene.calls.kill_at(1, "after")  # noqa: B023

        acted = at_call(scene, number, half, write_and_die)
        try:
            scene.flip()
        except Killed:
            scene.calls.let_live()
        scene.calls.let_live()
        if not acted():
            break
        scene.flip()
        last = scene.all_releases()[-1]
        assert (last.target, last.state) == (arn("v3"), ReleaseState.RUNNING), f"call {number}: {scene.calls.log}"
    assert number > 15


@pytest.mark.parametrize("half", ["before", "after"])
def test_two_writes_to_latest_leave_the_newest(half):
    for number in count():
        scene = ready(ExecutionStatus.FAILED)

        def write() -> None:
            scene.write_latest(arn("v3"))  # noqa: B023 - called at once
            at_call(scene, 1, "before", lambda: scene.write_latest(arn("v4")))  # noqa: B023

        acted = at_call(scene, number, half, write)
        scene.flip()
        scene.calls.let_live()
        if not acted():
            break
        scene.flip()
        last = scene.all_releases()[-1]
        wrote_both = any(v.value == arn("v4") for v in scene.parameters.versions[APP, "latest"])
        assert last.target == (arn("v4") if wrote_both else arn("v3")), f"call {number}: {scene.calls.log}"


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.ABORT])
def test_a_stop_at_any_point_before_the_flip_wins_over_it(verb):
    for number in count():
        scene = ready(ExecutionStatus.SUCCEEDED)
        stopped_in_time: list[bool] = []

        def stop() -> None:
            running = scene.operator().running(APP)  # noqa: B023 - called at once
            if running is not None and running.state is ReleaseState.RUNNING:
                scene.ask(verb)  # noqa: B023
                stopped_in_time.append(True)  # noqa: B023

        acted = at_call(scene, number, "before", stop)
        scene.flip()
        if not acted():
            break
        if stopped_in_time:
            assert scene.parameter("current") == arn("v1"), f"call {number}: {scene.calls.log}"
            assert scene.only_release().state in {ReleaseState.PAUSED, ReleaseState.ABORTED}
    assert number > 15


def test_current_written_at_any_point_of_a_flip_is_never_overwritten_unseen():
    for number in count():
        scene = ready(ExecutionStatus.SUCCEEDED)
        acted = at_call(scene, number, "before", lambda: scene.parameters.put(APP, "current", arn("v9")))  # noqa: B023
        scene.flip()
        if not acted():
            break
        release, current = scene.only_release(), scene.parameter("current")
        if current == arn("v9"):
            assert release.state in {ReleaseState.HELD, ReleaseState.PROMOTED}
            continue
        # Their write came before the release was judged, and is kept as previous; or in the one gap that SSM leaves,
        # between the flip's read of current and its write.
        assert current == arn("v2")
        assert scene.parameter("previous") == arn("v9") or scene.calls.log.count("ssm.write current") == 1
