"""Backtests: past releases replayed under a plan, on what is on record of them and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from canary.domain.asks import NotPossible
from canary.domain.audit import Arm, Row, Status
from canary.domain.baseline import Baseline, Past, baseline_of
from canary.domain.plan_document import plan_from
from canary.domain.release import Release, Verb, release_key
from canary.domain.states import ReleaseState
from canary.errors import Unavailable
from canary.operating.backtesting import Backtest, backtest, counts
from canary.operating.judging import Weigher
from canary.operating.reading import Reader
from canary.operating.replaying import Decision, Replayed, Tape, replay
from tests.fakes.scene import APP, Scene, machine, usual_ms

MINUTE, HOUR = 60_000, 3_600_000
DAY = 24 * HOUR
FROZEN = "the history frozen when it opened"
NEVER: Callable[[int], bool] = lambda _: False  # noqa: E731


class Shelf:
    """The releases of a scene, newest first."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def recent(self, app: str, most: int) -> tuple[Release, ...]:
        found = [release for release in self.scene.all_releases() if release.app == app]
        return tuple(reversed(found))[:most]


def tried(scene: Scene, plan: dict[str, Any] | str, most: int = 50) -> Backtest:
    weigher = Weigher(scene.audit, scene.records, scene.alarms)
    tables = (scene.parameters, scene.releases, scene.releases, Shelf(scene), scene.audit, scene.records, weigher)
    return backtest(Reader(*tables, clock=scene.clock), scene.stacks, APP, plan_from(plan), most=most, now=scene.clock())


def history(executions: int = 500, failed: int = 2) -> Baseline:
    return baseline_of([Past(number < failed, number, usual_ms(number / executions)) for number in range(executions)], "a test")


def with_a_past(plan: dict[str, Any] | str) -> Scene:
    scene = Scene(plan=plan, current=machine("v1"))
    scene.ran_before()
    return scene


def released(scene: Scene, name: str, most: int = 5, *, draws: Sequence[float] = (0.0,), **fate: Any) -> Release:
    """Release a version, and let it run to its end with requests in every pass."""
    scene.behaves(name, **fate)
    scene.write_latest(machine(name))
    scene.flip()
    for _ in range(200):
        for draw in draws:
            scene.spend(most, draw=draw)
        scene.flip()
        release = scene.all_releases()[-1]
        if release.state is ReleaseState.WATCHING:
            scene.live(15 * DAY)
        if release.ended:
            return release
    raise AssertionError(f"it has not ended: {scene.all_releases()[-1]}")


Outcome = tuple[int, int | None, Status]


def tape(*outcomes: Outcome, share: int = 10_000, covered: int = DAY, until: int = 30 * DAY, **words: Any) -> Tape:
    """A release whose requests were claimed, ended, and ended so, at these times after its first slots."""
    value = machine("v2")
    name = release_key(7, value, 0)
    common = {"app": APP, "release": name, "target": value, "tag": "v2"}
    state = {"rev": 9, "state": ReleaseState.PROMOTED, "since": 0, "opened_at": 0, "written_at": 0, "value": value}
    rows = tuple(
        Row(request_id=str(number), status=status, claimed_at=at, started_at=at, stopped_at=end, share=share, **common)
        for number, (at, end, status) in enumerate(outcomes)
    )
    rows += words.pop("more", ())
    words = {"baseline": history(), "covered": covered, "until": until, **words}
    return Tape(release=Release(**state, **common), rows=rows, began=0, **words)


def good(at: int, end: int | None = None) -> Outcome:
    return (at, at + usual_ms(0.5) if end is None else end, Status.SUCCEEDED)


def bad(at: int, end: int | None = None) -> Outcome:
    return (at, at + usual_ms(0.5) if end is None else end, Status.FAILED)


def replayed(plan: dict[str, Any] | str, *outcomes: Outcome, **words: Any) -> Replayed:
    return replay(tape(*outcomes, **words), plan_from(plan))


