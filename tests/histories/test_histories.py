"""Histories under a seeded scheduler: whatever comes between, and whatever fails, the invariants hold and all comes to rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.histories.history import History
from tests.histories.telling import tell

CHUNKS, EACH = 20, 20


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_history_breaks_a_promise(chunk: int, record_property: Callable[[str, object], None]) -> None:
    for seed in range(chunk * EACH, (chunk + 1) * EACH):
        history = History(seed).run()
        assert not history.broken, tell(history)
    record_property("cases", EACH)


def test_a_seed_is_the_same_history_in_every_process() -> None:
    """Whatever the order of hashes is."""
    code = (
        "from hashlib import sha256; from tests.histories.history import History; "
        "print(sha256(repr([History(seed).run().told for seed in (1, 2, 3)]).encode()).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(told) == 1


def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    """As ``python -m tests.histories --tell | head -1`` has."""
    seeds = "0:100"  # far more than any pipe holds: else all may be told before its reader has gone
    command = [sys.executable, "-m", "tests.histories", "--seeds", seeds, "--tell"]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as telling:
        assert telling.stdout is not None
        assert telling.stderr is not None
        assert telling.stdout.readline()
        telling.stdout.close()
        assert not telling.stderr.read()
        assert telling.wait() == 128 + signal.SIGPIPE
