"""What goes on in the demo at the same time: one thread for each thing that is done again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

#: So long the end of a block waits for a call that is still running.
_LAST_CALL_SECONDS: Final = 10.0


class Repeating:
    """Does something again and again, every so many seconds, for the length of a block."""

    def __init__(self, what: Callable[[], None], every: float) -> None:
        self._what = what
        self._every = every
        self._ended = threading.Event()
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._run, name=what.__qualname__, daemon=True)
        self.broken: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Do it no more. What is being done is finished first, unless the block itself could not be."""
        self._ended.set()
        self._due.set()
        if kind is None:
            self._thread.join(_LAST_CALL_SECONDS)

    def soon(self) -> None:
        """Do it next without waiting."""
        self._due.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._due.clear()
            try:
                self._what()
            except Exception as error:  # noqa: BLE001 - the edge of the thread: whoever waits for it raises it
                self.broken = error
                return
            self._due.wait(self._every)
