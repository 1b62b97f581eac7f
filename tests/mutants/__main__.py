"""``python -m tests.mutants``: break the protocol on purpose, in a copy, and demand that each break is noticed."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from tests.mutants.catalogue import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
CODE = Path("layers/canary/python/canary")
#: Seeds of the histories that look at a mutant, in two goes: most are caught by the first.
_SEEDS = ((0, 60), (60, 400))
_LONGEST_S = 600
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".canary", ".aws-sam", "__pycache__", ".*_cache", ".hypothesis", "node_modules"
)


@dataclass(frozen=True, slots=True)
class Caught:
    """What became of a mutant: ``by`` what it was noticed, None when by nothing."""

    mutant: Mutant
    by: str | None
    seconds: float


class Misleading(Exception):
    """A check fails without any mutant."""


@dataclass(frozen=True, slots=True)
class Check:
    """One command that may notice a mutant."""

    words: str
    command: tuple[str, ...]


def checks_of(mutant: Mutant) -> Iterator[Check]:
    """The checks that look at a mutant, the quick ones first."""
    if mutant.histories:
        for first, last in _SEEDS:
            yield _histories(first, last)
    yield from map(_tests, mutant.tests)


def _histories(first: int, last: int) -> Check:
    return Check("histories", ("-m", "tests.histories", "--seeds", f"{first}:{last}", "--brief"))


def _tests(arguments: str) -> Check:
    options = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=no")
    return Check(arguments.split(" -k", maxsplit=1)[0], ("-m", "pytest", *options, *shlex.split(arguments)))


class Copy:
    """A copy of the tree, in which mutants are made and unmade."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._clean: dict[Check, str | None] = {}
        shutil.copytree(ROOT, root, ignore=_LEFT_OUT, dirs_exist_ok=True)

    def run(self, check: Check) -> str | None:
        """Run a check; return what it noticed, None when nothing."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(self.root / CODE.parent), str(self.root))),
            "PYTHONDONTWRITEBYTECODE": "1",  # files change within a second and keep their size
        }
        try:
            done = subprocess.run(
                [sys.executable, *check.command],
                cwd=self.root,
                env=environment,
                capture_output=True,
                text=True,
                timeout=_LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"{check.words}: no end"
        return None if done.returncode == 0 else f"{check.words}: {_said(done.stdout + done.stderr)}"

    def try_out(self, mutant: Mutant) -> Caught:
        """Make a mutant, see whether it is noticed, and unmake it."""
        started, path = time.monotonic(), self.root / CODE / mutant.path
        text, by = path.read_text(), None
        for check in checks_of(mutant):
            path.write_text(text.replace(mutant.old, mutant.new))
            try:
                by = self.run(check)
            finally:
                path.write_text(text)
            if by is not None:
                break
        if by is not None and (wrong := self._amiss(check)) is not None:
            raise Misleading(wrong)
        return Caught(mutant, by, time.monotonic() - started)

    def _amiss(self, check: Check) -> str | None:
        """What a check finds wrong with the code as it is: then it cannot tell a mutant from it."""
        if check not in self._clean:
            self._clean[check] = self.run(check)
        return self._clean[check]


def _said(output: str) -> str:
    """The line of an output that tells what was noticed."""
    lines = [line for line in output.splitlines() if line.startswith(("seed ", "FAILED", "ERROR", "E  "))]
    last = lines[0] if lines else (output.strip().splitlines() or ["?"])[-1]
    return re.sub(r"^(FAILED|ERROR) \S*::", "", last)[:110]


def amiss(mutants: Iterable[Mutant]) -> list[str]:
    """Say which mutants no longer fit the code."""
    found = []
    for mutant in mutants:
        path = ROOT / CODE / mutant.path
        number = path.read_text().count(mutant.old) if path.exists() else 0
        if number != 1:
            found.append(f"{mutant.name}: its text stands {number} times in {mutant.path}")
    return found


def try_all(mutants: list[Mutant], jobs: int) -> Iterator[Caught]:
    """Try mutants out, each in a copy of its own or after another."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        copies: Queue[Copy] = Queue()
        for number in range(jobs):
            copies.put(Copy(Path(folder) / str(number)))

        def borrow(mutant: Mutant) -> Caught:
            copy = copies.get()
            try:
                return copy.try_out(mutant)
            finally:
                copies.put(copy)

        yield from pool.map(borrow, mutants)


def main() -> int:
    """Try them out, print the table, and fail when one survives or none fits."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description="Break the protocol; every break has to be noticed."
    )
    parser.add_argument("--only", action="append", help="a mutant by its name; may be given more than once")
    parser.add_argument("--jobs", type=int, default=1, help="copies to work in at once (default 1)")
    parser.add_argument("--list", action="store_true", help="only say which there are, and whether they fit")
    given = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS if not given.only or mutant.name in given.only]
    if wrong := amiss(mutants):
        print("\n".join(wrong), file=sys.stderr)
        return 2
    if given.list or not mutants:
        print("\n".join(f"{mutant.name:<45} {mutant.breaks}" for mutant in mutants))
        return 0 if mutants else 2
    survived = 0
    try:
        for result in try_all(mutants, given.jobs):
            survived += result.by is None
            told = result.by or f"SURVIVED: {result.mutant.breaks}"
            print(f"{result.mutant.name:<45} {result.seconds:5.0f} s  {told}", flush=True)
    except Misleading as error:
        print(f"broken without any mutant: {error}", file=sys.stderr)
        return 2
    print(f"{len(mutants) - survived} of {len(mutants)} mutants were caught")
    return int(bool(survived))


if __name__ == "__main__":
    sys.exit(main())
