"""Parameter Store, in memory. The contract suite holds this to what the real adapter does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from canary.domain.app import Parameter, Version
from canary.domain.target import APP_NAME
from tests.fakes.calls import Calls
from tests.fakes.clock import Clock


@dataclass
class FakeParameters:
    calls: Calls
    clock: Clock
    versions: dict[tuple[str, str], list[Version]] = field(default_factory=dict)

    def read(self, app: str, *names: str) -> Mapping[str, Parameter]:
        return self.calls.made("ssm.read", lambda: self._read(app, names))

    def write(self, app: str, name: str, value: str, description: str = "") -> int:
        if not 0 < len(value) <= 4096:
            raise ValueError(f"a value has 1 to 4096 characters, not {len(value)}")
        return self.calls.made(f"ssm.write {name}", lambda: self.put(app, name, value, description))

    def history(self, app: str) -> tuple[Version, ...]:
        return self.calls.made("ssm.history", lambda: self._as_of(app, "latest", self.clock.now - self.calls.age("ssm.history")))

    def apps(self) -> tuple[str, ...]:
        return self.calls.made("ssm.apps", lambda: tuple(sorted({app for app, _ in self.versions if APP_NAME.fullmatch(app)})))

    def put(self, app: str, name: str, value: str, description: str = "") -> int:
        """Write as somebody else: no call of ours."""
        versions = self.versions.setdefault((app, name), [])
        newest = versions[-1].version if versions else 0
        before = versions[-1] if versions else None
        versions.append(Version(value, newest + 1, self.clock(), description))
        del versions[:-100]
        self.calls.changed("parameter", (app, name), before, versions[-1])
        return versions[-1].version

    def value(self, app: str, name: str) -> str | None:
        versions = self.versions.get((app, name))
        return versions[-1].value if versions else None

    def _read(self, app: str, names: tuple[str, ...]) -> Mapping[str, Parameter]:
        until = self.clock.now - self.calls.age("ssm.read")
        seen = {name: self._as_of(app, name, until) for name in names}
        return {name: Parameter(v[-1].value, v[-1].version, v[-1].modified_at) for name, v in seen.items() if v}

    def _as_of(self, app: str, name: str, until: int) -> tuple[Version, ...]:
        return tuple(version for version in self.versions.get((app, name), ()) if version.modified_at <= until)