FATES: dict[str, Callable[[int], bool]] = {
    "all succeed": NEVER,
    "all fail": lambda _: True,
    "half fail": lambda number: number % 2 == 1,
    "a third fails": lambda number: number % 3 == 2,
    "the second fails": lambda number: number == 1,
}
PLANS: dict[str, dict[str, Any] | str] = {
    "careful": "careful",
    "two": "two-requests",
    "fast": "fast",
    "stages": {"stages": [{"quota": 2, "weight": 100}, {"quota": 5, "weight": 100, "bake": "5m"}], "max_failures": 1},
    "coin": {"stages": [{"quota": "earned", "weight": 40}]},
}


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("plan", PLANS)
def test_a_release_replayed_under_its_own_plan_comes_out_as_it_did(plan, fate):
    scene = with_a_past(PLANS[plan])
    release = released(scene, "v2", fails=FATES[fate])
    [one] = tried(scene, PLANS[plan]).tested
    assert one.agrees
    assert one.sent == release.claimed
    assert one.replayed.exposed + one.replayed.left_out <= release.claimed
    assert one.replayed.ended <= release.tally.known, "it looks after every outcome, the flipper once in a while"
    assert one.replayed.ended >= release.tally.known - 8
    assert one.replayed.after_ms <= release.since - release.opened_at


def test_a_release_that_two_requests_promoted_and_careful_would_have_thrown_out():
    scene = with_a_past("careful")
    released(scene, "v2")
    scene.parameters.put(APP, "plan", "two-requests")
    slow = released(scene, "v3", slow=20.0)
    assert slow.state is ReleaseState.PROMOTED
    found = tried(scene, "careful")
    newest, older = found.tested
    assert (newest.release.release, newest.replayed.decision, newest.agrees) == (slow.release, Decision.ABORT, False)
    assert "2 requests hang" in newest.replayed.reason
    assert newest.replayed.ended == 0
    assert newest.replayed.after_ms < 20 * usual_ms(0.5)
    assert newest.against == f"{older.release.tally.known} requests on record of the stack that was current"
    assert older.agrees
    assert counts(found.tested)["not_promoted"] == 1
    assert [each.agrees for each in tried(scene, "two-requests").tested] == [True, True]


def test_a_promotion_on_two_requests_is_no_proof_for_a_judged_plan():
    scene = with_a_past("two-requests")
    released(scene, "v2")
    [one] = tried(scene, "careful").tested
    assert (one.replayed.decision, one.agrees, one.replayed.clean_runs) == (Decision.UNDECIDED, None, 28)
    assert "about 28 more in a row would do" in one.replayed.reason
    assert (one.replayed.exposed, one.replayed.ended) == (2, 2)
    assert (one.against, one.baseline.executions) == ("no history", 0)


def test_the_history_that_was_frozen_is_what_latest_is_held_against():
    scene = with_a_past("careful")
    release = released(scene, "v2", fails=FATES["half fail"])
    [one] = tried(scene, "fast").tested
    assert (one.against, one.baseline) == (FROZEN, release.baseline)


def test_a_history_is_made_of_the_stack_that_was_current_then_and_of_no_other():
    scene = with_a_past("two-requests")
    released(scene, "v2")
    released(scene, "v3", fails=FATES["all fail"])
    released(scene, "v4")
    fourth, third, _ = tried(scene, "careful").tested
    assert (third.baseline.executions, third.baseline.failed) == (2, 0)
    assert (fourth.baseline.executions, fourth.baseline.failed) == (2, 0), "v3 never was current"
    released(scene, "v5")
    assert tried(scene, "careful").tested[0].baseline == tried(scene, "careful", most=1).tested[0].baseline


def test_what_was_taken_back_is_not_current_any_more():
    scene = with_a_past({"stages": [{"quota": 3}]})
    released(scene, "v2")
    scene.parameters.put(APP, "plan", "two-requests")
    released(scene, "v3")
    scene.ask(Verb.ROLLBACK)
    scene.flip()
    scene.flip()
    assert scene.parameter("current") == machine("v2")
    released(scene, "v4", fails=FATES["all fail"])
    newest, taken_back, _ = tried(scene, "careful").tested
    assert taken_back.release.state is ReleaseState.ROLLED_BACK
    assert newest.baseline.executions == 3, "of v2"
    assert counts([replace(taken_back, replayed=replace(taken_back.replayed, decision=Decision.ABORT))])["caught"] == 1


def outage(scene: Scene, plan: dict[str, Any]) -> Release:
    """A release of a coin while everything fails on both stacks."""
    scene.parameters.put(APP, "plan", json.dumps(plan))
    scene.behaves("v1", fails=lambda _: True)
    scene.behaves("v2", fails=lambda number: number >= 1)
    scene.write_latest(machine("v2"))
    scene.flip()
    for _ in range(3):
        for _ in range(6):
            scene.send(scene.desk(draw=0.99))
        scene.spend(2)
        scene.flip()
    scene.live(HOUR)
    scene.flip()
    scene.ask(Verb.ABORT)
    scene.flip()
    return scene.only_release()


