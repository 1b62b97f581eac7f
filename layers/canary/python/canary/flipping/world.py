"""All that the flipper works with, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from canary.domain.target import Allowed
from canary.ports import Alarms, Apps, Audit, Executions, Notices, Parameters, Records, Releases, Stacks, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The flipper's ports. ``clock`` gives milliseconds; ``count`` takes a metric's name, an app and a number."""

    parameters: Parameters
    releases: Releases
    apps: Apps
    audit: Audit
    records: Records
    executions: Executions
    stacks: Stacks
    targets: Targets
    alarms: Alarms
    notices: Notices
    allowed: Allowed
    inspect_expression: Callable[[str | None], str | None]
    clock: Callable[[], int]
    count: Callable[[str, str, int], None]
