"""What a request may cost, in figures that are the same on every machine: bench/budget.json, which a test holds the router to."""

from __future__ import annotations

import argparse
import json

from bench.aws.answers import App
from bench.budget.counts import FILE, VALGRIND, counted, instructions, python, sizes
from bench.router.subjects import IDIOMATIC_DECORATED, LEAN, NAIVE_DECORATED, ours

#: Nothing holds these to anything; what a request costs is reckoned beside theirs.
COMPARED = (NAIVE_DECORATED, IDIOMATIC_DECORATED)


def run(arguments: list[str]) -> int:
    """Count, and write the budget anew. Look at what `git diff` says of it."""
    parser = argparse.ArgumentParser(prog="python -m bench budget", description=__doc__)
    parser.add_argument("--dry", action="store_true", help="print only, and leave bench/budget.json as it is")
    options = parser.parse_args(arguments)
    found = {"sizes": sizes(), **{subject.name: counted(subject) for subject in ours()}}
    found |= {subject.name: counted(subject, (App.IDLE, App.CANARY)) for subject in COMPARED}
    if VALGRIND is None:
        print("valgrind is not installed: the budget has no instructions")
    elif LEAN in ours():
        found["instructions"] = {"python": python(), **{app.value: instructions(LEAN, app) for app in (App.IDLE, App.CANARY)}}
    text = json.dumps(found, indent=2) + "\n"
    print(text)
    if not options.dry:
        FILE.write_text(text)
    return 0
