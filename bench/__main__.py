"""Run a benchmark: `python -m bench router --quick`; or all: `python -m bench all --quick`."""

from __future__ import annotations

import importlib
import sys

#: Each benchmark: a module with `run(arguments) -> exit code`, and what it measures.
BENCHMARKS = {
    "router": "the router's own cost beside what others would have written; writes bench/results.md",
    "flipper": "what a pass of the flipper costs, by what is settled and what is under way; writes bench/results.md",
    "budget": "calls, bytes, modules and instructions of a request; writes bench/budget.json, which a test holds the router to",
    "cost": "what a million requests cost on AWS, reckoned from the budget and bench/results.json; writes docs/cost.md",
    "flames": "where the CPU of a request goes; draws docs/flames",
    "tried": "what might make boto3 faster, and whether it does; writes docs/performance.md",
    "judge": "how often the judge errs, what its releases cost, and how long they take; writes the tables of docs/judgement.md",
}
#: Those that measure, in the order in which `all` runs them, and what they may be told.
_ALL = {"router": {"--quick", "--dry"}, "flipper": {"--quick", "--dry"}, "cost": {"--dry"}, "judge": {"--quick", "--dry"}}


def main(arguments: list[str]) -> int:
    """Run the benchmark that is named; without a name, list them."""
    if arguments and arguments[0] == "all":
        return max(_run(name, [word for word in arguments[1:] if word in knows]) for name, knows in _ALL.items())
    if not arguments or arguments[0] not in BENCHMARKS:
        width = max(map(len, BENCHMARKS))
        print("usage: python -m bench NAME [--help], or python -m bench all [--quick]\n")
        print("\n".join(f"  {name:{width}}  {what}" for name, what in BENCHMARKS.items()))
        return 0 if not arguments or arguments[0] in {"-h", "--help"} else 2
    return _run(arguments[0], arguments[1:])


def _run(name: str, arguments: list[str]) -> int:
    return int(importlib.import_module(f"bench.{name}").run(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
