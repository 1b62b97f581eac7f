"""A table that knows what it held before, for reads that are not told what was written last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from tests.fakes.calls import Calls

K = TypeVar("K")
V = TypeVar("V")


class Remembering(dict[K, V]):
    """A dict that tells its `Calls` of every change, and shows what it held some time ago, where these ask for that."""

    def __init__(self, kind: str, calls: Calls) -> None:
        super().__init__()
        self._kind = kind
        self._calls = calls
        self._past: dict[K, list[tuple[int, V | None]]] = {}

    def __setitem__(self, key: K, value: V) -> None:
        before = self.get(key)
        super().__setitem__(key, value)
        self._note(key, before, value)

    def __delitem__(self, key: K) -> None:
        before = self.get(key)
        super().__delitem__(key)
        self._note(key, before, None)

    def seen(self, key: K, call: str) -> V | None:
        """What an eventually consistent read shows of a key."""
        age = self._calls.age(call)
        return self._as_of(key, self._calls.now() - age) if age else self.get(key)

    def all_seen(self, call: str) -> Iterator[tuple[K, V]]:
        """What an eventually consistent read shows of everything."""
        age = self._calls.age(call)
        if not age:
            yield from self.items()
            return
        until = self._calls.now() - age
        for key in self._past:
            if (value := self._as_of(key, until)) is not None:
                yield key, value

    def _as_of(self, key: K, until: int) -> V | None:
        return next((value for at, value in reversed(self._past.get(key, ())) if at <= until), None)

    def _note(self, key: K, before: V | None, after: V | None) -> None:
        if self._calls.remembers:
            self._past.setdefault(key, []).append((self._calls.now(), after))
        self._calls.changed(self._kind, key, before, after)
