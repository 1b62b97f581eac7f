"""What went wrong, in a sentence that says what to do; a traceback only with --debug."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, ClassVar, Final

import click
from botocore.exceptions import BotoCoreError, ClientError

from canary.domain.asks import NotPossible
from canary.domain.plan import InvalidPlan
from canary.domain.target import InvalidTarget
from canary.errors import CanaryError, Denied, Misconfigured, Unavailable
from canary.operating.operator import Contended

NOT_POSSIBLE: Final = 1
WRONG_USAGE: Final = 2
NOT_DECIDED: Final = 3

_NO_CREDENTIALS: Final = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "SSOTokenLoadError",
        "UnauthorizedSSOTokenError",
        "TokenRetrievalError",
        "LoginRefreshRequired",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    }
)
_UNREACHABLE: Final = frozenset({"EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError"})


class Failure(click.ClickException):
    """A verb that could not do what was asked."""

    exit_code: ClassVar[int] = NOT_POSSIBLE

    def __init__(self, message: str, *, as_json: bool) -> None:
        super().__init__(message)
        self._as_json = as_json

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it to people, and to programs where they asked for JSON."""
        super().show(file)
        if self._as_json:
            click.echo(json.dumps({"error": self.message, "exit_code": self.exit_code}, ensure_ascii=False))


class Misuse(Failure):
    """Wrong usage or settings: nothing was tried."""

    exit_code = WRONG_USAGE


@contextmanager
def explained(*, as_json: bool, debug: bool) -> Iterator[None]:
    """Turn the errors that are answers into sentences; defects keep their traceback."""
    try:
        yield
    except (CanaryError, NotPossible, Contended, InvalidTarget, InvalidPlan, BotoCoreError, ClientError) as error:
        if debug:
            raise
        settings = isinstance(error, (Misconfigured, InvalidTarget, InvalidPlan)) or _code(error) in _NO_CREDENTIALS
        kind = Misuse if settings else Failure
        raise kind(_sentence(error), as_json=as_json) from error


def _sentence(error: Exception) -> str:
    code = _code(error)
    if code in _NO_CREDENTIALS:
        return (
            f"AWS does not know who is asking ({error}): sign in, for example with `aws sso login` or `aws configure`, "
            "and check with `aws sts get-caller-identity`"
        )
    if code in _UNREACHABLE:
        return f"AWS cannot be reached ({error}): check the network, the region and AWS_ENDPOINT_URL"
    if isinstance(error, Denied):
        return f"not permitted: {error}. docs/security.md says who may do what"
    return str(error)


def _code(error: Exception) -> str:
    return error.code if isinstance(error, Unavailable) else type(error).__name__
