"""What helps a release that is held: the commands to type next."""

from __future__ import annotations

from canary.domain.states import Hold


def next_commands(app: str, hold: Hold | None) -> str:
    """Say what lets a release go on, and what ends it."""
    match hold:
        case Hold.APPROVAL:
            goes_on = f"canary promote {app}"
        case Hold.DEADLINE:
            goes_on = f"canary promote {app} --force"
        case Hold.OBSERVATION | Hold.ALARM | Hold.CURRENT:
            goes_on = "mend what the reason names"
        case _:
            goes_on = f"canary resume {app}"
    return f"{goes_on}, or canary abort {app}"
