"""One gate for all calls of the fakes: it counts them, and can fail one or kill whoever makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from canary.errors import Unavailable


class Killed(BaseException):
    """The process dies here. Not an Exception: nothing may catch it."""


class Calls:
    """Every fake's method goes through here, once before it takes effect and once after.

    A class of its own may have eventually consistent reads show what was there some time ago: see `age`.
    """

    #: Whether tables keep what they held before.
    remembers = False

    def __init__(self) -> None:
        self.log: list[str] = []
        self.down: set[str] = set()
        self.on_call: Callable[[int, str, str], None] | None = None

    def made(self, name: str, effect: Callable[[], Any]) -> Any:
        number = len(self.log)
        self.log.append(name)
        service = name.split(".", maxsplit=1)[0]
        if service in self.down:
            raise Unavailable(service, "ServiceUnavailable", "the fake is down")
        if self.on_call:
            self.on_call(number, name, "before")
        result = effect()
        if self.on_call:
            self.on_call(number, name, "after")
        return result

    def now(self) -> int:
        """The time in milliseconds, for tables that remember."""
        return 0

    def age(self, call: str) -> int:
        """How old, in milliseconds, what an eventually consistent read shows may be: asked for each item that it shows."""
        return 0

    def changed(self, kind: str, key: object, before: object, after: object) -> None:
        """Hear of a change of a table."""

    def kill_at(self, number: int, half: str) -> None:
        """Kill whoever makes call ``number`` (from now on, from 0), ``before`` or ``after`` it takes effect.

        The dead make no more calls: what a process does while it goes down does not happen.
        """
        start = len(self.log)

        def check(at: int, _: str, when: str) -> None:
            if at - start > number or (at - start == number and when == half):
                raise Killed(f"call {number} ({self.log[start + number]}), {half}")

        self.on_call = check

    def fail(self, error: Unavailable, *names: str) -> None:
        """Let every call of these names fail, before it takes effect, until `let_live`."""

        def check(_: int, name: str, when: str) -> None:
            if name in names and when == "before":
                raise error

        self.on_call = check

    def let_live(self) -> None:
        self.on_call = None
