"""Stacks that do as the request says, and the requests that say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: How long the runs of current take, but for one: spread wide, so that what a busy machine adds makes no difference.
QUICK = tuple(0.05 + 0.45 * number / 28 for number in range(29))
#: The one that takes long: a run that is older than three times this hangs.
SLOWEST = 2.0
#: From one start to the next. A release that earns its slots gets all of so little traffic.
PACE = 0.08
#: For what comes about by itself, however busy the machine is. A pass that was killed with its process keeps its lease for 75 s.
PATIENCE_S = 100


def plays(part: str) -> dict[str, Any]:
    """A workflow that waits and fails as its part of the request says."""
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": f"$.{part}.fails", "BooleanEquals": True, "Next": "No"}],
        "Default": "Yes",
    }
    states = {
        "Work": {"Type": "Wait", "SecondsPath": f"$.{part}.seconds", "Next": "Which"},
        "Which": choice,
        "No": {"Type": "Fail", "Error": "TotalsMismatch"},
        "Yes": {"Type": "Succeed"},
    }
    return {"StartAt": "Work", "States": states}


def order(*, seconds: float = 0.02, fails: bool = False, latest: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A request, and what becomes of it: the same on both stacks, but for what `latest` does otherwise."""
    part = {"seconds": seconds, "fails": fails}
    return {"current": part, "latest": {**part, **(latest or {})}}


#: A request that only latest fails.
FAILS = order(latest={"fails": True})
#: A request that fails wherever it goes.
OUTAGE = order(fails=True)
