"""The two tables as PynamoDB models.

PynamoDB says what the items look like and writes the expressions; one boto3 client with our timeouts sends them.
Times stand in the tables as texts that people can read; what is not known is absent.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from pynamodb.models import Model


class AuditItem(Model):
    """One request that was sent to latest, or the record of an idempotency key."""

    release_id = UnicodeAttribute(hash_key=True)
    request_id = UnicodeAttribute(range_key=True)
    app = UnicodeAttribute()
    tag = UnicodeAttribute(null=True)
    arm = UnicodeAttribute(null=True)
    target = UnicodeAttribute(null=True)
    transform_id = UnicodeAttribute(null=True)
    state_machine = UnicodeAttribute(null=True)
    status = UnicodeAttribute()
    claimed_at = UnicodeAttribute(null=True)
    started_at = UnicodeAttribute(null=True)
    stopped_at = UnicodeAttribute(null=True)
    duration_ms = NumberAttribute(null=True)
    tenant = UnicodeAttribute(null=True)
    error = UnicodeAttribute(null=True)
    payload_sha256 = UnicodeAttribute(null=True)
    payload_bytes = NumberAttribute(null=True)
    share = NumberAttribute(null=True)
    batch = UnicodeAttribute(null=True)
    expires_at = NumberAttribute(null=True)
    unstarted = BooleanAttribute(null=True)
    fell_back = BooleanAttribute(null=True)
    in_flight = UnicodeAttribute(null=True)


class KeyItem(Model):
    """The record of one idempotency key, in the audit table beside the rows."""

    release_id = UnicodeAttribute(hash_key=True)
    request_id = UnicodeAttribute(range_key=True)
    app = UnicodeAttribute()
    status = UnicodeAttribute()
    routed_as = UnicodeAttribute()
    payload_sha256 = UnicodeAttribute()
    since = NumberAttribute()
    answer_status = NumberAttribute(null=True)
    answer = UnicodeAttribute(null=True)
    expires_at = NumberAttribute()


class RecordItem(Model):
    """One evidence record, in the audit table beside the rows. What was judged stands as JSON text, in which no digit is lost."""

    release_id = UnicodeAttribute(hash_key=True)
    request_id = UnicodeAttribute(range_key=True)
    app = UnicodeAttribute()
    at = UnicodeAttribute()
    rev = NumberAttribute()
    code = UnicodeAttribute()
    judgement = UnicodeAttribute()
    reason = UnicodeAttribute()
    decision = UnicodeAttribute()
    case: JSONAttribute = JSONAttribute()
    numbers: JSONAttribute = JSONAttribute()
    before = UnicodeAttribute(null=True)
    expires_at = NumberAttribute()


class ChangeItem(MapAttribute[str, Any]):
    """One line of a release's history."""

    at = UnicodeAttribute()
    who = UnicodeAttribute()
    what = UnicodeAttribute()
    why = UnicodeAttribute()


class AskItem(MapAttribute[str, Any]):
    """What an operator asks for."""

    verb = UnicodeAttribute()
    who = UnicodeAttribute()
    why = UnicodeAttribute()
    at = UnicodeAttribute()
    force = BooleanAttribute(null=True)


class NoticeItem(MapAttribute[str, Any]):
    """An event that still has to go out."""

    kind = UnicodeAttribute()
    text = UnicodeAttribute()
    at = UnicodeAttribute()


class FlipItem(MapAttribute[str, Any]):
    """What a flip writes, frozen."""

    before = UnicodeAttribute()
    version = NumberAttribute()
    after = UnicodeAttribute()
    previous = NumberAttribute(null=True)
    written = BooleanAttribute(null=True)


