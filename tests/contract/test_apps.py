"""What the table promises of apps: their items, and their leases."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from canary.domain.app import App, Mirror, Quarantined, Stopped
from canary.domain.release import Release
from canary.domain.states import Gate, ReleaseState
from tests.strategies import NO_SHRINKING, counts, texts, times

APP = "transformer"
NOW = 1_795_246_200_123
V2 = "arn:aws:lambda:eu-west-1:123456789012:function:transformer-v2:live"
#: An alias of a state machine may hold dots, which DynamoDB's paths are made of too.
V3 = "arn:aws:states:eu-west-1:123456789012:stateMachine:transformer-v3:v3.0.1"


def read(table, app: str = APP) -> App:
    found = table.app(app)
    assert found is not None
    return found


def entry(tag: str = "v2") -> Quarantined:
    return Quarantined("00000001-0123abcd", tag, "1 of 2 failed", NOW)


class TestItems:
    def test_an_app_without_an_item_is_none(self, table):
        assert table.app(APP) is None

    def test_the_first_save_makes_the_item(self, table):
        wanted = App(
            app=APP,
            followed=("00000001-0123abcd",),
            mirror=Mirror("v", 3),
            checked=2,
            newest=3,
            newest_at=NOW,
            quarantine={V2: entry()},
        )
        assert table.save_app(App(app=APP), wanted)
        assert read(table) == replace(wanted, rev=1)

    def test_the_first_save_makes_the_item_under_a_lease_too_and_leaves_the_lease(self, table):
        table.lease(APP, "me", NOW, NOW + 1000)
        assert table.save_app(App(app=APP), App(app=APP, checked=2))
        assert read(table).checked == 2
        assert not table.lease(APP, "other", NOW, NOW + 1000)

    def test_a_second_first_save_is_refused(self, table):
        assert table.save_app(App(app=APP), App(app=APP, checked=1))
        assert not table.save_app(App(app=APP), App(app=APP, checked=2))
        assert read(table).checked == 1

    def test_a_save_of_what_has_changed_since_is_refused_and_changes_nothing(self, table):
        table.save_app(App(app=APP), App(app=APP))
        stale = read(table)
        assert table.save_app(stale, replace(stale, checked=7))
        assert not table.save_app(stale, replace(stale, checked=8, promoted="00000009-0123abcd"))
        assert read(table) == replace(stale, rev=2, checked=7)

    @settings(max_examples=30, phases=NO_SHRINKING)
    @given(data=st.data())
    def test_every_field_is_saved_and_read_back(self, table, data):
        names = st.lists(st.from_regex(r"[0-9]{8}-[0-9a-f]{8}", fullmatch=True), max_size=3).map(tuple)
        wanted = data.draw(
            st.builds(
                App,
                app=st.just(APP),
                followed=names,
                promoted=st.none() | texts,
                mirror=st.none() | st.builds(Mirror, texts, counts),
                quarantine=st.dictionaries(
                    st.sampled_from([V2, V3, V2 + "2"]), st.builds(Quarantined, texts, texts, texts, times)
                ),
                checked=counts,
                stopped=st.none() | st.builds(Stopped, texts, texts, times),
            )
        )
        before = table.app(APP) or App(app=APP)
        # An entry of the quarantine is made and removed, never changed.
        wanted = replace(wanted, quarantine={**wanted.quarantine, **before.quarantine}, rev=before.rev)
        assert table.save_app(before, wanted)
        assert read(table) == replace(wanted, rev=before.rev + 1)
        assert table.save_app(read(table), replace(read(table), quarantine={}))
        assert read(table).quarantine == {}

    def test_quarantine_entries_come_and_go_by_their_arns(self, table):
        table.save_app(App(app=APP), App(app=APP, quarantine={V2: entry("v2")}))
        table.save_app(read(table), replace(read(table), quarantine={V2: entry("v2"), V3: entry("v3")}))
        assert read(table).quarantine == {V2: entry("v2"), V3: entry("v3")}
        table.save_app(read(table), replace(read(table), quarantine={V3: entry("v3")}))
        assert read(table).quarantine == {V3: entry("v3")}

    def test_what_became_none_is_gone(self, table):
        table.save_app(App(app=APP), App(app=APP, mirror=Mirror("v", 1), promoted="p", stopped=Stopped("ops", "drill", NOW)))
        table.save_app(read(table), replace(read(table), mirror=None, promoted=None, stopped=None))
        assert read(table) == App(app=APP, rev=2)

    def test_apps_are_those_that_have_an_item_in_order(self, table):
        for app in ("zeta", "alpha"):
            table.save_app(App(app=app), App(app=app))
        table.lease("leased-only", "me", NOW, NOW + 1000)
        assert table.apps() == ("alpha", "zeta")

    def test_an_item_of_an_app_is_none_of_its_releases(self, table):
        table.save_app(App(app=APP), App(app=APP, checked=5))
        opening = Release(
            app=APP, release="00000001-0123abcd", rev=1, state=ReleaseState.OPENING, since=NOW, opened_at=NOW, written_at=NOW,
            value="v", target="t", tag="v2", gate=Gate.CLOSED,
        )  # fmt: skip
        table.create(opening)
        assert (read(table).checked, table.release(APP, "00000001-0123abcd")) == (5, opening)
        assert table.apps() == (APP,)


class TestLeases:
    def test_one_at_a_time_has_the_lease(self, table):
        assert table.lease(APP, "me", NOW, NOW + 1000)
        assert not table.lease(APP, "other", NOW + 1, NOW + 2000)

    def test_leases_of_other_apps_are_others(self, table):
        assert table.lease(APP, "me", NOW, NOW + 1000)
        assert table.lease("other", "you", NOW, NOW + 1000)

    def test_whoever_has_it_may_take_it_again_and_longer(self, table):
        assert table.lease(APP, "me", NOW, NOW + 1000)
        assert table.lease(APP, "me", NOW + 900, NOW + 1900)
        assert not table.lease(APP, "other", NOW + 1500, NOW + 2500)

    def test_a_lease_ends_by_itself(self, table):
        table.lease(APP, "dead", NOW, NOW + 1000)
        assert not table.lease(APP, "me", NOW + 1000, NOW + 2000)
        assert table.lease(APP, "me", NOW + 1001, NOW + 2001)
        assert not table.lease(APP, "other", NOW + 1500, NOW + 2500)

    def test_what_was_given_back_can_be_taken(self, table):
        table.lease(APP, "me", NOW, NOW + 1000)
        assert table.give_back(APP, "me", NOW + 5)
        assert table.lease(APP, "other", NOW + 6, NOW + 1000)

    def test_somebody_who_found_it_taken_is_not_forgotten(self, table):
        table.lease(APP, "me", NOW, NOW + 1000)
        table.lease(APP, "other", NOW + 1, NOW + 1000)
        assert not table.give_back(APP, "me", NOW + 2)
        assert not table.lease(APP, "third", NOW + 3, NOW + 1000)

    def test_the_word_of_many_is_good_for_one_more_look(self, table):
        table.lease(APP, "me", NOW, NOW + 1000)
        for other in ("b", "c", "d"):
            table.lease(APP, other, NOW + 1, NOW + 1000)
        assert [table.give_back(APP, "me", NOW + n) for n in (2, 3)] == [False, True]

    def test_word_that_was_left_before_a_lease_is_none_for_it(self, table):
        table.lease(APP, "dead", NOW, NOW + 1000)
        table.lease(APP, "other", NOW + 1, NOW + 1000)
        assert table.lease(APP, "me", NOW + 2000, NOW + 3000)
        assert table.give_back(APP, "me", NOW + 2001)

    def test_somebody_elses_lease_cannot_be_given_back(self, table):
        table.lease(APP, "me", NOW, NOW + 1000)
        assert table.give_back(APP, "other", NOW + 1)
        assert not table.lease(APP, "third", NOW + 2, NOW + 1000)

    def test_somebody_elses_give_back_does_not_take_the_word_away(self, table):
        table.lease(APP, "me", NOW, NOW + 1000)
        table.lease(APP, "other", NOW + 1, NOW + 1000)
        table.give_back(APP, "dead", NOW + 2)
        assert not table.give_back(APP, "me", NOW + 3)

    def test_a_lease_that_was_never_taken_is_given_back_without_harm(self, table):
        assert table.give_back(APP, "me", NOW)
        assert (table.app(APP), table.apps()) == (None, ())

    def test_the_end_of_a_lease_leaves_the_time_of_the_pass(self, table):
        table.save_app(App(app=APP), App(app=APP))
        assert read(table).last_pass is None
        table.lease(APP, "me", NOW, NOW + 1000)
        table.give_back(APP, "me", NOW + 7)
        assert read(table) == App(app=APP, rev=1, last_pass=NOW + 7)

    def test_a_pass_before_there_is_an_item_is_remembered(self, table):
        table.lease(APP, "me", NOW, NOW + 1000)
        table.give_back(APP, "me", NOW + 7)
        assert table.app(APP) is None
        table.save_app(App(app=APP), App(app=APP))
        assert read(table).last_pass == NOW + 7

    def test_a_save_changes_neither_the_lease_nor_the_time_of_the_pass(self, table):
        table.save_app(App(app=APP), App(app=APP))
        stale = read(table)
        table.lease(APP, "me", NOW, NOW + 1000)
        table.give_back(APP, "me", NOW + 7)
        table.lease(APP, "me", NOW + 8, NOW + 1008)
        assert table.save_app(stale, replace(stale, checked=1))
        assert read(table).last_pass == NOW + 7
        assert not table.lease(APP, "other", NOW + 9, NOW + 1009)

    def test_the_time_of_the_pass_is_no_business_of_a_save(self, table):
        table.save_app(App(app=APP), App(app=APP))
        table.lease(APP, "me", NOW, NOW + 1000)
        table.give_back(APP, "me", NOW + 7)
        assert table.save_app(read(table), replace(read(table), last_pass=NOW + 99, checked=1))
        assert read(table).last_pass == NOW + 7

    def test_a_lease_does_not_make_a_save_fail(self, table):
        table.save_app(App(app=APP), App(app=APP))
        seen = read(table)
        table.lease(APP, "me", NOW, NOW + 1000)
        assert table.save_app(seen, replace(seen, checked=9))
