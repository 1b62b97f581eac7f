"""Where requests come in: those with an Idempotency-Key go through the records, all others straight to the router."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from canary.routing.router import Reply, Request, Router

if TYPE_CHECKING:
    from canary.ports import Keys
    from canary.routing.needs import Audit, Executions
    from canary.routing.records import Records


class Desk:
    """Takes requests in: keyed ones get one record for each key, and the same answer for a day."""

    def __init__(self, router: Router, keys: Keys, audit: Audit, executions: Executions, *, clock: Callable[[], int]) -> None:
        self._router = router
        self._keys = keys
        self._audit = audit
        self._executions = executions
        self._clock = clock

    def take(self, request: Request, api_key: str, key: str | None) -> Reply:
        """Route a request. Raises `Problem`."""
        known = self._router.known(request.app)
        toss = self._router.toss(known)
        if key is None:
            return self._router.send(request, known, self._router.new_id(toss), toss)
        return self._records.take(request, known, toss, api_key, key)

    def find(self, app: str, request_id: str) -> Reply:
        """Tell what became of a request on record. Raises `Problem` 404."""
        return self._records.find(app, request_id)

    @cached_property
    def _records(self) -> Records:
        from canary.routing.records import Records  # noqa: PLC0415 - a router starts faster without it

        return Records(self._router, self._keys, self._audit, self._executions, clock=self._clock)
