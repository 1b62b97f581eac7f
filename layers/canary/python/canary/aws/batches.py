"""Taking a batch of slots: what to ask for again when a write did not find the release as it was read. Whatever the transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from canary.domain.states import Gate

#: A batch that does not fit is made smaller, or its predecessor turns out to be gone.
_TRIES: Final = 3

#: Writes a batch of so many slots, on condition that so many were granted, with what is given back: None when it was done, else
#: the item as it is.
Write = Callable[[int, int, tuple[str, int] | None], dict[str, Any] | None]


def taken(write: Write, name: str, slots: int, granted: int, unused: tuple[str, int] | None) -> int:
    """Take as many slots as there are, at most ``slots``, and return how many they were."""
    back = unused
    for _ in range(_TRIES):
        item = write(slots, granted, back)
        if item is None:
            return slots
        batches = item.get("batches", {}).get("M")
        if batches is None:  # there is no such release, or it has no place for batches
            return 0
        if name in batches:
            return int(batches[name]["S"].split(" ")[0])
        if item["gate"]["S"] != Gate.OPEN:
            return 0
        if back is not None and back[0] not in batches:  # the flipper took it for dead
            back = None
        granted = int(item["granted"]["N"])
        slots = min(slots, granted - int(item["claimed"]["N"]) + (back[1] if back else 0))
        if slots < 1:
            return 0
    return 0
