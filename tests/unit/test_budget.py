"""What a request costs, in figures that are the same on every machine, held to the committed budget.

A budget that is too small or too large is written anew with `python -m bench budget`.
"""

from __future__ import annotations

import pytest

from bench.aws.answers import App
from bench.budget.counts import VALGRIND, Counts, committed, counted, instructions, python, sizes
from bench.router.subjects import LEAN, Subject, ours

#: Python's versions import a few modules more or less, and the machine's name for itself is sent along by some.
SLACK = 1.03

BUDGET = committed()


@pytest.fixture(scope="module", params=ours(), ids=lambda subject: subject.name)
def measured(request) -> tuple[Subject, Counts, Counts]:
    """A router, what its requests cost, and what they may cost."""
    subject: Subject = request.param
    return subject, counted(subject), BUDGET[subject.name]


def test_requests_make_the_calls_of_the_budget_and_no_others(measured):
    _, found, allowed = measured
    assert found["calls"] == allowed["calls"]


def test_an_idle_request_calls_its_target_and_nothing_else(measured):
    _, found, _ = measured
    assert found["calls"][App.IDLE] == {"Lambda.Invoke": 1}


@pytest.mark.parametrize("app", [App.SPENT, App.RACED, App.LOST])
def test_a_request_that_can_have_no_slot_calls_its_target_and_nothing_else(measured, app):
    _, found, _ = measured
    assert found["calls"][app] == {"Lambda.Invoke": 1}


@pytest.mark.parametrize("of", ["sent", "logged"])
def test_requests_send_and_log_no_more_bytes_than_the_budget_has(measured, of):
    _, found, allowed = measured
    over = {app: size for app, size in found[of].items() if size > SLACK * allowed[of][app]}
    assert not over


def test_the_first_request_imports_no_more_modules_than_the_budget_has(measured):
    _, found, allowed = measured
    assert found["modules"] <= SLACK * allowed["modules"]


def test_items_are_no_larger_than_the_budget_has():
    assert {name for name, size in sizes().items() if size > SLACK * BUDGET["sizes"][name]} == set()


@pytest.mark.slow
@pytest.mark.parametrize("app", [App.IDLE, App.CANARY])
def test_a_request_executes_no_more_instructions_than_the_budget_has(app):
    allowed = BUDGET.get("instructions")
    if VALGRIND is None:
        pytest.skip("valgrind is not installed, so instructions cannot be counted")
    if allowed is None or allowed["python"] != python():
        pytest.skip(f"the budget's instructions were counted with {allowed and allowed['python']}, and this is {python()}")
    assert instructions(LEAN, app) <= 1.05 * allowed[app]
