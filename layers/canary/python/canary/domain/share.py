"""Shares of the requests: whole numbers, in parts of `ALONE`."""

from __future__ import annotations

from typing import Final

#: Shares are in parts of so many. This one is all: everything that may go to latest goes there.
ALONE: Final = 10_000
