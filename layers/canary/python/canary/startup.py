"""Wires up the router, which starts often: by default on the lean transport, whose modules are all that is imported."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar, cast

from canary.config import Settings, router_settings
from canary.errors import Misconfigured
from canary.lean.parameters import LeanParameters
from canary.lean.slots import LeanSlots
from canary.lean.targets import LeanTargets
from canary.routing.beside import in_a_thread
from canary.routing.keyed import Desk
from canary.routing.router import Router
from canary.routing.view import View
from canary.wire.call import Wire
from canary.wire.endpoints import DYNAMODB, LAMBDA, SSM, STATES

if TYPE_CHECKING:
    from canary.meter import Meter
    from canary.ports import Keys
    from canary.routing.needs import Audit, Executions

Port = TypeVar("Port")
TRANSPORT: Final = "CANARY_TRANSPORT"


def now() -> int:
    """The time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def desk(environ: Mapping[str, str], meter: Meter) -> Desk:
    """Wire up the router on the transport that the environment wants. Raises `Misconfigured`."""
    match environ.get(TRANSPORT) or "lean":
        case "lean":
            return _lean(environ, meter)
        case "botocore":
            from canary import bootstrap  # noqa: PLC0415 - it imports the SDK

            return bootstrap.desk(environ, meter)
        case other:
            raise Misconfigured(f"{TRANSPORT} is {other!r}: it must be lean or botocore")


def _lean(environ: Mapping[str, str], meter: Meter) -> Desk:
    settings = router_settings(environ)
    draw = random.SystemRandom().random
    wire = Wire(settings.region, (SSM, DYNAMODB, STATES, LAMBDA), environ, draw=draw)
    slots = LeanSlots(wire, settings.releases_table)
    audit = later(lambda: _audit(wire, settings))
    parameters = LeanParameters(wire, settings.prefix)
    view = View(parameters, slots, settings.allowed, clock=now, draw=draw, count=meter.count, beside=in_a_thread)
    router = Router(view, slots, audit, LeanTargets(wire), clock=now, draw=draw, random_bits=secrets.randbits, count=meter.count)
    return Desk(router, later(lambda: _keys(wire, settings)), audit, later(lambda: _executions(wire)), clock=now)


def _audit(wire: Wire, settings: Settings) -> Audit:
    from canary.lean.audit import LeanAudit  # noqa: PLC0415 - needed only while there is a release

    return LeanAudit(wire, settings.audit_table)


def _keys(wire: Wire, settings: Settings) -> Keys:
    from canary.lean.keys import LeanKeys  # noqa: PLC0415 - needed only for requests with a key

    return LeanKeys(wire, settings.audit_table)


def _executions(wire: Wire) -> Executions:
    from canary.lean.executions import LeanExecutions  # noqa: PLC0415 - needed only for those who ask for a request

    return LeanExecutions(wire)


def later(make: Callable[[], Port]) -> Port:
    """Give a port that is made when it is first used."""
    return cast("Port", _Later(make))


class _Later:
    def __init__(self, make: Callable[[], object]) -> None:
        self._made = cache(make)

    def __getattr__(self, name: str) -> object:
        """Find a method of the port's, for those who ask for it first; after that it stands in this object itself."""
        found = getattr(self._made(), name)
        setattr(self, name, found)
        return found
