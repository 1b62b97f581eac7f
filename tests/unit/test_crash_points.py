"""Every flow, killed at every call it makes, before and after the call takes effect, and once more while it recovers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from canary.domain.audit import ExecutionStatus
from canary.domain.release import Gate, ReleaseState, Verb
from canary.domain.target import parse_pointer
from tests.fakes.calls import Killed
from tests.fakes.scene import APP, Scene, arn


def check_invariants(scene: Scene) -> None:
    """What must hold at every moment, in whatever half-done state."""
    current = scene.parameter("current")
    assert current is not None
    parse_pointer(current)
    for release in scene.all_releases():
        sent = [
            request_id for request_id in scene.sent_to(release.tag.removeprefix("tag-")) if f"-r{release.release}" in request_id
        ]
        assert len(sent) <= release.granted, "never over quota"
        assert all((APP, release.release, request_id) in scene.audit.table for request_id in sent), "nothing off the record"
        assert release.tally.settled + release.tally.refunded <= len(scene.rows())
        if release.ended or release.state in {ReleaseState.ABORTING, ReleaseState.PROMOTING, ReleaseState.PAUSED}:
            assert release.gate is Gate.CLOSED, "stop means stop"
    if current == value("v2"):
        assert any(r.tally.succeeded == 2 for r in scene.all_releases()), "promotion needs proof"


def value(name: str) -> str:
    return f'{{"arn": "{arn(name)}", "tag": "tag-{name}"}}'


def promotion(scene: Scene) -> None:
    scene.write_latest(value("v2"))
    scene.flip()
    desk = scene.desk()
    scene.send(desk)
    scene.send(desk)
    scene.end_workflows()
    scene.flip()


def staggered(scene: Scene) -> None:
    """The workflows end one after the other, and passes are made in between."""
    scene.write_latest(value("v2"))
    scene.flip()
    desk = scene.desk()
    scene.send(desk)
    scene.flip()
    scene.end_workflows()
    scene.flip()
    scene.send(desk)
    scene.flip()
    assert scene.only_release().tally.succeeded <= 1
    scene.end_workflows()
    scene.flip()


def promoted(scene: Scene) -> None:
    assert (scene.parameter("current"), scene.parameter("previous"), scene.parameter("latest")) == (
        value("v2"),
        arn("v1"),
        "NONE",
    )
    release = scene.only_release()
    assert (release.state, release.tally.succeeded, release.claimed) == (ReleaseState.PROMOTED, 2, 2)
    item = scene.releases.items[APP]
    assert item.mirror is not None
    assert (item.mirror.value, item.followed, item.promoted) == (value("v2"), (), release.release)
    assert all(row.counted for row in scene.rows())
    assert scene.notices.sent.count((release.release, "Release Promoted")) >= 1


def abortion(scene: Scene) -> None:
    scene.write_latest(value("v2"))
    scene.flip()
    desk = scene.desk()
    scene.send(desk)
    scene.send(desk)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.flip()


def aborted(scene: Scene) -> None:
    assert (scene.parameter("current"), scene.parameter("previous"), scene.parameter("latest")) == (arn("v1"), None, "NONE")
    release = scene.only_release()
    assert (release.state, release.tally.failed, release.claimed) == (ReleaseState.ABORTED, 2, 2)
    assert list(scene.releases.items[APP].quarantine) == [arn("v2")]
    assert scene.releases.items[APP].followed == ()


def rejection(scene: Scene) -> None:
    scene.write_latest("nonsense")
    scene.flip()


def rejected(scene: Scene) -> None:
    assert (scene.parameter("current"), scene.parameter("latest")) == (arn("v1"), "NONE")
    assert scene.only_release().state is ReleaseState.REJECTED
    assert scene.releases.items[APP].quarantine == {}


def supersession(scene: Scene) -> None:
    scene.write_latest(value("v2"))
    scene.flip()
    scene.send(scene.desk())
    scene.write_latest(value("v3"))
    scene.flip()
    scene.end_workflows()
    scene.flip()


def superseded(scene: Scene) -> None:
    old, new = scene.all_releases()
    assert (old.state, new.state) == (ReleaseState.SUPERSEDED, ReleaseState.RUNNING)
    assert (old.tally.succeeded, old.in_flight, scene.parameter("current")) == (1, 0, arn("v1"))
    assert scene.releases.items[APP].followed == (new.release,)


def rollback(scene: Scene) -> None:
    promotion(scene)
    scene.operator().ask(APP, Verb.ROLLBACK, "it was wrong")
    scene.flip()


def rolled_back(scene: Scene) -> None:
    assert (scene.parameter("current"), scene.parameter("previous"), scene.parameter("latest")) == (arn("v1"), "NONE", "NONE")
    assert scene.only_release().state is ReleaseState.ROLLED_BACK
    assert list(scene.releases.items[APP].quarantine) == [arn("v2")]


def retry(scene: Scene) -> None:
    abortion(scene)
    scene.operator().retry(APP, arn("v2"))
    promotion(scene)


def retried(scene: Scene) -> None:
    first, second = scene.all_releases()
    assert (first.state, second.state) == (ReleaseState.ABORTED, ReleaseState.PROMOTED)
    assert scene.parameter("current") == value("v2")


FLOWS = {
    "promotion": (promotion, promoted),
    "promotion, one by one": (staggered, promoted),
    "abort": (abortion, aborted),
    "rejection": (rejection, rejected),
    "supersession": (supersession, superseded),
    "rollback": (rollback, rolled_back),
    "retry": (retry, retried),
}


def survive(flow: Callable[[Scene], None], kills: list[tuple[int, str]]) -> Scene | None:
    """Run a flow whose flippers are killed where ``kills`` says, one after the other; None when it makes fewer calls."""
    scene = Scene()
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
    flow(scene)
    if pending:
        return None
    scene.flip()
    return scene


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("half", ["before", "after"])
def test_a_flow_whose_flipper_is_killed_at_any_call_ends_as_if_nothing_had_happened(name, half):
    flow, ended = FLOWS[name]
    killed = 0
    for number in count():
        scene = survive(flow, [(number, half)])
        if scene is None:
            break
        ended(scene)
        killed += 1
    assert killed > 10, "the flow makes more calls than that"


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_survives_a_second_crash_while_it_recovers_from_the_first(name):
    flow, ended = FLOWS[name]
    for first in count(0, 2):
        for second in range(0, 40, 3):
            scene = survive(flow, [(first, "after"), (second, "after")])
            if scene is None:
                break
            ended(scene)
        if second == 0:
            break
