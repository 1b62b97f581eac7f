"""`canary demo` as people and CI jobs run it: a program of its own, without a terminal, that leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

#: For what takes a minute, and seconds, on a machine that has nothing else to do.
WITHIN, ENDS_WITHIN = 600, 120


@contextlib.contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start it in a session of its own, with its temporary files in the folder."""
    environment = {**os.environ, "TMPDIR": str(folder), "FORCE_COLOR": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", "from canary.cli.main import main; main()", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def left_by(process: subprocess.Popen[str], folder: Path) -> list[str]:
    """What is left of a demo: files, processes of its session, and others that were started in its folder."""
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    processes = [" ".join(row) for row in rows if (row[0] == str(process.pid) or str(folder) in row[-1]) and row[1][0] != "Z"]
    # Of a folder that is being removed just now, `rglob` would raise.
    paths = (f"{place}/{name}" for place, inner, files in os.walk(folder) for name in [*inner, *files])
    return [*processes, *paths]


def assert_nothing_is_left_by(process: subprocess.Popen[str], folder: Path) -> None:
    deadline = time.monotonic() + ENDS_WITHIN
    while (left := left_by(process, folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def test_it_shows_a_promotion_and_a_failure_checks_itself_and_leaves_nothing(tmp_path):
    with demo(tmp_path, "--json") as process:
        output, shown = process.communicate(timeout=WITHIN)
    assert process.returncode == 0, shown
    facts = json.loads(output)
    assert facts["ok"]
    assert all(check["ok"] for check in facts["checks"])
    assert facts["requests"]["failed_for_upstream"] == 0
    assert facts["requests"]["sent"] == facts["requests"]["routed_to_current"] + facts["requests"]["routed_to_latest"]
    promoted, failed = facts["releases"]
    assert (promoted["tag"], promoted["state"], promoted["requests"], promoted["succeeded"]) == ("v1.1.0", "PROMOTED", 2, 2)
    assert (failed["tag"], failed["state"]) == ("v1.2.0", "ABORTED")
    assert failed["failed"] >= 1
    assert (facts["current"], facts["previous"], facts["latest"]) == ("v1.1.0", "v1.0.0", None)

    assert "\x1b" not in shown, "there is no terminal, so nothing for one to obey"
    acts = [line for line in shown.splitlines() if line[:3].rstrip() in {"1", "2", "3", "4", "5"}]
    assert [line[0] for line in acts] == ["1", "2", "3", "4", "5"]
    assert "→ latest v1.1.0 (HTTP 202)" in shown
    assert "current is v1.1.0 (it was v1.0.0)" in shown
    assert_nothing_is_left_by(process, tmp_path)


@pytest.mark.parametrize(
    ("moment", "number"),
    [("Starting", signal.SIGTERM), ("(sam deploy)", signal.SIGINT), ("3  v1.1.0 is released", signal.SIGINT)],
    ids=["terminated while it starts", "interrupted while it deploys", "interrupted during a release"],
)
def test_it_leaves_nothing_when_it_is_ended_before_its_time(tmp_path, moment, number):
    with demo(tmp_path) as process:
        assert any(moment in line for line in process.stdout), process.stderr.read()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=ENDS_WITHIN)
    assert process.returncode == 130
    assert "Stopped." in rest
    assert errors == ""
    assert_nothing_is_left_by(process, tmp_path)
