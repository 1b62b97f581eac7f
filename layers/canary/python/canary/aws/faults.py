"""AWS errors, in our words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from canary.aws.answers import CONDITION_FAILED, DENIED
from canary.errors import Denied, Unavailable


def code_of(error: ClientError) -> str:
    """The service's own error code."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Turn what botocore raises into `Unavailable` or `Denied`; failed conditions pass through, they are answers."""
    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code == CONDITION_FAILED:
            raise
        kind = Denied if code in DENIED else Unavailable
        raise kind(service, code, str(error.response.get("Error", {}).get("Message", ""))) from error
    except BotoCoreError as error:
        raise Unavailable(service, type(error).__name__, str(error)) from error


def conditionally(service: str, write: Callable[..., Any], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """Send a conditional write.

    None when it was done; when its condition failed, the item that made it fail, empty if that was not asked for (ALL_OLD) or
    there is none. Raises `Unavailable`.
    """
    try:
        with translated(service):
            write(**kwargs)
    except ClientError as error:  # translated() lets nothing else through than a failed condition
        return dict(cast("dict[str, Any]", error.response).get("Item", {}))
    return None
