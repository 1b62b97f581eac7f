"""The preflight: payloads that latest has to do well before any real request goes there."""

from __future__ import annotations

import json

import pytest

from canary.domain.alarm import AlarmState
from canary.domain.audit import ExecutionStatus, Status
from canary.domain.call import Call, CallResult
from canary.domain.release import Release, Verb
from canary.domain.states import Gate, ReleaseState
from tests.fakes.scene import APP, LONG_MS, Scene, arn
from tests.fakes.stacks import answer

HOUR_MS = 3_600_000
_S = ReleaseState


def written(*payloads: object, latest: Call | None = None, **plan: object) -> Scene:
    scene = Scene(plan={"stages": [{"quota": 2}], "preflight": list(payloads or ({"n": 1}, {"n": 2})), **plan})
    if latest is not None:
        scene.stacks.behaviour[arn("v2")] = latest
    scene.write_latest(arn("v2"))
    scene.flip()
    return scene


def first(scene: Scene) -> Release:
    return scene.all_releases()[0]


def test_each_payload_runs_on_latest_marked_as_synthetic_before_the_gate_opens():
    scene = written()
    release = first(scene)
    assert (release.state, release.gate, release.granted, release.accepted) == (_S.OPENING, Gate.CLOSED, 0, True)
    names = [f"preflight-{number}-r{release.release}" for number in range(2)]
    assert scene.sent_to("v2") == scene.stacks.synthetic == names
    assert scene.send().body["routed_to"] == "current"
    assert scene.rows() == []


def test_latest_gets_the_payloads_as_the_plan_has_them(monkeypatch):
    scene = Scene(plan={"stages": [{"quota": 2}], "preflight": [{"n": 1}, ["two"], None]})
    bodies, call = [], scene.stacks.call
    monkeypatch.setattr(
        scene.stacks, "call", lambda target, body, *rest, **marks: (bodies.append(body), call(target, body, *rest, **marks))[1]
    )
    scene.write_latest(arn("v2"))
    scene.flip()
    assert [json.loads(body) for body in bodies] == [{"n": 1}, ["two"], None]


def test_when_each_has_succeeded_the_release_opens():
    scene = written()
    scene.end_workflows(of="preflight-0")
    scene.flip()
    assert first(scene).state is _S.OPENING
    scene.end_workflows()
    scene.flip()
    assert (first(scene).state, first(scene).gate, first(scene).granted) == (_S.RUNNING, Gate.OPEN, 2)
    assert [probe.status for probe in first(scene).probes.values()] == [Status.SUCCEEDED, Status.SUCCEEDED]
    scene.spend()
    scene.end_workflows()
    scene.flip()
    assert (first(scene).state, first(scene).tally.succeeded) == (_S.PROMOTED, 2)


def test_one_that_latest_does_itself_needs_no_workflow():
    scene = written(latest=answer(rows=7))
    assert (first(scene).state, scene.sent_to("v2")) == (_S.RUNNING, scene.stacks.synthetic)


@pytest.mark.parametrize("ended", [ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.ABORTED])
def test_one_that_fails_aborts_and_quarantines_and_no_real_request_was_sent(ended):
    scene = written()
    scene.end_workflows(of="preflight-0")
    scene.end_workflows(ended)
    scene.flip()
    release = first(scene)
    assert (release.state, scene.parameter("latest"), scene.parameter("current")) == (_S.ABORTED, "NONE", arn("v1"))
    assert release.reason == f"preflight 2 of 2 ended as {ended}; no real request was sent"
    assert list(scene.releases.items[APP].quarantine) == [arn("v2")]
    assert scene.sent_to("v2") == scene.stacks.synthetic
    assert "Release Aborted" in [kind for _, kind in scene.notices.sent]


@pytest.mark.parametrize("result", [CallResult.FAILED, CallResult.TIMED_OUT, CallResult.MISSING])
def test_a_call_that_fails_aborts_at_once_and_the_others_are_not_run(result):
    scene = written({"n": 1}, {"n": 2}, {"n": 3}, latest=Call(result=result, error="broken"))
    assert first(scene).state is _S.ABORTED
    assert first(scene).reason == "preflight 1 of 3 ended as FAILED (broken); no real request was sent"
    assert len(scene.stacks.synthetic) == 1


@pytest.mark.parametrize(
    "call",
    [
        Call(result=CallResult.ANSWERED, answer={}, untraced=True),
        Call(result=CallResult.ANSWERED, answer={}, transform_id="job-17"),
    ],
    ids=["untraced", "no execution"],
)
def test_one_whose_end_cannot_be_known_has_not_succeeded(call):
    scene = written(latest=call)
    assert first(scene).state is _S.ABORTED
    assert "cannot be followed" in (first(scene).reason or "")


@pytest.mark.parametrize("result", [CallResult.REFUSED, CallResult.UNCLEAR])
def test_what_says_nothing_about_the_stack_is_tried_again_and_ends_with_the_deadline(result):
    scene = written(latest=Call(result=result, error="TooManyRequestsException"), deadline="3h")
    assert (first(scene).state, first(scene).probes) == (_S.OPENING, {})
    scene.flip()
    assert first(scene).state is _S.OPENING
    scene.clock.pass_by(3 * HOUR_MS)
    scene.flip()
    assert first(scene).state is _S.ABORTED
    assert "did not end within the deadline of 3 h; no real request was sent" in (first(scene).reason or "")


@pytest.mark.parametrize("result", [CallResult.REFUSED, CallResult.UNCLEAR])
def test_what_says_nothing_about_the_stack_is_sent_once_in_each_pass(result):
    """Sent again at once it would be refused again, and other apps would wait for it."""
    scene = written(latest=Call(result=result, error="TooManyRequestsException"))
    name = f"preflight-0-r{first(scene).release}"
    assert scene.stacks.synthetic == [name]
    (done,) = scene.flip()
    assert (scene.stacks.synthetic, done.result) == ([name] * 2, "failed")
    assert "TooManyRequestsException" in (done.error or "")


