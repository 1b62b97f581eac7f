"""One gate for all calls of the fakes: it counts them, and can fail one or kill whoever makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from canary.errors import Unavailable


class Killed(BaseException):
    """The process dies here. Not an Exception: nothing may catch it."""


class Calls:
    """Every fake's method goes through here, once before it takes effect and once after."""

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

    def kill_at(self, number: int, half: str) -> None:
        """Kill whoever makes call ``number`` (from now on, from 0), ``before`` or ``after`` it takes effect."""
        start = len(self.log)

        def check(at: int, _: str, when: str) -> None:
            if at - start == number and when == half:
                raise Killed(f"call {number} ({self.log[at]}), {half}")

        self.on_call = check

    def let_live(self) -> None:
        self.on_call = None
