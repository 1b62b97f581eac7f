"""Calling stacks: Lambda functions and state machines."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from canary.aws import answers
from canary.aws.faults import code_of
from canary.domain.call import Call
from canary.domain.target import Target, TargetKind

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_stepfunctions import SFNClient


class StackTargets:
    """The stacks. ``lambda_client`` and ``states_client`` make a client that waits so many milliseconds for an answer.

    A Lambda client must not retry: a second Invoke is a second run.
    Starting an execution may be repeated, since its name is the request id.
    """

    def __init__(self, lambda_client: Callable[[int], LambdaClient], states_client: Callable[[int], SFNClient]) -> None:
        self._lambda_client = lambda_client
        self._states_client = states_client

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
        except ClientError as error:
            return answers.refused(code_of(error))
        except ReadTimeoutError:
            return answers.unanswered(timeout_ms)
        except (ConnectTimeoutError, EndpointConnectionError) as error:
            return answers.unreached(type(error).__name__)
        except BotoCoreError as error:
            return answers.broken(type(error).__name__)

    def _invoke(self, target: Target, body: bytes, custom: dict[str, str], timeout_ms: int, transform_id: str | None) -> Call:
        context = base64.b64encode(json.dumps({"custom": custom}).encode()).decode()
        answer = self._lambda_client(timeout_ms).invoke(FunctionName=target.arn, Payload=body, ClientContext=context)
        return answers.invoked(answer["Payload"].read(), answer.get("FunctionError"), transform_id)

    def _start(self, target: Target, body: bytes, request_id: str, timeout_ms: int) -> Call:
        try:
            answer = self._states_client(timeout_ms).start_execution(
                stateMachineArn=target.arn, name=request_id, input=body.decode()
            )
        except ClientError as error:
            if code_of(error) != answers.ALREADY_STARTED:
                raise
            return answers.started_before(target.arn, request_id)
        return answers.started(answer["executionArn"], answer["startDate"])
