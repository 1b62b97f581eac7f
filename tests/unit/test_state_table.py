"""The state machine's table, and the picture of it in the documents."""

import os
import re
from pathlib import Path

import pytest

from canary.domain.plan import Plan
from canary.domain.release import Release
from canary.domain.states import ENDED, ON_TRIAL, PASSING_HOLDS, TRANSITIONS, Hold, IllegalMove, ReleaseState

CONCEPTS = Path(__file__).parents[2] / "docs" / "concepts.md"
BEGIN, END = "<!-- states: begin -->", "<!-- states: end -->"
REWRITE = "CANARY_WRITE_DOCS=1 .venv/bin/pytest tests/unit/test_state_table.py"
FINAL = ENDED - {ReleaseState.PROMOTED, ReleaseState.ROLLED_BACK}


def drawn() -> str:
    """Draw the table as a Mermaid diagram: the states in their order, the ends at the bottom."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> OPENING"]
    lines += [f"    {state} --> {after}" for state in ReleaseState for after in ReleaseState if after in TRANSITIONS[state]]
    lines += [f"    {state} --> [*]" for state in ReleaseState if state in ENDED]
    return "\n".join([*lines, "```"])


def release(state: ReleaseState) -> Release:
    return Release(
        app="transformer",
        release="00000017-3fa9c1d2",
        rev=1,
        state=state,
        since=0,
        opened_at=0,
        written_at=0,
        value="arn:aws:lambda:eu-west-1:123456789012:function:transformer-v2:1",
        target="arn:aws:lambda:eu-west-1:123456789012:function:transformer-v2:1",
        tag="v2",
        plan=Plan(),
    )


def test_the_diagram_in_the_documents_is_the_table_in_the_code():
    text = CONCEPTS.read_text()
    before, begin, rest = text.partition(BEGIN)
    found, end, after = rest.partition(END)
    assert begin, f"{CONCEPTS.name} has lost its marker {BEGIN}"
    assert end, f"{CONCEPTS.name} has lost its marker {END}"
    if os.environ.get("CANARY_WRITE_DOCS"):
        CONCEPTS.write_text(f"{before}{begin}\n{drawn()}\n{end}{after}")
        return
    assert found.strip().splitlines() == drawn().splitlines(), f"draw it anew with: {REWRITE}"


@pytest.mark.parametrize("state", ReleaseState)
def test_a_state_is_described_in_the_documents(state):
    assert re.search(rf"^\| `{state}` \| \S", CONCEPTS.read_text(), flags=re.MULTILINE)


def test_every_state_has_its_line_in_the_table():
    assert TRANSITIONS.keys() == set(ReleaseState)


def test_every_state_can_be_reached():
    reached = {ReleaseState.OPENING}
    while more := {after for state in reached for after in TRANSITIONS[state]} - reached:
        reached |= more
    assert reached == set(ReleaseState)


@pytest.mark.parametrize("state", sorted(set(ReleaseState) - ENDED))
def test_from_every_state_there_is_a_way_to_an_end(state):
    reached = {state}
    while more := {after for one in reached for after in TRANSITIONS[one]} - reached:
        reached |= more
    assert reached & ENDED


@pytest.mark.parametrize("state", sorted(FINAL))
def test_an_ended_release_stays_ended(state):
    assert TRANSITIONS[state] == frozenset()


def test_a_promoted_release_can_only_be_taken_back_and_that_again():
    assert TRANSITIONS[ReleaseState.PROMOTED] == {ReleaseState.ROLLING_BACK}
    assert TRANSITIONS[ReleaseState.ROLLED_BACK] == {ReleaseState.PROMOTING}


def test_only_evidence_leads_to_a_promotion_or_the_promotion_that_there_was():
    """What was taken back has proved itself before."""
    before = {state for state in ReleaseState if ReleaseState.PROMOTING in TRANSITIONS[state]}
    assert before == ON_TRIAL | {ReleaseState.ROLLED_BACK}
    assert {state for state in ReleaseState if ReleaseState.WATCHING in TRANSITIONS[state]} == {ReleaseState.PROMOTING}
    without_evidence = {ReleaseState.OPENING}
    while more := {after for one in without_evidence for after in TRANSITIONS[one] - ON_TRIAL} - without_evidence:
        without_evidence |= more
    assert not without_evidence & {ReleaseState.PROMOTING, ReleaseState.WATCHING, ReleaseState.PROMOTED}


def test_a_hold_ends_with_the_state_that_it_is_about():
    held = release(ReleaseState.RUNNING).moved(ReleaseState.HELD, now=1, why="because", hold=Hold.LOST)
    assert held.hold is Hold.LOST
    assert held.moved(ReleaseState.RUNNING, now=2, why="because").hold is None


def test_what_passes_by_itself_needs_no_person():
    assert {Hold.OBSERVATION, Hold.ALARM, Hold.CURRENT} == PASSING_HOLDS


@pytest.mark.parametrize("state", ReleaseState)
@pytest.mark.parametrize("after", ReleaseState)
def test_a_move_is_made_where_the_table_has_it_and_refused_where_not(state, after):
    before = release(state)
    if after not in TRANSITIONS[state]:
        with pytest.raises(IllegalMove, match=f"{state} cannot become {after}"):
            before.moved(after, now=1, why="because")
        return
    moved = before.moved(after, now=1, why="because", who="olga")
    assert (moved.state, moved.since, moved.reason) == (after, 1, "because")
    assert (moved.history[-1].what, moved.history[-1].who) == (f"{state} → {after}", "olga")
    assert moved.ended_at == (1 if after in ENDED else None)
