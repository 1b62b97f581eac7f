"""Every change of a release is in its history, by whom, when and why: of every write of every flow, and of each field."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from canary.domain.release import FLIPPER, Ask, Release, Verb
from canary.domain.states import Gate, Hold, ReleaseState
from tests.fakes.scene import APP, Scene
from tests.histories.trail import CLAIMS, EARNED, FACTS, IDENTITY, untold
from tests.unit.flows import FLOWS, value

NAMES = {field.name for field in fields(Release)}
DECIDED = sorted(NAMES - FACTS.keys() - IDENTITY)


class Hearing:
    """Hears of all writings of releases: what stood there before, what stands there now, and the time."""

    def __init__(self, scene: Scene) -> None:
        self.written: list[tuple[Release | None, Release, int]] = []
        self._scene = scene
        scene.calls.changed = self._hear  # type: ignore[method-assign]

    def _hear(self, kind: str, _: object, before: Any, after: Any) -> None:
        if kind == "release":
            self.written.append((before, after, self._scene.clock.now))

    def all_is_told(self) -> None:
        for before, after, now in self.written:
            assert not list(untold(before, after))
            told = before.history if before else ()
            for line in after.history[len(told) :]:
                assert line.who in {FLIPPER, "ops", "release tagging"}
                assert (told[-1].at if told else 0) <= line.at <= now


def on_trial() -> Scene:
    scene = Scene()
    scene.write_latest(value("v2"))
    scene.flip()
    assert scene.only_release().state is ReleaseState.RUNNING
    return scene


def passed_first_stage(scene: Scene) -> None:
    scene.write_latest(value("v2"))
    scene.flip()
    scene.send()
    scene.end_workflows()
    scene.flip()


def next_writing(of: Release, **changes: Any) -> Release:
    """What a write would leave that changes this and no more."""
    return replace(of, rev=of.rev + 1, **changes)


class TestFlows:
    @pytest.mark.parametrize("name", FLOWS)
    def test_every_write_is_told_by_whom_when_and_why(self, name):
        flow = FLOWS[name]
        scene = flow.scene()
        hearing = Hearing(scene)
        flow.happens(scene)
        scene.flip()
        assert len(hearing.written) > 2
        hearing.all_is_told()

    def test_a_stage_that_passes_is_told(self):
        scene = Scene(plan={"stages": [{"quota": 1}, {"quota": 2}]})
        hearing = Hearing(scene)
        passed_first_stage(scene)
        assert (scene.only_release().stage, scene.only_release().history[-1].what) == (1, "next stage")
        hearing.all_is_told()

    def test_a_cause_to_hold_that_gives_way_to_another_is_told(self):
        scene = Scene(plan={"stages": [{"quota": 1, "alarms": ["errors"]}], "deadline": "1h", "no_data": "hold"})
        hearing = Hearing(scene)
        passed_first_stage(scene)  # but for the alarm, which nobody has made
        assert scene.only_release().hold is Hold.ALARM
        scene.live(3_600_000)
        scene.flip()
        assert scene.only_release().hold is Hold.DEADLINE
        assert scene.only_release().history[-1].what == "held for another reason"
        hearing.all_is_told()


class TestFields:
    @pytest.mark.parametrize("name", DECIDED)
    def test_what_is_decided_does_not_change_without_a_line(self, name):
        scene = on_trial()
        scene.ask(Verb.PAUSE)
        scene.flip()
        before = scene.only_release()
        after = next_writing(before, **{name: object()})
        assert list(untold(before, after))
        told = after.noted("changed", now=scene.clock(), why="because", who="ops")
        assert bool(list(untold(before, told))) == (name == "state")  # a state has a line of its own kind

    @pytest.mark.parametrize("name", sorted(IDENTITY))
    def test_what_a_release_is_does_not_change_at_all(self, name):
        before = on_trial().only_release()
        assert list(untold(before, next_writing(before, **{name: object()}).noted("changed", now=1, why="because")))

    def test_what_needs_no_line_is_a_field_of_a_release(self):
        assert {*FACTS, *IDENTITY, *EARNED, *CLAIMS} <= NAMES
        assert not FACTS.keys() & (IDENTITY | EARNED)

    @pytest.mark.parametrize(
        ("stands", "granted", "needs_a_line"),
        [
            ({"allowed": 2}, 2, False),  # as many as the stage allows
            ({"allowed": None}, 50, False),  # as many as the evidence has earned
            ({"allowed": 2}, 3, True),
            ({"allowed": None, "gate": Gate.CLOSED}, 50, True),
        ],
    )
    def test_slots_follow_the_evidence_without_a_line_only_while_requests_flow_and_the_stage_allows_it(
        self, stands, granted, needs_a_line
    ):
        before = replace(on_trial().only_release(), granted=1, **stands)
        assert bool(list(untold(before, next_writing(before, granted=granted)))) == needs_a_line

    def test_a_router_writes_claims_and_nothing_else(self):
        before = on_trial().only_release()
        assert not list(untold(before, replace(before, claimed=1, open={"a": 1})))
        assert list(untold(before, replace(before, claimed=1, granted=5)))

    @pytest.mark.parametrize("missing", ["who", "what", "why"])
    def test_a_line_that_says_less_is_none(self, missing):
        before = on_trial().only_release()
        after = next_writing(before).noted("changed", now=1, why="because")
        line = replace(after.history[-1], **{missing: " "})
        assert list(untold(before, replace(after, history=(*before.history, line))))

    def test_a_line_is_never_written_again(self):
        before = on_trial().only_release()
        after = next_writing(before, history=(replace(before.history[0], who="somebody else"), *before.history[1:]))
        assert list(untold(before, after)) == ["a line of the history changed"]


class TestOperators:
    @pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.ABORT])
    def test_a_gate_that_an_operator_closes_says_who_and_why_at_once_and_for_ever(self, verb):
        scene = on_trial()
        scene.ask(verb, "it smells")
        asked = scene.only_release()
        assert asked.gate is Gate.CLOSED
        assert [(ask.verb, ask.who, ask.why) for ask in asked.asks] == [(verb, "ops", "it smells")]
        scene.flip()
        lines = scene.only_release().history[len(asked.history) :]
        assert (lines[0].who, lines[0].why) == ("ops", f"{verb} by ops: it smells")
        assert lines[0].at >= asked.asks[0].at

    def test_a_gate_that_closes_by_no_ask_needs_a_line(self):
        before = on_trial().only_release()
        assert list(untold(before, next_writing(before, gate=Gate.CLOSED)))
        ask = Ask(Verb.PAUSE, "ops", "it smells", 1)
        assert not list(untold(before, next_writing(before, gate=Gate.CLOSED, asks=(ask,))))
        assert list(untold(before, next_writing(before, gate=Gate.CLOSED, asks=(replace(ask, why=""),))))

    def test_an_ask_does_not_go_without_a_line_by_whoever_asked(self):
        before = replace(on_trial().only_release(), asks=(Ask(Verb.PROMOTE, "ops", "we know it", 1),))
        gone = next_writing(before, asks=())
        assert list(untold(before, gone))
        assert list(untold(before, gone.noted("promote refused", now=2, why="no proof", who=FLIPPER)))
        assert not list(untold(before, gone.noted("promote refused", now=2, why="no proof", who="ops")))

    def test_the_switch_signs_at_each_release_whose_gate_it_moves(self):
        scene = on_trial()
        scene.operator().stop(APP, "an emergency")
        scene.operator().start(APP)
        lines = scene.only_release().history[-2:]
        assert [(line.what, line.who, line.why) for line in lines] == [
            ("gate", "ops", "CLOSED by stop-all: an emergency"),
            ("gate", "ops", "OPEN by start-all"),
        ]