COIN = {"stages": [{"quota": "earned", "weight": 10}]}


def test_failures_of_current_in_the_same_time_are_counted_from_their_names():
    scene = with_a_past(COIN)
    release = outage(scene, COIN)
    assert release.tally.failures >= 4, "an outage of both stacks threw it out of no trial"
    [one] = tried(scene, COIN).tested
    assert one.replayed.decision is Decision.UNDECIDED
    assert one.meanwhile == "current's failures in the same time are compared"


def test_where_currents_failures_cannot_be_read_requests_of_the_coin_say_nothing(monkeypatch):
    scene = with_a_past(COIN)
    outage(scene, COIN)

    def unread(*_: Any) -> Any:
        raise Unavailable("SFN", "TooMany", "an outage")

    monkeypatch.setattr(scene.stacks, "failures", unread)
    [one] = tried(scene, COIN).tested
    assert one.replayed.decision is Decision.UNDECIDED
    assert "cannot be read, so requests of the coin say nothing: SFN: TooMany: an outage" in one.meanwhile


@pytest.mark.parametrize("watch", ["0s", "1h"])
def test_where_they_are_not_on_record_its_history_alone_is_compared(watch):
    scene = with_a_past(COIN)
    release = outage(scene, {"stages": [{"quota": 9, "weight": 10}], "max_failures": 8, "watch": watch})
    assert (release.control is None) == (watch == "0s"), "calls of current that failed are not kept by a plan that counts"
    [one] = tried(scene, COIN).tested
    assert one.meanwhile == "current's failures in the same time are not on record: its history alone is compared"
    assert one.replayed.decision is Decision.ABORT


def test_time_alone_decides_only_while_the_real_release_had_slots():
    soon = {"stages": [{"quota": 3}], "deadline": "1m"}
    scene = with_a_past("two-requests")
    released(scene, "v2")
    [used_up] = tried(scene, soon).tested
    assert (used_up.replayed.decision, used_up.replayed.clean_runs) == (Decision.UNDECIDED, 2)
    scene = with_a_past({"stages": [{"quota": 5}], "deadline": "2h"})
    scene.behaves("v2")
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.spend(2)
    scene.live(2 * HOUR)
    scene.flip()
    [had_some] = tried(scene, soon).tested
    assert (had_some.replayed.decision, had_some.agrees) == (Decision.ABORT, True), "nobody came for them"


def test_failures_of_current_while_the_plan_had_no_slot_are_left_out_as_well():
    common = {"app": APP, "release": "00000007-00000000", "target": machine("v1"), "tag": "v1", "arm": Arm.CURRENT, "share": 500}
    late = tuple(Row(request_id=f"c{n}", status=Status.FAILED, claimed_at=50 + n, stopped_at=60, **common) for n in range(40))
    early = tuple(replace(row, claimed_at=row.claimed_at - 50 - 40) for row in late)
    first_two_fail = (bad(10, 100), bad(20, 200))
    found = replayed("careful", *first_two_fail, share=500, compared=True, more=late)
    assert (found.decision, found.ended) == (Decision.UNDECIDED, 2), "4.80 of 4.89: nearly"
    assert "it fails" in found.reason
    third = (*first_two_fail, bad(300, 400))
    assert replayed("careful", *third, share=500, compared=True, more=late).decision is Decision.ABORT
    assert replayed("careful", *third, share=500, compared=True, more=early).decision is Decision.UNDECIDED


def test_requests_without_a_slot_are_left_out_and_counted():
    found = replayed("two-requests", good(0), good(1), bad(2), bad(3))
    assert (found.decision, found.exposed, found.left_out, found.ended) == (Decision.PROMOTE, 2, 2, 2)


def test_a_slot_that_was_given_back_serves_the_next_request():
    refunded = tape((0, 10, Status.LOST), good(20), good(30), bad(40))
    rows = (replace(refunded.rows[0], unstarted=True), *refunded.rows[1:])
    found = replay(replace(refunded, rows=rows), plan_from("two-requests"))
    assert (found.decision, found.ended, found.exposed, found.left_out) == (Decision.PROMOTE, 2, 2, 1)


