"""The releases table: releases and the apps' own items."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pynamodb.expressions.update import Action

from canary.aws.batches import taken
from canary.aws.faults import conditionally, translated
from canary.aws.release_items import app_changes, app_item, app_of, batch_text, release_changes, release_item, release_of
from canary.aws.tables import APP_ITEM, AppItem, ReleaseItem, bound
from canary.domain.app import App
from canary.domain.batch import Batch
from canary.domain.claim import Claimed
from canary.domain.release import Release, timestamp
from canary.domain.states import Gate
from canary.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SERVICE = "DynamoDB"
#: What reading an item raises that another version of the code has written, or somebody's hand: the router then does without.
_NOT_UNDERSTOOD = (ValueError, KeyError, TypeError, AttributeError)


class ReleaseTable:
    """Releases: the router's claims and the flipper's changes. Implements `Slots`, `Releases` and `Apps`.

    Consistent reads are the flipper's; a router reads with ``consistent=False``, at half the price.
    """

    def __init__(self, client: DynamoDBClient, table: str, region: str, *, consistent: bool = True) -> None:
        self._client = client
        self._table = table
        self._consistent = consistent
        self._releases = bound(ReleaseItem, table, region)
        self._apps = bound(AppItem, table, region)

    def release(self, app: str, release: str) -> Release | None:
        """Read a release."""
        item = self._get(app, release)
        return self._understood(item) if item else None

    def claim(self, app: str, release: str, request_id: str, now: int) -> Claimed:
        """Take a slot: one conditional write, safe to repeat, since the id that it leaves in ``open`` tells an earlier try."""
        model = self._releases
        mine = model.open[request_id]
        item = self._write(
            model(app, release).get_update_kwargs_from_instance(
                actions=[model.claimed.set(model.claimed + 1), mine.set(timestamp(now))],
                condition=(model.claimed < model.granted) & (model.gate == Gate.OPEN.value) & mine.does_not_exist(),
                return_values_on_condition_failure="ALL_OLD",
            )
        )
        if item is None:
            return Claimed.WON
        if not item or item["gate"]["S"] != Gate.OPEN:
            return Claimed.CLOSED if request_id not in _open(item) else Claimed.WON
        return Claimed.WON if request_id in _open(item) else Claimed.GONE

    def claim_batch(
        self, app: str, release: str, batch: tuple[str, Batch], granted: int, unused: tuple[str, int] | None = None
    ) -> int:
        """Take many slots at once: one conditional write, safe to repeat. Where what was read last is too old, once more."""
        name, wanted = batch

        def write(slots: int, granted: int, unused: tuple[str, int] | None) -> dict[str, Any] | None:
            return self._write(self._batch_write(app, release, (name, replace(wanted, slots=slots)), granted, unused))

        return taken(write, name, wanted.slots, granted, unused)

    def _batch_write(
        self, app: str, release: str, batch: tuple[str, Batch], granted: int, unused: tuple[str, int] | None
    ) -> dict[str, Any]:
        """No expression can add two attributes: so ``granted``, which never falls below what is claimed, comes from outside."""
        model, (name, taken) = self._releases, batch
        returned = unused[1] if unused else 0
        mine = model.batches[name]
        # A release that an older version has opened has no place for batches, and an update of it would be an error.
        condition = (model.gate == Gate.OPEN.value) & (model.granted >= granted) & model.batches.exists() & mine.does_not_exist()
        condition &= model.claimed <= granted - taken.slots + returned
        actions: list[Action] = [model.claimed.set(model.claimed + (taken.slots - returned)), mine.set(batch_text(taken))]
        if unused:
            condition &= model.batches[unused[0]].exists()
            actions.append(model.batches[unused[0]].remove())
        return model(app, release).get_update_kwargs_from_instance(
            actions=actions, condition=condition, return_values_on_condition_failure="ALL_OLD"
        )

    def create(self, release: Release) -> bool:
        """Put a release; False when there is one already."""
        model = self._releases
        kwargs = release_item(model, release).get_save_kwargs_from_instance(condition=model.release.does_not_exist())
        return conditionally(_SERVICE, self._client.put_item, kwargs) is None

    def save(self, before: Release, after: Release, *, idle: bool = False) -> bool:
        """Write the difference, on condition that the release is as it was read; False when it is not."""
        model = self._releases
        condition = model.rev == before.rev
        if idle:
            condition &= (model.claimed == before.claimed) & (model.open == {})
            condition &= model.batches.does_not_exist() | (model.batches == {})
        for batch_id in before.batches.keys() - after.batches.keys():  # its process may give it back at the same time
            condition &= model.batches[batch_id].exists()
        if after.granted < before.granted:  # slots that are claimed meanwhile cannot be taken back
            condition &= model.claimed <= after.granted
        item = model(before.app, before.release)
        actions = release_changes(model, before, after)
        return self._write(item.get_update_kwargs_from_instance(actions=actions, condition=condition)) is None

    def app(self, app: str) -> App | None:
        """Read an app's item."""
        item = self._get(app, APP_ITEM)
        if not item or "rev" not in item:
            return None
        try:
            return app_of(self._apps.from_raw_data(item))
        except _NOT_UNDERSTOOD as error:
            raise Unavailable(_SERVICE, "Unreadable", f"the item of {app!r} cannot be understood: {error!r}") from error

    def save_app(self, before: App, after: App) -> bool:
        """Write the difference, on condition that the item is as it was read; False when it is not."""
        model = self._apps
        if before.rev == 0:
            return self._write(self._first(after)) is None
        kwargs = model(before.app, APP_ITEM).get_update_kwargs_from_instance(
            actions=app_changes(model, before, after), condition=model.rev == before.rev
        )
        return self._write(kwargs) is None

    def lease(self, app: str, owner: str, now: int, until: int) -> bool:
        """Take the app's lease. Where somebody holds it, leave word that they look again before they go: False."""
        model = self._apps
        item = model(app, APP_ITEM)
        free = model.lease_until.does_not_exist() | (model.lease_until < now) | (model.lease_owner == owner)
        take: list[Action] = [model.lease_owner.set(owner), model.lease_until.set(until), model.lease_again.remove()]
        taken = item.get_update_kwargs_from_instance(actions=take, condition=free)
        if self._write(taken) is None:
            return True
        word = item.get_update_kwargs_from_instance(actions=[model.lease_again.set(True)], condition=model.lease_owner.exists())
        if self._write(word) is None:
            return False
        return self._write(taken) is None  # they went just now

    def give_back(self, app: str, owner: str, now: int, *, done: bool = True) -> bool:
        """End the lease, if it is still ours, and record a pass that was ``done``; False when another look was asked for."""
        model = self._apps
        item = model(app, APP_ITEM)
        mine = model.lease_owner == owner
        end: list[Action] = [model.lease_owner.remove(), model.lease_until.remove()]
        end += [model.last_pass.set(timestamp(now))] if done else []
        ended = item.get_update_kwargs_from_instance(actions=end, condition=mine & model.lease_again.does_not_exist())
        if self._write(ended) is None:
            return True
        again = item.get_update_kwargs_from_instance(actions=[model.lease_again.remove()], condition=mine)
        return self._write(again) is not None

    def apps(self) -> tuple[str, ...]:
        """Name all apps that have an item."""
        with translated(_SERVICE):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                IndexName="apps",
                KeyConditionExpression="kind = :app",
                ExpressionAttributeValues={":app": {"S": "app"}},
            )
            return tuple(item["app"]["S"] for page in pages for item in page["Items"])

    def recent(self, app: str, most: int) -> tuple[Release, ...]:
        """Read an app's newest releases, newest first."""
        with translated(_SERVICE):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="app = :app AND #r > :item",
                ExpressionAttributeNames={"#r": "release"},
                ExpressionAttributeValues={":app": {"S": app}, ":item": {"S": APP_ITEM}},
                ScanIndexForward=False,
                PaginationConfig={"MaxItems": most, "PageSize": most},
            )
            return tuple(self._understood(item) for page in pages for item in page["Items"])

    def _understood(self, item: dict[str, Any]) -> Release:
        try:
            return release_of(self._releases.from_raw_data(item))
        except _NOT_UNDERSTOOD as error:
            name = item.get("release", {}).get("S")
            raise Unavailable(_SERVICE, "Unreadable", f"release {name} cannot be understood: {error!r}") from error

    def _first(self, app: App) -> dict[str, Any]:
        """Give the item, which the lease has made already, its content."""
        model = self._apps
        item = app_item(model, app)
        names = [name for name in item.serialize() if name not in {"app", "release", "rev"}]
        actions = [getattr(model, name).set(getattr(item, name)) for name in names]
        return model(app.app, APP_ITEM).get_update_kwargs_from_instance(
            actions=[*actions, model.rev.set(1)], condition=model.rev.does_not_exist()
        )

    def _get(self, app: str, release: str) -> dict[str, Any] | None:
        with translated(_SERVICE):
            answer = self._client.get_item(
                TableName=self._table,
                Key={"app": {"S": app}, "release": {"S": release}},
                ConsistentRead=self._consistent,
            )
        return answer.get("Item")

    def _write(self, kwargs: dict[str, Any]) -> dict[str, Any] | None:
        return conditionally(_SERVICE, self._client.update_item, kwargs)


def _open(item: dict[str, Any]) -> dict[str, Any]:
    return dict(item.get("open", {}).get("M", {}))
