"""Following: the evidence is of workflows as they really ran, and of all of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from canary.domain.audit import ExecutionStatus, Row, RowUpdate, Status
from canary.domain.counting import accounted
from canary.domain.release import Release, Verb
from canary.domain.states import ReleaseState
from canary.errors import Unavailable
from canary.flipping import count as count_module
from canary.flipping.follow import follow
from tests.fakes.calls import Killed
from tests.fakes.scene import APP, USUAL_MS, Scene, arn, machine

_S = ReleaseState
HOUR_MS = 3_600_000


def opened(plan: dict[str, object] | None = None, *, lambdas: bool = False) -> Scene:
    scene = Scene(plan=plan or {"stages": ["earned"]}, current=machine("v1"))
    scene.ran_before(500, 2)
    scene.write_latest(arn("v2") if lambdas else machine("v2"))
    scene.flip()
    return scene


def slow_calls(scene: Scene, milliseconds: int) -> None:
    """The Lambda takes its time before it starts the workflow."""

    def wait(_: int, name: str, when: str) -> None:
        if name == "stack.call" and when == "before":
            scene.clock.now += milliseconds

    scene.calls.on_call = wait


def test_a_workflow_takes_as_long_as_it_runs_and_not_as_the_call_that_started_it():
    scene = opened(lambdas=True)
    while scene.only_release().state is _S.RUNNING and scene.only_release().claimed < 60:
        slow_calls(scene, 8_000)
        scene.spend()
        scene.calls.let_live()
        for name in [row.request_id for row in scene.rows() if not row.counted]:
            started = next(e.started_at or 0 for a, e in scene.stacks.executions.items() if a.endswith(name))
            scene.stacks.end(name, ExecutionStatus.SUCCEEDED, at=started + 66_000)  # the quickest quarter of current's
        scene.flip()
    assert scene.only_release().gathered.bins[0] == scene.only_release().tally.known > 0


def test_how_long_one_is_running_is_told_by_its_own_start_too():
    scene = opened({"stages": ["earned"], "hung_after": 1}, lambdas=True)
    slow_calls(scene, 20_000)
    scene.spend(2)
    scene.calls.let_live()
    slowest = scene.only_release().baseline.slowest_ms
    started_at = max(e.started_at or 0 for a, e in scene.stacks.executions.items() if "transformer-v2:" in a)
    scene.clock.now = started_at + slowest - USUAL_MS - 1_000
    scene.flip()
    assert scene.only_release().state is _S.RUNNING
    scene.flip()
    assert (scene.only_release().state, "2 requests hang" in (scene.only_release().reason or "")) == (_S.ABORTED, True)


def test_one_that_is_found_by_its_name_counts_with_its_duration():
    scene = opened()

    def die(_: int, name: str, when: str) -> None:
        if name == "ddb.update_row":
            raise Killed("the router dies")

    scene.calls.on_call = die
    with pytest.raises(Killed):
        scene.send()
    scene.calls.let_live()
    (row,) = scene.rows()
    scene.stacks.end(row.request_id, ExecutionStatus.SUCCEEDED, at=scene.clock.now + 500_000)
    scene.flip()
    assert scene.only_release().gathered.bins == (0, 0, 0, 0, 1)
    assert scene.only_release().state_machine == machine("v2")


class TestCounting:
    """Outcomes are counted fifty at a time, each part in one write."""

    def spent(self, number: int) -> Scene:
        scene = opened({"stages": [{"quota": 200}], "max_failure_rate": 0.05})
        scene.spend(number)
        scene.end_workflows()
        return scene

    def test_evidence_settles_no_further_than_the_oldest_that_is_not_counted_yet(self):
        scene = self.spent(130)
        saved: list[Release] = []

        def look(_: int, name: str, when: str) -> None:
            release = scene.only_release()
            if name == "ddb.save" and when == "after" and release.tally.known < 130:
                saved.append(release)

        scene.calls.on_call = look
        scene.flip()
        assert {release.tally.known for release in saved} >= {50, 100}
        for release in saved:
            uncounted = [row.claimed_at for row in scene.rows() if not row.counted and row.request_id not in release.counted]
            assert release.gathered.prefix.until < min(uncounted, default=release.gathered.prefix.until + 1)
        assert scene.only_release().gathered.prefix.finished == 130

    def test_a_row_whose_mark_could_not_be_cleared_and_that_is_open_again_is_counted_once(self):
        """Its mark goes in this pass; what was read of it before is old by then."""
        scene = self.spent(2)
        scene.calls.fail(Unavailable("DynamoDB", "Throttling", "later"), "ddb.mark_counted")
        scene.flip()
        scene.calls.let_live()
        release = scene.only_release()
        assert (release.tally.succeeded, len(release.counted)) == (2, 2)
        late = {name: row.claimed_at for name, row in ((row.request_id, row) for row in scene.rows())}
        scene.releases.releases[APP, release.release] = replace(release, open=late)
        scene.flip()
        release = scene.only_release()
        assert (release.tally.succeeded, release.counted, release.open) == (2, {}, {})

    def test_what_has_ended_and_could_not_be_counted_is_told_and_counted_when_followed_again(self):
        scene = self.spent(3)
        stale = scene.only_release()
        scene.ask(Verb.PAUSE)
        assert follow(scene.world(), stale).overtaken
        followed = follow(scene.world(), scene.only_release())
        assert (followed.running, followed.overtaken) == ((), False)

    def test_what_has_ended_long_ago_and_could_not_be_counted_is_no_failure(self):
        scene = opened()
        scene.spend()
        scene.end_workflows()
        scene.clock.pass_by(HOUR_MS)  # no pass in all that time
        asked: list[str] = []

        def meanwhile(_: int, name: str, when: str) -> None:
            if (name, when) == ("ddb.save", "before") and not asked:
                asked.append(name)
                scene.ask(Verb.PROMOTE, "is it good enough?")

        scene.calls.on_call = meanwhile
        scene.flip()
        release = scene.only_release()
        assert (release.state, release.tally.failed, release.tally.succeeded) == (_S.RUNNING, 0, release.claimed)
        assert (release.asks, release.history[-1].what) == ((), "promote refused")
        assert "could not be looked at" not in release.history[-1].why

    def test_what_has_ended_long_ago_is_no_failure_where_the_answer_to_its_settling_was_lost(self):
        """What was written is sent once more, and refused: it is there already."""
        scene = opened()
        scene.spend()
        scene.end_workflows()
        scene.clock.pass_by(HOUR_MS)  # no pass in all that time
        settled: list[str] = []
        update = scene.audit.update

        def twice(row: Row, change: RowUpdate) -> bool:
            settled.append(row.request_id)
            return update(row, change) and update(row, change)

        scene.audit.update = twice
        followed = follow(scene.world(), scene.only_release())
        assert settled
        assert followed.overtaken
        scene.flip()
        release = scene.only_release()
        assert (release.state, release.tally.failed, release.tally.succeeded) == (_S.RUNNING, 0, release.claimed)

    def test_what_there_was_no_time_to_look_at_is_not_taken_for_hanging(self):
        scene = opened()
        scene.spend()
        scene.clock.pass_by(HOUR_MS)  # no pass in all that time
        scene.stacks.observe = lambda arns: {}
        scene.flip()
        assert (scene.only_release().state, scene.only_release().tally.known) == (_S.RUNNING, 0)


class TestMarks:
    """What is counted is marked in the release, and the marks go once the rows say it: the item stays small."""

    PART = 4

    @pytest.fixture(autouse=True)
    def _small_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(count_module, "_PART", self.PART)

    def spent(self, number: int, failed: int = 0) -> Scene:
        scene = opened({"stages": [{"quota": 40}], "max_failure_rate": 0.9})
        scene.spend(number)
        for name in [row.request_id for row in scene.rows()][:failed]:
            scene.stacks.end(name, ExecutionStatus.FAILED)
        scene.end_workflows()
        return scene

    def marks(self, scene: Scene) -> list[int]:
        """How many marks the release holds after each write."""
        seen: list[int] = []

        def look(_: int, name: str, when: str) -> None:
            if (name, when) == ("ddb.save", "after"):
                seen.append(len(scene.only_release().counted))

        scene.calls.on_call = look
        return seen

    def test_they_are_never_more_than_one_part(self):
        scene = self.spent(15)
        seen = self.marks(scene)
        scene.flip()
        assert (max(seen), scene.only_release().counted) == (self.PART, {})
        assert scene.only_release().tally.succeeded == 15

    @pytest.mark.parametrize("left", [1, 4, 11])
    def test_what_was_left_of_an_earlier_pass_goes_first(self, left):
        scene = self.spent(15)
        names = [row.request_id for row in scene.rows()][:left]
        before = scene.only_release()
        done = accounted(before, [replace(row, status=Status.SUCCEEDED) for row in scene.rows() if row.request_id in names])
        assert scene.releases.save(before, done)
        for row in scene.rows()[:left]:
            scene.audit.table[APP, row.release, row.request_id] = replace(row, status=Status.SUCCEEDED, stopped_at=scene.clock())
        seen = self.marks(scene)
        scene.flip()
        assert seen[: -(-left // self.PART)] == [max(0, left - self.PART * (n + 1)) for n in range(-(-left // self.PART))]
        assert max(seen) <= max(left, self.PART)
        release = scene.only_release()
        assert (release.tally.succeeded, release.counted, release.in_flight) == (15, {}, 0)
        assert sum(share.finished for share in release.gathered.shares.values()) == 15

    @pytest.mark.parametrize("half", ["before", "after"])
    def test_killed_anywhere_each_outcome_is_counted_once(self, half):
        for number in count():
            scene = self.spent(10, failed=3)
            scene.calls.kill_at(number, half)
            try:
                scene.flip()
                finished = True
            except Killed:
                finished = False
            scene.calls.let_live()
            for _ in range(2):
                scene.flip()
            release = scene.only_release()
            assert (release.tally.succeeded, release.tally.failed, release.in_flight, release.counted) == (7, 3, 0, {})
            (share,) = release.gathered.shares.values()
            assert (share.finished, share.failed, release.gathered.prefix.finished) == (10, 3, 10)
            assert all(row.counted for row in scene.rows())
            if finished:
                break
        assert number > 30, "a pass makes more calls than that"

    def test_a_metric_is_counted_for_each_outcome(self):
        scene = self.spent(10, failed=3)
        scene.flip()
        scene.flip()
        told = [name for name, _ in scene.counts if name.startswith("Outcome")]
        assert (told.count("OutcomeSucceeded"), told.count("OutcomeFailed"), len(told)) == (7, 3, 10)


class TestAnIndexThatLagsBehind:
    """Rows in flight are found by an index that may not have the newest of them yet: then nothing is decided."""

    def lagging(self, monkeypatch: pytest.MonkeyPatch, plan: dict[str, object] | None = None) -> tuple[Scene, str]:
        scene = opened(plan or {"stages": ["earned"], "max_failure_rate": 0.5})
        scene.spend(1)
        scene.flip()
        (oldest,) = [row.request_id for row in scene.rows()]
        everything = scene.audit.in_flight
        monkeypatch.setattr(scene.audit, "in_flight", lambda *where: tuple(i for i in everything(*where) if i != oldest))
        return scene, oldest

    def test_the_oldest_that_runs_is_not_taken_for_settled(self, monkeypatch):
        scene, oldest = self.lagging(monkeypatch)
        for _ in range(8):
            scene.spend()
            for row in [row for row in scene.rows() if not row.counted and row.request_id != oldest]:
                scene.stacks.end(row.request_id, ExecutionStatus.SUCCEEDED)
            scene.flip()
        release = scene.only_release()
        assert (release.state, release.gathered.prefix.finished, scene.parameter("current")) == (_S.RUNNING, 0, machine("v1"))
        assert release.tally.succeeded > 0
        monkeypatch.undo()
        scene.flip()
        assert scene.only_release().gathered.prefix.finished == 0
        scene.end_workflows()
        scene.flip()
        assert scene.only_release().gathered.prefix.finished == scene.only_release().tally.known

    def test_a_plan_that_counts_knows_by_its_counters(self, monkeypatch):
        scene, _ = self.lagging(monkeypatch, {"stages": [{"quota": 2}]})
        scene.spend(1)
        scene.stacks.end(scene.rows()[-1].request_id, ExecutionStatus.FAILED)
        scene.flip()
        assert scene.only_release().state is _S.ABORTED

    def test_an_operator_can_abort_it_all_the_same(self, monkeypatch):
        scene, _ = self.lagging(monkeypatch)
        scene.ask(Verb.ABORT)
        scene.flip()
        assert (scene.only_release().state, scene.releases.items[APP].followed) == (
            _S.ABORTED,
            (scene.only_release().release,),
        )
