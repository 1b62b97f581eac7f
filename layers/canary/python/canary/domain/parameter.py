"""A parameter of Parameter Store."""

from __future__ import annotations

from dataclasses import dataclass

from canary.domain.target import InvalidTarget, Pointer, is_blank, parse_pointer


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter as SSM returned it; ``modified_at`` in milliseconds."""

    value: str
    version: int
    modified_at: int

    @property
    def pointer(self) -> Pointer | None:
        """The target it holds; None when it is blank or cannot be read."""
        if is_blank(self.value):
            return None
        try:
            return parse_pointer(self.value)
        except InvalidTarget:
            return None
