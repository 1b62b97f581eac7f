"""The releases table, in memory. The contract suite holds this to what the real adapter does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from canary.domain.app import App
from canary.domain.batch import Batch
from canary.domain.claim import Claimed
from canary.domain.release import Release
from canary.domain.states import Gate
from tests.fakes.calls import Calls
from tests.fakes.remembering import Remembering


@dataclass
class FakeReleases:
    """The releases table: Slots, Releases and Apps."""

    calls: Calls
    releases: Remembering[tuple[str, str], Release] = field(init=False)
    items: Remembering[str, App] = field(init=False)
    leases: dict[str, tuple[str, int, bool]] = field(default_factory=dict)
    last_passes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.releases = Remembering("release", self.calls)
        self.items = Remembering("app", self.calls)

    def release(self, app: str, release: str) -> Release | None:
        return self.calls.made("ddb.release", lambda: self.releases.get((app, release)))

    def claim(self, app: str, release: str, request_id: str, now: int) -> Claimed:
        return self.calls.made("ddb.claim", lambda: self._claim(app, release, request_id, now))

    def claim_batch(
        self, app: str, release: str, batch: tuple[str, Batch], granted: int, unused: tuple[str, int] | None = None
    ) -> int:
        return self.calls.made("ddb.claim_batch", lambda: self._claim_batch(app, release, batch, unused))

    def recent(self, app: str, most: int) -> tuple[Release, ...]:
        return self.calls.made("ddb.recent", lambda: self._recent(app, most))

    def create(self, release: Release) -> bool:
        return self.calls.made("ddb.create", lambda: self._create(release))

    def save(self, before: Release, after: Release, *, idle: bool = False) -> bool:
        return self.calls.made("ddb.save", lambda: self._save(before, after, idle))

    def app(self, app: str) -> App | None:
        return self.calls.made("ddb.app", lambda: self._app(app))

    def save_app(self, before: App, after: App) -> bool:
        return self.calls.made("ddb.save_app", lambda: self._save_app(before, after))

    def lease(self, app: str, owner: str, now: int, until: int) -> bool:
        if self.calls.made("ddb.lease", lambda: self._take(app, owner, now, until)):
            return True
        if self.calls.made("ddb.lease word", lambda: self._leave_word(app)):
            return False
        return self.calls.made("ddb.lease", lambda: self._take(app, owner, now, until))  # they went just now

    def give_back(self, app: str, owner: str, now: int, *, done: bool = True) -> bool:
        if self.calls.made("ddb.give_back", lambda: self._end(app, owner, now, done)):
            return True
        return not self.calls.made("ddb.give_back word", lambda: self._take_word(app, owner))

    def apps(self) -> tuple[str, ...]:
        return self.calls.made("ddb.apps", lambda: tuple(sorted(self.items)))

    def _claim(self, app: str, release: str, request_id: str, now: int) -> Claimed:
        item = self.releases.get((app, release))
        if item is None:
            return Claimed.CLOSED
        if request_id in item.open:
            return Claimed.WON
        if item.gate is not Gate.OPEN:
            return Claimed.CLOSED
        if item.claimed >= item.granted:
            return Claimed.GONE
        self.releases[app, release] = replace(item, claimed=item.claimed + 1, open={**item.open, request_id: now})
        return Claimed.WON

    def _claim_batch(self, app: str, release: str, batch: tuple[str, Batch], unused: tuple[str, int] | None) -> int:
        item, (name, wanted) = self.releases.get((app, release)), batch
        if item is None or (item.gate is not Gate.OPEN and name not in item.batches):
            return 0
        if name in item.batches:
            return item.batches[name].slots
        returned = unused[1] if unused and unused[0] in item.batches else 0
        slots = min(wanted.slots, item.granted - item.claimed + returned)
        if slots < 1:
            return 0
        kept = {known: each for known, each in item.batches.items() if not unused or known != unused[0]}
        taken = {**kept, name: replace(wanted, slots=slots)}
        self.releases[app, release] = replace(item, claimed=item.claimed + slots - returned, batches=taken)
        return slots

    def _recent(self, app: str, most: int) -> tuple[Release, ...]:
        found = sorted(((name, release) for (a, name), release in self.releases.all_seen("ddb.recent") if a == app), reverse=True)
        return tuple(release for _, release in found[:most])

    def _create(self, release: Release) -> bool:
        key = (release.app, release.release)
        if key in self.releases:
            return False
        self.releases[key] = release
        return True

    def _save(self, before: Release, after: Release, idle: bool) -> bool:
        there = self.releases.get((before.app, before.release))
        if (
            there is None
            or there.rev != before.rev
            or (idle and (there.claimed != before.claimed or there.open or there.batches))
        ):
            return False
        given_back = before.batches.keys() - after.batches.keys()
        if given_back - there.batches.keys():
            return False
        if after.granted < before.granted and there.claimed > after.granted:
            return False
        gone = before.open.keys() - after.open.keys()
        self.releases[before.app, before.release] = replace(
            after,
            rev=before.rev + 1,
            claimed=there.claimed + after.claimed - before.claimed,
            open={request_id: at for request_id, at in there.open.items() if request_id not in gone},
            batches={name: batch for name, batch in there.batches.items() if name not in given_back},
        )
        return True

    def _save_app(self, before: App, after: App) -> bool:
        there = self.items.get(before.app)
        if (there.rev if there else 0) != before.rev:
            return False
        self.items[before.app] = replace(after, rev=before.rev + 1)
        return True

    def _app(self, app: str) -> App | None:
        item = self.items.get(app)
        return replace(item, last_pass=self.last_passes.get(app)) if item else None

    def _take(self, app: str, owner: str, now: int, until: int) -> bool:
        held = self.leases.get(app)
        if held is not None and held[0] != owner and held[1] >= now:
            return False
        self.leases[app] = (owner, until, False)
        return True

    def _leave_word(self, app: str) -> bool:
        held = self.leases.get(app)
        if held is not None:
            self.leases[app] = (held[0], held[1], True)
        return held is not None

    def _end(self, app: str, owner: str, now: int, done: bool) -> bool:
        held = self.leases.get(app)
        if held is None or held[0] != owner or held[2]:
            return False
        del self.leases[app]
        if done:
            self.last_passes[app] = now
        return True

    def _take_word(self, app: str, owner: str) -> bool:
        held = self.leases.get(app)
        if held is None or held[0] != owner:
            return False
        self.leases[app] = (held[0], held[1], False)
        return True


@dataclass
class EventualSlots:
    """The releases table as routers read it: at half the price, and not always what was written last."""

    table: FakeReleases

    def release(self, app: str, release: str) -> Release | None:
        return self.table.calls.made("ddb.release", lambda: self.table.releases.seen((app, release), "ddb.release"))

    def claim(self, app: str, release: str, request_id: str, now: int) -> Claimed:
        return self.table.claim(app, release, request_id, now)

    def claim_batch(
        self, app: str, release: str, batch: tuple[str, Batch], granted: int, unused: tuple[str, int] | None = None
    ) -> int:
        return self.table.claim_batch(app, release, batch, granted, unused)

    def app(self, app: str) -> App | None:
        return self.table.calls.made("ddb.app", lambda: self.table.items.seen(app, "ddb.app"))
