"""The watch counts without end: more than a list holds, more failures than are read anew, and what it cannot see at all."""

from __future__ import annotations

import pytest

from canary.domain.alarm import AlarmState
from canary.domain.audit import ExecutionStatus
from canary.domain.release import Release
from canary.domain.states import Hold, ReleaseState
from canary.errors import Denied, Unavailable
from canary.flipping import watch
from tests.fakes import stacks
from tests.fakes.scene import LONG_MS, Scene, arn, machine
from tests.fakes.stacks import answer

HOUR_MS = 3_600_000
DENIED = Denied("sfn", "AccessDenied", "no")
THROTTLED = Unavailable("sfn", "ThrottlingException", "slower")
_S = ReleaseState


def promoted(span: object = "10h", *, failed: int = 2, past: int = 200, **plan: object) -> Scene:
    """A release in its watch; ``failed`` of ``past`` executions of the former current had failed."""
    stages = [{"quota": 2, "alarms": ["errors"]}]
    scene = Scene(plan={"stages": stages, "watch": span, "max_failure_rate": 0.9, **plan}, current=machine("v1"))
    scene.ran_before(past, failed)
    scene.alarms.alarms["errors"] = AlarmState.OK
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.spend()
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is _S.WATCHING
    return scene


def ran(scene: Scene, number: int, failed: int = 0) -> None:
    """So many requests went to the promoted stack a while ago; the first ones failed."""
    made = len(scene.stacks.executions)
    for each in range(number):
        status = ExecutionStatus.FAILED if each < failed else ExecutionStatus.SUCCEEDED
        at = scene.clock.now + each * 50_000 // number
        scene.stacks.ran(machine("v2"), f"{made + each:026d}", started_at=at, duration_ms=5, status=status)


def watched(scene: Scene) -> dict[str, int]:
    """What the newest evidence record says of the watch."""
    return dict(scene.kept()[-1].case["watch"])


def over(scene: Scene, hours: int = 11) -> Release:
    """Let the time of the watch pass."""
    scene.clock.pass_by(hours * HOUR_MS - LONG_MS)
    scene.flip()
    return scene.only_release()


def held(scene: Scene) -> int:
    return [kind for _, kind in scene.notices.sent].count("Release Held")


def whats(scene: Scene) -> list[str]:
    return [change.what for change in scene.only_release().history if change.what.startswith("the watch")]


