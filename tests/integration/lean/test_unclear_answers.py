"""What AWS says of itself says nothing of the stack; and what may have been started is not told as refused."""

from __future__ import annotations

import pytest

from canary.domain.call import CallResult
from canary.domain.target import parse_target
from canary.lean.targets import LeanTargets
from tests.fakes.endpoint import Answer, refusal

MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:v2"
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:v2:1"
RELEASE = "00000001-0123abcd"


def started_after(answering, first: Answer | None, then: Answer) -> CallResult:
    """What is told of a start that met this, and that when it was tried again. None: cut off without an answer."""
    left = [first, then]

    def answer(_: object) -> Answer:
        said = left.pop(0)
        if said is None:
            raise ConnectionResetError
        return said

    wire, served = answering(answer)
    call = LeanTargets(wire).call(parse_target(MACHINE), b"{}", "r", RELEASE, 8_000, None)
    assert len(served.asked) == 2
    return call.result


@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingException",
        "ExecutionLimitExceeded",
        "ExpiredTokenException",
        "AccessDeniedException",
        "KMSThrottlingException",
        "StateMachineDeleting",
    ],
)
def test_an_execution_that_may_have_been_started_is_not_told_as_refused(answering, code):
    assert started_after(answering, None, refusal(code)) is CallResult.TIMED_OUT


@pytest.mark.parametrize("code", ["ThrottlingException", "ExecutionLimitExceeded"])
def test_nor_after_a_failure_of_aws_itself(answering, code):
    assert started_after(answering, refusal("InternalServerError", 500), refusal(code)) is CallResult.UNCLEAR


@pytest.mark.parametrize("code", ["ThrottlingException", "ExecutionLimitExceeded"])
def test_after_a_throttled_try_it_is(answering, code):
    assert started_after(answering, refusal("ThrottlingException"), refusal(code)) is CallResult.REFUSED


@pytest.mark.parametrize("arn", [MACHINE, FUNCTION])
@pytest.mark.parametrize(
    "said",
    [
        Answer(b"<html>", 502),
        Answer(b"<html>", 503),
        Answer(b"", 504),
        Answer(b"", 500),
        refusal("ServiceUnavailableException", 503),
    ],
)
def test_a_failure_of_aws_itself_says_nothing_of_the_stack(answering, arn, said):
    wire, _ = answering(said)
    assert LeanTargets(wire).call(parse_target(arn), b"{}", "r", RELEASE, 8_000, None).result is CallResult.UNCLEAR
