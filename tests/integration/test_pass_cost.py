"""What a pass of the flipper reads depends on what is under way, and not on what has been."""

from __future__ import annotations

import pytest

from bench.flipper import measured


@pytest.mark.parametrize("plan", ["counted", "judged"])
def test_a_pass_reads_the_same_however_many_requests_are_settled(plan):
    few, many = measured(plan, 5, 3), measured(plan, 500, 3)
    assert (many.calls, many.items) == (few.calls, few.items)


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["counted", "judged"])
def test_a_thousand_requests_under_way_are_read_with_twenty_calls(plan):
    assert measured(plan, 10, 1_000).about_requests <= 20