class TestMoreThanAListHolds:
    @pytest.fixture(autouse=True)
    def _short_lists(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(watch, "MOST_PAST", 40)
        monkeypatch.setattr(stacks, "MOST_PAST", 40)
        monkeypatch.setattr(stacks, "_PAGE", 10)

    def test_counting_begins_anew_with_the_newest_and_a_good_version_stays(self):
        """One of a hundred fails, as before the release. Of the starts no more are ever known than a list holds: of failures
        neither, or they would become many in few."""
        scene = promoted()
        for _ in range(25):
            ran(scene, 100, failed=1)
            scene.flip()
            assert scene.only_release().watched.started <= 40
        release = over(scene)
        assert (release.state, scene.parameter("current")) == (_S.PROMOTED, machine("v2"))
        assert watched(scene)["started"] == 40

    def test_failures_that_began_before_the_newest_are_left_out_and_later_ones_count(self):
        scene = promoted()
        ran(scene, 100, failed=30)
        scene.flip()
        seen = scene.only_release().watched
        starts = sorted(e.started_at or 0 for a, e in scene.stacks.executions.items() if "transformer-v2:0" in a)
        assert (seen.started, seen.failed) == (40, 0)
        assert seen.counted_from == seen.failed_until == starts[-40]
        ran(scene, 20, failed=20)
        scene.flip()
        assert scene.only_release().state is _S.ROLLED_BACK
        assert {name: watched(scene)[name] for name in ("started", "failed")} == {"started": 60, "failed": 20}

    def test_as_many_as_a_list_holds_may_be_more(self):
        scene = promoted()
        ran(scene, 39)
        scene.flip()
        assert scene.only_release().watched.counted_from == scene.only_release().watched.since
        ran(scene, 40)
        scene.flip()
        assert scene.only_release().watched.counted_from > scene.only_release().watched.since
        assert scene.only_release().watched.started == 40

    def test_more_failures_than_a_list_holds_count_as_at_least_so_many_and_are_no_blindness(self):
        scene = promoted(past=200, failed=100)
        for _ in range(3):
            ran(scene, 30, failed=15)
            scene.flip()
        release = over(scene)
        assert (release.reason, held(scene)) == ("watched: 40 of 90 executions failed since the promotion", 0)

    def test_more_failures_than_a_list_holds_take_the_promotion_back(self):
        scene = promoted()
        ran(scene, 30, failed=30)
        scene.calls.fail(Unavailable("sfn", "TooMany", "more than 40 have failed"), "sfn.failures")
        scene.flip()
        assert (scene.only_release().state, scene.parameter("current")) == (_S.ROLLED_BACK, machine("v1"))
        assert watched(scene)["failed"] == 40

    def test_others_in_the_list_do_not_hide_those_that_succeeded(self):
        """Jobs that were not started by the router fill the newest page: further ones are looked at, as many as a list holds."""
        scene = promoted({"completed": 3})
        ran(scene, 3)
        for number in range(30):
            scene.stacks.ran(machine("v2"), f"job-{number}", started_at=scene.clock.now + 60_000, duration_ms=5)
        scene.flip()
        assert scene.only_release().state is _S.PROMOTED


class TestFailuresThatAreCountedForGood:
    """Half of them fail, before the release as in the watch: there are many to count, and nothing to take back."""

    def half_fail(self, monkeypatch: pytest.MonkeyPatch, many: int) -> tuple[Scene, list[int]]:
        """The scene after some passes, and from when on failures were read in each."""
        monkeypatch.setattr(watch, "MANY", many)
        scene = promoted(past=200, failed=100)
        since: list[int] = []
        read = scene.stacks.failures
        monkeypatch.setattr(
            scene.stacks, "failures", lambda of, at: (since.append(at) if of == machine("v2") else None, read(of, at))[1]
        )
        for _ in range(40):
            ran(scene, 6, failed=3)
            scene.flip()
        return scene, since

    def test_they_are_read_from_there_on_and_kept(self, monkeypatch):
        scene, since = self.half_fail(monkeypatch, 10)
        kept = scene.only_release().watched
        assert since == sorted(since)
        assert since[0] == kept.since
        assert since[-1] <= kept.failed_until
        assert 0 < kept.failed < 120
        hung = scene.only_release().baseline.overdue_ms(3)
        assert hung is not None
        assert scene.clock.now - kept.failed_until >= hung, "what is younger may still fail"

    def test_it_makes_no_difference_to_the_counts(self, monkeypatch):
        counts = []
        for many in (10, 25, 10**6):
            scene, _ = self.half_fail(monkeypatch, many)
            assert over(scene).state is _S.PROMOTED
            counts.append({name: watched(scene)[name] for name in ("started", "failed")})
            monkeypatch.undo()
        assert counts == [{"started": 240, "failed": 120}] * 3

    def test_few_are_read_anew_each_time(self, monkeypatch):
        scene, since = self.half_fail(monkeypatch, 10**6)
        assert set(since) == {scene.only_release().watched.since}
        assert scene.only_release().watched.failed == 0

    def test_one_that_fails_while_others_are_counted_for_good_is_counted_once(self, monkeypatch):
        """It had started before those, and is on its way for less than what hangs."""
        monkeypatch.setattr(watch, "MANY", 4)
        scene = promoted(past=200, failed=100)
        late = scene.stacks.ran(
            machine("v2"), f"{7:026d}", started_at=scene.clock.now, duration_ms=0, status=ExecutionStatus.RUNNING
        )
        for number in range(40):
            ran(scene, 6, failed=3)
            if number == 8:
                scene.stacks.end(late.rsplit(":", 1)[-1], ExecutionStatus.FAILED)
            scene.flip()
        assert over(scene).state is _S.PROMOTED
        assert watched(scene)["failed"] == 121


def without_workflows() -> Scene:
    """A promoted Lambda that does the work itself."""
    scene = Scene(plan={"stages": [{"quota": 2}], "watch": "10h"})
    scene.stacks.behaviour[arn("v2")] = answer(rows=7)
    scene.write_latest(arn("v2"))
    scene.flip()
    scene.spend()
    scene.flip()
    return scene


def not_allowed() -> Scene:
    scene = promoted()
    scene.calls.fail(DENIED, "sfn.started")
    scene.flip()
    return scene


@pytest.mark.parametrize("blind", [without_workflows, not_allowed])
class TestABlindWatch:
    def test_it_says_so_at_once_and_once(self, blind):
        scene = blind()
        for _ in range(4):
            scene.flip()
        release = scene.only_release()
        assert (release.state, release.hold) == (_S.WATCHING, Hold.OBSERVATION)
        assert (whats(scene), held(scene)) == (["the watch is blind"], 1)

    def test_it_is_counted_among_what_is_held_so_that_the_alarm_rings(self, blind):
        scene = blind()
        scene.counts.clear()
        (done,) = scene.flip()
        assert (done.held, scene.counts.count(("ReleaseHeld", "transformer"))) == (1, 1)

    def test_at_the_end_that_it_saw_nothing_is_told_and_no_figure(self, blind):
        scene = blind()
        scene.flip()
        release = over(scene)
        assert (release.state, release.hold, held(scene)) == (_S.PROMOTED, None, 2)
        assert (release.reason or "").startswith("the watch is over, and it could not see everything: ")
        assert "watched: 0 of 0" not in " ".join(change.why for change in release.history)


def test_a_watch_that_sees_again_says_so_and_counts_what_it_had_missed():
    scene = not_allowed()
    scene.flip()
    ran(scene, 3)
    scene.flip()
    scene.calls.let_live()
    scene.flip()
    scene.flip()
    release = scene.only_release()
    assert (release.state, release.hold, release.watched.started) == (_S.WATCHING, None, 3)
    assert (whats(scene), held(scene)) == (["the watch is blind", "the watch sees again"], 1)
    assert over(scene).reason == "watched: 0 of 3 executions failed since the promotion"


def test_a_watch_that_is_blind_a_second_time_says_so_a_second_time():
    scene = not_allowed()
    scene.calls.let_live()
    scene.flip()
    scene.calls.fail(DENIED, "sfn.failures")
    scene.flip()
    scene.flip()
    assert (scene.only_release().hold, held(scene)) == (Hold.OBSERVATION, 2)


def test_a_blind_watch_still_hears_an_alarm():
    scene = not_allowed()
    scene.alarms.alarms["errors"] = AlarmState.ALARM
    scene.flip()
    assert (scene.only_release().state, scene.parameter("current")) == (_S.ROLLED_BACK, machine("v1"))


def test_a_watch_in_which_nothing_has_ended_is_told_as_such():
    scene = promoted()
    scene.flip()
    assert (scene.only_release().hold, held(scene)) == (None, 0)
    release = over(scene)
    assert (release.state, held(scene)) == (_S.PROMOTED, 1)
    assert "nothing has ended since the promotion: there was nothing to watch" in (release.reason or "")


def test_what_only_runs_is_nothing_that_has_ended():
    scene = promoted()
    scene.stacks.ran(machine("v2"), f"{1:026d}", started_at=scene.clock.now, duration_ms=0, status=ExecutionStatus.RUNNING)
    scene.flip()
    scene.flip()
    assert scene.only_release().watched.started == 1
    assert "there was nothing to watch" in (over(scene).reason or "")


class TestAnErrorThatPasses:
    @pytest.mark.parametrize("call", ["sfn.started", "sfn.failures", "sfn.succeeded", "cloudwatch.states"])
    def test_it_neither_ends_the_watch_nor_is_told_as_blindness(self, call):
        scene = promoted({"completed": 2})
        ran(scene, 2)
        error = THROTTLED if call.startswith("sfn") else Unavailable("CloudWatch", "Throttling", "slower")
        scene.calls.fail(error, call)
        for _ in range(3):
            (done,) = scene.flip()
            assert done.result == "failed"
        assert (scene.only_release().state, scene.only_release().hold, held(scene)) == (_S.WATCHING, None, 0)
        scene.calls.let_live()
        scene.flip()
        assert scene.only_release().state is _S.PROMOTED

    @pytest.mark.parametrize("call", ["sfn.started", "sfn.failures", "sfn.succeeded"])
    def test_an_alarm_that_rings_meanwhile_takes_the_promotion_back(self, call):
        scene = promoted()
        scene.calls.fail(THROTTLED, call)
        scene.alarms.alarms["errors"] = AlarmState.ALARM
        scene.flip()
        assert (scene.only_release().state, scene.parameter("current")) == (_S.ROLLED_BACK, machine("v1"))

    def test_failures_that_are_seen_take_it_back_although_the_alarms_cannot_be_read(self):
        scene = promoted()
        ran(scene, 8, failed=8)
        scene.calls.fail(Unavailable("CloudWatch", "Throttling", "slower"), "cloudwatch.states")
        scene.flip()
        assert (scene.only_release().state, scene.parameter("current")) == (_S.ROLLED_BACK, machine("v1"))

    def test_a_watch_that_was_blind_stays_so_meanwhile(self):
        scene = not_allowed()
        scene.calls.fail(THROTTLED, "sfn.started")
        scene.flip()
        assert (scene.only_release().hold, whats(scene), held(scene)) == (Hold.OBSERVATION, ["the watch is blind"], 1)


def test_what_has_ended_has_started_although_the_list_of_starts_lacks_it(monkeypatch):
    scene = promoted()
    monkeypatch.setattr(scene.stacks, "started", lambda *_: ())
    ran(scene, 10, failed=8)
    scene.flip()
    assert scene.only_release().state is _S.ROLLED_BACK
    assert watched(scene)["started"] >= watched(scene)["failed"] == 8
