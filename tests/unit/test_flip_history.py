"""The history of latest: what of it is ours, what of others was swallowed, and that nothing of theirs is ever lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.domain.app import Version
from canary.domain.flip import Mark, Swallowed, description, restored_release, swallowed
from canary.domain.release import release_key
from canary.domain.target import is_blank

NOW = 1_795_246_200_000


class Latest:
    """The parameter, as everybody writes it."""

    def __init__(self) -> None:
        self.history: list[Version] = []

    def write(self, value: str, words: str = "") -> Version:
        number = len(self.history) + 1
        self.history.append(Version(value, number, NOW + number, words))
        return self.history[-1]

    def inherit(self, value: str) -> Version:
        """A tagger's write that took the description over from the version before."""
        return self.write(value, self.history[-1].description if self.history else "")

    def blank(self, release: str) -> Version:
        return self.write("NONE", description(release, Mark.BLANK))

    def restore(self, lost: Swallowed) -> Version:
        return self.write(lost.value, description(lost.release, Mark.RESTORE))

    @property
    def newest(self) -> Version:
        return self.history[-1]


def key(version: Version) -> str:
    return release_key(version.version, version.value, version.modified_at)


def test_an_empty_history_has_swallowed_nothing():
    assert swallowed([]) is None
    assert restored_release([]) is None


def test_a_blank_that_landed_on_what_it_was_meant_for_has_swallowed_nothing():
    latest = Latest()
    latest.blank(key(latest.write("v2")))
    assert swallowed(latest.history) is None


@pytest.mark.parametrize("write", [Latest.write, Latest.inherit])
def test_a_blank_that_landed_on_somebody_elses_write_has_swallowed_it(write):
    latest = Latest()
    mine = latest.write("v2")
    theirs = write(latest, "v3")
    latest.blank(key(mine))
    assert swallowed(latest.history) == Swallowed("v3", key(theirs))


def test_of_several_that_were_swallowed_the_newest_counts():
    latest = Latest()
    mine = latest.write("v2")
    latest.write("v3")
    newest = latest.write("v4")
    latest.blank(key(mine))
    assert swallowed(latest.history) == Swallowed("v4", key(newest))


def test_a_blank_of_theirs_that_was_swallowed_is_what_they_wanted():
    latest = Latest()
    mine = latest.write("v2")
    latest.write("v3")
    latest.write("NONE")
    latest.blank(key(mine))
    assert swallowed(latest.history) is None


def test_the_same_value_again_is_a_release_of_its_own_and_can_be_lost_like_any():
    latest = Latest()
    mine = latest.write("v2")
    again = latest.write("v2")
    latest.blank(key(mine))
    assert swallowed(latest.history) == Swallowed("v2", key(again))


def test_what_was_restored_is_lost_no_longer_and_its_release_knows_where_it_came_from():
    latest = Latest()
    mine = latest.write("v2")
    theirs = latest.write("v3")
    latest.blank(key(mine))
    latest.restore(Swallowed("v3", key(theirs)))
    assert swallowed(latest.history) is None
    assert restored_release(latest.history) == key(theirs)


@pytest.mark.parametrize("write", [Latest.write, Latest.inherit])
def test_a_restore_that_landed_on_a_newer_write_has_swallowed_that(write):
    latest = Latest()
    mine = latest.write("v2")
    theirs = latest.write("v3")
    latest.blank(key(mine))
    newer = write(latest, "v4")
    latest.restore(Swallowed("v3", key(theirs)))
    assert swallowed(latest.history) == Swallowed("v4", key(newer))


@pytest.mark.parametrize("value", ["v3", "v2"])
def test_a_write_of_theirs_that_inherited_our_words_is_theirs(value):
    """Words do not make a write ours: a blank of ours is blank."""
    latest = Latest()
    latest.blank(key(latest.write("v2")))
    latest.inherit(value)
    assert swallowed(latest.history) is None
    assert restored_release(latest.history) is None


def test_what_repeats_a_restore_in_its_words_and_value_stands_for_the_same_write():
    """Put back twice, after a stale read, or written again by them: whoever waits for the swallowed one is led to it."""
    latest = Latest()
    mine, theirs = latest.write("v2"), latest.write("v3")
    latest.blank(key(mine))
    latest.restore(Swallowed("v3", key(theirs)))
    latest.inherit("v3")
    assert restored_release(latest.history) == key(theirs)
    assert swallowed(latest.history) is None


def test_a_write_of_theirs_that_repeats_nothing_is_no_restore_whatever_words_it_inherited():
    latest = Latest()
    mine, theirs = latest.write("v2"), latest.write("v3")
    latest.blank(key(mine))
    latest.restore(Swallowed("v3", key(theirs)))
    latest.inherit("NONE")
    latest.inherit("v5")
    assert restored_release(latest.history) is None


def test_the_order_in_which_the_history_is_told_does_not_matter():
    latest = Latest()
    mine, theirs = latest.write("v2"), latest.write("v3")
    latest.blank(key(mine))
    assert swallowed(latest.history[::-1]) == Swallowed("v3", key(theirs))


values = st.sampled_from(["v2", "v3", "v4"])
# A blank with our words is a blank of ours for all that can be seen, and means the same: theirs have none.
theirs = st.lists(
    st.tuples(st.sampled_from([Latest.write, Latest.inherit]), values) | st.tuples(st.just(Latest.write), st.just("NONE")),
    max_size=3,
)


def settle(latest: Latest) -> None:
    """Left alone, the flipper puts back what was lost."""
    for _ in range(4):
        if (lost := swallowed(latest.history)) is None:
            return
        latest.restore(lost)


@settings(max_examples=400)
@given(st.lists(theirs, min_size=5, max_size=5))
def test_with_foreign_writes_in_every_gap_the_last_word_of_others_is_what_stands_in_the_end(gaps):
    """The flipper puts back what it finds lost, or blanks what it has seen; others write between its look and its write.

    It blanks when a release is over: so the value that may give way is the one whose release it was, and no other.
    """
    latest, over = Latest(), set()
    last_word = [write(latest, value) for write, value in gaps[0]][-1:]
    for gap in gaps[1:]:
        seen, lost = latest.history[-1:], swallowed(latest.history)
        was_restored = restored_release(latest.history)
        last_word = [*last_word, *(write(latest, value) for write, value in gap)][-1:]
        if lost is not None:
            latest.restore(lost)
        elif seen and not is_blank(seen[0].value):
            over |= {key(seen[0]), was_restored}
            latest.blank(key(seen[0]))
    settle(latest)
    if last_word and is_blank(last_word[0].value):
        assert is_blank(latest.newest.value)
    elif last_word and key(last_word[0]) not in over:
        assert latest.newest.value == last_word[0].value
        assert latest.newest == last_word[0] or restored_release(latest.history) == key(last_word[0])
