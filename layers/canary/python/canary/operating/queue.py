"""Whose turn it is where one release waits for another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from canary.domain.release import Release
from canary.domain.states import ReleaseState


def in_turn(releases: Iterable[Release]) -> list[Release]:
    """Those that have not ended: first the one that is under way, then what waits behind it, newer before older."""
    unfinished = (release for release in releases if not release.ended)
    return sorted(unfinished, key=lambda release: (waits(release), -release.opened_at))


def waits(release: Release) -> bool:
    """Whether a release was written while another went first, and is not opened yet."""
    return release.state is ReleaseState.OPENING and release.behind is not None


def waiting_for(release: Release, unfinished: Sequence[Release]) -> Release | None:
    """The release that waits behind this one."""
    return next((other for other in unfinished if waits(other) and other.behind == release.release), None)
