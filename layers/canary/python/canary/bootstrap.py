"""The only place that wires things up: ports to adapters, with the real clock and the real randomness."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Mapping

from canary.aws.alarms import AlarmBook
from canary.aws.audit import AuditTable
from canary.aws.clients import invoking, once, patient, quick, starting
from canary.aws.executions import StepFunctions
from canary.aws.flipper_function import FlipperFunction
from canary.aws.installation import caller, described
from canary.aws.inventory import StackInventory
from canary.aws.keys import KeyTable
from canary.aws.notices import NoticeBoard
from canary.aws.parameters import ParameterStore
from canary.aws.premises import InstalledParts
from canary.aws.records import RecordTable
from canary.aws.releases import ReleaseTable
from canary.aws.targets import StackTargets
from canary.aws.transform_id import expression_problem
from canary.config import (
    FlipperSettings,
    OperatorSettings,
    Settings,
    flipper_settings,
    operator_settings,
    router_settings,
)
from canary.flipping.flipper import Flipper, Log
from canary.flipping.world import World
from canary.meter import Meter
from canary.operating.doctor import Doctor, Parts
from canary.operating.judging import Weigher
from canary.operating.operator import Operator
from canary.operating.reading import Reader
from canary.ports import Executions
from canary.routing.beside import in_a_thread
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
    parameters = ParameterStore(quick("ssm"), settings.prefix)
    view = View(parameters, slots, settings.allowed, clock=now, draw=draw, count=meter.count, beside=in_a_thread)
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
        parameters=ParameterStore(patient("ssm"), here.prefix, once("ssm")),
        releases=table,
        apps=table,
        audit=AuditTable(dynamodb, here.audit_table, here.region),
        records=RecordTable(dynamodb, here.audit_table, here.region),
        executions=StepFunctions(states),
        stacks=StackInventory(patient("lambda"), states),
        targets=StackTargets(invoking, starting),
        alarms=AlarmBook(patient("cloudwatch")),
        notices=NoticeBoard(patient("events"), patient("sns"), settings.event_bus, settings.topic_arn),
        allowed=here.allowed,
        inspect_expression=expression_problem,
        clock=now,
        count=meter.count,
    )


#: The flipper's timeout and a little more.
_WAKE_MS = 65_000


def installation(environ: Mapping[str, str], stack: str) -> OperatorSettings:
    """Find the installation that the command line talks to. Raises `Misconfigured`."""
    return operator_settings(environ, lambda: described(patient("cloudformation"), stack))


def operator(settings: OperatorSettings) -> Operator:
    """Wire up the operator's verbs, in the caller's name."""
    here = settings.installation
    table = ReleaseTable(patient("dynamodb"), here.releases_table, here.region)
    flipper_function = FlipperFunction(invoking(_WAKE_MS), settings.flipper_function, time.sleep)
    parameters = ParameterStore(patient("ssm"), here.prefix)
    return Operator(parameters, table, table, flipper_function, who=caller(patient("sts")), clock=now)


def reader(settings: OperatorSettings) -> Reader:
    """Wire up what people read."""
    here = settings.installation
    dynamodb = patient("dynamodb")
    table = ReleaseTable(dynamodb, here.releases_table, here.region)
    audit = AuditTable(dynamodb, here.audit_table, here.region)
    records = RecordTable(dynamodb, here.audit_table, here.region)
    weigher = Weigher(audit, records, AlarmBook(patient("cloudwatch")))
    return Reader(ParameterStore(patient("ssm"), here.prefix), table, table, table, audit, records, weigher, clock=now)


def executions(settings: OperatorSettings) -> Executions:  # noqa: ARG001 - with the settings, the region is known
    """Wire up the reading of workflows."""
    return StepFunctions(patient("stepfunctions"))


def doctor(settings: OperatorSettings) -> Doctor:
    """Wire up the doctor."""
    here = settings.installation
    parts = Parts(
        releases_table=here.releases_table,
        audit_table=here.audit_table,
        router_function=settings.router_function,
        flipper_function=settings.flipper_function,
        allowed=here.allowed,
    )
    inventory = StackInventory(patient("lambda"), patient("stepfunctions"))
    premises = InstalledParts(patient("dynamodb"), patient("lambda"), patient("sts"), here.releases_table)
    return Doctor(reader(settings), inventory, AlarmBook(patient("cloudwatch")), premises, parts, clock=now)
