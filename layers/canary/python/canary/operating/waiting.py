"""Waiting for the end of a release, wherever the flipper's own writes may have carried it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from canary.domain.release import Release, version_of
from canary.domain.states import ReleaseState
from canary.errors import Denied, Unavailable
from canary.operating.judging import Weighed
from canary.operating.reading import Reader

#: Seconds between two looks: quick while it may be over in a moment, slower the longer it lasts.
_PACE: Final = ((120, 2.0), (600, 5.0))
_SLOWEST: Final = 15.0
#: A release that put ours back is among the newest ones.
_NEWEST: Final = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at a release that is waited for. ``name`` changes when its write was put back and became another release.

    ``release`` is None before the flipper has found it, ``first`` is the one that it waits for, ``weighed`` what the judge would
    say of it. ``overtaken``: a newer write came before it was ever opened.
    """

    name: str
    release: Release | None = None
    first: Release | None = None
    weighed: Weighed | None = None
    overtaken: bool = False
    trouble: str | None = None

    @property
    def over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.overtaken or (self.release is not None and self.release.ended)

    @property
    def promoted(self) -> bool:
        return self.release is not None and self.release.state is ReleaseState.PROMOTED


def follow(
    reader: Reader, app: str, name: str, *, clock: Callable[[], int], pause: Callable[[float], None], timeout_ms: int
) -> Iterator[Progress]:
    """Look at a release until it is over or the time is up; the last look tells which. Raises `Denied`."""
    started = clock()
    while True:
        try:
            seen = _look(reader, app, name)
        except Denied:
            raise  # it will not get better by waiting
        except Unavailable as error:
            seen = Progress(name, trouble=str(error))
        name = seen.name
        yield seen
        waited = clock() - started
        if seen.over or waited >= timeout_ms:
            return
        pause(min(_interval(waited), (timeout_ms - waited) / 1000))


def _look(reader: Reader, app: str, name: str) -> Progress:
    release = reader.release(app, name)
    if release is not None and release.state is not ReleaseState.SUPERSEDED:
        return Progress(name, release, reader.first(release), reader.weighed(release))
    newest = reader.releases(app, _NEWEST)
    if successor := next((other for other in newest if other.restored_from == name), None):
        return _look(reader, app, successor.release)
    if release is not None:
        return Progress(name, release)
    return Progress(name, overtaken=any(version_of(other.release) > version_of(name) for other in newest))


def _interval(waited_ms: int) -> float:
    return next((seconds for limit, seconds in _PACE if waited_ms < limit * 1000), _SLOWEST)
