"""What the demo is made of: its threads, its requests, its terminal, and how it leaves its surroundings."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest

from canary.cli.demo.command import interruptible, tidy
from canary.cli.demo.ending import _next_steps
from canary.cli.demo.show import LiveShow, Show, show_on
from canary.cli.demo.threads import Repeating
from canary.cli.demo.traffic import understood

T0 = 1_763_717_400_000


@pytest.mark.parametrize(
    ("columns", "lines", "term", "kind"),
    [(80, 24, "xterm", LiveShow), (60, 24, "xterm", Show), (80, 12, "xterm", Show), (80, 24, "dumb", Show)],
)
def test_a_terminal_with_too_little_room_gets_lines(monkeypatch, columns, lines, term, kind):
    for name, value in (("COLUMNS", columns), ("LINES", lines), ("TERM", term), ("TTY_COMPATIBLE", "1")):
        monkeypatch.setenv(name, str(value))
    assert type(show_on(stderr=False, terminal=True, clock=lambda: T0)) is kind


@pytest.mark.parametrize(
    ("status", "content", "served", "problem"),
    [
        (202, b'{"request_id": "01", "routed_to": "latest", "tag": "v1"}', True, ""),
        (200, b"[]", False, "[]"),
        (502, b'{"title": "Bad Gateway", "detail": "current failed"}', False, "current failed"),
        (403, b'{"message": "Forbidden"}', False, "Forbidden"),
        (500, b"<html>", False, "<html>"),
    ],
)
def test_an_answer_is_understood_whatever_it_is(status, content, served, problem):
    found = understood(status, content, T0)
    assert (found.served and not found.problem, found.problem) == (served, problem)


def test_a_thread_does_its_work_again_and_again_and_at_once_when_asked():
    done = threading.Semaphore(0)

    def work():
        done.release()

    with Repeating(work, every=60) as thread:
        assert done.acquire(timeout=30)
        thread.soon()
        assert done.acquire(timeout=30)
    assert not thread.broken


def test_what_breaks_a_thread_is_kept_for_whoever_waits_for_it():
    ended = threading.Event()

    def work():
        ended.set()
        raise RuntimeError("broken")

    with Repeating(work, every=0) as thread:
        assert ended.wait(30)
    assert str(thread.broken) == "broken"


def test_its_surroundings_are_put_back_as_they_were(monkeypatch):
    monkeypatch.setenv("TMPDIR", "/tmp")
    monkeypatch.setenv("NO_PROXY", "example.com")
    monkeypatch.delenv("no_proxy", raising=False)
    before = dict(os.environ)
    with tidy():
        assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "127.0.0.1,localhost,example.com"
        left = Path(tempfile.mkdtemp())
        assert str(left.parent) == os.environ["TMPDIR"]
    assert not left.parent.exists()
    assert dict(os.environ) == before


def test_the_first_signal_ends_the_block_and_later_ones_do_not_disturb_its_end():
    handler, cleaned = signal.getsignal(signal.SIGTERM), []

    def work():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            cleaned.append(True)

    with pytest.raises(KeyboardInterrupt), interruptible():
        work()
    assert cleaned
    assert signal.getsignal(signal.SIGTERM) is handler


def test_every_line_of_what_to_try_next_fits_a_terminal():
    assert max(len(f"  {line}") for line in _next_steps()) <= 80
