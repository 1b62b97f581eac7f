"""Watches the app while the demo goes on: what is seen now, and waiting until something is seen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from canary.cli.demo.app import DemoApp
from canary.cli.demo.scene import Scene, Trial
from canary.cli.demo.show import Show
from canary.cli.demo.threads import Repeating
from canary.cli.demo.traffic import Traffic
from canary.errors import CanaryError, Unavailable

#: Most things take a few seconds; a machine that is busy with other things takes its time.
WITHIN_SECONDS: Final = 90.0
_POLL_SECONDS: Final = 0.05


class NotSeen(CanaryError):
    """Something that the demo promises did not happen in time."""


class Watch:
    """Sees the app: a thread looks again and again, and others ask what it saw."""

    def __init__(self, app: DemoApp, traffic: Traffic, show: Show) -> None:
        self._app = app
        self._traffic = traffic
        self._show = show
        self._lock = threading.Lock()
        self._scene = Scene(look=app.look(None))

    def scene(self) -> Scene:
        """What is seen now."""
        return replace(self._scene, sent=self._traffic.sent)

    def busy_with(self, doing: str) -> None:
        """Say what the demo itself does, until it follows another release."""
        with self._lock:
            self._scene = replace(self._scene, doing=doing)

    def follow(self, trial: Trial) -> None:
        """Look at another release."""
        look = self._app.look(trial.release)
        with self._lock:
            self._scene = replace(self._scene, trial=trial, doing=None, look=look)

    def look(self) -> None:
        """Look once more, and tell the show; while AWS does not answer, what was seen last stays."""
        trial = self._scene.trial
        try:
            look = self._app.look(trial.release if trial else None)
        except Unavailable:
            return
        with self._lock:
            if self._scene.trial is not trial:
                return  # what was seen of one release is not shown as the next one's
            self._scene = replace(self._scene, look=look)
        self._show.noticed(self.scene())

    def until(self, seen: Callable[[Scene], bool], words: str, *threads: Repeating) -> None:
        """Wait until something is seen. Raises `NotSeen`, and what has broken a thread."""
        deadline = time.monotonic() + WITHIN_SECONDS
        while not seen(self.scene()):
            for thread in threads:
                if thread.broken:
                    raise thread.broken
            if time.monotonic() > deadline:
                raise NotSeen(f"not seen within {WITHIN_SECONDS:.0f} s: {words}")
            time.sleep(_POLL_SECONDS)
