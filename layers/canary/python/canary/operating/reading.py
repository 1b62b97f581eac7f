"""Reading: what is known of an app, for people. Nothing here writes."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from canary.domain.app import App, Parameter
from canary.domain.asks import NotPossible
from canary.domain.audit import Row, Status
from canary.domain.release import Release
from canary.errors import Unavailable
from canary.ports import Apps, Parameters, Releases

#: So many releases of an app are looked through at most.
MOST_RELEASES: Final = 1000
_RECENT: Final = 6


class History(Protocol):
    """The releases of the past."""

    def recent(self, app: str, most: int) -> tuple[Release, ...]:
        """Read an app's newest releases, newest first."""


class Rows(Protocol):
    """The audit table, for reading."""

    def of_release(self, app: str, release: str) -> Iterable[Row]:
        """Read all rows of a release, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All about an app at one moment. ``release`` is the one that the reader looks at; ``trouble``: why SSM did not answer."""

    app: str
    at: int
    item: App
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    release: Release | None = None
    recent: tuple[Release, ...] = ()
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which audit rows are asked for. Times in milliseconds; ``since`` included, ``until`` not."""

    status: frozenset[Status] = frozenset()
    tenant: str | None = None
    since: int | None = None
    until: int | None = None

    def fits(self, row: Row) -> bool:
        """Whether a row is asked for."""
        return (
            (not self.status or row.status in self.status)
            and self.tenant in (None, row.tenant)
            and (self.since is None or row.claimed_at >= self.since)
            and (self.until is None or row.claimed_at < self.until)
        )


class Reader:
    """Reads one installation."""

    def __init__(
        self, parameters: Parameters, releases: Releases, apps: Apps, history: History, rows: Rows, *, clock: Callable[[], int]
    ) -> None:
        self._parameters = parameters
        self._releases = releases
        self._apps = apps
        self._history = history
        self._rows = rows
        self._clock = clock

    def apps(self) -> tuple[str, ...]:
        """Name all apps, from the parameters and from the table: either may fail, or lack an app that the other has."""
        names: set[str] = set()
        errors: list[Unavailable] = []
        for source in (self._parameters.apps, self._apps.apps):
            try:
                names.update(source())
            except Unavailable as error:
                errors.append(error)
        if len(errors) > 1:
            raise errors[0]
        return tuple(sorted(names))

    def release(self, app: str, name: str) -> Release | None:
        """Read one release."""
        return self._releases.release(app, name)

    def releases(self, app: str, most: int) -> tuple[Release, ...]:
        """Read an app's newest releases, newest first."""
        return self._history.recent(app, most)

    def item(self, app: str) -> App:
        """Read an app's own item."""
        return self._apps.app(app) or App(app=app)

    def overview(self, app: str, name: str | None = None) -> Overview:
        """Look at an app and one of its releases: the one named, else the one that is running, else the newest.

        Raises `NotPossible` when there is no such app or release.
        """
        item = self._apps.app(app)
        parameters: Mapping[str, Parameter] = {}
        trouble = None
        try:
            parameters = self._parameters.read(app, "current", "latest", "previous", "plan")
        except Unavailable as error:
            trouble = str(error)
        if item is None and not parameters and trouble is None:
            raise NotPossible(self._no_such_app(app))
        recent = self._history.recent(app, _RECENT)
        return Overview(
            app=app,
            at=self._clock(),
            item=item or App(app=app),
            parameters=parameters,
            release=self._looked_at(app, name, item, recent),
            recent=recent,
            trouble=trouble,
        )

    def rows(self, app: str, names: Iterable[str], wanted: Wanted, most: int | None = None) -> Iterator[Row]:
        """Read the rows of some releases, in the order of time, as they come."""
        streams = [self._rows.of_release(app, name) for name in names]
        merged = heapq.merge(*streams, key=lambda row: row.request_id)
        return islice((row for row in merged if wanted.fits(row)), most)

    def _looked_at(self, app: str, name: str | None, item: App | None, recent: tuple[Release, ...]) -> Release | None:
        if name is not None:
            found = self._releases.release(app, name)
            if found is None:
                raise NotPossible(f"{app!r} has no release {name}: see `canary releases {app}`")
            return found
        followed = (self._releases.release(app, other) for other in reversed(item.followed if item else ()))
        running = next((release for release in followed if release is not None and not release.ended), None)
        return running or (recent[0] if recent else None)

    def _no_such_app(self, app: str) -> str:
        known = self.apps()
        words = f"there are {', '.join(known)}" if known else f"there is none yet: `canary init {app} --arn …` makes one"
        return f"there is no app {app!r}; {words}"
