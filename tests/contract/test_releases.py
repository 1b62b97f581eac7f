"""What the table promises of releases."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from canary.domain.claim import Claimed
from canary.domain.plan import Plan, Stage
from canary.domain.release import Ask, Change, Flip, Notice, NoticeKind, Release, Verb
from canary.domain.states import Gate, ReleaseState
from canary.domain.tally import Tally
from tests.strategies import NO_SHRINKING, releases, texts, times

APP, RELEASE = "transformer", "00000001-0123abcd"
NOW = 1_795_246_200_123
#: One table serves all examples of a property, each with a release of its own.
numbers = count(10)


def release(**changes) -> Release:
    running = Release(
        app=APP,
        release=RELEASE,
        rev=1,
        state=ReleaseState.RUNNING,
        since=NOW,
        opened_at=NOW,
        written_at=NOW,
        value="v",
        target="t",
        tag="v2",
        plan=Plan(stages=(Stage(quota=100),)),
        granted=100,
        gate=Gate.OPEN,
    )
    return replace(running, **changes)


def read(table) -> Release:
    found = table.release(APP, RELEASE)
    assert found is not None
    return found


def test_a_release_that_nobody_made_is_none(table):
    assert table.release(APP, RELEASE) is None


def test_a_release_is_made_once_and_a_second_one_changes_nothing(table):
    assert table.create(release(tag="first"))
    assert not table.create(release(tag="second"))
    assert not table.create(release(tag="first"))
    assert read(table).tag == "first"


def test_releases_of_two_apps_may_have_the_same_key(table):
    assert table.create(release())
    assert table.create(release(app="other", tag="other"))
    assert (read(table).tag, table.release("other", RELEASE).tag) == ("v2", "other")


@settings(max_examples=40, phases=NO_SHRINKING)
@given(data=st.data())
def test_every_field_of_a_release_is_read_back_as_it_was_written(table, data):
    written = data.draw(releases(f"{next(numbers):08d}-0123abcd"))
    assert table.create(written)
    assert table.release(APP, written.release) == written


@settings(max_examples=40, phases=NO_SHRINKING)
@given(data=st.data())
def test_every_field_that_the_flipper_writes_is_saved(table, data):
    """Whatever was there and whatever comes, the difference of the two is all that a save needs."""
    before, after = data.draw(st.tuples(releases(), releases()))
    name = f"{next(numbers):08d}-0123abcd"
    before = replace(before, release=name, granted=10**6, claimed=len(before.open))
    still_open = {request_id: at for request_id, at in before.open.items() if data.draw(st.booleans())}
    batches = {name: batch for name, batch in before.batches.items() if data.draw(st.booleans())}
    added = data.draw(st.lists(st.builds(Change, times, texts, texts, texts), max_size=2))
    granted = max(after.granted, before.claimed)  # what is claimed cannot be taken back
    after = replace(after, release=name, open=still_open, batches=batches, granted=granted, history=(*before.history, *added))
    assert table.create(before)
    assert table.save(before, after)
    assert table.release(APP, name) == replace(after, rev=before.rev + 1)


def test_a_save_raises_the_revision_by_one(table):
    table.create(release())
    assert table.save(read(table), replace(read(table), verdict="WAIT: for it"))
    assert (read(table).rev, read(table).verdict) == (2, "WAIT: for it")


def test_a_save_of_what_has_changed_since_it_was_read_is_refused_and_changes_nothing(table):
    table.create(release())
    stale = read(table)
    assert table.save(stale, replace(stale, reason="mine"))
    assert not table.save(stale, replace(stale, reason="theirs", state=ReleaseState.ABORTING, gate=Gate.CLOSED))
    assert read(table) == replace(stale, rev=2, reason="mine")


def test_a_save_of_a_release_that_nobody_made_is_refused_and_makes_none(table):
    assert not table.save(release(), replace(release(), reason="ghost"))
    assert table.release(APP, RELEASE) is None


def test_a_save_appends_to_the_history(table):
    table.create(release())
    for number in range(3):
        before = read(table)
        table.save(before, before.noted(f"change {number}", now=NOW + number, why="because", who="ops"))
    assert read(table).history == tuple(Change(NOW + n, "ops", f"change {n}", "because") for n in range(3))


def test_what_became_none_is_gone(table):
    full = release(verdict="PASS", flip=Flip("a", 3, "b", 7, written=True), ended_at=NOW, restored_from="00000000-0123abcd")
    table.create(full)
    bare = replace(full, verdict=None, flip=None, ended_at=None, restored_from=None)
    assert table.save(full, bare)
    assert read(table) == replace(bare, rev=2)


def test_the_gate_is_closed_and_opened_by_a_save(table):
    table.create(release())
    for gate in (Gate.CLOSED, Gate.OPEN):
        before = read(table)
        assert table.save(before, replace(before, gate=gate))
        assert read(table).gate is gate


def test_asks_and_notices_come_and_go(table):
    ask, notice = Ask(Verb.PAUSE, "ops", "lunch", NOW), Notice(NoticeKind.OPENED, "it began", NOW)
    table.create(release())
    table.save(read(table), replace(read(table), asks=(ask, ask), notices=(notice, notice)))
    assert (read(table).asks, read(table).notices) == ((ask, ask), (notice, notice))
    table.save(read(table), replace(read(table), asks=(ask,), notices=()))
    assert (read(table).asks, read(table).notices) == ((ask,), ())


class TestClaimsThatRaceASave:
    """Routers write beside the flipper: neither may undo what the other did."""

    def test_claims_since_the_read_are_kept(self, table):
        table.create(release())
        seen = read(table)
        table.claim(APP, RELEASE, "a", NOW)
        assert table.save(seen, replace(seen, reason="changed"))
        assert (read(table).claimed, read(table).open) == (1, {"a": NOW})

    def test_a_refund_is_taken_off_what_is_claimed_by_then(self, table):
        table.create(release(claimed=2, open={"a": NOW, "b": NOW}))
        seen = read(table)
        table.claim(APP, RELEASE, "c", NOW)
        assert table.save(seen, replace(seen, claimed=1, tally=Tally(refunded=1), open={"b": NOW}))
        assert (read(table).claimed, read(table).open) == (2, {"b": NOW, "c": NOW})

    def test_ids_that_were_seen_leave_open_and_those_that_came_meanwhile_stay(self, table):
        table.create(release(claimed=2, open={"a": NOW, "b": NOW}))
        seen = read(table)
        table.claim(APP, RELEASE, "c", NOW + 5)
        assert table.save(seen, replace(seen, open={}))
        assert (read(table).claimed, read(table).open) == (3, {"c": NOW + 5})

    def test_a_claim_does_not_make_a_save_fail(self, table):
        table.create(release())
        seen = read(table)
        table.claim(APP, RELEASE, "a", NOW)
        assert table.save(seen, replace(seen, reason="changed"))

    def test_a_closing_gate_and_a_claim_keep_both(self, table):
        table.create(release())
        seen = read(table)
        table.claim(APP, RELEASE, "a", NOW)
        assert table.save(seen, seen.moved(ReleaseState.ABORTING, now=NOW, why="failed", gate=Gate.CLOSED))
        assert (read(table).gate, read(table).open) == (Gate.CLOSED, {"a": NOW})


class TestSlotsThatAreTakenAway:
    """Evidence may earn fewer slots than before; those that were claimed meanwhile cannot be taken back."""

    def test_free_slots_are_taken_away(self, table):
        table.create(release(granted=10, claimed=4))
        assert table.save(read(table), replace(read(table), granted=4))
        assert (read(table).granted, table.claim(APP, RELEASE, "a", NOW)) == (4, Claimed.GONE)

    def test_a_slot_that_was_claimed_since_the_read_keeps_the_others_from_being_taken(self, table):
        table.create(release(granted=10, claimed=4))
        seen = read(table)
        table.claim(APP, RELEASE, "a", NOW)
        assert not table.save(seen, replace(seen, granted=4))
        assert (read(table).granted, read(table).claimed, read(table).rev) == (10, 5, 1)
        assert table.save(read(table), replace(read(table), granted=5))

    def test_a_claim_since_the_read_does_not_matter_while_enough_are_left(self, table):
        table.create(release(granted=10, claimed=4))
        seen = read(table)
        table.claim(APP, RELEASE, "a", NOW)
        assert table.save(seen, replace(seen, granted=6))
        assert (read(table).granted, read(table).claimed) == (6, 5)

    def test_more_slots_are_granted_whatever_was_claimed(self, table):
        table.create(release(granted=4, claimed=3))
        seen = read(table)
        table.claim(APP, RELEASE, "a", NOW)
        assert table.save(seen, replace(seen, granted=6))
        assert (read(table).granted, read(table).claimed) == (6, 4)


class TestTheIdleCondition:
    """A promotion is decided on counters: it must not be written when there is more than they tell."""

    def test_without_a_claim_it_holds(self, table):
        table.create(release(claimed=2, tally=Tally(succeeded=2)))
        assert table.save(read(table), replace(read(table), state=ReleaseState.PROMOTING), idle=True)
        assert read(table).state is ReleaseState.PROMOTING

    def test_a_claim_since_the_read_breaks_it(self, table):
        table.create(release())
        seen = read(table)
        table.claim(APP, RELEASE, "a", NOW)
        assert not table.save(seen, replace(seen, state=ReleaseState.PROMOTING), idle=True)
        assert read(table).state is ReleaseState.RUNNING

    def test_an_open_claim_breaks_it_even_when_it_was_seen(self, table):
        table.create(release(claimed=1, open={"a": NOW}))
        assert not table.save(read(table), replace(read(table), state=ReleaseState.PROMOTING), idle=True)

    def test_another_count_breaks_it(self, table):
        table.create(release(claimed=3))
        assert not table.save(release(claimed=2), release(claimed=2, state=ReleaseState.PROMOTING), idle=True)


def test_counted_ids_are_set_and_removed_one_by_one(table):
    table.create(release(counted={"a": "SUCCEEDED", "b": "FAILED"}))
    table.save(read(table), replace(read(table), counted={"b": "FAILED", "c": "LOST"}))
    assert read(table).counted == {"b": "FAILED", "c": "LOST"}
    table.save(read(table), replace(read(table), counted={}))
    assert read(table).counted == {}


def test_fifty_requests_are_counted_in_one_save(table):
    """The flipper's batch: its expression has to fit into DynamoDB's 4 KB, which the integration tests measure."""
    names = [f"01ABCDEFGHJKMNPQRSTVWXYZ{n:02d}-r{RELEASE}-k{'0' * 32}" for n in range(50)]
    table.create(release(claimed=50, open=dict.fromkeys(names, NOW)))
    seen = read(table)
    after = replace(seen, open={}, counted=dict.fromkeys(names, "SUCCEEDED"), tally=Tally(succeeded=50))
    assert table.save(seen, after)
    assert read(table) == replace(after, rev=2)
