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
    """Run the benchmark that is named; without a name, list them. 130 when somebody has stopped it."""
    name, *words = arguments or ["--help"]
    try:
        if name == "all" and set(words) <= {"--quick", "--dry"}:
            return max(_announced(each, [word for word in words if word in knows]) for each, knows in _ALL.items())
        if name in BENCHMARKS:
            return _run(name, words)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    width = max(map(len, BENCHMARKS))
    print("usage: python -m bench NAME [--help], or python -m bench all [--quick] [--dry]\n")
    print("\n".join(f"  {each:{width}}  {what}" for each, what in BENCHMARKS.items()))
    return 0 if name in {"-h", "--help"} else 2


def _announced(name: str, arguments: list[str]) -> int:
    print(f"\n{name}: {BENCHMARKS[name]}\n", flush=True)
    return _run(name, arguments)


def _run(name: str, arguments: list[str]) -> int:
    return int(importlib.import_module(f"bench.{name}").run(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
