"""What the audit table promises."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.domain.audit import IN_FLIGHT, OUTCOMES, Arm, Row, RowUpdate, Status
from tests.contract.hands import LEAN_TOO
from tests.strategies import NO_SHRINKING, counts, request_ids, texts, times

pytestmark = LEAN_TOO

APP, RELEASE = "transformer", "00000001-0123abcd"
NOW = 1_795_246_200_123


def row(request_id: str = "a", **changes) -> Row:
    claimed = Row(app=APP, release=RELEASE, request_id=request_id, status=Status.CLAIMED, claimed_at=NOW, target="t", tag="v2")
    return replace(claimed, **changes)


def read(audit, request_id: str = "a") -> Row:
    return audit.rows(APP, RELEASE, [request_id])[request_id]


class TestPut:
    def test_a_row_is_put_once_and_the_one_that_is_there_comes_back(self, audit):
        assert audit.put(row(tenant="acme")) is None
        assert audit.put(row(tenant="other", status=Status.LOST)) == row(tenant="acme")
        assert read(audit) == row(tenant="acme")

    def test_whoever_puts_the_same_row_twice_finds_his_own(self, audit):
        assert audit.put(row()) is None
        assert audit.put(row()) == row()

    def test_the_same_id_in_another_release_or_app_is_another_row(self, audit):
        others = [row(), row(release="00000002-0123abcd"), row(app="other")]
        assert [audit.put(each) for each in others] == [None] * 3

    @settings(max_examples=40, phases=NO_SHRINKING)
    @given(data=st.data())
    def test_every_field_of_a_row_is_read_back_as_it_was_written(self, audit, data):
        maybe = st.none() | texts
        started = data.draw(st.none() | times)
        written = data.draw(
            st.builds(
                Row,
                app=st.just(APP),
                release=st.just(RELEASE),
                request_id=request_ids,
                status=st.sampled_from(Status),
                claimed_at=times,
                target=texts,
                tag=texts,
                arm=st.sampled_from(Arm),
                share=st.none() | st.integers(1, 10_000),
                # An index's key is never empty.
                transform_id=st.none() | texts.filter(bool),
                state_machine=maybe,
                started_at=st.just(started),
                stopped_at=st.none() | times,
                tenant=maybe,
                error=maybe,
                payload_sha256=maybe,
                payload_bytes=st.none() | counts,
                unstarted=st.booleans(),
                fell_back=st.booleans(),
                counted=st.booleans(),
            )
        )
        there = audit.put(written)
        assert there is None or there.request_id == written.request_id
        assert read(audit, written.request_id) == (there or written)


class TestUpdate:
    def test_an_update_writes_what_it_says_and_leaves_the_rest(self, audit):
        audit.put(row(tenant="acme", payload_bytes=7))
        update = RowUpdate(status=Status.RUNNING, transform_id="arn", state_machine="machine", started_at=NOW + 5)
        assert audit.update(row(), update)
        expected = row(tenant="acme", payload_bytes=7, status=Status.RUNNING, transform_id="arn", state_machine="machine")
        assert read(audit) == replace(expected, started_at=NOW + 5)

    def test_what_an_update_does_not_know_stays_as_it_is(self, audit):
        audit.put(row(status=Status.RUNNING, transform_id="arn", state_machine="machine", started_at=NOW, error="early"))
        assert audit.update(row(), RowUpdate(status=Status.SUCCEEDED, stopped_at=NOW + 9))
        left = read(audit)
        assert (left.transform_id, left.state_machine, left.started_at, left.error) == ("arn", "machine", NOW, "early")
        assert (left.status, left.stopped_at, left.duration_ms) == (Status.SUCCEEDED, NOW + 9, 9)

    def test_flags_are_set_and_never_taken_back(self, audit):
        audit.put(row(fell_back=True, unstarted=True))
        audit.update(row(), RowUpdate(status=Status.FAILED, stopped_at=NOW))
        assert (read(audit).fell_back, read(audit).unstarted) == (True, True)

    def test_an_update_can_say_that_it_fell_back_and_never_started(self, audit):
        audit.put(row())
        audit.update(row(), RowUpdate(status=Status.LOST, stopped_at=NOW, unstarted=True, fell_back=True))
        assert (read(audit).unstarted, read(audit).fell_back) == (True, True)

    @pytest.mark.parametrize("outcome", sorted(OUTCOMES))
    @pytest.mark.parametrize("status", sorted(Status))
    def test_a_finished_row_does_not_change_again(self, audit, outcome, status):
        finished = row(status=outcome, stopped_at=NOW)
        audit.put(finished)
        assert not audit.update(finished, RowUpdate(status=status, stopped_at=NOW + 1, error="too late"))
        assert read(audit) == finished

    @pytest.mark.parametrize("status", sorted(IN_FLIGHT))
    def test_a_row_in_flight_does(self, audit, status):
        audit.put(row(status=status))
        assert audit.update(row(status=status), RowUpdate(status=Status.ABORTED, stopped_at=NOW + 1))
        assert read(audit).status is Status.ABORTED

    def test_of_two_who_finish_a_row_one_wins(self, audit):
        audit.put(row())
        said = [audit.update(row(), RowUpdate(status=status, stopped_at=NOW)) for status in (Status.FAILED, Status.SUCCEEDED)]
        assert (said, read(audit).status) == ([True, False], Status.FAILED)

    @pytest.mark.parametrize("status", [Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.LOST])
    def test_a_transform_id_is_written_once_and_an_update_that_has_another_changes_nothing(self, audit, status):
        audit.put(row())
        assert audit.update(row(), RowUpdate(status=Status.RUNNING, transform_id="first", state_machine="machine"))
        other = RowUpdate(status=status, transform_id="other", state_machine="others", stopped_at=NOW, error="of the other")
        assert not audit.update(row(), other)
        assert read(audit) == row(status=Status.RUNNING, transform_id="first", state_machine="machine")

    @pytest.mark.parametrize("again", ["first", None])
    @pytest.mark.parametrize("status", [Status.RUNNING, *sorted(OUTCOMES)])
    def test_an_outcome_with_the_same_transform_id_or_with_none_is_written(self, audit, again, status):
        audit.put(row())
        audit.update(row(), RowUpdate(status=Status.RUNNING, transform_id="first"))
        assert audit.update(row(), RowUpdate(status=status, transform_id=again, stopped_at=NOW))
        assert (read(audit).status, read(audit).transform_id) == (status, "first")

    def test_a_row_that_was_put_with_its_transform_id_keeps_it(self, audit):
        audit.put(row(status=Status.RUNNING, transform_id="first"))
        assert not audit.update(row(), RowUpdate(status=Status.RUNNING, transform_id="other"))
        assert read(audit).transform_id == "first"

    def test_an_update_of_a_row_that_nobody_put_is_refused_and_makes_none(self, audit):
        assert not audit.update(row(), RowUpdate(status=Status.RUNNING))
        assert not audit.update(row(), RowUpdate(status=Status.RUNNING, transform_id="first"))
        assert audit.rows(APP, RELEASE, ["a"]) == {}


class TestRows:
    def test_missing_rows_are_absent(self, audit):
        audit.put(row("a"))
        assert audit.rows(APP, RELEASE, ["a", "b"]) == {"a": row("a")}
        assert audit.rows(APP, "00000002-0123abcd", ["a"]) == {}

    def test_nothing_is_asked_and_nothing_comes(self, audit):
        assert audit.rows(APP, RELEASE, []) == {}

    def test_an_id_that_is_asked_for_twice_comes_once(self, audit):
        audit.put(row("a"))
        assert audit.rows(APP, RELEASE, ["a", "a"]) == {"a": row("a")}

    def test_more_than_a_hundred_rows_come_too(self, audit):
        names = [f"request-{number:03d}" for number in range(130)]
        for name in names:
            audit.put(row(name))
        assert sorted(audit.rows(APP, RELEASE, (name for name in [*names, "missing"]))) == names


class TestTheRowsOfARelease:
    def test_they_come_in_the_order_of_the_ids_whatever_has_become_of_them(self, audit):
        rows = [row("a"), row("b", status=Status.FAILED, stopped_at=NOW), row("c", status=Status.LOST, counted=True)]
        for each in reversed(rows):
            audit.put(each)
        assert list(audit.of_release(APP, RELEASE)) == rows
        assert list(audit.of_release(APP, RELEASE, newest_first=True)) == rows[::-1]

    def test_those_of_other_releases_and_apps_are_not_among_them(self, audit):
        for each in (row("a"), row("b", release="00000002-0123abcd"), row("c", app="other")):
            audit.put(each)
        assert list(audit.of_release(APP, RELEASE)) == [row("a")]

    def test_a_release_that_nobody_was_sent_to_has_none(self, audit):
        assert list(audit.of_release(APP, RELEASE)) == []


class TestTheIndexOfRowsInFlight:
    def test_it_holds_a_row_from_its_put_until_it_is_counted(self, audit):
        audit.put(row())
        assert audit.in_flight(APP, RELEASE) == ("a",)
        audit.update(row(), RowUpdate(status=Status.SUCCEEDED, stopped_at=NOW))
        assert audit.in_flight(APP, RELEASE) == ("a",)
        audit.mark_counted(row())
        assert audit.in_flight(APP, RELEASE) == ()
        assert read(audit).counted

    def test_to_mark_a_row_twice_changes_nothing(self, audit):
        audit.put(row(status=Status.FAILED, stopped_at=NOW))
        audit.mark_counted(row())
        once = read(audit)
        audit.mark_counted(row())
        assert read(audit) == once == row(status=Status.FAILED, stopped_at=NOW, counted=True)

    def test_to_mark_a_row_that_nobody_put_makes_none(self, audit):
        audit.mark_counted(row())
        assert audit.rows(APP, RELEASE, ["a"]) == {}

    def test_it_tells_releases_and_apps_apart(self, audit):
        for each in (row("a"), row("b", release="00000002-0123abcd"), row("c", app="other")):
            audit.put(each)
        assert audit.in_flight(APP, RELEASE) == ("a",)

    def test_a_row_that_was_put_as_counted_is_not_in_it(self, audit):
        audit.put(row(status=Status.LOST, stopped_at=NOW, counted=True))
        assert audit.in_flight(APP, RELEASE) == ()

    def test_it_is_in_the_order_of_the_ids(self, audit):
        for name in ("c", "a", "b"):
            audit.put(row(name))
        assert audit.in_flight(APP, RELEASE) == ("a", "b", "c")
