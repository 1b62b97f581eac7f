"""``python -m tests.histories``: as many seeded histories as one likes."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from tests.histories.history import History
from tests.histories.soak import soak
from tests.histories.telling import tell


def main() -> int:
    """Run, tell, and fail when anything was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.histories", description="Search seeded histories for a broken promise."
    )
    parser.add_argument("--seeds", default="0:", help="A:B runs A to B-1; A: runs on from A (with --minutes); default 0:")
    parser.add_argument("--minutes", type=float, help="stop after so long")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--tell", action="store_true", help="print each history in full")
    parser.add_argument("--brief", action="store_true", help="stop at the first one that breaks a promise, and say only which")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    given = parser.parse_args()
    first, _, last = given.seeds.partition(":")
    if not last and given.minutes is None:
        parser.error("say --seeds A:B, or --minutes")
    if given.tell:
        return _told(range(int(first), int(last)))
    if given.brief:
        return _brief(range(int(first), int(last)))
    reached = soak(int(first), int(last) if last else None, minutes=given.minutes, jobs=given.jobs)
    print(reached.as_json() if given.json else reached.told())
    for seed, what in sorted(reached.broken.items()):
        print(f"seed {seed}: {what}", file=sys.stderr)
    return int(bool(reached.broken))


def _told(seeds: range) -> int:
    broken = 0
    for seed in seeds:
        history = History(seed).run()
        broken += bool(history.broken)
        print(tell(history))
    return int(bool(broken))


def _brief(seeds: range) -> int:
    for seed in seeds:
        if broken := History(seed).run().broken:
            print(f"seed {seed}: {broken[0]}")
            return 1
    return 0


def _piped() -> int:
    """Run `main`, whose reader may have seen enough before all is told: ``head`` has."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        nobody = os.open(os.devnull, os.O_WRONLY)  # reads what is still to be flushed when the interpreter ends
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nobody, stream.fileno())
        return 128 + signal.SIGPIPE
    return code


if __name__ == "__main__":
    sys.exit(_piped())
