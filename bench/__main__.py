"""Run a benchmark: `python -m bench judge --quick`."""

from __future__ import annotations

import importlib
import sys

#: Each benchmark: a module with `run(arguments) -> exit code`, and what it measures.
BENCHMARKS = {
    "judge": "how often the judge errs, what its releases cost, and how long they take; writes the tables of docs/judgement.md",
}


def main(arguments: list[str]) -> int:
    """Run the benchmark that is named; without a name, list them."""
    if not arguments or arguments[0] not in BENCHMARKS:
        width = max(map(len, BENCHMARKS))
        print("usage: python -m bench NAME [--help]\n")
        print("\n".join(f"  {name:{width}}  {what}" for name, what in BENCHMARKS.items()))
        return 0 if not arguments or arguments[0] in {"-h", "--help"} else 2
    return int(importlib.import_module(f"bench.{arguments[0]}").run(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
