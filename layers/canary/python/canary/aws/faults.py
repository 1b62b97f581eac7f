"""AWS errors, in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from botocore.exceptions import BotoCoreError, ClientError

from canary.errors import Denied, Unavailable

DENIED: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException"}
)
CONDITION_FAILED: Final = "ConditionalCheckFailedException"


def code_of(error: ClientError) -> str:
    """The service's own error code."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def item_there(error: ClientError) -> dict[str, Any]:
    """The item that made a condition fail (ALL_OLD); empty when it was not asked for, or there is none."""
    return dict(cast("dict[str, Any]", error.response).get("Item", {}))


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
