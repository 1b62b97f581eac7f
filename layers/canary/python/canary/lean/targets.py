"""Calling stacks: Lambda functions and state machines."""

from __future__ import annotations

import base64
import json

from canary.aws import answers
from canary.domain.call import Call
from canary.domain.target import Target, TargetKind
from canary.lean.items import mapping, quoted
from canary.wire.call import Patience, Wire
from canary.wire.endpoints import STATES
from canary.wire.faults import NoAnswer, Refusal, Unreached, WireFault

_MOST_CONNECT_S = 2.0


class LeanTargets:
    """The stacks. An Invoke goes out once; starting an execution may be repeated, since its name is the request id."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def call(
        self,
        target: Target,
        body: bytes,
        request_id: str,
        release: str | None,
        timeout_ms: int,
        transform_id: str | None,
        *,
        synthetic: bool = False,
    ) -> Call:
        """Start work on a stack, once. Never raises.

        A function is told what is ``synthetic``; a state machine sees it by the name of its execution, which is the request id.
        """
        try:
            if target.kind is TargetKind.STATE_MACHINE:
                return self._start(target, body, request_id, timeout_ms)
            custom = answers.custom_context(request_id, release, synthetic=synthetic)
            return self._invoke(target, body, custom, timeout_ms, transform_id)
        except Refusal as refusal:
            return answers.refused(refusal.code)
        except NoAnswer:
            return answers.unanswered(timeout_ms)
        except Unreached as fault:
            return answers.unreached(fault.code)
        except WireFault as fault:
            return answers.broken(fault.code)

    def _invoke(self, target: Target, body: bytes, custom: dict[str, str], timeout_ms: int, transform_id: str | None) -> Call:
        context = base64.b64encode(json.dumps({"custom": custom}).encode()).decode()
        response = self._wire.invoke(target.arn, body, context, _patience(timeout_ms, 1))
        return answers.invoked(response.body, response.headers.get("x-amz-function-error"), transform_id)

    def _start(self, target: Target, body: bytes, request_id: str, timeout_ms: int) -> Call:
        document = mapping({"stateMachineArn": quoted(target.arn), "name": quoted(request_id), "input": quoted(body.decode())})
        try:
            answer = self._wire.ask(STATES, "StartExecution", document, _patience(timeout_ms, 2))
            return answers.started(answer["executionArn"], answers.moment(answer["startDate"]))
        except Refusal as refusal:
            if refusal.code != answers.ALREADY_STARTED:
                raise
            return answers.started_before(target.arn, request_id)
        except (KeyError, TypeError, ValueError):  # it did start: it said so, if not in words that we know
            return answers.started_before(target.arn, request_id)


def _patience(timeout_ms: int, attempts: int) -> Patience:
    """All tries together keep within the timeout."""
    seconds = max(1, timeout_ms) / 1000 / attempts
    return Patience(min(_MOST_CONNECT_S, seconds), seconds, attempts)
