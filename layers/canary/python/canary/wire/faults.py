"""What can become of a call.

WireFault
├── Unreached        no connection came about: the service has seen nothing of the call
│   └── NoCredentials  … since there is nothing to sign it with
├── NoAnswer         the call went out, and no answer came in time
├── Broken           the connection broke after the call, or a part of it, had gone out
└── Refusal          the service answered with an error
"""

from __future__ import annotations

from typing import Any


class WireFault(Exception):
    """A call that did not end well. Its name serves as an error code."""

    @property
    def code(self) -> str:
        return type(self).__name__


class Unreached(WireFault):
    """Nothing was sent."""


class NoCredentials(Unreached):
    """Nothing to sign with: the place where credentials come from does not answer."""


class NoAnswer(WireFault):
    """It was sent, and what became of it is unknown."""


class Broken(WireFault):
    """It was sent, at least in part, and what became of it is unknown."""


class Refusal(WireFault):
    """The service's own error. ``document`` is all that it said."""

    def __init__(self, status: int, code: str, document: dict[str, Any]) -> None:
        self.message = str(document.get("message", document.get("Message", "")))
        super().__init__(f"{code}: {self.message}")
        self.status = status
        self.document = document
        self._code = code

    @property
    def code(self) -> str:
        return self._code