def test_a_slow_one_lets_other_apps_go_first():
    scene = Scene(plan={"stages": [{"quota": 2}], "preflight": [{}, {}, {}]})
    scene.parameters.put("zebra", "current", arn("z1"))
    scene.parameters.put("zebra", "latest", arn("z2"))
    scene.parameters.put(APP, "latest", arn("v2"))
    sent: list[int] = []

    def slow(_: int, name: str, when: str) -> None:
        if (name, when) == ("stack.call", "before"):
            scene.clock.pass_by(4_000)

    scene.calls.on_call = slow
    for _ in range(4):
        passes = {done.app: done.result for done in scene.flip()}
        assert passes == {APP: "done", "zebra": "done"}
        sent.append(len(scene.sent_to("v2")))
    assert sent == [1, 2, 3, 3]
    assert {release.app: release.state for release in scene.all_releases()} == {APP: _S.OPENING, "zebra": _S.RUNNING}


def test_quick_ones_go_out_in_one_pass():
    scene = written({}, {}, {})
    assert len(scene.stacks.synthetic) == 3


def test_what_was_refused_for_a_while_goes_on_once_it_is_not():
    scene = written(latest=Call(result=CallResult.REFUSED, error="TooManyRequestsException"))
    del scene.stacks.behaviour[arn("v2")]
    scene.flip()
    scene.end_workflows()
    scene.flip()
    assert first(scene).state is _S.RUNNING


def test_a_workflow_that_never_ends_is_ended_by_the_deadline():
    scene = written(deadline="3h")
    opened_at = first(scene).opened_at
    scene.clock.now = opened_at + 3 * HOUR_MS - LONG_MS - 1_000
    scene.flip()
    assert first(scene).state is _S.OPENING
    scene.flip()
    assert first(scene).state is _S.ABORTED
    assert "the preflight did not end within the deadline" in (first(scene).reason or "")


def test_an_execution_that_is_not_found_yet_is_waited_for_and_one_that_may_not_be_read_is_no_success():
    scene = written()
    kept = dict(scene.stacks.executions)
    scene.stacks.executions.clear()
    scene.flip()
    assert first(scene).state is _S.OPENING
    scene.stacks.executions.update(kept)
    scene.end_workflows(ExecutionStatus.UNREADABLE)
    scene.flip()
    assert first(scene).state is _S.ABORTED
    assert "cannot be read" in (first(scene).reason or "")


def test_an_operator_can_abort_it():
    scene = written()
    scene.ask(Verb.ABORT, "wrong plan")
    scene.flip()
    assert (first(scene).state, first(scene).reason) == (_S.ABORTED, "abort by ops: wrong plan")
    scene.end_workflows()
    scene.flip()
    assert (first(scene).state, scene.rows()) == (_S.ABORTED, [])


@pytest.mark.parametrize("value", ["NONE", arn("v3")])
def test_a_withdrawal_or_a_newer_write_ends_it(value):
    scene = written()
    scene.write_latest(value)
    scene.flip()
    assert first(scene).state is (_S.ABORTED if value == "NONE" else _S.SUPERSEDED)
    assert scene.releases.items[APP].quarantine == {}


def test_a_newer_write_waits_for_it_where_the_plan_says_so():
    scene = written(on_new_release="queue")
    scene.write_latest(arn("v3"))
    scene.flip()
    assert [release.state for release in scene.all_releases()] == [_S.OPENING, _S.OPENING]
    scene.end_workflows()
    scene.flip()
    assert [release.state for release in scene.all_releases()] == [_S.RUNNING, _S.OPENING]
    assert scene.sent_to("v3") == []


def test_an_emergency_stop_lets_it_run_and_keeps_the_gate_closed():
    scene = written()
    scene.operator().stop(APP, "fire")
    scene.end_workflows()
    scene.flip()
    assert (first(scene).state, first(scene).gate) == (_S.RUNNING, Gate.CLOSED)


def test_editing_the_plan_meanwhile_changes_nothing():
    scene = written()
    scene.parameters.put(APP, "plan", '{"stages": [{"quota": 50}]}')
    scene.end_workflows()
    scene.flip()
    assert first(scene).granted == 2


def test_a_rollback_does_not_wait_for_another_releases_preflight():
    scene = Scene(plan={"stages": [{"quota": 1}]})
    scene.write_latest(arn("v2"))
    scene.flip()
    scene.spend(1)
    scene.end_workflows()
    scene.flip()
    scene.parameters.put(APP, "plan", json.dumps({"stages": [{"quota": 1}], "preflight": [{}], "deadline": "14d"}))
    scene.write_latest(arn("v3"))
    scene.flip()
    assert [each.state for each in scene.all_releases()] == [_S.PROMOTED, _S.OPENING]
    scene.ask(Verb.ROLLBACK)
    scene.flip()
    assert [each.state for each in scene.all_releases()] == [_S.ROLLED_BACK, _S.ABORTED]
    assert scene.parameter("current") == arn("v1")


def test_a_release_whose_plan_has_alarms_is_not_held_for_them_when_its_preflight_ends():
    scene = Scene(plan={"stages": [{"quota": 1, "alarms": ["errors"]}], "preflight": [{}]})
    scene.alarms.alarms["errors"] = AlarmState.OK
    scene.write_latest(arn("v2"))
    scene.flip()
    scene.end_workflows()
    scene.flip()
    assert (first(scene).state, first(scene).hold) == (_S.RUNNING, None)
