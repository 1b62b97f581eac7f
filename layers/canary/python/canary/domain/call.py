"""What a call of a target came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class CallResult(StrEnum):
    """How a call ended, as far as the caller can know.

    ANSWERED: the target did what it was asked. FAILED: it ran and failed. TIMED_OUT: it may be running. MISSING: there is no
    such target. REFUSED: our account or permissions kept the call from it. TOO_LARGE: it cannot take this body.
    UNCLEAR: AWS itself failed; it may be running, and nothing is said about the stack.
    """

    ANSWERED = "ANSWERED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    MISSING = "MISSING"
    REFUSED = "REFUSED"
    TOO_LARGE = "TOO_LARGE"
    UNCLEAR = "UNCLEAR"


#: Surely nothing has started, so another stack may do the work even where it must not run twice.
UNSTARTED: Final = frozenset({CallResult.MISSING, CallResult.REFUSED, CallResult.TOO_LARGE})
#: Says nothing about the stack: the slot goes back.
NOT_THE_STACKS_FAULT: Final = frozenset({CallResult.REFUSED, CallResult.TOO_LARGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call's end: the target's own ``answer`` (JSON), and the execution that it started, where it did.

    ``untraced``: the plan says where the answer names its execution, and there it names none.
    """

    result: CallResult
    answer: Any = None
    transform_id: str | None = None
    error: str | None = None
    untraced: bool = False
