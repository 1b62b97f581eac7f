"""The only place that wires things up: ports to adapters, with the real clock and the real randomness."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Mapping

from canary.aws.audit import AuditTable
from canary.aws.clients import invoking, patient, quick, starting
from canary.aws.executions import StackInventory, StepFunctions
from canary.aws.keys import KeyTable
from canary.aws.notices import NoticeBoard
from canary.aws.parameters import ParameterStore
from canary.aws.releases import ReleaseTable
from canary.aws.targets import StackTargets
from canary.aws.transform_id import expression_problem
from canary.config import FlipperSettings, Settings, flipper_settings, router_settings
from canary.flipping.flipper import Flipper, Log
from canary.flipping.world import World
from canary.meter import Meter
from canary.routing.keyed import Desk
from canary.routing.router import Router
from canary.routing.view import View


def now() -> int:
    """The time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def desk(environ: Mapping[str, str], meter: Meter) -> Desk:
    """Wire up the router. Raises `Misconfigured`."""
    settings: Settings = router_settings(environ)
    dynamodb = quick("dynamodb")
    slots = ReleaseTable(dynamodb, settings.releases_table, settings.region, consistent=False)
    audit = AuditTable(dynamodb, settings.audit_table, settings.region)
    draw = random.SystemRandom().random
    view = View(ParameterStore(quick("ssm"), settings.prefix), slots, settings.allowed, clock=now, draw=draw)
    router = Router(
        view,
        slots,
        audit,
        StackTargets(invoking, starting),
        clock=now,
        draw=draw,
        random_bits=secrets.randbits,
        count=meter.count,
    )
    keys = KeyTable(dynamodb, settings.audit_table, settings.region)
    return Desk(router, keys, audit, StepFunctions(quick("stepfunctions")), clock=now)


def flipper(environ: Mapping[str, str], meter: Meter, log: Log) -> Flipper:
    """Wire up the flipper. Raises `Misconfigured`."""
    settings = flipper_settings(environ)
    return Flipper(world(settings, meter), log)


def world(settings: FlipperSettings, meter: Meter) -> World:
    """Wire up the flipper's ports."""
    here = settings.installation
    dynamodb = patient("dynamodb")
    states = patient("stepfunctions")
    table = ReleaseTable(dynamodb, here.releases_table, here.region)
    return World(
        parameters=ParameterStore(patient("ssm"), here.prefix),
        releases=table,
        apps=table,
        audit=AuditTable(dynamodb, here.audit_table, here.region),
        executions=StepFunctions(states),
        stacks=StackInventory(patient("lambda"), states),
        notices=NoticeBoard(patient("events"), patient("sns"), settings.event_bus, settings.topic_arn),
        allowed=here.allowed,
        inspect_expression=expression_problem,
        clock=now,
        count=meter.count,
    )
