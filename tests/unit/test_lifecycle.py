"""What the flipper decides, seen from outside: parameters, releases, notices."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from canary.domain.app import Parameter, Seen, Version
from canary.domain.asks import NotPossible
from canary.domain.audit import Execution, ExecutionStatus, Status
from canary.domain.call import Call, CallResult
from canary.domain.changes import overtaken
from canary.domain.release import Verb
from canary.domain.states import Gate, ReleaseState
from canary.domain.steps import BlankLatest, RestoreLatest, WriteParameter
from canary.errors import Unavailable
from canary.flipping.execute import execute
from canary.flipping.flipper import Flipper
from canary.flipping.observe import observe
from tests.fakes.aws import answer
from tests.fakes.scene import APP, Scene, arn, machine

HOUR_MS = 3_600_000


def opened(plan=None, *, latest: str | None = None) -> Scene:
    scene = Scene(plan=plan)
    scene.write_latest(latest or arn("v2"))
    scene.flip()
    return scene


def spend(scene: Scene, number: int = 2) -> None:
    desk = scene.desk()
    for _ in range(number):
        assert scene.send(desk).body["routed_to"] == "latest"


def test_two_successes_promote_and_the_value_is_copied_as_it_stands():
    value = json.dumps({"arn": arn("v2"), "tag": "v2.0.0", "commit": "abc", "by": "ci"})
    scene = opened(latest=value)
    spend(scene)
    scene.end_workflows()
    scene.flip()
    assert (scene.parameter("current"), scene.parameter("previous"), scene.parameter("latest")) == (value, arn("v1"), "NONE")
    release = scene.only_release()
    assert (release.state, release.tag, release.by, release.commit) == (ReleaseState.PROMOTED, "v2.0.0", "ci", "abc")
    assert [kind for _, kind in scene.notices.sent] == ["Release Opened", "Stage Passed", "Release Promoted"]


def test_nothing_is_promoted_while_a_request_runs():
    scene = opened()
    spend(scene)
    scene.flip()
    assert scene.parameter("current") == arn("v1")


def test_nothing_is_promoted_without_evidence_however_long_it_takes():
    scene = opened({"stages": [{"quota": 2}], "deadline": "30d"})
    for _ in range(20):
        scene.clock.pass_by(HOUR_MS)
        scene.flip()
    assert scene.only_release().state is ReleaseState.RUNNING


def test_the_first_failure_throws_latest_out_while_the_other_request_still_runs():
    scene = opened()
    spend(scene, 1)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.send()
    scene.flip()
    release = scene.only_release()
    assert (release.state, scene.parameter("latest")) == (ReleaseState.ABORTED, "NONE")
    assert release.reason == "1 of 1 finished requests failed (0 may)"
    scene.end_workflows()
    scene.flip()
    assert (scene.only_release().tally.succeeded, scene.releases.items[APP].followed) == (1, ())


@pytest.mark.parametrize("ended", [ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.ABORTED])
def test_every_bad_end_of_a_workflow_is_a_failure(ended):
    scene = opened()
    spend(scene)
    scene.end_workflows(ended)
    scene.flip()
    assert scene.only_release().state is ReleaseState.ABORTED


def test_failures_within_the_plan_do_not_stop_a_release():
    scene = opened({"stages": [{"quota": 3}], "max_failures": 1})
    spend(scene, 1)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.flip()
    spend(scene, 2)
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is ReleaseState.PROMOTED


def test_stages_are_climbed_one_by_one():
    scene = opened({"stages": [{"quota": 1}, {"quota": 2}]})
    spend(scene, 1)
    assert scene.send().body["routed_to"] == "current"
    scene.end_workflows()
    scene.flip()
    assert (scene.only_release().stage, scene.only_release().granted) == (1, 3)
    spend(scene, 2)
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is ReleaseState.PROMOTED
    assert [kind for _, kind in scene.notices.sent].count("Stage Passed") == 2


def test_a_stage_bakes_before_it_passes_unless_an_operator_promotes():
    scene = opened({"stages": [{"quota": 1, "bake": "2h"}]})
    spend(scene, 1)
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is ReleaseState.RUNNING
    scene.ask(Verb.PROMOTE)
    scene.flip()
    assert scene.only_release().state is ReleaseState.PROMOTED


def test_promote_without_proof_is_refused_on_the_record():
    scene = opened()
    spend(scene, 1)
    scene.end_workflows()
    scene.ask(Verb.PROMOTE)
    scene.flip()
    release = scene.only_release()
    assert (release.state, release.asks) == (ReleaseState.RUNNING, ())
    assert release.history[-1].what == "promote refused"
    assert release.history[-1].why == "promotion needs proof: 1 of 2 succeeded, 1 slot free"


def test_the_deadline_ends_a_release_paused_or_not():
    for pause in (False, True):
        scene = opened({"stages": [{"quota": 2}], "deadline": "3h"})
        if pause:
            scene.ask(Verb.PAUSE)
            scene.flip()
        scene.clock.pass_by(3 * HOUR_MS)
        scene.flip()
        assert scene.only_release().state is ReleaseState.ABORTED
        assert arn("v2") in scene.releases.items[APP].quarantine


def test_a_plan_edited_during_a_release_does_not_change_it():
    scene = opened({"stages": [{"quota": 1}]})
    scene.parameters.put(APP, "plan", json.dumps({"stages": [{"quota": 50}]}))
    scene.flip()
    assert scene.only_release().granted == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("nonsense", "is not the ARN"),
        ('{"tag": "v2"}', 'has no "arn"'),
        (arn("v1"), "it is the current stack already"),
        ("arn:aws:lambda:eu-west-1:999999999999:function:transformer-v2:live", "only account 123456789012"),
        ("arn:aws:lambda:eu-west-1:123456789012:function:payments:live", "does not match the allowed pattern"),
    ],
)
def test_an_invalid_target_is_rejected_with_the_reason_and_nobody_is_quarantined(value, reason):
    scene = opened(latest=value)
    release = scene.only_release()
    assert release.state is ReleaseState.REJECTED
    assert reason in (release.reason or "")
    assert (scene.parameter("latest"), scene.releases.items[APP].quarantine) == ("NONE", {})
    assert [kind for _, kind in scene.notices.sent] == ["Release Rejected"]


@pytest.mark.parametrize("plan", ["{", '{"stages": []}', '{"stages": [{"quota": 2}], "colour": "blue"}', '{"transform_id": "["}'])
def test_a_plan_that_cannot_be_used_rejects_the_release(plan):
    scene = Scene()
    scene.parameters.put(APP, "plan", plan)
    scene.write_latest(arn("v2"))
    scene.flip()
    assert scene.only_release().state is ReleaseState.REJECTED
    assert "plan" in (scene.only_release().reason or "")


def test_a_target_that_does_not_exist_is_rejected():
    scene = Scene()
    scene.stacks.problems[arn("v2")] = "it does not exist"
    scene.write_latest(arn("v2"))
    scene.flip()
    assert scene.only_release().reason == "it does not exist"


def test_an_app_without_current_rejects_a_release():
    scene = Scene()
    scene.parameters.versions.clear()
    scene.write_latest(arn("v2"))
    scene.flip()
    assert "no valid current" in (scene.only_release().reason or "")


def test_a_quarantined_target_stays_out_until_retry():
    scene = opened()
    spend(scene, 1)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.flip()
    scene.write_latest(arn("v2"))
    scene.flip()
    assert [release.state for release in scene.all_releases()] == [ReleaseState.ABORTED, ReleaseState.REJECTED]
    assert "canary retry" in (scene.all_releases()[1].reason or "")
    scene.operator().retry(APP, arn("v2"))
    scene.write_latest(arn("v2"))
    scene.flip()
    assert scene.all_releases()[2].state is ReleaseState.RUNNING


@pytest.mark.parametrize("blank", ["NONE", " ", "-"])
def test_blanking_latest_by_hand_withdraws_the_release_without_quarantine(blank):
    scene = opened()
    scene.write_latest(blank)
    scene.flip()
    release = scene.only_release()
    assert (release.state, release.gate) == (ReleaseState.ABORTED, Gate.CLOSED)
    assert (release.reason or "").startswith("withdrawn")
    assert scene.releases.items[APP].quarantine == {}


def test_a_blank_withdraws_a_release_only_once_its_history_tells_whose_it_is():
    """The blank may be ours, and have landed on the release unseen."""
    scene = opened()
    scene.write_latest("NONE")
    release, app = scene.only_release(), scene.releases.items[APP]
    versions = tuple(scene.parameters.versions[APP, "latest"])
    latest = Parameter(versions[-1].value, versions[-1].version, versions[-1].modified_at)
    current = scene.parameters.versions[APP, "current"][-1]
    seen = Seen(
        app=app, current=Parameter(current.value, current.version, current.modified_at), latest=latest, previous=None,
        releases={release.release: release}, history=versions[:-1],
    )  # fmt: skip
    assert overtaken(release, seen, scene.clock.now) is None
    told = overtaken(release, replace(seen, history=versions), scene.clock.now)
    assert told is not None
    assert told.after.state is ReleaseState.ABORTED


def test_the_same_value_written_again_is_a_new_release():
    scene = opened()
    scene.write_latest(arn("v2"))
    scene.flip()
    assert [release.state for release in scene.all_releases()] == [ReleaseState.SUPERSEDED, ReleaseState.RUNNING]


def test_a_stale_read_of_latest_supersedes_nothing():
    scene = opened()
    scene.write_latest(arn("v3"))
    scene.flip()
    versions = scene.parameters.versions[APP, "latest"]
    newest = versions.pop()
    scene.flip()
    assert scene.all_releases()[1].state is ReleaseState.RUNNING
    versions.append(newest)


@pytest.mark.parametrize("unqualified", [arn("v2").removesuffix(":live"), arn("v2").replace(":live", ":$LATEST")])
def test_a_mutable_target_is_accepted_with_a_warning(unqualified):
    release = opened(latest=unqualified).only_release()
    assert release.state is ReleaseState.RUNNING
    assert "mutable" in (release.warning or "")


def test_pause_closes_the_gate_at_once_and_resume_opens_it():
    scene = opened()
    assert scene.ask(Verb.PAUSE).gate is Gate.CLOSED
    assert scene.only_release().gate is Gate.CLOSED
    scene.flip()
    assert scene.only_release().state is ReleaseState.PAUSED
    scene.ask(Verb.RESUME)
    scene.flip()
    assert (scene.only_release().state, scene.only_release().gate) == (ReleaseState.RUNNING, Gate.OPEN)


def test_a_paused_release_still_aborts_on_a_failure_and_does_not_promote():
    for ended, state in ((ExecutionStatus.FAILED, ReleaseState.ABORTED), (ExecutionStatus.SUCCEEDED, ReleaseState.PAUSED)):
        scene = opened()
        spend(scene)
        scene.ask(Verb.PAUSE)
        scene.flip()
        scene.end_workflows(ended)
        scene.flip()
        assert scene.only_release().state is state


def test_an_operators_abort_says_who_and_why():
    scene = opened()
    scene.ask(Verb.ABORT, "numbers look odd")
    scene.flip()
    release = scene.only_release()
    assert release.state is ReleaseState.ABORTED
    assert (release.reason, release.history[-2].who) == ("abort by ops: numbers look odd", "ops")


def test_verbs_that_a_release_cannot_follow_are_refused_with_the_next_step():
    scene = opened()
    spend(scene)
    scene.end_workflows()
    scene.flip()
    with pytest.raises(NotPossible, match="no release of 'transformer' is running"):
        scene.ask(Verb.ABORT)
    with pytest.raises(NotPossible, match="use `canary rollback transformer`"):
        scene.operator().ask(APP, Verb.ABORT, "", scene.only_release().release)


def test_a_rollback_restores_previous_and_quarantines_what_it_took_back():
    scene = opened()
    spend(scene)
    scene.end_workflows()
    scene.flip()
    scene.ask(Verb.ROLLBACK, "wrong numbers")
    scene.flip()
    assert (scene.parameter("current"), scene.parameter("previous")) == (arn("v1"), "NONE")
    assert scene.only_release().state is ReleaseState.ROLLED_BACK
    assert arn("v2") in scene.releases.items[APP].quarantine
    assert scene.send().body["routed_to"] == "current"


def test_a_rollback_aborts_a_running_release_first():
    scene = opened()
    spend(scene)
    scene.end_workflows()
    scene.flip()
    scene.write_latest(arn("v3"))
    scene.flip()
    scene.ask(Verb.ROLLBACK)
    scene.flip()
    assert [release.state for release in scene.all_releases()] == [ReleaseState.ROLLED_BACK, ReleaseState.ABORTED]
    assert (scene.parameter("current"), scene.parameter("latest")) == (arn("v1"), "NONE")


def test_a_rollback_after_current_was_changed_by_hand_is_refused():
    scene = opened()
    spend(scene)
    scene.end_workflows()
    scene.flip()
    scene.parameters.put(APP, "current", arn("v9"))
    scene.ask(Verb.ROLLBACK)
    scene.flip()
    assert (scene.only_release().state, scene.parameter("current")) == (ReleaseState.PROMOTED, arn("v9"))
    assert scene.only_release().history[-1].what == "rollback refused"


def test_current_written_by_somebody_else_during_a_flip_holds_the_release_and_overwrites_nothing():
    scene = opened()
    spend(scene)
    scene.end_workflows()

    def meddle(_: int, name: str, when: str) -> None:
        if name == "ssm.write previous" and when == "after":
            scene.calls.let_live()
            scene.parameters.put(APP, "current", arn("v9"))

    scene.calls.on_call = meddle
    scene.flip()
    assert (scene.only_release().state, scene.parameter("current")) == (ReleaseState.HELD, arn("v9"))
    assert ("Release Held") in [kind for _, kind in scene.notices.sent]
    scene.ask(Verb.RESUME)
    scene.flip()
    assert (scene.parameter("current"), scene.parameter("previous")) == (arn("v2"), arn("v9"))


def test_the_emergency_stop_closes_every_gate_and_start_opens_it_again():
    scene = opened()
    spend(scene, 1)
    scene.operator().stop(APP, "fire")
    assert scene.only_release().gate is Gate.CLOSED
    scene.end_workflows()
    scene.flip()
    assert scene.send().body["routed_to"] == "current"
    scene.operator().start(APP)
    spend(scene, 1)


def test_a_release_that_opens_during_an_emergency_stop_gets_nothing():
    scene = Scene()
    scene.operator().stop(APP, "fire")
    scene.write_latest(arn("v2"))
    scene.flip()
    assert (scene.only_release().state, scene.only_release().gate) == (ReleaseState.RUNNING, Gate.CLOSED)
    scene.operator().start(APP)
    assert scene.send().body["routed_to"] == "latest"


def test_all_is_proved_but_the_emergency_stop_keeps_it_from_being_promoted():
    scene = opened()
    spend(scene)
    scene.operator().stop(APP, "fire")
    scene.end_workflows()
    scene.flip()
    assert scene.parameter("current") == arn("v1")


def test_a_claim_without_a_row_is_fenced_off_and_refunded_once():
    scene = opened()
    scene.releases.claim(APP, scene.only_release().release, "dead-request", scene.clock())
    scene.flip()
    release = scene.only_release()
    assert (release.claimed, release.tally.refunded, release.tally.lost, dict(release.open)) == (0, 1, 0, {})
    scene.flip()
    assert scene.only_release().tally.refunded == 1
    spend(scene)
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is ReleaseState.PROMOTED


def test_a_row_without_an_execution_is_lost_not_refunded_and_holds_the_release():
    scene = opened()
    scene.stacks.behaviour[arn("v2")] = answer()

    def die(_: int, name: str, when: str) -> None:
        if name == "ddb.update_row":
            raise Unavailable("DynamoDB", "x", "the router dies before it writes down the answer")

    scene.calls.on_call = die
    scene.send()
    scene.calls.let_live()
    scene.flip()
    release = scene.only_release()
    assert (release.state, release.tally.lost, release.tally.refunded) == (ReleaseState.HELD, 1, 0)
    assert "unknown is not success" in (release.reason or "")
    scene.ask(Verb.RESUME)
    scene.flip()
    assert (scene.only_release().granted, scene.only_release().state) == (3, ReleaseState.RUNNING)


def test_a_row_whose_execution_can_be_found_by_its_name_is_attached_to_it():
    scene = opened(latest=machine("v2"))

    def die(_: int, name: str, when: str) -> None:
        if name == "ddb.update_row":
            raise Unavailable("DynamoDB", "x", "the router dies before it writes down the answer")

    scene.calls.on_call = die
    scene.send()
    scene.calls.let_live()
    scene.flip()
    (row,) = scene.rows()
    assert (row.status, row.transform_id is not None, row.state_machine) == (Status.RUNNING, True, machine("v2"))


def test_an_execution_that_had_started_before_the_request_proves_nothing():
    """A stack that answers with the ARN of an old success must not be promoted for it."""
    scene = opened()
    old = "arn:aws:states:eu-west-1:123456789012:execution:transformer-v1:old-success"
    started = scene.clock.now - HOUR_MS
    scene.stacks.executions[old] = Execution(arn=old, status=ExecutionStatus.SUCCEEDED, started_at=started, stopped_at=started)
    scene.stacks.behaviour[arn("v2")] = Call(result=CallResult.ANSWERED, answer={}, transform_id=old)
    spend(scene)
    scene.flip()
    assert (scene.only_release().state, scene.only_release().tally.lost) == (ReleaseState.HELD, 2)


def test_a_few_refunds_are_forgiven_more_hold_the_release():
    scene = opened({"stages": [{"quota": 2}], "max_lost": 2})
    scene.stacks.behaviour[arn("v2")] = Call(result=CallResult.REFUSED, error="TooManyRequestsException")
    for held in (False, False, True):
        assert scene.send().body["fell_back"] is True
        scene.flip()
        assert (scene.only_release().state is ReleaseState.HELD) is held
    assert scene.only_release().tally.failures == 0


def test_an_outcome_that_cannot_be_read_holds_the_release():
    scene = opened()
    spend(scene)
    for execution in scene.stacks.executions:
        old = scene.stacks.executions[execution]
        scene.stacks.executions[execution] = type(old)(arn=old.arn, status=ExecutionStatus.UNREADABLE, error="AccessDenied")
    scene.flip()
    assert scene.only_release().state is ReleaseState.HELD
    assert "cannot be read" in (scene.only_release().reason or "")


def test_a_topic_that_does_not_answer_does_not_keep_a_release_from_being_stopped():
    scene = opened()
    spend(scene, 1)
    scene.calls.down = {"events"}
    scene.end_workflows(ExecutionStatus.FAILED)
    assert [done.result for done in scene.flip()] == ["failed"]
    assert scene.only_release().state is ReleaseState.ABORTED
    scene.calls.down = set()
    scene.flip()
    assert "Release Aborted" in [kind for _, kind in scene.notices.sent]


def test_an_app_whose_pass_fails_does_not_stop_the_others():
    scene = Scene()
    scene.parameters.put("another", "current", arn("v1"))
    scene.parameters.put("another", "latest", arn("v2"))

    def fail(_: int, name: str, when: str) -> None:
        if name == "stack.problem":
            raise Unavailable("Lambda", "ServiceException", "down")

    scene.calls.on_call = fail
    results = {done.app: done.result for done in scene.flip()}
    assert results == {"another": "failed", APP: "done"}
    assert ("PassFailed", "another") in scene.counts


def test_a_pass_that_finds_nothing_new_writes_nothing_but_its_lease():
    scene = opened()
    spend(scene)
    scene.flip()
    before = len(scene.calls.log)
    scene.flip()
    made = scene.calls.log[before:]
    assert {name for name in made if name.startswith(("ssm.write", "ddb.save", "ddb.create", "ddb.update", "ddb.put"))} == set()


def test_a_write_during_the_blank_is_put_back_and_becomes_the_next_release():
    scene = opened()
    spend(scene, 1)
    scene.end_workflows(ExecutionStatus.FAILED)

    def tag(_: int, name: str, when: str) -> None:
        if name == "ssm.write latest" and when == "before":
            scene.calls.let_live()
            scene.write_latest(arn("v3"))

    scene.calls.on_call = tag
    scene.flip()
    first, second = scene.all_releases()
    assert (first.state, second.state) == (ReleaseState.ABORTED, ReleaseState.RUNNING)
    assert (scene.parameter("latest"), second.target) == (arn("v3"), arn("v3"))
    assert second.restored_from is not None


def test_latest_is_read_again_right_before_it_is_blanked():
    scene = opened()
    seen = observe(scene.world(), APP, {}, [])
    step = BlankLatest(scene.only_release().release, "over")
    scene.write_latest(arn("v3"))
    execute(scene.world(), seen, step)
    assert scene.parameter("latest") == arn("v3")


def test_a_restore_does_not_land_on_a_write_that_is_newer_still():
    scene = opened()
    seen = observe(scene.world(), APP, {}, [])
    scene.write_latest(arn("v3"))
    execute(scene.world(), seen, RestoreLatest(arn("v9"), scene.only_release().release, 1, "lost"))
    assert scene.parameter("latest") == arn("v3")


def test_a_release_passes_only_on_condition_that_nothing_was_claimed_since():
    scene = opened()
    spend(scene)
    scene.end_workflows()
    steps = []
    save = scene.releases.save
    scene.releases.save = lambda before, after, *, idle=False: steps.append((after.state, idle)) or save(before, after, idle=idle)
    scene.flip()
    assert (ReleaseState.PROMOTING, True) in steps


def test_a_blank_by_hand_withdraws_though_it_inherited_our_description():
    """`put-parameter` without a description may keep the one that was there: ours."""
    scene = opened()
    spend(scene, 1)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.flip()
    ours = scene.parameters.versions[APP, "latest"][-1].description
    assert ours.endswith(":blank")
    scene.parameters.put(APP, "latest", arn("v3"), ours)
    scene.flip()
    scene.parameters.put(APP, "latest", "NONE", ours)
    scene.flip()
    assert scene.parameter("latest") == "NONE"
    assert [release.state for release in scene.all_releases()] == [ReleaseState.ABORTED, ReleaseState.ABORTED]


@pytest.mark.parametrize("stop", [Verb.ABORT, Verb.PAUSE])
def test_a_resume_does_not_open_the_gate_for_whom_a_stop_was_asked_since(stop):
    scene = opened()
    scene.ask(Verb.PAUSE)
    scene.flip()
    scene.ask(Verb.RESUME)
    scene.ask(stop)
    gates = []
    save = scene.releases.save
    scene.releases.save = lambda before, after, *, idle=False: gates.append(after.gate) or save(before, after, idle=idle)
    scene.flip()
    assert set(gates) == {Gate.CLOSED}


def test_a_start_that_meets_a_new_stop_opens_no_gate():
    scene = opened()
    scene.operator().stop(APP, "fire")

    def stop_again(_: int, name: str, when: str) -> None:
        if name == "ddb.save_app" and when == "after":
            scene.calls.let_live()
            scene.operator().stop(APP, "fire again")

    scene.calls.on_call = stop_again
    scene.operator().start(APP)
    assert scene.only_release().gate is Gate.CLOSED


def promoted() -> Scene:
    scene = opened()
    spend(scene)
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is ReleaseState.PROMOTED
    return scene


@pytest.mark.parametrize(
    ("previous", "reason"),
    [
        ("arn:aws:lambda:eu-west-1:999999999999:function:transformer-v1:live", "only account"),
        (arn("gone"), "it does not exist"),
        (arn("v2"), "previous is the same stack"),
    ],
)
def test_a_rollback_to_what_could_not_serve_is_refused(previous, reason):
    scene = promoted()
    scene.stacks.problems[arn("gone")] = "it does not exist"
    scene.parameters.put(APP, "previous", previous)
    scene.ask(Verb.ROLLBACK)
    scene.flip()
    assert (scene.parameter("current"), scene.only_release().state) == (arn("v2"), ReleaseState.PROMOTED)
    assert reason in scene.only_release().history[-1].why
    assert scene.releases.items[APP].quarantine == {}


def test_a_rollback_does_not_wait_for_step_functions():
    scene = promoted()
    scene.write_latest(arn("v3"))
    scene.flip()
    spend(scene, 1)
    scene.ask(Verb.ABORT)
    scene.operator().ask(APP, Verb.ROLLBACK, "it is wrong", scene.all_releases()[0].release)
    scene.calls.down = {"sfn"}
    (done,) = scene.flip()
    assert done.result == "failed"
    assert "cannot be followed" in (done.error or "")
    assert scene.parameter("current") == arn("v1")
    assert [release.state for release in scene.all_releases()] == [ReleaseState.ROLLED_BACK, ReleaseState.ABORTED]


def test_nothing_waits_for_a_target_that_cannot_be_inspected():
    scene = Scene()
    scene.calls.down = {"stack"}
    scene.write_latest(arn("v2"))
    (done,) = scene.flip()
    assert (done.result, scene.only_release().state) == ("failed", ReleaseState.OPENING)
    scene.write_latest("NONE")
    scene.flip()
    assert scene.only_release().state is ReleaseState.ABORTED
    scene.calls.down = set()
    scene.write_latest(arn("v2"))
    scene.flip()
    assert scene.all_releases()[-1].state is ReleaseState.RUNNING


def test_a_value_that_current_could_not_hold_is_rejected_before_any_request():
    scene = Scene()
    value = json.dumps({"arn": arn("v2"), "commit": "c" * 2000, "by": "b" * 2000, "tag": "t" * 200})
    scene.parameters.versions[APP, "latest"] = [Version(value, 1, scene.clock(), "")]
    scene.flip()
    assert "4096 at most" in (scene.only_release().reason or "")


def test_the_mirror_keeps_what_may_be_called():
    scene = Scene()
    scene.flip()
    scene.parameters.put(APP, "current", arn("v1").replace("transformer-", "payments-"))
    scene.flip()
    mirror = scene.releases.items[APP].mirror
    assert mirror is not None
    assert mirror.value == arn("v1")


def test_a_failed_pass_is_not_recorded_as_the_last_one():
    scene = opened()
    scene.calls.down = {"ssm"}
    before = scene.releases.last_passes[APP]
    scene.clock.pass_by(HOUR_MS)
    scene.flip()
    assert scene.releases.last_passes[APP] == before


def test_a_current_that_was_written_late_does_not_land_on_a_newer_one():
    scene = promoted()
    seen = observe(scene.world(), APP, {}, [])
    execute(scene.world(), seen, WriteParameter("current", arn("v9"), "late", over=1))
    assert scene.parameter("current") == arn("v2")


def test_an_ask_whose_answer_was_lost_is_asked_once():
    scene = opened()
    save = scene.releases.save
    lost = []

    def lossy(before, after, *, idle=False):
        done = save(before, after, idle=idle)
        return done if lost else bool(lost.append(done))

    scene.releases.save = lossy
    scene.ask(Verb.PAUSE)
    assert len(scene.only_release().asks) == 1


def test_no_app_is_always_the_last_and_none_is_begun_without_time():
    scene = Scene()
    for name in ("alpha", "beta"):
        scene.parameters.put(name, "current", arn("v1"))
    begun = set()
    for _ in range(3):
        scene.clock.pass_by(60_000)
        flipper = Flipper(scene.world(), lambda *_, **__: None, owner=f"flipper-{scene.clock()}")
        passes = flipper.run(until=scene.clock.now + 8)
        begun.add(passes[0].app)
        assert len(passes) < 3
    assert begun == {"alpha", "beta", APP}


def test_an_app_that_nobody_knows_is_not_made_by_asking_for_it():
    scene = Scene()
    Flipper(scene.world(), lambda *_, **__: None).run(first=["typo"])
    assert "typo" not in scene.releases.leases
    assert list(scene.releases.items) == [APP]
