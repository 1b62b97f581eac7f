"""The router's side of the releases table."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from canary.aws.batches import taken
from canary.domain.claim import Claimed
from canary.domain.moments import timestamp
from canary.domain.states import ENDED, Gate, ReleaseState
from canary.errors import Unavailable
from canary.lean.asking import asked, written
from canary.lean.items import NOT_UNDERSTOOD, number, number_of, text, text_of, time
from canary.wire.call import Wire
from canary.wire.endpoints import DYNAMODB

if TYPE_CHECKING:  # a router starts often, and these take their time to import
    from canary.domain.app import App
    from canary.domain.batch import Batch
    from canary.domain.offer import Offer
    from canary.domain.plan import Plan

#: The sort key of an app's own item.
_APP_ITEM: Final = "#app"
#: What is read of a release: not what people read, nor what only the flipper needs, which is most of it.
_READ: Final = (
    "release", "value", "state", "gate", "share", "granted", "claimed", "behind", "control", "plan", "stage", "stage_base",
)  # fmt: skip
_NAMES: Final = {f"#{place}": name for place, name in enumerate(_READ)}


class LeanOffer(NamedTuple):
    """What was read of a release. Implements `Offer`."""

    app: str
    release: str
    value: str
    state: ReleaseState
    gate: Gate
    share: int
    granted: int
    claimed: int
    behind: str | None
    control: str | None
    plan: Plan
    stage: int

    @property
    def batched(self) -> bool:
        """Whether slots are taken in batches."""
        from canary.domain.plan import batched  # noqa: PLC0415 - imported already, with the plan itself

        return batched(self.plan.stages, self.stage)

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class LeanSlots:
    """Claims and what they need. Reads are eventually consistent, at half the price."""

    def __init__(self, wire: Wire, table: str) -> None:
        self._wire = wire
        self._table = table

    def release(self, app: str, release: str) -> Offer | None:
        """Read a release."""
        document = {**self._key(app, release), "ProjectionExpression": ", ".join(_NAMES), "ExpressionAttributeNames": _NAMES}
        item = asked(self._wire, DYNAMODB, "GetItem", document).get("Item")
        if not item:
            return None
        try:
            return _offer(app, release, item)
        except NOT_UNDERSTOOD as error:
            raise Unavailable(DYNAMODB.title, "Unreadable", f"release {release} cannot be understood: {error!r}") from error

    def claim(self, app: str, release: str, request_id: str, now: int) -> Claimed:
        """Take a slot: one conditional write, safe to repeat, since the id that it leaves in ``open`` tells an earlier try."""
        item = written(
            self._wire,
            "UpdateItem",
            {
                "TableName": self._table,
                "Key": {"app": text(app), "release": text(release)},
                "ConditionExpression": "((#0 < #1 AND #2 = :0) AND attribute_not_exists (#3.#4))",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                "UpdateExpression": "SET #0 = #0 + :1, #3.#4 = :2",
                "ExpressionAttributeNames": {"#0": "claimed", "#1": "granted", "#2": "gate", "#3": "open", "#4": request_id},
                "ExpressionAttributeValues": {":0": text(Gate.OPEN.value), ":1": number(1), ":2": time(now)},
            },
        )
        if item is None or request_id in item.get("open", {}).get("M", {}):
            return Claimed.WON
        return Claimed.GONE if text_of(item, "gate") == Gate.OPEN else Claimed.CLOSED

    def claim_batch(
        self, app: str, release: str, batch: tuple[str, Batch], granted: int, unused: tuple[str, int] | None = None
    ) -> int:
        """Take many slots at once: one conditional write, safe to repeat. Where what was read last is too old, once more."""
        key = {"TableName": self._table, "Key": {"app": text(app), "release": text(release)}}
        name, wanted = batch

        def write(slots: int, granted: int, unused: tuple[str, int] | None) -> dict[str, Any] | None:
            return written(self._wire, "UpdateItem", {**key, **_batch_write(name, slots, wanted.taken_at, granted, unused)})

        return taken(write, name, wanted.slots, granted, unused)

    def app(self, app: str) -> App | None:
        """Read an app's item: its mirror, all that a router looks for there."""
        from canary.domain.app import App, Mirror  # noqa: PLC0415 - needed only while Parameter Store does not answer

        document = {
            **self._key(app, _APP_ITEM),
            "ProjectionExpression": "#0, #1",
            "ExpressionAttributeNames": {"#0": "rev", "#1": "mirror"},
        }
        item = asked(self._wire, DYNAMODB, "GetItem", document).get("Item")
        if not item or "rev" not in item:
            return None
        try:
            mirror = item["mirror"]["M"] if "M" in item.get("mirror", {}) else None
            return App(
                app=app,
                rev=int(item["rev"]["N"]),
                mirror=Mirror(mirror["value"]["S"], int(mirror["version"]["N"])) if mirror else None,
            )
        except NOT_UNDERSTOOD as error:
            raise Unavailable(DYNAMODB.title, "Unreadable", f"the item of {app!r} cannot be understood: {error!r}") from error

    def _key(self, app: str, release: str) -> dict[str, Any]:
        return {"TableName": self._table, "Key": {"app": text(app), "release": text(release)}, "ConsistentRead": False}


def _batch_write(name: str, slots: int, taken_at: int, granted: int, unused: tuple[str, int] | None) -> dict[str, Any]:
    """No expression can add two attributes: so ``granted``, which never falls below what is claimed, comes from outside."""
    returned = unused[1] if unused else 0
    # A release that an older version has opened has no place for batches, and an update of it would be an error.
    condition = "((((#0 = :0 AND #1 >= :1) AND attribute_exists (#2)) AND attribute_not_exists (#2.#3)) AND #4 <= :2)"
    names = {"#0": "gate", "#1": "granted", "#2": "batches", "#3": name, "#4": "claimed"}
    values = {":0": text(Gate.OPEN.value), ":1": number(granted), ":2": number(granted - slots + returned)}
    changes = "SET #4 = #4 + :3, #2.#3 = :4"
    values |= {":3": number(slots - returned), ":4": text(f"{slots} {timestamp(taken_at)}")}
    if unused is not None:
        condition, changes = f"({condition} AND attribute_exists (#2.#5))", f"{changes} REMOVE #2.#5"
        names["#5"] = unused[0]
    return {
        "ConditionExpression": condition,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        "UpdateExpression": changes,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


def _offer(app: str, release: str, item: dict[str, Any]) -> LeanOffer:
    plan = _plan(item["plan"]["S"])
    share, stage = number_of(item, "share"), int(item["stage"]["N"])
    if number_of(item, "stage_base") is None:  # an item of the first version, where every stage had its weight alone
        share = 100 * plan.stages[stage].weight
    if share is None or stage >= len(plan.stages):
        raise ValueError(share, stage)
    return LeanOffer(
        app=app,
        release=release,
        value=item["value"]["S"],
        state=ReleaseState(item["state"]["S"]),
        gate=Gate(item["gate"]["S"]),
        share=share,
        granted=int(item["granted"]["N"]),
        claimed=int(item["claimed"]["N"]),
        behind=text_of(item, "behind"),
        control=text_of(item, "control"),
        plan=plan,
        stage=stage,
    )


@lru_cache(maxsize=64)
def _plan(document: str) -> Plan:
    """Read the plan of a release, which stays what it was when the release opened."""
    from canary.domain.plan_document import plan_from  # noqa: PLC0415 - needed only while there is a release

    return plan_from(json.loads(document))