class ReleaseItem(Model):
    """One release."""

    app = UnicodeAttribute(hash_key=True)
    release = UnicodeAttribute(range_key=True)
    rev = NumberAttribute()
    state = UnicodeAttribute()
    since = UnicodeAttribute()
    opened_at = UnicodeAttribute()
    written_at = UnicodeAttribute()
    ended_at = UnicodeAttribute(null=True)
    value = UnicodeAttribute()
    target = UnicodeAttribute()
    tag = UnicodeAttribute()
    by = UnicodeAttribute(null=True)
    commit = UnicodeAttribute(null=True)
    plan: JSONAttribute = JSONAttribute()
    stage = NumberAttribute()
    stage_since = UnicodeAttribute()
    stage_base = NumberAttribute(null=True)
    share = NumberAttribute(null=True)
    allowed = NumberAttribute(null=True)
    granted = NumberAttribute()
    claimed = NumberAttribute()
    gate = UnicodeAttribute()
    open: MapAttribute[str, Any] = MapAttribute()
    batches: MapAttribute[str, Any] = MapAttribute(null=True)
    succeeded = NumberAttribute()
    failed = NumberAttribute()
    timed_out = NumberAttribute()
    aborted = NumberAttribute()
    lost = NumberAttribute()
    refunded = NumberAttribute()
    counted: MapAttribute[str, Any] = MapAttribute()
    lost_forgiven = NumberAttribute()
    refunds_forgiven = NumberAttribute()
    state_machine = UnicodeAttribute(null=True)
    named = BooleanAttribute(null=True)
    baseline: JSONAttribute = JSONAttribute(null=True)
    gathered: JSONAttribute = JSONAttribute(null=True)
    control: JSONAttribute = JSONAttribute(null=True)
    accepted = BooleanAttribute(null=True)
    probes: JSONAttribute = JSONAttribute(null=True)
    behind = UnicodeAttribute(null=True)
    hold = UnicodeAttribute(null=True)
    watched: JSONAttribute = JSONAttribute(null=True)
    against = UnicodeAttribute(null=True)
    asked_at = UnicodeAttribute(null=True)
    returning = BooleanAttribute(null=True)
    record = UnicodeAttribute(null=True)
    asks = ListAttribute(of=AskItem)
    flip = FlipItem(null=True)
    verdict = UnicodeAttribute(null=True)
    reason = UnicodeAttribute(null=True)
    refusal = UnicodeAttribute(null=True)
    warning = UnicodeAttribute(null=True)
    restored_from = UnicodeAttribute(null=True)
    notices = ListAttribute(of=NoticeItem)
    history = ListAttribute(of=ChangeItem)


class MirrorItem(MapAttribute[str, Any]):
    """The copy of ``current``."""

    value = UnicodeAttribute()
    version = NumberAttribute()


class StoppedItem(MapAttribute[str, Any]):
    """The emergency stop."""

    who = UnicodeAttribute()
    why = UnicodeAttribute()
    at = UnicodeAttribute()


class AppItem(Model):
    """One item for each app, in the releases table, sorted before the releases."""

    app = UnicodeAttribute(hash_key=True)
    release = UnicodeAttribute(range_key=True)
    kind = UnicodeAttribute()
    rev = NumberAttribute()
    followed = ListAttribute(of=UnicodeAttribute)
    promoted = UnicodeAttribute(null=True)
    mirror = MirrorItem(null=True)
    quarantine: MapAttribute[str, Any] = MapAttribute()
    checked = NumberAttribute()
    newest = NumberAttribute(null=True)
    newest_at = UnicodeAttribute(null=True)
    learned: JSONAttribute = JSONAttribute(null=True)
    stopped = StoppedItem(null=True)
    last_pass = UnicodeAttribute(null=True)
    lease_owner = UnicodeAttribute(null=True)
    lease_until = NumberAttribute(null=True)
    lease_again = BooleanAttribute(null=True)


#: The sort key of an app's own item.
APP_ITEM = "#app"

ModelT = TypeVar("ModelT", bound=Model)


def bound(model: type[ModelT], table: str, region: str) -> type[ModelT]:
    """Bind a model to the table of this installation."""
    meta = type("Meta", (), {"table_name": table, "region": region})
    return cast("type[ModelT]", type(model.__name__, (model,), {"Meta": meta}))
