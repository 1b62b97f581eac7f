"""Request ids."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.domain.keyed import key_digest
from canary.domain.request_id import Record, digest_of, new_request_id, record_of, without_release
from tests.strategies import keys, times

randomness = st.integers(0, 2**80 - 1)
digests = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)


@given(times, randomness, st.none() | keys, st.none() | digests)
def test_an_id_says_itself_where_its_record_is(now, bits, release, key):
    made = new_request_id(now, bits, release, key)
    assert record_of(made) == Record(release, key)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", made)


@given(times, randomness, keys, st.integers(1, 9_999), st.none() | digests)
def test_an_id_that_lost_the_coin_says_under_which_release_and_share(now, bits, release, share, key):
    made = new_request_id(now, bits, None, key, (release, share))
    assert record_of(made) == Record(None, key, (digest_of(release), share))
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", made)
    assert without_release(made) == made


def test_a_small_share_keeps_its_place():
    made = new_request_id(0, 0, control=("00000017-3fa9c1d2", 5))
    assert made == "0" * 26 + "-c00053fa9c1d2"


@given(times, randomness, keys, st.none() | digests)
def test_an_id_without_its_release_is_the_same_as_if_latest_had_never_been_meant(now, bits, release, key):
    assert without_release(new_request_id(now, bits, release, key)) == new_request_id(now, bits, None, key)


@pytest.mark.parametrize(
    "mark", ["-c500ffffffff", "-c10000ffffffff", "-c5000fffffff", "-c5000FFFFFFFF", "-c5000ffffffff-r00000001-ffffffff"]
)
def test_what_only_looks_like_a_lost_toss_is_none(mark):
    assert record_of("0" * 26 + mark) is None


@given(st.lists(st.tuples(times, randomness), min_size=2, max_size=6, unique_by=lambda each: each[0]))
def test_ids_sort_by_time(moments):
    made = [new_request_id(now, bits) for now, bits in moments]
    assert sorted(made) == [new_request_id(now, bits) for now, bits in sorted(moments)]


@given(times, randomness, randomness)
def test_a_millisecond_later_sorts_later_whatever_the_randomness(now, one, other):
    assert new_request_id(now, one) < new_request_id(now + 1, other)


@given(times, randomness, randomness)
def test_ids_of_the_same_moment_differ_by_their_randomness(now, one, other):
    assert (new_request_id(now, one) == new_request_id(now, other)) == (one == other)


def test_the_longest_id_is_a_name_that_step_functions_takes():
    assert len(new_request_id(2**48 - 1, 2**80 - 1, "999999999-0123abcd", "f" * 32)) == 80


@pytest.mark.parametrize(
    "text", ["", "x", "019aa53c8f4b7c51a3e2d4f60718293a", "0" * 26 + "-r1-x", "0" * 26 + "\n", "0" * 25, "I" * 26]
)
def test_what_is_no_id_of_ours_is_on_no_record(text):
    assert record_of(text) is None


@given(st.text(max_size=90))
def test_no_text_does_worse_than_be_no_id(text):
    record_of(text)


@given(st.lists(st.tuples(*[st.text(max_size=3)] * 4), min_size=2, max_size=2, unique=True))
def test_keys_of_different_apps_callers_and_tenants_never_meet(pair):
    one, other = pair
    assert key_digest(*one) != key_digest(*other)


def test_where_one_part_of_a_key_ends_and_the_next_begins_matters():
    parts = [("a", "bc", "", ""), ("ab", "c", "", ""), ("abc", "", "", ""), ("a", "b", "c", ""), ("", "a", "b", "c")]
    assert len({key_digest(*each) for each in parts}) == len(parts)
