"""The app of the demo on the embedded AWS: what people do to it, and what can be read of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from botocore.config import Config

from canary.aws.audit import AuditTable
from canary.aws.flipper_function import FlipperFunction
from canary.aws.parameters import ParameterStore
from canary.aws.releases import ReleaseTable
from canary.domain.app import App, Parameter
from canary.domain.audit import Row
from canary.domain.release import Release, release_key
from canary.errors import Unavailable
from canary.local import Embedded
from canary.operating.operator import Operator

APP: Final = "transformer"
#: A pass takes a minute at most, and one that was begun is not begun again.
_WAKING: Final = Config(read_timeout=65, retries={"total_max_attempts": 1, "mode": "standard"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What parameters and tables say at one moment. ``release`` is the one that is looked for, None while it is not opened."""

    at: int
    item: App
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    release: Release | None = None
    rows: tuple[Row, ...] = ()

    def tag(self, name: str) -> str | None:
        """The tag that a parameter holds; None when it is blank."""
        parameter = self.parameters.get(name)
        pointer = parameter.pointer if parameter else None
        return pointer.tag if pointer else None


class DemoApp:
    """One app, with everybody who has to do with it."""

    def __init__(self, aws: Embedded, clock: Callable[[], int]) -> None:
        stack = aws.stack
        dynamodb = stack.client("dynamodb")
        self._aws = aws
        self._clock = clock
        self._ssm = stack.client("ssm")
        self._parameters = ParameterStore(self._ssm, stack.outputs["ParameterPrefix"])
        self._releases = ReleaseTable(dynamodb, stack.outputs["ReleasesTable"], stack.region)
        self._audit = AuditTable(dynamodb, stack.outputs["AuditTable"], stack.region)
        self._flipper = FlipperFunction(stack.client("lambda", _WAKING), stack.outputs["FlipperFunction"], time.sleep)
        self._operator = Operator(self._parameters, self._releases, self._releases, self._flipper, who="demo", clock=clock)

    def deploy(self, tag: str, behaviour: str = "succeed", delay_seconds: int = 0) -> str:
        """Deploy a version of the example as a stack of its own; return the value that names it in a parameter."""
        version = self._aws.example.deploy(tag, behaviour=behaviour, delay_seconds=delay_seconds)
        return json.dumps({"arn": version.function_alias_arn, "tag": tag})

    def init(self, value: str) -> None:
        """Set the app up, as `canary init` does."""
        self._operator.init(APP, value)

    def release(self, value: str) -> str:
        """Write ``latest`` the plain way, as `aws ssm put-parameter` does; return the id of the release that this begins."""
        self._ssm.put_parameter(Name=self._parameters.name(APP, "latest"), Value=value, Type="String", Overwrite=True)
        written = self._parameters.read(APP, "latest")["latest"]
        return release_key(written.version, written.value, written.modified_at)

    def wake(self) -> None:
        """Wake the flipper; where it cannot be woken just now, the next time is soon."""
        try:
            self._flipper.wake(APP)
        except Unavailable:
            return

    def look(self, release: str | None) -> Look:
        """Read what there is to see. Raises `Unavailable`."""
        at = self._clock()
        return Look(
            at=at,
            item=self._releases.app(APP) or App(app=APP),
            parameters=self._parameters.read(APP, "current", "latest", "previous"),
            release=self._releases.release(APP, release) if release else None,
            rows=tuple(self._audit.of_release(APP, release)) if release else (),
        )

    def recent(self) -> tuple[Release, ...]:
        """The app's releases, newest first."""
        return self._releases.recent(APP, 10)

    def rows(self) -> tuple[Row, ...]:
        """All rows of the audit table, oldest first."""
        return tuple(row for release in reversed(self.recent()) for row in self._audit.of_release(APP, release.release))
