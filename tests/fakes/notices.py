"""Notices, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from canary.domain.release import Notice, Release
from tests.fakes.calls import Calls


@dataclass
class FakeNotices:
    calls: Calls
    sent: list[tuple[str, str]] = field(default_factory=list)

    def send(self, release: Release, notice: Notice) -> None:
        self.calls.made("events.send", lambda: self.sent.append((release.release, notice.kind.value)))
