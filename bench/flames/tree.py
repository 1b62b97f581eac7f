"""Stacks that were found while a process was busy, as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

#: The frames below are the benchmark's.
_ROOT: Final = "__main__:_serve"


@dataclass(slots=True)
class Node:
    """A function, called from the function above it: in ``count`` samples it was on the stack there."""

    name: str
    count: int = 0
    below: dict[str, Node] = field(default_factory=dict)

    def depth(self, least: float) -> int:
        """How deep it goes where it is found often enough to be seen."""
        return 1 + max((each.depth(least) for each in self.below.values() if each.count >= least), default=0)


def grown(stacks: Mapping[str, int]) -> Node:
    """Make a tree of stacks, each ``module:function;…`` from the outside to the inside."""
    root = Node("a request")
    for stack, count in stacks.items():
        root.count += count
        node = root
        for name in _frames(stack):
            node = node.below.setdefault(name, Node(name))
            node.count += count
    return root


def _frames(stack: str) -> Iterator[str]:
    names = stack.split(";")
    yield from names[names.index(_ROOT) + 1 :] if _ROOT in names else names
