"""What the router needs of the ports: a part of each, which a transport of its own has to offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a router starts often, and each of these modules takes its time to import
    from canary.domain.app import App, Parameter
    from canary.domain.audit import Execution, Row, RowUpdate
    from canary.domain.batch import Batch
    from canary.domain.claim import Claimed
    from canary.domain.offer import Offer


class Parameters(Protocol):
    """Parameter Store, for reading."""

    def read(self, app: str, *names: str) -> Mapping[str, Parameter]:
        """Read some of an app's parameters at once; missing ones are absent."""


class Slots(Protocol):
    """The releases table."""

    def release(self, app: str, release: str) -> Offer | None:
        """Read a release."""

    def claim(self, app: str, release: str, request_id: str, now: int) -> Claimed:
        """Take a slot, atomically; safe to repeat."""

    def claim_batch(
        self, app: str, release: str, batch: tuple[str, Batch], granted: int, unused: tuple[str, int] | None = None
    ) -> int:
        """Take many slots at once, as many as there are; 0: none. ``granted`` as it was read last.

        ``unused``: the batch before, of which so many were not used, and are given back by the same write.
        """

    def app(self, app: str) -> App | None:
        """Read an app's item, for its mirror."""


class Audit(Protocol):
    """The audit table."""

    def put(self, row: Row) -> Row | None:
        """Put a row, unless there is one: then return that one, and change nothing."""

    def update(self, row: Row, update: RowUpdate) -> bool:
        """Move a row in flight on; False when it is not in flight any more, or has another transform id."""

    def rows(self, app: str, release: str, request_ids: Iterable[str]) -> Mapping[str, Row]:
        """Read rows, consistently; missing ones are absent."""


class Executions(Protocol):
    """Step Functions, for reading."""

    def observe(self, arns: Iterable[str]) -> Mapping[str, Execution]:
        """Read executions."""
