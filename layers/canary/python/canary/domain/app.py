"""An app as the flipper keeps it: the mirror of current, what is followed, who is quarantined, the emergency stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from canary.domain.baseline import Baseline
from canary.domain.parameter import Parameter as Parameter  # noqa: PLC0414 - where all but the router look for it
from canary.domain.release import Control, Release
from canary.domain.sight import Sight
from canary.domain.target import Pointer


@dataclass(frozen=True, slots=True)
class Version:
    """One line of a parameter's history."""

    value: str
    version: int
    modified_at: int
    description: str


@dataclass(frozen=True, slots=True)
class Mirror:
    """The copy of ``current`` that serves while SSM does not answer."""

    value: str
    version: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A target that is not tried again until a person says so."""

    release: str
    tag: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The emergency stop: no gate of this app is open."""

    who: str
    why: str
    at: int


@dataclass(frozen=True, slots=True)
class Learned:
    """Where a target's workflows run, as its requests have told."""

    target: str
    control: Control


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One item for each app.

    ``rev`` is 0 while there is no item. ``checked`` is the newest version of latest whose history was looked at, ``newest`` the
    newest one that was taken for a release, and ``newest_at`` when it was written. ``learned`` is about current.
    """

    app: str
    rev: int = 0
    followed: tuple[str, ...] = ()
    promoted: str | None = None
    mirror: Mirror | None = None
    quarantine: Mapping[str, Quarantined] = field(default_factory=dict)
    checked: int = 0
    newest: int = 0
    newest_at: int = 0
    learned: Learned | None = None
    stopped: Stopped | None = None
    last_pass: int | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found out about an opening release's target and plan beyond what its value says.

    ``baseline`` is current's history, ``control`` where current's workflows run, where that is known already; ``warning``: what
    could not be found out, and is done without.
    """

    plan_text: str | None
    problem: str | None = None
    baseline: Baseline = field(default_factory=Baseline)
    control: Control | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that the flipper knows of an app at one moment.

    ``releases`` holds the items of the followed releases, the last promoted one, the one that ``latest`` names, and newer ones
    that are not over, where they exist. ``history`` is read only while the version of latest is unchecked, ``inspection``
    only for an opening release. ``current_refused`` says why current must not be called, ``previous_problem`` (read for a
    rollback) why previous could not serve. ``sights`` holds what was seen of releases beyond their items; of one that could
    not be looked at there is none. ``probed`` names the releases whose preflight goes on in the next pass, since a request of
    it failed to go out, or took long.
    """

    app: App
    current: Parameter | None
    latest: Parameter | None
    previous: Parameter | None
    releases: Mapping[str, Release] = field(default_factory=dict)
    history: tuple[Version, ...] = ()
    inspection: Inspection | None = None
    sights: Mapping[str, Sight] = field(default_factory=dict)
    current_refused: str | None = None
    previous_problem: str | None = None
    probed: frozenset[str] = frozenset()

    @property
    def serving(self) -> Pointer | None:
        """What current names, if it may be called."""
        return self.current.pointer if self.current is not None and self.current_refused is None else None
