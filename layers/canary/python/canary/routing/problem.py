"""Errors as the upstream sees them: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from typing import Any


class Problem(Exception):
    """An answer that is an error. ``detail`` says what to do next and never holds a payload."""

    def __init__(self, status: int, detail: str, *, retry_after: int | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.extra = extra

    @property
    def body(self) -> dict[str, Any]:
        """The problem document."""
        from http import HTTPStatus  # noqa: PLC0415 - most routers end without an error, and start without its table

        title = HTTPStatus(self.status).phrase
        return {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail, **self.extra}

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with it."""
        return {"Retry-After": str(self.retry_after)} if self.retry_after is not None else {}
