"""The list of deliberate breaks: each has to find the code that it breaks, or it breaks nothing and proves nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.mutants.__main__ import CODE, ROOT
from tests.mutants.catalogue import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_finds_the_one_place_that_it_breaks(mutant):
    assert (ROOT / CODE / mutant.path).read_text().count(mutant.old) == 1
    assert mutant.old != mutant.new


def test_no_two_mutants_have_one_name():
    assert [name for name, times in Counter(mutant.name for mutant in MUTANTS).items() if times > 1] == []