def test_outcomes_count_in_the_order_in_which_they_ended():
    first = replayed({"stages": [{"quota": 1}]}, (0, 500, Status.FAILED), (1, 100, Status.SUCCEEDED))
    assert (first.decision, first.after_ms, first.left_out) == (Decision.ABORT, 500, 1)
    both = replayed({"stages": [{"quota": 2}]}, (0, 500, Status.SUCCEEDED), (1, 100, Status.FAILED))
    assert (both.decision, both.after_ms, both.ended) == (Decision.ABORT, 100, 1)


def test_a_request_that_is_still_running_is_no_success():
    found = replayed("two-requests", good(0), (1, None, Status.RUNNING), until=HOUR)
    assert (found.decision, found.clean_runs) == (Decision.UNDECIDED, 1)
    assert "1 of 2 succeeded, 1 running" in found.reason
    later = replayed("two-requests", good(0), (1, None, Status.RUNNING))
    assert later.reason.startswith("not decided within its deadline of 1 d")


def test_the_deadline_decides_where_the_record_shows_all_that_would_have_come():
    late = {"stages": [{"quota": 3}], "deadline": "2h"}
    assert replayed(late, good(0), good(MINUTE)).decision is Decision.ABORT
    found = replayed(late, good(0), good(MINUTE), covered=HOUR)
    assert (found.decision, found.clean_runs) == (Decision.UNDECIDED, 1), "more would have come after that"
    kind = {**late, "no_data": "promote"}
    assert replayed(kind, good(0), good(MINUTE)).decision is Decision.PROMOTE
    asked = replayed({**late, "no_data": "hold"}, good(0), good(MINUTE))
    assert (asked.decision, asked.after_ms, asked.clean_runs) == (Decision.UNDECIDED, 2 * HOUR, None)
    assert asked.reason.startswith("a person would have been asked: not decided within its deadline of 2 h")


def test_a_stage_bakes_on_the_clock_where_no_request_is_missing():
    bakes = {"stages": [{"quota": 1, "bake": "30m"}]}
    found = replayed(bakes, good(0), covered=0)
    assert (found.decision, found.after_ms) == (Decision.PROMOTE, 30 * MINUTE)
    assert replayed(bakes, good(0), covered=0, until=20 * MINUTE).decision is Decision.UNDECIDED
    share = {"stages": [{"weight": 5, "bake": "30m"}, {"quota": 1}]}
    found = replayed(share, good(0), good(HOUR), covered=2 * HOUR, baseline=history(40, 0))
    assert "29 must" not in found.reason
    assert found.exposed == 2
    assert replayed(share, good(0), covered=10 * MINUTE).reason.startswith("1 of 1 requests succeeded; baking for")


def test_a_person_is_not_answered_for():
    gate = {"stages": [{"quota": 1, "gate": {"type": "manual", "timeout": "1h", "default": "continue"}}]}
    found = replayed(gate, good(0))
    assert (found.decision, found.clean_runs, found.exposed) == (Decision.UNDECIDED, None, 1)
    assert "a person would have been asked: stage 1 waits for approval" in found.reason
    lost = replayed("two-requests", (0, 10, Status.LOST), good(20), good(30))
    assert lost.decision is Decision.UNDECIDED
    assert "the outcome of 1 request is unknown (LOST)" in lost.reason
    assert lost.exposed == 1
    assert replayed("two-requests", (0, 20, Status.LOST), bad(10, 30)).decision is Decision.ABORT, "held, and failed all the same"


def test_a_hang_is_found_when_it_is_one_and_not_when_it_ends():
    baseline = history()
    found = replayed("careful", (0, 20 * HOUR, Status.SUCCEEDED), (7, 20 * HOUR, Status.SUCCEEDED), baseline=baseline)
    assert found.decision is Decision.ABORT
    assert found.after_ms == 7 + 3 * baseline.slowest_ms + 1


def test_what_the_flipper_stopped_itself_says_nothing():
    scene = with_a_past({"preset": "two-requests", "on_abort": "stop"})
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.spend(2)
    scene.flip()
    scene.ask(Verb.ABORT)
    scene.flip()
    scene.flip()
    scene.flip()
    assert [row.status for row in scene.rows()] == [Status.ABORTED] * 2
    [one] = tried(scene, "two-requests").tested
    assert (one.replayed.decision, one.replayed.ended) == (Decision.UNDECIDED, 0)


def test_a_plan_under_which_nothing_could_pass_would_be_refused():
    found = replayed({"stages": ["earned"], "max_failure_rate": 0.01}, good(0), baseline=history(100, 30))
    assert (found.decision, found.exposed) == (Decision.REJECT, 0)
    assert "1 % is to be excluded" in found.reason


