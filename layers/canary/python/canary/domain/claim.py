"""What came of asking for a slot."""

from __future__ import annotations

from enum import StrEnum


class Claimed(StrEnum):
    """WON: the slot is ours (also when an earlier try of ours had won it). The others: it is not, and why."""

    WON = "WON"
    GONE = "GONE"
    CLOSED = "CLOSED"
