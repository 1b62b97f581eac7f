"""Calling stacks: Lambda functions and state machines."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from canary.aws.faults import DENIED, code_of
from canary.aws.transform_id import find_transform_id
from canary.domain.call import Call, CallResult
from canary.domain.target import Target, TargetKind, execution_arn

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_stepfunctions import SFNClient

#: Only our own account, permissions, network or request stood in the way; nothing has started.
_REFUSED: Final = DENIED | {
    "TooManyRequestsException",
    "ThrottlingException",
    "Throttling",
    "ExecutionLimitExceeded",
    "EC2ThrottledException",
    "ENILimitReachedException",
    "SubnetIPAddressLimitReachedException",
    "RequestLimitExceeded",
    "KMSThrottlingException",
    "ResourceConflictException",
    "SnapStartNotReadyException",
    "SnapStartTimeoutException",
    "InvalidRequestContentException",
    "InvalidExecutionInput",
    "InvalidName",
}
_MISSING: Final = frozenset({"ResourceNotFoundException", "StateMachineDoesNotExist", "StateMachineDeleting"})
#: AWS itself failed.
_UNCLEAR: Final = frozenset(
    {"ServiceException", "InternalFailure", "InternalServerException", "InternalServerError", "ServiceUnavailable"}
)
_TOO_LARGE: Final = frozenset({"RequestTooLargeException", "RequestEntityTooLargeException"})
#: How a function tells work that no upstream has asked for; the second is for code that looks for it among HTTP headers.
_SYNTHETIC: Final = {"canary_synthetic": "true", "X-Canary-Synthetic": "true"}


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
            custom = {"canary_request_id": request_id} | ({"canary_release": release} if release else {})
            return self._invoke(target, body, custom | (_SYNTHETIC if synthetic else {}), timeout_ms, transform_id)
        except ClientError as error:
            return _refusal(code_of(error))
        except ReadTimeoutError:
            return Call(result=CallResult.TIMED_OUT, error=f"Timeout: no answer within {timeout_ms} ms")
        except (ConnectTimeoutError, EndpointConnectionError) as error:
            return Call(result=CallResult.REFUSED, error=f"{type(error).__name__}: the service was not reached")
        except BotoCoreError as error:
            return Call(result=CallResult.TIMED_OUT, error=f"{type(error).__name__}: the connection broke")

    def _invoke(self, target: Target, body: bytes, custom: dict[str, str], timeout_ms: int, transform_id: str | None) -> Call:
        context = base64.b64encode(json.dumps({"custom": custom}).encode()).decode()
        answer = self._lambda_client(timeout_ms).invoke(FunctionName=target.arn, Payload=body, ClientContext=context)
        words = _json(answer["Payload"].read())
        if function_error := answer.get("FunctionError"):
            # The kind of error only: its message may repeat the payload.
            kind = words.get("errorType", "") if isinstance(words, dict) else ""
            return Call(result=CallResult.FAILED, error=f"{function_error} error {str(kind)[:100]}".strip())
        if (status := _status_code(words)) >= 500:
            return Call(result=CallResult.FAILED, answer=words, error=f"statusCode {status}")
        found = find_transform_id(words, transform_id)
        untraced = found is None and transform_id is not None
        return Call(result=CallResult.ANSWERED, answer=words, transform_id=found, untraced=untraced)

    def _start(self, target: Target, body: bytes, request_id: str, timeout_ms: int) -> Call:
        try:
            answer = self._states_client(timeout_ms).start_execution(
                stateMachineArn=target.arn, name=request_id, input=body.decode()
            )
        except ClientError as error:
            if code_of(error) != "ExecutionAlreadyExists":
                raise
            arn = execution_arn(target.arn, request_id)
            return Call(result=CallResult.ANSWERED, answer={"executionArn": arn}, transform_id=arn)
        arn = answer["executionArn"]
        words = {"executionArn": arn, "startDate": answer["startDate"].isoformat()}
        return Call(result=CallResult.ANSWERED, answer=words, transform_id=arn)


def _refusal(code: str) -> Call:
    if code in _MISSING:
        return Call(result=CallResult.MISSING, error=f"{code}: there is no such target")
    if code in _TOO_LARGE:
        return Call(result=CallResult.TOO_LARGE, error=code)
    if code in _REFUSED:
        return Call(result=CallResult.REFUSED, error=code)
    if code in _UNCLEAR:
        return Call(result=CallResult.UNCLEAR, error=code)
    return Call(result=CallResult.FAILED, error=code)


def _status_code(words: Any) -> int:
    """The status of an answer that looks like one for API Gateway, which takes numbers as text too; 0 when it has none."""
    status = words.get("statusCode") if isinstance(words, dict) else None
    return int(status) if isinstance(status, int | str) and str(status).isdecimal() else 0


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload, parse_constant=lambda _: None)  # NaN is not JSON: whom we answer could not read it
    except (ValueError, RecursionError):
        return None
