"""What services say, in our words: error codes, and the answers of stacks. Whatever transport they came by."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from canary.aws.transform_id import find_transform_id
from canary.domain.call import Call, CallResult
from canary.domain.target import execution_arn, shorten

if TYPE_CHECKING:
    from canary.domain.keyed import Answer

DENIED: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException"}
)
CONDITION_FAILED: Final = "ConditionalCheckFailedException"
#: A request's id names its execution already.
ALREADY_STARTED: Final = "ExecutionAlreadyExists"
MISSING_EXECUTION: Final = frozenset({"ExecutionDoesNotExist", "InvalidArn", "StateMachineDoesNotExist"})
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
    {
        "ServiceException",
        "InternalFailure",
        "InternalServerException",
        "InternalServerError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    }
)
_TOO_LARGE: Final = frozenset({"RequestTooLargeException", "RequestEntityTooLargeException"})
#: An item holds 400 KB. A longer answer is kept without the target's own words.
_MOST_BYTES: Final = 350_000
#: How a function tells work that no upstream has asked for; the second is for code that looks for it among HTTP headers.
_SYNTHETIC: Final = {"canary_synthetic": "true", "X-Canary-Synthetic": "true"}


def custom_context(request_id: str, release: str | None, *, synthetic: bool) -> dict[str, str]:
    """What a function is told beside the request's body."""
    custom = {"canary_request_id": request_id} | ({"canary_release": release} if release else {})
    return custom | (_SYNTHETIC if synthetic else {})


def invoked(payload: bytes, function_error: str | None, transform_id: str | None) -> Call:
    """What a function's answer says; ``transform_id`` is the plan's expression for finding its execution."""
    words, readable = _json(payload)
    if function_error:
        # The kind of error only: its message may repeat the payload.
        kind = words.get("errorType", "") if isinstance(words, dict) else ""
        return Call(result=CallResult.FAILED, error=shorten(f"{function_error} error {kind}".strip()))
    if (status := _status_code(words)) >= 500:
        return Call(result=CallResult.FAILED, answer=words, error=f"statusCode {status}")
    found = find_transform_id(words, transform_id)
    untraced = found is None and (transform_id is not None or not readable)
    return Call(result=CallResult.ANSWERED, answer=words, transform_id=found, untraced=untraced)


def started(arn: str, at: datetime) -> Call:
    """An execution that was started."""
    words = {"executionArn": arn, "startDate": at.isoformat()}
    return Call(result=CallResult.ANSWERED, answer=words, transform_id=arn)


def started_before(state_machine: str, request_id: str) -> Call:
    """An execution that an earlier try of the same request has started."""
    arn = execution_arn(state_machine, request_id)
    return Call(result=CallResult.ANSWERED, answer={"executionArn": arn}, transform_id=arn)


def refused(code: str) -> Call:
    """What an error code of the service says."""
    if code in _MISSING:
        return Call(result=CallResult.MISSING, error=f"{code}: there is no such target")
    if code in _TOO_LARGE:
        return Call(result=CallResult.TOO_LARGE, error=code)
    if code in _REFUSED:
        return Call(result=CallResult.REFUSED, error=code)
    if code in _UNCLEAR or (code.isdecimal() and int(code) >= 500):  # what stands before a service gives a status alone
        return Call(result=CallResult.UNCLEAR, error=code)
    return Call(result=CallResult.FAILED, error=code)


def unanswered(timeout_ms: int) -> Call:
    """No answer came in time."""
    return Call(result=CallResult.TIMED_OUT, error=f"Timeout: no answer within {timeout_ms} ms")


def unreached(code: str) -> Call:
    """The service was not reached: nothing has started."""
    return Call(result=CallResult.REFUSED, error=f"{code}: the service was not reached")


def broken(code: str) -> Call:
    """The connection broke on the way: it may be running."""
    return Call(result=CallResult.TIMED_OUT, error=f"{code}: the connection broke")


def kept_text(answer: Answer) -> str:
    """What is kept of an answer with its key's record."""
    text = json.dumps(answer.body, separators=(",", ":"))  # ASCII: a target may answer with half a surrogate pair
    if len(text) <= _MOST_BYTES:
        return text
    return json.dumps({**answer.body, "response": None, "response_omitted": True}, separators=(",", ":"))


def moment(seconds: float) -> datetime:
    """A time as services that speak JSON send it."""
    return datetime.fromtimestamp(seconds, UTC)


def milliseconds(at: datetime) -> int:
    """Turn a time into milliseconds since the epoch."""
    return round(at.timestamp() * 1000)


def _status_code(words: Any) -> int:
    """The status of an answer that looks like one for API Gateway, which takes numbers as text too; 0 when it has none."""
    status = words.get("statusCode") if isinstance(words, dict) else None
    if isinstance(status, str):
        status = int(status[:_MOST_DIGITS]) if status.isdecimal() else 0
    if isinstance(status, bool) or not isinstance(status, int | float):
        return 0
    return int(min(max(status, 0), 10**_MOST_DIGITS))


#: No status has more; what has is no reason to fail in another way than by being one of 500 and above.
_MOST_DIGITS: Final = 9


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None


#: NaN is not JSON, nor is what JSON writes of a number that no float holds: whom we answer could not read it.
_decoder = json.JSONDecoder(parse_constant=lambda _: None, parse_float=_finite)


def _json(payload: bytes) -> tuple[Any, bool]:
    """What an answer says; None when it is not JSON. Beside it False, where it may say something that we cannot read."""
    try:
        return _decoder.decode(payload.decode(json.detect_encoding(payload), "surrogatepass")), True
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None, True
    except (ValueError, RecursionError):  # a number of thousands of digits; brackets nested too deeply
        return None, False
