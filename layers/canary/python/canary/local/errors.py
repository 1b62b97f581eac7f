from __future__ import annotations

from canary.errors import CanaryError


class LocalError(CanaryError):
    """The embedded AWS cannot do what was asked; the message says what to do next."""


class SamFailed(LocalError):
    """SAM CLI ended with an error; `output` is all that it printed."""

    def __init__(self, command: str, output: str) -> None:
        super().__init__(f"`sam {command}` failed:\n{output}")
        self.output = output
