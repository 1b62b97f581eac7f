"""The demo's own words: what it shows, what it says of it, and when it finds that things went wrong."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from canary.cli.demo.app import Look
from canary.cli.demo.changes import changes
from canary.cli.demo.ending import audit_table
from canary.cli.demo.record import Record, checks, facts
from canary.cli.demo.scene import Scene, Trial, happening, short
from canary.cli.demo.show import show_on
from canary.cli.demo.traffic import Sent
from canary.cli.demo.view import LEAST_WIDTH, frame
from canary.domain.app import App, Parameter, Quarantined
from canary.domain.audit import Row, Status
from canary.domain.release import Release
from canary.domain.states import Gate, ReleaseState
from canary.domain.tally import Tally

T0 = 1_763_717_400_000
V1, V2, V3 = "v1.0.0", "v1.1.0", "v1.2.0"


def parameter(tag):
    arn = f"arn:aws:lambda:eu-west-1:000000000000:function:transformer-{tag}:live".replace(".", "-")
    return Parameter(f'{{"arn": "{arn}", "tag": "{tag}"}}' if tag else "NONE", 1, T0)


def parameters(current, latest=None, previous=None):
    return {"current": parameter(current), "latest": parameter(latest), "previous": parameter(previous)}


def release(tag=V2, state=ReleaseState.RUNNING, **changes):
    given = {"granted": 2, "gate": Gate.OPEN, "reason": "2 slots granted", **changes}
    key = {V2: "00000002-aaaaaaaa", V3: "00000004-bbbbbbbb"}[tag]
    return Release(
        app="transformer",
        release=key,
        rev=1,
        state=state,
        since=T0,
        opened_at=T0,
        written_at=T0,
        value=tag,
        target=tag,
        tag=tag,
        **given,
    )


def row(number, tag=V2, status=Status.SUCCEEDED, **changes):
    key = release(tag).release
    ended = {} if status is Status.RUNNING else {"stopped_at": T0 + 3_000}
    given = {"started_at": T0, "state_machine": f"arn:aws:states:eu-west-1:0:stateMachine:transformer-{tag}", **ended, **changes}
    return Row(
        app="transformer", release=key, request_id=request_id(number), status=status, claimed_at=T0, target=tag, tag=tag, **given
    )


def request_id(number):
    return f"01M7YGJ{'0' * 13}{number:06d}-r00000002-aaaaaaaa"


def sent(number, routed_to="current", tag=V1, status=202, **changes):
    return Sent(at=T0, status=status, request_id=request_id(number), routed_to=routed_to, tag=tag, **changes)


def scene(found=None, *, rows=(), requests=(), at=T0, written_at=T0, current=V1, **changes):
    tag = found.tag if found else V2
    look = Look(at=at, item=App(app="transformer"), parameters=parameters(current, tag), release=found, rows=tuple(rows))
    trial = Trial(release=release(tag).release, tag=tag, written_at=written_at)
    return replace(Scene(look=look, sent=tuple(requests), trial=trial), **changes)


@pytest.fixture
def record():
    """A demo that went well."""
    thrown_out = {V3: Quarantined("00000004-bbbbbbbb", V3, "failed", T0)}
    return Record(
        versions=(V1, V2, V3),
        look=Look(at=T0, item=App(app="transformer", quarantine=thrown_out), parameters=parameters(V2, None, V1)),
        sent=(sent(1), sent(2, "latest", V2), sent(3, "latest", V2), sent(4, "current", V2), sent(5, "latest", V3)),
        rows=(row(2), row(3), row(5, V3, Status.FAILED, error="TotalsMismatch")),
        releases=(release(V3, ReleaseState.ABORTED), release(V2, ReleaseState.PROMOTED)),
    )


def wrong(record):
    return [check.words for check in checks(record) if not check.ok]


def test_a_demo_that_went_well_passes_its_own_checks(record):
    assert wrong(record) == []
    found = facts(record, list(checks(record)), 41.26)
    assert found["ok"]
    assert found["seconds"] == 41.3
    assert found["requests"] == {"sent": 5, "routed_to_current": 2, "routed_to_latest": 3, "failed_for_upstream": 0}
    assert [one["tag"] for one in found["releases"]] == [V2, V3], "in the order in which they were shown"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sent": ()}, "0 requests were sent"),
        (
            {"sent": (sent(9, status=502, problem="current failed"),)},
            "1 failed for upstream (the first: HTTP 502, current failed)",
        ),
        ({"sent": (sent(9, status=None, problem="no answer"),)}, "HTTP none, no answer"),
        (
            {"sent": (sent(2, "latest", V2), sent(5, "latest", V3))},
            "1 request went to v1.1.0 on trial, 2 are on record, not the same",
        ),
        ({"rows": (row(2), row(3), row(6), row(5, V3))}, "2 requests went to v1.1.0 on trial, 3 are on record"),
        ({"rows": (row(2), row(3, status=Status.LOST), row(5, V3))}, "the workflows of 1 of them succeeded"),
        ({"releases": (release(V2, ReleaseState.PROMOTED),)}, "the release of v1.2.0 was never opened"),
        (
            {"releases": (release(V3, ReleaseState.PROMOTED), release(V2, ReleaseState.PROMOTED))},
            "the release of v1.2.0 is PROMOTED",
        ),
        (
            {"look": Look(at=T0, item=App(app="transformer"), parameters=parameters(V3, None, V2))},
            "current is v1.2.0, previous is v1.1.0",
        ),
        ({"look": Look(at=T0, item=App(app="transformer"), parameters=parameters(V2, None, V1))}, "in quarantine: nobody"),
    ],
)
def test_a_demo_that_went_wrong_says_what(record, change, says):
    found = replace(record, **change)
    assert any(says in words for words in wrong(found)), wrong(found)
    assert not facts(found, list(checks(found)), 1)["ok"]


def test_more_requests_than_slots_fail_the_check(record):
    third = (sent(8, "latest", V2), row(8))
    found = replace(record, sent=(*record.sent, third[0]), rows=(*record.rows, third[1]))
    assert wrong(found) == ["3 requests went to v1.1.0 on trial, 3 are on record", "the workflows of 3 of them succeeded"]


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        (scene(trial=None), "every request goes to current, v1.0.0"),
        (scene(), "about to find it there and to open a release"),
        (scene(doing="deploying"), "deploying"),
        (scene(release(state=ReleaseState.OPENING)), "examines v1.1.0"),
        (scene(release()), "still holds its cached parameters"),
        (scene(release(), at=T0 + 6_000), "0 of 2 slots taken: while one is free, each request"),
        (scene(release(claimed=1)), "1 of 2 slots taken"),
        (scene(release(claimed=2)), "No slot is left, so nobody else reaches v1.1.0"),
        (scene(release(claimed=2, tally=Tally(succeeded=2))), "the flipper judges"),
        (scene(release(state=ReleaseState.WATCHING)), "makes v1.1.0 current"),
        (scene(release(state=ReleaseState.PROMOTED), current=V2, requests=[sent(1)]), "The flip is done"),
        (scene(release(state=ReleaseState.PROMOTED), current=V2, requests=[sent(1, tag=V2)]), "serves everybody"),
        (scene(release(state=ReleaseState.ABORTING)), "throws v1.1.0 out"),
        (scene(release(state=ReleaseState.HELD, reason="LOST")), "v1.1.0 is HELD: LOST"),
        (scene(release(state=ReleaseState.ABORTED, reason="asked")), "v1.1.0 is ABORTED: asked"),
    ],
)
def test_what_is_happening_is_said_of_what_was_read(shown, says):
    assert says in happening(shown)


def test_the_picture_is_always_as_high_and_never_too_wide():
    long = "a reason that somebody has made much too long for the room that there is, and then longer still " * 3
    scenes = [
        scene(trial=None),
        scene(),
        scene(release(claimed=2, reason=long), rows=[row(1, error=long), row(2, status=Status.RUNNING)]),
        scene(release(state=ReleaseState.ABORTED, verdict=long), requests=[sent(n) for n in range(40)]),
        scene(release(state=ReleaseState.PROMOTED), requests=[sent(1, status=502, problem=long), sent(2, fell_back=True)]),
    ]
    for width in (LEAST_WIDTH, 80, 100, 200):
        for shown in scenes:
            lines = drawn(frame(shown, width, T0), width)
            assert len(lines) == 16, "\n".join(lines)
            assert max(len(line) for line in lines) <= width


def test_the_picture_shows_who_went_where_and_how_the_release_stands():
    shown = scene(
        release(claimed=1), rows=[row(7, status=Status.RUNNING)], requests=[sent(6), sent(7, "latest", V2)], at=T0 + 2_000
    )
    picture = "\n".join(drawn(frame(shown, 80, T0 + 2_000), 80))
    for part in (
        "…000007 latest  v1.1.0 202",
        "v1.1.0 RUNNING",
        "▮▯ 1/2 claimed, gate OPEN",
        "…000007 RUNNING 2 s",
        "WAIT: 0 of 2",
        "just written",
    ):
        assert part in picture, picture


def drawn(what, width):
    out = io.StringIO()
    Console(file=out, width=width, height=24, color_system=None).print(what)
    return out.getvalue().rstrip("\n").split("\n")


def test_the_audit_table_fits_80_columns():
    lines = drawn(audit_table([row(1), row(2, V3, Status.FAILED, error="an error that is very long " * 5)]), 80)
    assert len(lines) == 3
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert "transformer-v1.1.0" in lines[1]


def test_without_a_terminal_there_is_one_line_for_each_change():
    before = scene(release(), requests=[sent(1), sent(2), sent(3)])
    after = replace(
        before,
        look=replace(before.look, release=release(claimed=1), rows=(row(4, status=Status.FAILED, error="TotalsMismatch"),)),
        sent=(*before.sent, sent(4, "latest", V2), sent(5, status=502, problem="both failed")),
    )
    assert list(changes(before, after)) == [
        "» 1 of 2 slots taken: while one is free, each request goes to v1.1.0 with a chance of 50 %.",
        "request …000004 → latest v1.1.0 (HTTP 202); before it 3 → current v1.0.0 (HTTP 202)",
        "request …000005 FAILED for upstream: HTTP 502, both failed; before it 1 → latest v1.1.0 (HTTP 202)",
        "slots: 1 of 2 claimed, gate OPEN",
        "workflow of …000004 on v1.1.0: FAILED (TotalsMismatch)",
        "verdict WAIT: 0 of 2 succeeded, 1 running, 1 slot free",
    ]
    assert list(changes(after, after)) == []


def test_the_lines_say_when_a_parameter_changes():
    before = scene(release())
    after = replace(before, look=replace(before.look, parameters=parameters(V2, None, V1)))
    assert list(changes(before, after)) == [
        "current is v1.1.0 (it was v1.0.0)",
        "previous is v1.0.0 (it was blank)",
        "latest is blank (it was v1.1.0)",
    ]


def test_a_foreign_text_cannot_run_the_terminal():
    before = scene(release())
    after = replace(before, look=replace(before.look, rows=(row(4, status=Status.FAILED, error="\x1b[2Jgone"),)))
    assert "\x1b" not in "".join([*changes(before, after), *drawn(frame(after, 80, T0), 80)])


def test_without_a_terminal_nothing_is_written_for_one_to_obey(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    show = show_on(stderr=False, terminal=False, clock=lambda: T0)
    show.act(1, "Set up", "so")
    with show.busy(), show.watching(scene):
        show.noticed(scene())
    written = capsys.readouterr().out
    assert "Set up" in written
    assert "\x1b" not in written


def test_no_color_is_honoured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, color_system="truecolor")
    console.print(frame(scene(release(claimed=1)), 80, T0))
    assert "\x1b[3" not in out.getvalue(), "3 and a digit is a colour; bold is not"


def test_a_request_is_named_by_what_is_its_own():
    assert short(request_id(42)) == "…000042"
    assert short("") == "none"
