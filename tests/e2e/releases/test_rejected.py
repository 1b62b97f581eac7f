"""What cannot be released is refused where everybody sees it, and the router stays asleep."""

from __future__ import annotations

import json

import pytest

from canary.domain.plan import Plan
from canary.domain.states import ReleaseState

HERE = "arn:aws:lambda:eu-west-1:000000000000:function"
MACHINES = "arn:aws:states:eu-west-1:000000000000:stateMachine"


def refused(subject, call, current, release, *words):
    subject.becomes(release, ReleaseState.REJECTED)
    for word in words:
        assert word in release.refusal
    assert subject.values() == (current, "NONE", None)
    assert subject.item().quarantine == {}, "nobody is quarantined by it"
    assert subject.rows(release) == []
    assert call(subject.name).body["routed_to"] == "current"


@pytest.mark.parametrize(
    ("latest", "words"),
    [
        ("transformer v1.5.0", ["'transformer v1.5.0' is not the ARN"]),
        ('{"arn": 5}', ['has no "arn"']),
        ('{"arn": "x"', ["starts like JSON"]),
        (f"{HERE}:nobody:live", ["does not exist: deploy it before"]),
        (f"{MACHINES}:nobody", ["does not exist: deploy it before"]),
        (f"{MACHINES}:nobody:1", ["does not exist: deploy it before"]),
        ("arn:aws:lambda:eu-west-1:111111111111:function:f", ["only account 000000000000 is allowed"]),
        ("arn:aws:lambda:us-east-1:000000000000:function:f", ["only region eu-west-1 is allowed"]),
        ("arn:aws:s3:::bucket", ["is not the ARN of a Lambda function or a state machine"]),
    ],
)
def test_a_latest_that_names_nothing_that_can_be_released_is_refused(subject, call, machine, latest, words):
    current = machine()
    refused(subject, call, current, subject.given(current=current, latest=latest), *words)


def test_an_express_workflow_is_refused(subject, call, machine):
    current = machine()
    refused(subject, call, current, subject.given(current=current, latest=machine(type="EXPRESS")), "Express workflow")


def test_the_stack_that_is_current_already_is_refused(subject, call, machine):
    current = machine()
    latest = json.dumps({"arn": current, "tag": "again"})
    refused(subject, call, current, subject.given(current=current, latest=latest), "it is the current stack already")


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("{", ["neither JSON"]),
        ('{"stages": [{"quota": 0}]}', ["stages[0].quota", "from 1 to"]),
        ('{"stage": []}', ["unknown key 'stage'"]),
        ('{"max_failures": 2}', ["nothing would ever be proved"]),
        ('{"transform_id": "a["}', ["is not a JMESPath expression"]),
    ],
)
def test_a_plan_that_cannot_be_used_is_refused(subject, call, machine, plan, words):
    current = machine()
    subject.given(current=current)
    subject.parameters.write(subject.name, "plan", plan)
    refused(subject, call, current, subject.tag(machine()), *words)


def test_a_refusal_is_told_with_its_reason(subject, machine, told, eventually):
    release = subject.given(current=machine(), latest=f"{HERE}:nobody")
    sent = eventually(lambda: [m for m in told(subject.name) if m.get("detail-type") == "Release Rejected"])
    assert sent[0]["detail"]["release"] == release.release
    assert "does not exist" in sent[0]["detail"]["text"]


def test_a_plan_that_is_edited_changes_no_release_that_runs(subject, call, machine):
    release = subject.given(current=machine(), latest=machine())
    subject.parameters.write(subject.name, "plan", "{")
    subject.wake()
    assert subject.release(release).plan.quota == Plan().quota == 2
    assert call(subject.name).body["routed_to"] == "latest"


def test_a_stack_that_can_change_under_the_release_is_accepted_with_a_warning(subject, v1, v2):
    release = subject.given(current=v1.function_arn, latest=v2.function_arn)
    assert release.state is ReleaseState.RUNNING
    assert "mutable" in release.warning
