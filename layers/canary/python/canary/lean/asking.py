"""Calls whose faults are `Unavailable` or `Denied`, as the ports promise."""

from __future__ import annotations

from typing import Any, Final

from canary.aws.answers import CONDITION_FAILED, DENIED
from canary.errors import Denied, Unavailable
from canary.wire.call import Patience, Wire
from canary.wire.endpoints import DYNAMODB, Service
from canary.wire.faults import Refusal, WireFault

#: The router's own reads and writes: short, so that current still has its time when they fail.
QUICK: Final = Patience(connect_s=1, answer_s=2, attempts=2)


def asked(wire: Wire, service: Service, operation: str, document: str) -> dict[str, Any]:
    """Call an operation. Raises `Unavailable`, `Denied`."""
    try:
        return wire.ask(service, operation, document, QUICK)
    except WireFault as fault:
        raise unavailable(service, fault) from fault


def written(wire: Wire, operation: str, document: str) -> dict[str, Any] | None:
    """Send a conditional write to DynamoDB.

    None when it was done; when its condition failed, the item that made it fail, empty if that was not asked for (ALL_OLD) or
    there is none. Raises `Unavailable`, `Denied`.
    """
    try:
        wire.tell(DYNAMODB, operation, document, QUICK)
    except Refusal as refusal:
        if refusal.code == CONDITION_FAILED:
            return dict(refusal.document.get("Item", {}))
        raise unavailable(DYNAMODB, refusal) from refusal
    except WireFault as fault:
        raise unavailable(DYNAMODB, fault) from fault
    return None


def unavailable(service: Service, fault: WireFault) -> Unavailable:
    """Say a fault in our words."""
    kind = Denied if fault.code in DENIED else Unavailable
    return kind(service.title, fault.code, fault.message if isinstance(fault, Refusal) else str(fault))
