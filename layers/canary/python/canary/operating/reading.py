"""Reading: what is known of an app, for people. Nothing here writes."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from canary.domain.app import App, Parameter
from canary.domain.asks import NotPossible
from canary.domain.audit import Row, Status
from canary.domain.record import Record
from canary.domain.release import Release
from canary.errors import Unavailable
from canary.operating.judging import Weighed, Weigher
from canary.operating.queue import in_turn, waiting_for, waits
from canary.ports import Apps, Audit, Parameters, Records, Releases

#: So many releases of an app are looked through at most.
MOST_RELEASES: Final = 1000
_RECENT: Final = 6


class History(Protocol):
    """The releases of the past."""

    def recent(self, app: str, most: int) -> tuple[Release, ...]:
        """Read an app's newest releases, newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All about an app at one moment. ``trouble``: why SSM did not answer.

    ``release`` is the one that the reader looks at, ``weighed`` what the judge would say of it, ``first`` the one that it waits
    for, and ``waiting`` the one that waits for it.
    """

    app: str
    at: int
    item: App
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    release: Release | None = None
    weighed: Weighed | None = None
    first: Release | None = None
    waiting: Release | None = None
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
        self,
        parameters: Parameters,
        releases: Releases,
        apps: Apps,
        history: History,
        audit: Audit,
        records: Records,
        weigher: Weigher,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._parameters = parameters
        self._releases = releases
        self._apps = apps
        self._history = history
        self._audit = audit
        self._records = records
        self._weigher = weigher
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

    def weighed(self, release: Release) -> Weighed | None:
        """Judge a release as it stands now; None when it is not on trial."""
        return self._weigher.weigh(release, self._clock())

    def first(self, release: Release) -> Release | None:
        """Read the unfinished release that this one waits for; None when it waits for none."""
        other = self._releases.release(release.app, release.behind) if release.behind and waits(release) else None
        return other if other is not None and not other.ended else None

    def records(self, app: str, name: str) -> Sequence[Record]:
        """Read the evidence records of a release, oldest first."""
        return self._records.of_release(app, name)

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
        unfinished = self._unfinished(item)
        release = self._looked_at(app, name, unfinished, recent)
        return Overview(
            app=app,
            at=self._clock(),
            item=item or App(app=app),
            parameters=parameters,
            release=release,
            weighed=self.weighed(release) if release else None,
            first=self.first(release) if release else None,
            waiting=waiting_for(release, unfinished) if release else None,
            recent=recent,
            trouble=trouble,
        )

    def rows(self, app: str, names: Iterable[str], wanted: Wanted, most: int | None = None) -> Iterator[Row]:
        """Read the rows of some releases, in the order of time, as they come."""
        streams = [self._audit.of_release(app, name) for name in names]
        merged = heapq.merge(*streams, key=lambda row: row.request_id)
        return islice((row for row in merged if wanted.fits(row)), most)

    def _unfinished(self, item: App | None) -> list[Release]:
        """Releases of an app that have not ended; the one that goes first, first."""
        found = (self._releases.release(item.app, name) for name in item.followed) if item else ()
        return in_turn(release for release in found if release is not None)

    def _looked_at(self, app: str, name: str | None, unfinished: Sequence[Release], recent: Sequence[Release]) -> Release | None:
        if name is None:
            return next(iter((*unfinished, *recent)), None)
        found = self._releases.release(app, name)
        if found is None:
            raise NotPossible(f"{app!r} has no release {name}: see `canary releases {app}`")
        return found

    def _no_such_app(self, app: str) -> str:
        known = self.apps()
        words = f"there are {', '.join(known)}" if known else f"there is none yet: `canary init {app} --arn …` makes one"
        return f"there is no app {app!r}; {words}"
