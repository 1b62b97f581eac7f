"""Telling somebody who waits how far a benchmark is."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Write over what was said before; an empty text clears it. A log is not told."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
