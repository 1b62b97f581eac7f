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
from canary.lean.items import NOT_UNDERSTOOD, mapping, number, number_of, quoted, text, text_of, time
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
_PROJECTION: Final = {
    "ProjectionExpression": quoted(", ".join(f"#{place}" for place in range(len(_READ)))),
    "ExpressionAttributeNames": mapping({f"#{place}": quoted(name) for place, name in enumerate(_READ)}),
}
_OPEN: Final = text(Gate.OPEN.value)
#: A claim, for the app, the release, the request's id and the time to be filled in.
_CLAIM: Final = {
    "Key": mapping({"app": "%s", "release": "%s"}),
    "ConditionExpression": '"((#0 < #1 AND #2 = :0) AND attribute_not_exists (#3.#4))"',
    "ReturnValuesOnConditionCheckFailure": '"ALL_OLD"',
    "UpdateExpression": '"SET #0 = #0 + :1, #3.#4 = :2"',
    "ExpressionAttributeNames": mapping({"#0": '"claimed"', "#1": '"granted"', "#2": '"gate"', "#3": '"open"', "#4": "%s"}),
    "ExpressionAttributeValues": mapping({":0": _OPEN, ":1": number(1), ":2": "%s"}),
}


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
    batched: bool

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class LeanSlots:
    """Claims and what they need. Reads are eventually consistent, at half the price."""

    def __init__(self, wire: Wire, table: str) -> None:
        self._wire = wire
        self._table = quoted(table)
        self._claim = mapping({"TableName": self._table.replace("%", "%%"), **_CLAIM})

    def release(self, app: str, release: str) -> Offer | None:
        """Read a release."""
        document = {**self._of(app, release), **_PROJECTION, "ConsistentRead": "false"}
        item = asked(self._wire, DYNAMODB, "GetItem", mapping(document)).get("Item")
        if not item:
            return None
        try:
            return _offer(app, release, item)
        except NOT_UNDERSTOOD as error:
            raise Unavailable(DYNAMODB.title, "Unreadable", f"release {release} cannot be understood: {error!r}") from error

    def claim(self, app: str, release: str, request_id: str, now: int) -> Claimed:
        """Take a slot: one conditional write, safe to repeat, since the id that it leaves in ``open`` tells an earlier try."""
        document = self._claim % (text(app), text(release), quoted(request_id), time(now))
        item = written(self._wire, "UpdateItem", document)
        if item is None or request_id in item.get("open", {}).get("M", {}):
            return Claimed.WON
        return Claimed.GONE if text_of(item, "gate") == Gate.OPEN else Claimed.CLOSED

    def claim_batch(
        self, app: str, release: str, batch: tuple[str, Batch], granted: int, unused: tuple[str, int] | None = None
    ) -> int:
        """Take many slots at once: one conditional write, safe to repeat. Where what was read last is too old, once more."""
        name, wanted = batch

        def write(slots: int, granted: int, unused: tuple[str, int] | None) -> dict[str, Any] | None:
            document = {**self._of(app, release), **_batch_write(name, slots, wanted.taken_at, granted, unused)}
            return written(self._wire, "UpdateItem", mapping(document))

        return taken(write, name, wanted.slots, granted, unused)

    def app(self, app: str) -> App | None:
        """Read an app's item: its mirror, all that a router looks for there."""
        from canary.domain.app import App, Mirror  # noqa: PLC0415 - needed only while Parameter Store does not answer

        document = {
            **self._of(app, _APP_ITEM),
            "ProjectionExpression": '"#0, #1"',
            "ExpressionAttributeNames": '{"#0":"rev","#1":"mirror"}',
            "ConsistentRead": "false",
        }
        item = asked(self._wire, DYNAMODB, "GetItem", mapping(document)).get("Item")
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

    def _of(self, app: str, release: str) -> dict[str, str]:
        return {"TableName": self._table, "Key": mapping({"app": text(app), "release": text(release)})}


def _batch_write(name: str, slots: int, taken_at: int, granted: int, unused: tuple[str, int] | None) -> dict[str, str]:
    """No expression can add two attributes: so ``granted``, which never falls below what is claimed, comes from outside."""
    returned = unused[1] if unused else 0
    # A release that an older version has opened has no place for batches, and an update of it would be an error.
    condition = "((((#0 = :0 AND #1 >= :1) AND attribute_exists (#2)) AND attribute_not_exists (#2.#3)) AND #4 <= :2)"
    names = {"#0": "gate", "#1": "granted", "#2": "batches", "#3": name, "#4": "claimed"}
    values = {":0": _OPEN, ":1": number(granted), ":2": number(granted - slots + returned)}
    changes = "SET #4 = #4 + :3, #2.#3 = :4"
    values |= {":3": number(slots - returned), ":4": text(f"{slots} {timestamp(taken_at)}")}
    if unused is not None:
        condition, changes = f"({condition} AND attribute_exists (#2.#5))", f"{changes} REMOVE #2.#5"
        names["#5"] = unused[0]
    return {
        "ConditionExpression": quoted(condition),
        "ReturnValuesOnConditionCheckFailure": '"ALL_OLD"',
        "UpdateExpression": quoted(changes),
        "ExpressionAttributeNames": mapping({place: quoted(name) for place, name in names.items()}),
        "ExpressionAttributeValues": mapping(values),
    }


def _offer(app: str, release: str, item: dict[str, Any]) -> LeanOffer:
    from canary.domain.plan import batched  # noqa: PLC0415 - needed only while there is a release

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
        batched=batched(plan.stages, stage),
    )


@lru_cache(maxsize=64)
def _plan(document: str) -> Plan:
    """Read the plan of a release, which stays what it was when the release opened."""
    from canary.domain.plan_document import plan_from  # noqa: PLC0415 - needed only while there is a release

    return plan_from(json.loads(document))
