"""What a doctor finds: each finding is a sentence, and the command to type next where something is amiss."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. ``app`` is empty where it is about the whole installation, ``cure`` where there is nothing to do."""

    level: Level
    check: str
    text: str
    cure: str = ""
    app: str = ""
