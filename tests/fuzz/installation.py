"""An installation in memory whose stacks answer what a test wants, and all that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from canary.aws import answers
from canary.domain.call import Call
from canary.domain.target import Target
from tests.fakes.scene import Scene, arn
from tests.fakes.stacks import FakeStacks


@dataclass
class Speaking(FakeStacks):
    """Stacks of which some answer bytes of the test's, by their ARNs; what these say is read by the router's own code."""

    said: dict[str, tuple[bytes, str | None]] = field(default_factory=dict)

    def call(
        self,
        target: Target,
        body: bytes,
        request_id: str,
        release: str | None,
        timeout_ms: int,
        transform_id: str | None,
        *,
        synthetic: bool = False,
    ) -> Call:
        if target.arn not in self.said:
            return super().call(target, body, request_id, release, timeout_ms, transform_id, synthetic=synthetic)
        self.sent.append((target.name, request_id))
        return answers.invoked(*self.said[target.arn], transform_id)


def on_trial(said: Mapping[str, tuple[bytes, str | None]] | None = None, *, plan: Mapping[str, Any] | str | None = None) -> Scene:
    """A release of v2 that runs, with slots. ``said`` is what stacks answer, by name, and with which kind of error."""
    scene = Scene(plan=plan if isinstance(plan, str) or plan is None else dict(plan))
    scene.stacks = Speaking(scene.calls, scene.clock, said={arn(name): words for name, words in (said or {}).items()})
    scene.write_latest(arn("v2"))
    scene.flip()
    return scene


def state(scene: Scene) -> dict[str, Any]:
    """All that an installation holds, but for the times of passes."""
    return {
        "parameters": {name: tuple(versions) for name, versions in scene.parameters.versions.items()},
        "releases": dict(scene.releases.releases),
        "apps": dict(scene.releases.items),
        "rows": dict(scene.audit.table),
        "keys": dict(scene.keys.table),
        "records": dict(scene.records.table),
        "sent": tuple(scene.stacks.sent),
        "executions": dict(scene.stacks.executions),
        "notices": tuple(scene.notices.sent),
    }
