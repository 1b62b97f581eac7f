"""What wakes the flipper: any event at all, and the schedule alone is enough."""

from __future__ import annotations

import contextlib
import json

import pytest

from canary.domain.states import ReleaseState


@pytest.fixture
def switch_off(events, awslambda, stack, wake):
    """Switch off rules that wake the flipper, by the ends of their names: `switch_off("every-minute")`.

    Nor does a pass go on that they have begun: where only one may run, ours begins when theirs has ended.
    """
    flipper = stack.outputs["FlipperFunction"]
    with contextlib.ExitStack() as afterwards:

        def off(*ends):
            rules = [rule["Name"] for rule in events.list_rules()["Rules"] if rule["Name"].endswith(ends)]
            assert len(rules) == len(ends)
            for name in rules:
                afterwards.callback(events.enable_rule, Name=name)
                events.disable_rule(Name=name)
            awslambda.put_function_concurrency(FunctionName=flipper, ReservedConcurrentExecutions=1)
            try:
                wake()
            finally:
                awslambda.delete_function_concurrency(FunctionName=flipper)  # the embedded AWS keeps no limit of the template's

        yield off


def test_with_every_event_lost_the_schedule_alone_promotes(subject, call, machine, eventually, switch_off, sfn):
    # The schedule's event comes from here: its own might come before we have looked.
    switch_off("workflow-ended", "parameter-changed", "every-minute")
    current, latest = machine(), machine()
    release = subject.given(current=current, latest=latest)
    answers = [call(subject.name) for _ in range(2)]
    for answer in answers:
        eventually(lambda answer=answer: ended(sfn, answer))
    assert subject.release(release).state is ReleaseState.RUNNING, "nobody has told the flipper"
    subject.wake()
    assert subject.release(release).state is ReleaseState.PROMOTED
    assert subject.values() == (latest, "NONE", current)


def test_the_schedule_wakes_the_flipper_every_minute_with_the_event_that_we_keep_as_an_example(stack, events, event_files):
    rule = next(rule for rule in events.list_rules()["Rules"] if rule["Name"].endswith("every-minute"))
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 minute)", "ENABLED")
    [target] = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"].endswith(stack.outputs["FlipperFunction"])


def test_the_end_of_a_workflow_wakes_the_flipper(subject, call, machine, switch_off):
    switch_off("every-minute")  # which would promote as well, a little later
    release = subject.given(current=machine(), latest=machine())
    for _ in range(2):
        call(subject.name)
    subject.becomes(release, ReleaseState.PROMOTED)


@pytest.mark.parametrize("event", [None, [], "text", 7, {"detail": "odd"}, {"detail": {"name": ["odd"]}}, {"app": {"odd": 1}}])
def test_any_event_at_all_makes_a_full_pass(subject, machine, awslambda, stack, eventually, event):
    current = machine()
    subject.parameters.write(subject.name, "current", current)
    answer = awslambda.invoke(FunctionName=stack.outputs["FlipperFunction"], Payload=json.dumps(event))
    assert subject.name in json.dumps(json.loads(answer["Payload"].read())["passes"])
    # Where another pass had the app just then, ours has only left word there: the item may not exist yet.
    eventually(lambda: (item := subject.releases.app(subject.name)) and item.mirror)
    assert subject.item().mirror.value == current


def test_an_app_whose_pass_fails_does_not_stop_the_others(
    subject, fresh_app, subject_named, machine, dynamodb, stack, wake, eventually
):
    with fresh_app() as name:
        broken = subject_named(name)
        broken.given(current=machine(), latest=machine())
        key = {"app": {"S": name}, "release": {"S": broken.newest().release}}
        dynamodb.update_item(
            TableName=stack.outputs["ReleasesTable"],
            Key=key,
            UpdateExpression="SET #state = :word",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":word": {"S": "SPOILT"}},
        )
        release = subject.given(current=machine(), latest=machine())
        assert release.state is ReleaseState.RUNNING

        def both_passed():
            passes = {done["app"]: done for done in wake({"app": name})["passes"]}
            return [passes[app] for app in (name, subject.name) if passes[app]["result"] != "busy"]

        failed, done = eventually(lambda: (made := both_passed())[1:] and made)
        assert failed["result"] == "failed"
        assert "SPOILT" in failed["error"]
        assert done["result"] == "done"


def ended(sfn, answer):
    return sfn.describe_execution(executionArn=answer.body["transform_id"])["status"] == "SUCCEEDED"
