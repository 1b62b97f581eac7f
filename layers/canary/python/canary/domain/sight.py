"""What one pass of the flipper sees of a release beyond its item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from canary.domain.alarm import AlarmState
from canary.domain.evidence import Running


@dataclass(frozen=True, slots=True)
class WatchSight:
    """Executions of the promoted stack since its promotion: how many started, failed, and succeeded.

    ``succeeded`` is counted up to what the watch asks for.
    """

    started: int = 0
    failed: int = 0
    succeeded: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen of a release.

    ``running``: its requests on latest that are not counted yet; ``controls`` control samples run. ``control``: current's
    failures by share; None where current's workflows cannot be told apart. ``uncompared``: they can, and could
    not be read. ``alarms``: the states of its plan's alarms that exist. ``blind`` says what may not or cannot be read, ``unread``
    what could not just now: then what was seen may fail the release, and decides nothing else. ``unfollowed``: its own requests
    could not be read, so nothing is weighed.
    """

    running: tuple[Running, ...] = ()
    controls: int = 0
    control: Mapping[int, int] | None = None
    uncompared: bool = False
    alarms: Mapping[str, AlarmState] = field(default_factory=dict)
    watch: WatchSight | None = None
    blind: str | None = None
    unread: str | None = None
    unfollowed: bool = False