@pytest.mark.parametrize(
    ("plan", "ended", "needed"),
    [
        ({"stages": [{"quota": 5}]}, 2, 3),
        ({"stages": [{"quota": 2}, {"quota": 5}]}, 1, 6),
        ({"stages": [{"quota": 5}], "max_failures": 1}, 0, 5),
        ({"stages": ["earned"]}, 2, 28),
        ({"stages": [{"quota": 2}, {"weight": 5, "min_completed": 10}], "alpha": 0.01}, 1, 29),
        ({"stages": ["earned", {"weight": 5, "min_completed": 50}]}, 2, 78),
        ({"stages": [{"weight": 100, "bake": {"completed": 50}}]}, 2, 48),
    ],
)
def test_it_says_how_many_clean_runs_are_missing_at_least(plan, ended, needed):
    outcomes = [good(number * HOUR) for number in range(ended)]
    found = replayed(plan, *outcomes, covered=0, until=HOUR * 5)
    assert (found.decision, found.clean_runs) == (Decision.UNDECIDED, needed)
    more = [good(number * 5 * MINUTE) for number in range(ended + needed)]
    assert replayed(plan, *more).decision is Decision.PROMOTE
    assert replayed(plan, *more[:-1], until=23 * HOUR).decision is Decision.UNDECIDED


def test_no_number_of_clean_runs_brings_through_what_has_no_slots_left_for_them():
    plan = {"stages": [{"quota": 32}], "max_failure_rate": "10%"}
    one_bad = [bad(0), *(good(number * 5 * MINUTE) for number in range(1, 30))]
    found = replayed(plan, *one_bad, until=20 * HOUR)
    assert (found.decision, found.clean_runs) == (Decision.UNDECIDED, None)


@pytest.mark.parametrize(
    "plan",
    [
        {"stages": [{"quota": 1}, {"quota": 2}], "max_failures": 1},
        {"stages": [{"quota": 1}, {"weight": 50, "min_completed": 5}]},
    ],
)
def test_a_stage_whose_slots_are_used_up_without_a_success_is_not_saved_by_any(plan):
    found = replayed(plan, bad(0), until=HOUR)
    assert (found.decision, found.clean_runs) == (Decision.UNDECIDED, None)


def test_releases_without_rows_or_without_all_of_them_are_left_out_and_the_reason_is_said():
    scene = with_a_past("two-requests")
    released(scene, "v2")
    scene.write_latest(machine("v2"))
    scene.flip()
    released(scene, "v3")
    gone = next(key for key, row in scene.audit.table.items() if row.tag == "transformer-v2" or machine("v2") == row.target)
    del scene.audit.table[gone]
    found = tried(scene, "careful")
    assert [each.release.tag for each in found.tested] == ["transformer-v3"]
    assert [(each.release.state, each.why) for each in found.left_out] == [
        (ReleaseState.REJECTED, "no request went to latest"),
        (ReleaseState.PROMOTED, "1 of 2 rows have expired"),
    ]


def test_a_release_that_has_not_ended_is_no_past_one():
    scene = with_a_past("two-requests")
    with pytest.raises(NotPossible, match="no release that has ended"):
        tried(scene, "careful")
    released(scene, "v2")
    scene.write_latest(machine("v3"))
    scene.flip()
    assert [each.release.target for each in tried(scene, "careful").tested] == [machine("v2")]


def test_only_the_newest_so_many_are_replayed():
    scene = with_a_past("two-requests")
    for name in ("v2", "v3", "v4"):
        released(scene, name)
    assert [each.release.target for each in tried(scene, "two-requests", most=2).tested] == [machine("v4"), machine("v3")]


def test_a_superseded_release_agrees_with_nothing():
    scene = with_a_past({"stages": [{"quota": 5}]})
    scene.behaves("v2")
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.spend(3)
    scene.flip()
    scene.live(HOUR)
    scene.flip()
    released(scene, "v3")
    *_, first = tried(scene, "two-requests").tested
    assert (first.release.state, first.replayed.decision, first.agrees) == (ReleaseState.SUPERSEDED, Decision.PROMOTE, None)


def test_a_backtest_reads_and_writes_nothing():
    scene = with_a_past("careful")
    released(scene, "v2")
    before = (dict(scene.releases.releases), dict(scene.audit.table), scene.parameter("latest"))
    tried(scene, "careful")
    assert (dict(scene.releases.releases), dict(scene.audit.table), scene.parameter("latest")) == before
