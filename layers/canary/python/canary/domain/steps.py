"""What the flipper can do: each step is one write, safe to repeat, with the reason for it."""

from __future__ import annotations

from dataclasses import dataclass

from canary.domain.app import App
from canary.domain.record import Record
from canary.domain.release import Notice, Release


@dataclass(frozen=True, slots=True)
class CreateRelease:
    """Put the release's item, unless there is one."""

    release: Release
    why: str


@dataclass(frozen=True, slots=True)
class SaveRelease:
    """Write what changed, on condition that nobody changed the item since it was read.

    ``idle``: also on condition that no slot was claimed since and none is open, so that what was judged is all there is.
    ``record``: the evidence record of the decision, which is kept first.
    """

    before: Release
    after: Release
    why: str
    idle: bool = False
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class SaveApp:
    """Write the app's item, on condition that nobody changed it since it was read."""

    after: App
    why: str


@dataclass(frozen=True, slots=True)
class WriteParameter:
    """Write ``current`` or ``previous``; with ``over`` only if the parameter is still at that version."""

    name: str
    value: str
    why: str
    over: int | None = None


@dataclass(frozen=True, slots=True)
class BlankLatest:
    """Blank ``latest`` if it still names ``release``."""

    release: str
    why: str


@dataclass(frozen=True, slots=True)
class RestoreLatest:
    """Put back ``value``, whose release was ``release``, if ``latest`` is still at version ``over``."""

    value: str
    release: str
    over: int
    why: str


@dataclass(frozen=True, slots=True)
class RunProbe:
    """Run one payload of the preflight on latest, and keep in the release what came of it. Safe to repeat: its id is its own."""

    release: Release
    number: int
    why: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Send the release's oldest notice, then strike it off."""

    release: Release
    notice: Notice
    why: str


Step = CreateRelease | SaveRelease | SaveApp | WriteParameter | BlankLatest | RestoreLatest | RunProbe | Announce
