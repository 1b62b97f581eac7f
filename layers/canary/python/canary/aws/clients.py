"""boto3 clients with the timeouts and retries that each use needs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_stepfunctions import SFNClient

#: The router's own reads and claims: short, so that current still has its time when they fail.
_QUICK: Final = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
#: The flipper's calls: patient.
_PATIENT: Final = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})


def quick(service: Any) -> Any:
    """A client for the router's own reads and writes."""
    return boto3.client(service, config=_QUICK)


def patient(service: Any) -> Any:
    """A client for the flipper."""
    return boto3.client(service, config=_PATIENT)


def once(service: Any) -> Any:
    """A client for writes that must not be sent twice."""
    return boto3.client(service, config=_PATIENT.merge(Config(retries={"mode": "standard", "total_max_attempts": 1})))


def invoking(timeout_ms: int) -> LambdaClient:
    """A Lambda client that waits so long for an answer, and never repeats an Invoke: that would be a second run."""
    client: LambdaClient = _with_timeout("lambda", _steps(timeout_ms), 1)
    return client


def starting(timeout_ms: int) -> SFNClient:
    """A Step Functions client that asks once.

    Starting an execution may be repeated, since its name is the request id; but botocore tells of the last try alone, and after
    one that was never answered a refused one would pass for "nothing was started".
    """
    client: SFNClient = _with_timeout("stepfunctions", _steps(timeout_ms), 1)
    return client


def _steps(timeout_ms: int) -> int:
    """Round a timeout down to half seconds, so that a few clients serve all."""
    return timeout_ms // 500 * 500 if timeout_ms >= 500 else max(1, timeout_ms)


@cache
def _with_timeout(service: Any, timeout_ms: int, attempts: int) -> Any:
    retries: Any = {"mode": "standard", "total_max_attempts": attempts}
    seconds = timeout_ms / 1000 / attempts  # all tries together keep within the timeout
    config = Config(connect_timeout=min(2.0, seconds), read_timeout=seconds, retries=retries)
    return boto3.client(service, config=config)
