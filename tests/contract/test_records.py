"""What the evidence records promise."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from canary.domain.audit import Row, Status
from canary.domain.record import Record
from tests.strategies import NO_SHRINKING, counts, texts, times

APP, RELEASE = "transformer", "00000001-0123abcd"
NOW = 1_795_246_200_123
RECORD = Record(
    app=APP, release=RELEASE, rev=7, at=NOW, code="1.2.0", judgement="WAIT", reason="3 of 5 finished", decision="wait",
    case={"stage": 1, "evidence": {"finished": 5, "epochs": [{"share": 5}]}, "watch": None}, numbers={"bound": 0.777511},
)  # fmt: skip

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=6,
)


def test_a_release_that_was_never_judged_has_no_records(records):
    assert list(records.of_release(APP, RELEASE)) == []
    assert records.named(APP, RELEASE, RECORD.name) is None


def test_each_is_found_by_its_name(records):
    others = [
        replace(RECORD, rev=8),
        replace(RECORD, at=NOW + 1),
        replace(RECORD, release="00000002-0123abcd"),
        replace(RECORD, app="b"),
    ]
    for record in (RECORD, *others):
        records.put(record)
    assert records.named(APP, RELEASE, RECORD.name) == RECORD
    assert [records.named(record.app, record.release, record.name) for record in others] == others
    assert records.named(APP, RELEASE, replace(RECORD, rev=9).name) is None
    assert records.named("another", RELEASE, RECORD.name) is None


def test_the_one_before_it_is_named_and_the_first_has_none(records):
    second = replace(RECORD, rev=8, at=NOW + 1, before=RECORD.name)
    for record in (RECORD, second):
        records.put(record)
    assert [record.before for record in records.of_release(APP, RELEASE)] == [None, RECORD.name]
    assert records.named(APP, RELEASE, second.name) == second


@settings(max_examples=40, phases=NO_SHRINKING)
@given(data=st.data())
def test_every_field_of_a_record_is_read_back_as_it_was_written(records, data):
    written = data.draw(
        st.builds(
            Record,
            app=st.just(APP),
            release=st.from_regex(r"[0-9]{8}-[0-9a-f]{8}", fullmatch=True),
            rev=counts,
            at=times,
            code=texts,
            judgement=texts,
            reason=texts,
            decision=texts,
            case=st.dictionaries(texts, json, max_size=3),
            numbers=st.dictionaries(texts, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
            before=st.none() | texts,
        )
    )
    if not any(record.name == written.name for record in records.of_release(APP, written.release)):
        records.put(written)
        assert written in records.of_release(APP, written.release)
        assert records.named(APP, written.release, written.name) == written


def test_what_comes_back_is_json_and_so_lists_where_tuples_were(records):
    records.put(replace(RECORD, case={"bins": (1, 2)}))
    (kept,) = records.of_release(APP, RELEASE)
    assert kept.case == {"bins": [1, 2]}


def test_a_record_that_is_there_stays_as_it_is(records):
    records.put(RECORD)
    records.put(replace(RECORD, reason="another", decision="abort"))
    assert list(records.of_release(APP, RELEASE)) == [RECORD]


def test_they_come_oldest_first_and_of_one_moment_by_revision(records):
    for at, rev in ((NOW + 1, 1), (NOW, 12), (NOW, 9), (NOW - 86_400_000, 40)):
        records.put(replace(RECORD, at=at, rev=rev))
    read = [(record.at, record.rev) for record in records.of_release(APP, RELEASE)]
    assert read == [(NOW - 86_400_000, 40), (NOW, 9), (NOW, 12), (NOW + 1, 1)]


def test_each_release_and_each_app_has_its_own(records):
    mine, others = RECORD, [replace(RECORD, release="00000002-0123abcd"), replace(RECORD, app="other")]
    for record in (mine, *others):
        records.put(record)
    assert list(records.of_release(APP, RELEASE)) == [mine]


def test_records_are_no_rows_and_rows_are_no_records(records, audit):
    row = Row(app=APP, release=RELEASE, request_id="a", status=Status.CLAIMED, claimed_at=NOW, target="t", tag="v2")
    audit.put(row)
    records.put(RECORD)
    assert list(audit.of_release(APP, RELEASE)) == [row]
    assert audit.in_flight(APP, RELEASE) == ("a",)
    assert list(records.of_release(APP, RELEASE)) == [RECORD]
