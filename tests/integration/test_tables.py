"""The tables' awkward sides: many at once, answers that are lost, indexes that are late, and what the items look like."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import boto3
import botocore.endpoint
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from canary.aws.audit import AuditTable
from canary.aws.keys import KeyTable
from canary.aws.records import RecordTable
from canary.aws.releases import ReleaseTable
from canary.domain.app import App
from canary.domain.audit import KEEP_MS, Row, RowUpdate, Status
from canary.domain.batch import Batch
from canary.domain.claim import Claimed
from canary.domain.keyed import Answer, KeyRecord, KeyState
from canary.domain.record import Record
from canary.domain.release import Release
from canary.domain.states import Gate, ReleaseState
from canary.domain.tally import Tally
from canary.flipping.follow import follow
from canary.flipping.world import World
from tests.integration.conftest import REGION, Wire

APP, NAME = "transformer", "00000001-0123abcd"
NOW = 1_795_253_400_123
READABLE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
RUNNING = Release(
    app=APP, release=NAME, rev=1, state=ReleaseState.RUNNING, since=NOW, opened_at=NOW, written_at=NOW, value="v", target="t",
    tag="v2", granted=2, gate=Gate.OPEN,
)  # fmt: skip
ROW = Row(app=APP, release=NAME, request_id="a", status=Status.CLAIMED, claimed_at=NOW, target="t", tag="v2")
RECORD = Record(
    app=APP, release=NAME, rev=7, at=NOW, code="1.2.0", judgement="WAIT", reason="3 of 5 finished", decision="wait",
    case={"stage": 1, "watch": None}, numbers={"bound": 0.1},
)  # fmt: skip
KEY = KeyRecord(key="k" * 32, app=APP, state=KeyState.IN_PROGRESS, request_id="r", body_sha256="aa", since=NOW)


def test_of_64_that_claim_two_slots_at_once_exactly_two_win(releases):
    releases.create(RUNNING)
    with ThreadPoolExecutor(64) as pool:
        results = list(pool.map(lambda n: releases.claim(APP, NAME, f"request-{n}", NOW), range(64)))
    assert Counter(results) == {Claimed.WON: 2, Claimed.GONE: 62}
    left = releases.release(APP, NAME)
    assert (left.claimed, len(left.open)) == (2, 2)


def test_of_32_that_put_the_same_row_at_once_one_puts_it(audit):
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda n: audit.put(replace(ROW, tenant=f"t{n}")), range(32)))
    assert found.count(None) == 1
    assert len(set(found)) == 2


def test_of_32_that_begin_the_same_key_at_once_one_begins(keys):
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda n: keys.begin(replace(KEY, request_id=f"r{n}"), NOW), range(32)))
    assert found.count(None) == 1


def test_of_32_that_want_a_lease_at_once_one_gets_it(releases):
    with ThreadPoolExecutor(32) as pool:
        got = list(pool.map(lambda n: releases.lease(APP, f"owner-{n}", NOW, NOW + 1000), range(32)))
    assert got.count(True) == 1


def test_of_a_release_that_an_older_version_has_opened_no_batch_is_taken_and_nothing_is_written(dynamodb, releases):
    releases.create(RUNNING)
    key = {"app": {"S": APP}, "release": {"S": NAME}}
    dynamodb.update_item(TableName="releases", Key=key, UpdateExpression="REMOVE batches")
    before = dynamodb.get_item(TableName="releases", Key=key)["Item"]
    assert releases.claim_batch(APP, NAME, ("b", Batch(1, NOW)), 2) == 0
    assert dynamodb.get_item(TableName="releases", Key=key)["Item"] == before


class TestLostAnswers:
    """A write is done, its answer is lost, botocore sends it again: and it meets itself."""

    @pytest.fixture
    def forgetful(self, moto, tables, monkeypatch) -> Callable[[], Any]:
        """A client whose connection closes after its first write is done; it tries once more, as ours do."""
        monkeypatch.setattr(botocore.endpoint.time, "sleep", lambda _: None)

        def made() -> Any:
            config = Config(retries={"mode": "standard", "total_max_attempts": 2})
            client = boto3.client("dynamodb", config=config)
            sent: list[Any] = []

            def lose(request: Any, **_: Any) -> None:
                sent.append(request)
                if len(sent) == 1:
                    raise ConnectionClosedError(endpoint_url=request.url)

            client.meta.events.register_last("before-send", lose)
            client.sent = sent
            return client

        return made

    def test_a_claim_is_won_once(self, forgetful, releases):
        releases.create(RUNNING)
        client = forgetful()
        assert ReleaseTable(client, "releases", REGION).claim(APP, NAME, "a", NOW) is Claimed.WON
        assert (len(client.sent), releases.release(APP, NAME).claimed) == (2, 1)

    def test_a_row_is_put_and_its_own_comes_back(self, forgetful, audit):
        assert AuditTable(forgetful(), "audit", REGION).put(ROW) == ROW
        assert audit.rows(APP, NAME, ["a"]) == {"a": ROW}

    def test_a_record_is_kept(self, forgetful, records):
        RecordTable(forgetful(), "audit", REGION).put(RECORD)
        assert records.of_release(APP, NAME) == (RECORD,)

    def test_a_key_has_begun(self, forgetful, keys):
        assert KeyTable(forgetful(), "audit", REGION).begin(KEY, NOW) is None
        assert keys.get(KEY.key) == KEY

    def test_a_take_over_is_won(self, forgetful, keys):
        keys.begin(KEY, NOW)
        mine = replace(KEY, since=NOW + 40_000)
        assert KeyTable(forgetful(), "audit", REGION).begin(mine, NOW + 40_000, KEY) is None

    def test_a_save_is_a_lost_race_that_was_won_and_the_next_look_finds_it(self, forgetful, releases):
        releases.create(RUNNING)
        assert not ReleaseTable(forgetful(), "releases", REGION).save(RUNNING, replace(RUNNING, reason="x"))
        assert releases.release(APP, NAME) == replace(RUNNING, rev=2, reason="x")

    def test_a_refund_is_made_once(self, forgetful, releases):
        before = replace(RUNNING, claimed=2)
        releases.create(before)
        ReleaseTable(forgetful(), "releases", REGION).save(before, replace(before, claimed=1))
        assert releases.release(APP, NAME).claimed == 1

    def test_a_lease_is_taken(self, forgetful, releases):
        assert ReleaseTable(forgetful(), "releases", REGION).lease(APP, "me", NOW, NOW + 1000)

    def test_a_lease_is_given_back(self, forgetful, releases):
        releases.lease(APP, "me", NOW, NOW + 1000)
        assert ReleaseTable(forgetful(), "releases", REGION).give_back(APP, "me", NOW)
        assert releases.lease(APP, "other", NOW, NOW + 1000)


def test_a_row_that_a_late_index_still_names_is_not_counted_twice(releases, audit, monkeypatch):
    """The row is counted and out of the index; the index, eventually consistent, has not heard of it."""
    releases.create(replace(RUNNING, claimed=2, tally=Tally(succeeded=1)))
    audit.put(replace(ROW, status=Status.SUCCEEDED, stopped_at=NOW, counted=True))
    audit.put(replace(ROW, request_id="b", status=Status.RUNNING, started_at=NOW))
    monkeypatch.setattr(audit, "in_flight", lambda app, release: ("a", "b"))
    nobody: Any = None
    world = World(
        parameters=nobody, releases=releases, apps=releases, audit=audit, records=nobody, executions=nobody, stacks=nobody,
        targets=nobody, alarms=nobody, notices=nobody, allowed=nobody, inspect_expression=lambda _: None, clock=lambda: NOW,
        count=lambda *_: None,
    )  # fmt: skip
    follow(world, releases.release(APP, NAME))
    assert releases.release(APP, NAME).tally == Tally(succeeded=1)


def test_a_write_that_counts_fifty_requests_fits_into_an_expression(releases, dynamodb):
    """DynamoDB takes 4 KB of expression; moto takes any."""
    names = [f"01ABCDEFGHJKMNPQRSTVWXYZ{n:02d}-r{NAME}-k{'0' * 32}" for n in range(50)]
    before = replace(RUNNING, claimed=50, open=dict.fromkeys(names, NOW))
    releases.create(before)
    sizes: list[int] = []
    note = lambda params, **_: sizes.append(len(params.get("UpdateExpression", "")))  # noqa: E731 - a handler of botocore's
    dynamodb.meta.events.register("before-parameter-build.dynamodb.UpdateItem", note)
    try:
        counted = dict.fromkeys(names, "SUCCEEDED")
        assert releases.save(before, replace(before, open={}, counted=counted, tally=Tally(succeeded=50)))
    finally:
        dynamodb.meta.events.unregister("before-parameter-build.dynamodb.UpdateItem", note)
    assert 0 < sizes[0] <= 4096


def raw(dynamodb: Any, table: str) -> list[dict[str, Any]]:
    return dynamodb.scan(TableName=table)["Items"]


def kinds(value: Any) -> set[str]:
    """All types that occur in an item."""
    ((kind, inner),) = value.items()
    children = inner.values() if kind == "M" else inner if kind == "L" else ()
    return {kind}.union(*map(kinds, children))


class TestItems:
    def test_what_is_not_known_is_absent_and_never_null(self, releases, audit, keys, dynamodb):
        full = replace(RUNNING, verdict="WAIT", by="ci")
        releases.create(full)
        releases.save(full, replace(full, verdict=None, by=None, reason="x"))
        releases.save_app(App(app=APP), App(app=APP))
        audit.put(ROW)
        audit.update(ROW, RowUpdate(status=Status.RUNNING))
        keys.begin(KEY, NOW)
        keys.finish(replace(KEY, state=KeyState.FREE))
        items = raw(dynamodb, "releases") + raw(dynamodb, "audit")
        assert len(items) == 4
        assert "NULL" not in set().union(*(kinds(value) for item in items for value in item.values()))

    def test_a_row_tells_people_what_it_knows(self, audit, dynamodb):
        audit.put(replace(ROW, tenant="acme", payload_sha256="aa", payload_bytes=7, share=25))
        (item,) = raw(dynamodb, "audit")
        assert item == {
            "release_id": {"S": f"{APP}#{NAME}"}, "request_id": {"S": "a"}, "app": {"S": APP}, "tag": {"S": "v2"},
            "arm": {"S": "latest"}, "target": {"S": "t"}, "status": {"S": "CLAIMED"},
            "claimed_at": {"S": "2026-11-21T09:30:00.123Z"},
            "tenant": {"S": "acme"}, "payload_sha256": {"S": "aa"}, "payload_bytes": {"N": "7"}, "share": {"N": "25"},
            "in_flight": {"S": f"{APP}#{NAME}"},
        }  # fmt: skip

    def test_a_row_expires_ninety_days_after_it_has_finished_and_not_before(self, audit, dynamodb):
        audit.put(ROW)
        audit.update(ROW, RowUpdate(status=Status.RUNNING, started_at=NOW))
        assert "expires_at" not in raw(dynamodb, "audit")[0]
        audit.update(replace(ROW, started_at=NOW), RowUpdate(status=Status.SUCCEEDED, stopped_at=NOW + 1500))
        (item,) = raw(dynamodb, "audit")
        assert item["expires_at"] == {"N": str((NOW + 1500 + KEEP_MS) // 1000)}
        assert (item["stopped_at"], item["duration_ms"]) == ({"S": "2026-11-21T09:30:01.623Z"}, {"N": "1500"})

    def test_a_row_that_is_put_as_finished_expires_too(self, audit, dynamodb):
        audit.put(replace(ROW, status=Status.LOST, stopped_at=NOW))
        assert raw(dynamodb, "audit")[0]["expires_at"] == {"N": str((NOW + KEEP_MS) // 1000)}

    def test_an_evidence_record_tells_people_what_was_judged_and_expires_with_the_rows(self, records, dynamodb):
        records.put(RECORD)
        (item,) = raw(dynamodb, "audit")
        assert item == {
            "release_id": {"S": f"{APP}#{NAME}#evidence"}, "request_id": {"S": "2026-11-21T09:30:00.123Z#00000007"},
            "app": {"S": APP}, "at": {"S": "2026-11-21T09:30:00.123Z"}, "rev": {"N": "7"}, "code": {"S": "1.2.0"},
            "judgement": {"S": "WAIT"}, "reason": {"S": "3 of 5 finished"}, "decision": {"S": "wait"},
            "case": {"S": '{"stage": 1, "watch": null}'}, "numbers": {"S": '{"bound": 0.1}'},
            "expires_at": {"N": str((NOW + KEEP_MS) // 1000)},
        }  # fmt: skip

    def test_times_of_a_release_can_be_read(self, releases, dynamodb):
        releases.create(replace(RUNNING, ended_at=NOW, open={"a": NOW}).noted("opened", now=NOW, why="x"))
        (item,) = raw(dynamodb, "releases")
        times = [item[name]["S"] for name in ("since", "opened_at", "written_at", "stage_since", "ended_at")]
        times += [item["open"]["M"]["a"]["S"], item["history"]["L"][0]["M"]["at"]["S"]]
        assert all(READABLE.fullmatch(time) for time in times)

    def test_only_the_item_of_an_app_is_in_the_index_of_apps(self, releases, dynamodb):
        releases.create(RUNNING)
        releases.save_app(App(app=APP), App(app=APP))
        assert sorted((item["release"]["S"], "kind" in item) for item in raw(dynamodb, "releases")) == [
            ("#app", True),
            (NAME, False),
        ]

    def test_an_answer_that_is_too_long_for_an_item_is_kept_without_the_targets_own_words(self, keys):
        keys.begin(KEY, NOW)
        answer = Answer(status=202, body={"request_id": "r", "response": "x" * 400_000})
        keys.finish(replace(KEY, state=KeyState.DONE, answer=answer))
        kept = keys.get(KEY.key).answer
        assert kept == Answer(status=202, body={"request_id": "r", "response": None, "response_omitted": True})

    def test_an_answer_with_half_a_surrogate_pair_is_kept_as_it_is(self, keys):
        keys.begin(KEY, NOW)
        answer = Answer(status=200, body={"response": "\ud800 and ü"})
        keys.finish(replace(KEY, state=KeyState.DONE, answer=answer))
        assert keys.get(KEY.key).answer == answer


def test_pages_of_records_are_turned_and_read_consistently(scripted, records, dynamodb):
    for rev in (1, 2):
        records.put(replace(RECORD, rev=rev))
    first, second = raw(dynamodb, "audit")
    last = {name: first[name] for name in ("release_id", "request_id")}
    service = scripted("dynamodb", Wire({"Items": [first], "LastEvaluatedKey": last}), Wire({"Items": [second]}))
    assert [record.rev for record in RecordTable(service.client, "audit", REGION).of_release(APP, NAME)] == [1, 2]
    assert [service.asked(n)["ConsistentRead"] for n in range(2)] == [True, True]
    assert service.asked(1)["ExclusiveStartKey"] == last


def test_rows_that_dynamodb_leaves_for_later_are_asked_for_again(scripted):
    def item(name: str) -> dict[str, Any]:
        return {
            "release_id": {"S": f"{APP}#{NAME}"}, "request_id": {"S": name}, "app": {"S": APP}, "status": {"S": "CLAIMED"},
        }  # fmt: skip

    key = {"release_id": {"S": f"{APP}#{NAME}"}, "request_id": {"S": "b"}}
    partial = {"Responses": {"audit": [item("a")]}, "UnprocessedKeys": {"audit": {"Keys": [key], "ConsistentRead": True}}}
    service = scripted("dynamodb", Wire(partial), Wire({"Responses": {"audit": [item("b")]}, "UnprocessedKeys": {}}))
    assert sorted(AuditTable(service.client, "audit", REGION).rows(APP, NAME, ["a", "b"])) == ["a", "b"]
    assert service.asked(1)["RequestItems"]["audit"]["Keys"] == [key]
    assert all(service.asked(n)["RequestItems"]["audit"]["ConsistentRead"] for n in range(2))
