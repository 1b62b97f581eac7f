"""Telling a history to people."""

from __future__ import annotations

from canary.domain.release import timestamp
from tests.histories.history import History


def tell(history: History) -> str:
    """The whole history in words, what is broken last, and how to see it again."""
    lines = [f"history {history.seed}: {history.theme}"]
    for at, actor, call, note in history.told:
        lines.append(f"{timestamp(at)[5:23]}  {actor:<14} {call:<22} {note}".rstrip())
    lines += [f"BROKEN: {what}" for what in history.broken]
    lines.append(replay(history))
    return "\n".join(lines)


def replay(history: History) -> str:
    """The command that shows a history again."""
    return f"again: .venv/bin/python -m tests.histories --seeds {history.seed}:{history.seed + 1} --tell"
