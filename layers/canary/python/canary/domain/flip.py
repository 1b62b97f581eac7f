"""How parameters change hands: the flip, its way back, and writes of others that must not be lost.

SSM has no compare-and-set. So what a flip writes is frozen first, every step writes only frozen values, and a blank of ours
that landed on somebody else's write is found in the parameter's history, where the lost value is taken from again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from canary.domain.app import Mirror, Parameter, Quarantined, Seen, Version
from canary.domain.release import Flip, Release, release_key, version_of
from canary.domain.states import ReleaseState
from canary.domain.steps import BlankLatest, SaveApp, SaveRelease, Step, WriteParameter
from canary.domain.target import BLANK, is_blank

#: Parameters may be read as they were so long ago.
STALE_MS: Final = 3_000
#: An older version forgot the flip of a rollback once current was written.
_WRITTEN: Final = Flip("", 0, "", written=True)
_OURS: Final = re.compile(r"canary:(?P<release>\d{8,}-[0-9a-f]{8}):(?P<what>blank|restore)")


class Mark(StrEnum):
    """What a write of ours to ``latest`` was for."""

    BLANK = "blank"
    RESTORE = "restore"


def description(release: str, mark: Mark) -> str:
    """The description that tells our writes to ``latest`` from theirs."""
    return f"canary:{release}:{mark.value}"


class Foreign(Exception):
    """Somebody else wrote the parameter that is being flipped; the message says what was found."""


def frozen(current: Parameter, previous: Parameter | None, after: str) -> Flip:
    """What a flip that begins now writes."""
    return Flip(current.value, current.version, after, previous.version if previous else 0)


def next_flip_step(release: Release, seen: Seen) -> Step | None:
    """The next write of a promotion; None when current is the release. Raises `Foreign`.

    In this order: previous := what was current, current := the release. The mirror follows current by itself. Then the release
    moves on, so that it is on record that current was written; whatever happens to current later is a new story.
    """
    flip = _of(release)
    if seen.serving is not None and seen.serving.target.arn == release.target and not _is_stale(release, flip, seen):
        return None  # somebody had made it current already, in other words perhaps
    if not _flipped(release, flip, seen):
        if not _left(seen.previous, flip.before, release, flip):
            return WriteParameter(
                "previous", flip.before, f"{release.release} is being promoted: what was current becomes previous"
            )
        return WriteParameter("current", flip.after, f"{release.tag} becomes current", over=flip.version)
    return None


def next_rollback_step(release: Release, seen: Seen, now: int) -> Step | None:
    """The next write of a rollback; None when all is written. Raises `Foreign`.

    In this order: current := what was previous, (the mirror), the release has on record that current was written, previous :=
    blank, the quarantine of what was taken back.
    """
    flip = release.flip or _WRITTEN
    if not flip.written:
        if not _flipped(release, flip, seen):
            return WriteParameter("current", flip.after, f"{release.tag} is taken back", over=flip.version)
        why = "the previous stack is current again"
        return SaveRelease(release, release.noted("current restored", now=now, why=why, flip=replace(flip, written=True)), why)
    if seen.previous is not None and not _left(seen.previous, BLANK, release, flip):
        return WriteParameter("previous", BLANK, "the previous stack is current again")
    return quarantine_step(release, seen, now, "it was rolled back")


def may_be_old(release: Release, seen: Seen, now: int) -> bool:
    """Whether parameters may have been read as they were before the release's last flip, which is only just over.

    Such a read does not tell where a way back leads to; in ``STALE_MS`` another one will.
    """
    flip = release.flip
    if flip is None or now >= release.since + STALE_MS:
        return False
    left = BLANK if release.state is ReleaseState.ROLLED_BACK else flip.before
    current, previous = seen.current, seen.previous
    return current is None or current.value != flip.after or previous is None or previous.value != left


def mirror_step(seen: Seen) -> Step | None:
    """Keep the mirror equal to ``current`` wherever current names a target that may be called."""
    current = seen.current
    if current is None or seen.serving is None:
        return None
    mirror = Mirror(current.value, current.version)
    if seen.app.mirror == mirror:
        return None
    return SaveApp(replace(seen.app, mirror=mirror), f"current is version {current.version}: mirror it")


def blank_step(release: Release, seen: Seen) -> Step | None:
    """Blank ``latest`` while it still is what opened this release."""
    if latest_key(seen) != release.release:
        return None
    return BlankLatest(release.release, "the release is over for latest")


def quarantine_step(release: Release, seen: Seen, now: int, why: str) -> Step | None:
    """Keep the release's target out until a person says ``canary retry``."""
    if release.target in seen.app.quarantine:
        return None
    entry = Quarantined(release.release, release.tag, why, now)
    return SaveApp(replace(seen.app, quarantine={**seen.app.quarantine, release.target: entry}), f"{release.tag} is quarantined")


