"""Work beside a call: what is due to be read again is read while the target answers."""

from __future__ import annotations

from collections.abc import Callable

#: Begins work and returns what waits for its end.
Beside = Callable[[Callable[[], None]], Callable[[], None]]


def in_a_thread(work: Callable[[], None]) -> Callable[[], None]:
    """Do the work in a thread. Whoever began it waits for it: a process that has answered may be frozen in the middle of it."""
    from threading import Thread  # noqa: PLC0415 - most requests need none

    thread = Thread(target=work, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # there is no thread to be had: what is due stays so
        return nothing
    return thread.join


def nothing() -> None:
    """Wait for nothing."""
