"""All that the flipper works with, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from canary.domain.target import Allowed
from canary.ports import Apps, Audit, Executions, Notices, Parameters, Releases, Stacks


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The flipper's ports. ``clock`` gives milliseconds; ``count`` takes a metric's name, an app and a number."""

    parameters: Parameters
    releases: Releases
    apps: Apps
    audit: Audit
    executions: Executions
    stacks: Stacks
    notices: Notices
    allowed: Allowed
    inspect_expression: Callable[[str | None], str | None]
    clock: Callable[[], int]
    count: Callable[[str, str, int], None]