def latest_key(seen: Seen) -> str | None:
    """The release that ``latest`` names now; None when it is blank."""
    latest = seen.latest
    if latest is None or is_blank(latest.value):
        return None
    return release_key(latest.version, latest.value, latest.modified_at)


def history_is_whole(seen: Seen) -> bool:
    """Whether the history that was read ends with the latest that was read: either may be stale."""
    return bool(seen.history) and seen.latest is not None and seen.history[-1].version == seen.latest.version


@dataclass(frozen=True, slots=True)
class Swallowed:
    """A write to ``latest`` that one of ours landed on."""

    value: str
    release: str


def swallowed(history: Sequence[Version]) -> Swallowed | None:
    """Find the write that the newest version of ``latest``, being ours, has overwritten unseen.

    A blank of ours is meant for the version that opened its release, a restore for the blank before it: whatever of others
    lies in between was swallowed, and the newest of it is the one that counts. Words alone do not make a version ours: a
    tagger's write may have inherited the description, so a blank must be blank, a restore must repeat what it restores, and
    neither follows directly on what it would have inherited its words from.
    """
    ordered = sorted(history, key=lambda version: version.version)
    if not ordered or (mine := _ours(ordered, len(ordered) - 1)) is None:
        return None
    release, mark = mine
    for index in range(len(ordered) - 2, -1, -1):
        candidate = ordered[index]
        if mark is Mark.BLANK and candidate.version <= version_of(release):
            return None
        if _ours(ordered, index) is not None:
            if mark is Mark.RESTORE:
                return None
            continue
        if is_blank(candidate.value) and mark is Mark.BLANK:
            return None
        return Swallowed(candidate.value, release_key(candidate.version, candidate.value, candidate.modified_at))
    return None


def restored_release(history: Sequence[Version]) -> str | None:
    """The release whose write the newest version of ``latest`` put back; None when it is not a restore of ours."""
    ordered = sorted(history, key=lambda version: version.version)
    match = _OURS.fullmatch(ordered[-1].description) if ordered else None
    if match is None or match["what"] != Mark.RESTORE:
        return None
    return match["release"] if _repeats(ordered, len(ordered) - 1, match["release"]) else None  # put back twice, maybe


def _ours(ordered: Sequence[Version], index: int) -> tuple[str, Mark] | None:
    version = ordered[index]
    match = _OURS.fullmatch(version.description)
    if match is None:
        return None
    mark = Mark(match["what"])
    before = ordered[index - 1] if index else None
    first = before is None or before.description != version.description or is_blank(before.value)
    if mark is Mark.BLANK:
        return (match["release"], mark) if is_blank(version.value) and first else None
    return (match["release"], mark) if first and _repeats(ordered, index, match["release"]) else None


def _repeats(ordered: Sequence[Version], index: int, release: str) -> bool:
    """Whether a version has the value of the one that a release was named after."""
    return any(
        release_key(old.version, old.value, old.modified_at) == release and old.value == ordered[index].value
        for old in ordered[:index]
    )


def _of(release: Release) -> Flip:
    if release.flip is None:
        raise Foreign(f"{release.release} is {release.state} but what it writes was never frozen")
    return release.flip


def _is_stale(release: Release, flip: Flip, seen: Seen) -> bool:
    """Whether current was read as it was before the flip began: where a rollback is taken back, that is what it writes."""
    return seen.current is not None and not _written_since(seen.current, flip.version, release)


def _written_since(parameter: Parameter, version: int, release: Release) -> bool:
    """Whether what was read is of this version at least, or was written since the flip began: it may have been made anew."""
    return parameter.version >= version or parameter.modified_at >= release.since


def _flipped(release: Release, flip: Flip, seen: Seen) -> bool:
    """Whether current is already what the flip writes; False while it is what the flip started from. Raises `Foreign`."""
    current = seen.current
    if _is_stale(release, flip, seen):
        return False  # what is written next is written only over the version from which the flip started
    if current is not None and current.value == flip.after:
        return True
    if current is not None and (current.value, current.version) == (flip.before, flip.version):
        return False
    raise Foreign(_somebody_wrote(flip, seen))


def _left(previous: Parameter | None, value: str, release: Release, flip: Flip) -> bool:
    """Whether previous is what the flip leaves there, and has been written since it began: every write makes a version.

    A stale read does not count: what a rollback blanks, its return writes again, and the other way round.
    """
    return previous is not None and previous.value == value and _written_since(previous, flip.previous + 1, release)


def _somebody_wrote(flip: Flip, seen: Seen) -> str:
    found = "missing" if seen.current is None else f"version {seen.current.version}"
    started = f"version {flip.version}, from which the flip started"
    return f"current is {found}, not {started}: somebody else wrote it, nothing was overwritten"
