"""What can go wrong outside our own code.

CanaryError
├── Misconfigured   a setting is missing or wrong: nothing can start
└── Unavailable     an AWS service did not do what it was asked
    └── Denied      … because we may not: it will not help to ask again
"""

from __future__ import annotations


class CanaryError(Exception):
    """Base of the errors that are ours; the message says what to do next."""


class Misconfigured(CanaryError):
    """A setting is missing or wrong."""


class Unavailable(CanaryError):
    """An AWS service did not answer, or refused for now. ``code`` is its error code, where it gave one."""

    def __init__(self, service: str, code: str, message: str) -> None:
        super().__init__(f"{service}: {code}: {message}")
        self.service = service
        self.code = code


class Denied(Unavailable):
    """An AWS service refused because of our permissions."""
