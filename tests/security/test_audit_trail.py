"""The record cannot be rewritten unnoticed: conditions on every write, a history of every change, an export that is locked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.conftest import template
from tests.security.policies import AUDIT, RELEASES
from tests.security.recording import NOBODY, AwsCall, Recorder

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("permissions")]

#: What says which request this was, whose it was and where it went.
IDENTIFIES = {
    "release_id", "request_id", "app", "tag", "arm", "target", "share", "batch", "claimed_at", "tenant", "payload_sha256",
    "payload_bytes",
}  # fmt: skip
RESOURCES: dict[str, Any] = template()["Resources"]
EXPORT = {name: one for name, one in RESOURCES.items() if name.startswith("AuditExport")}


def writes(recorder: Recorder, table: str, operation: str) -> Iterator[AwsCall]:
    for who, calls in recorder.calls.items():
        for call in calls if who != NOBODY else []:
            if (call.operation, call.parameters.get("TableName")) == (operation, table):
                yield call


def changed(call: AwsCall) -> set[str]:
    """The attributes at the top level that an update writes or removes."""
    names, expression = call.parameters["ExpressionAttributeNames"], call.parameters["UpdateExpression"]
    parts = re.split(r"\b(SET|REMOVE|ADD|DELETE)\b", expression)
    found = set()
    for verb, text in zip(parts[1::2], parts[2::2], strict=True):
        places = re.findall(r"(#\w+)[.#\w]*\s*=", text) if verb == "SET" else re.findall(r"(?<![.\w])#\w+", text)
        found |= {names[place] for place in places}
    return found


class TestRows:
    def test_a_row_and_a_record_are_put_only_where_there_is_none_and_a_keys_record_over_one_that_is_over(self, recorder):
        puts = list(writes(recorder, AUDIT, "PutItem"))
        assert len(puts) > 5
        for put in puts:
            assert put.parameters["ConditionExpression"].lstrip("(").startswith("attribute_not_exists")
            others = "OR" in put.parameters["ConditionExpression"]
            assert others == put.parameters["Item"]["release_id"]["S"].startswith("key#")

    def test_a_row_is_updated_only_while_it_is_in_flight(self, recorder):
        updates = [one for one in writes(recorder, AUDIT, "UpdateItem") if not _of_a_key(one)]
        assert len(updates) > 3
        for update in updates:
            asked = update.parameters
            condition = asked["ConditionExpression"]
            named = {asked["ExpressionAttributeNames"][name] for name in re.findall(r"#\w+", condition)}
            if named == {"in_flight"}:  # a mark that it is counted, and nothing else
                assert changed(update) == {"in_flight"}
                continue
            wanted = {asked["ExpressionAttributeValues"][value]["S"] for value in re.findall(r":\w+", condition)}
            # Which execution it is, is written once: an update that says so again may only say the same.
            once = {"transform_id"} & changed(update)
            assert named == {"status"} | once
            assert len(wanted - {"CLAIMED", "RUNNING"}) == len(once)
            assert wanted >= {"CLAIMED", "RUNNING"}

    def test_what_identifies_a_row_is_never_written_again(self, recorder):
        for update in writes(recorder, AUDIT, "UpdateItem"):
            assert not changed(update) & IDENTIFIES

    def test_nothing_is_deleted_but_by_its_expiry(self, recorder):
        assert not [
            name
            for _, name in recorder.operations()
            if name.startswith("Delete") or name in {"BatchWriteItem", "TransactWriteItems"}
        ]


class TestReleases:
    def test_every_write_is_conditional(self, recorder):
        every = [*writes(recorder, RELEASES, "PutItem"), *writes(recorder, RELEASES, "UpdateItem")]
        assert len(every) > 50
        assert all(one.parameters.get("ConditionExpression") for one in every)

    def test_every_change_of_a_releases_state_stage_or_gate_says_who_and_why_in_the_same_write(self, recorder):
        """In the history, or by the ask that closed the gate: it becomes a line of the history when it is carried out."""
        moves = [one for one in writes(recorder, RELEASES, "UpdateItem") if changed(one) & {"state", "stage", "gate"}]
        assert len(moves) > 10
        silent = [changed(move) for move in moves if not changed(move) & {"history", "asks"}]
        assert not silent

    def test_a_history_is_only_ever_added_to(self, recorder):
        noted = [one for one in writes(recorder, RELEASES, "UpdateItem") if "history" in changed(one)]
        for one in noted:
            place = next(key for key, name in one.parameters["ExpressionAttributeNames"].items() if name == "history")
            assert f"{place} = list_append ({place}, " in one.parameters["UpdateExpression"]

    def test_a_line_of_history_says_who_when_and_why(self, worked):
        lines = [line["M"] for item in worked.releases if "history" in item for line in item["history"]["L"]]
        assert len(lines) > 20
        for line in lines:
            assert line.keys() == {"at", "who", "what", "why"}
            assert all(one["S"] for name, one in line.items())


class TestExport:
    def test_it_is_off_unless_somebody_wants_it(self):
        assert template()["Parameters"]["AuditExport"]["Default"] == "false"
        assert template()["Conditions"]["ExportsAudit"] == {"Fn::Equals": [{"Ref": "AuditExport"}, "true"]}
        assert {one.get("Condition") for one in EXPORT.values()} == {"ExportsAudit"}
        stream = RESOURCES["AuditTable"]["Properties"]["StreamSpecification"]
        assert stream == {"Fn::If": ["ExportsAudit", {"StreamViewType": "NEW_AND_OLD_IMAGES"}, {"Ref": "AWS::NoValue"}]}

    def test_what_is_exported_can_be_neither_changed_nor_deleted_by_anybody(self):
        bucket = EXPORT["AuditExportBucket"]
        assert bucket["Properties"]["ObjectLockConfiguration"] == {
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": {"Ref": "AuditExportDays"}}},
        }
        assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"

    def test_who_adds_to_it_can_do_nothing_else_to_it(self):
        statements = [
            one for name in ("AuditExportStreamRole", "AuditExportPipeRole")
            for policy in EXPORT[name]["Properties"]["Policies"] for one in policy["PolicyDocument"]["Statement"]
        ]  # fmt: skip
        actions = {
            action for one in statements for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
        }
        writing = {action for action in actions if not re.search(r":(Get|List|Describe)", action)}
        assert writing == {"s3:PutObject", "s3:AbortMultipartUpload", "firehose:PutRecordBatch"}

    @pytest.mark.parametrize(("partition", "goes"), [("transformer#00000017-3fa9c1d2", True), ("key#0123abcd", False)])
    def test_answers_that_are_kept_for_a_day_are_not_exported_for_a_year(self, partition, goes):
        [pattern] = EXPORT["AuditExportPipe"]["Properties"]["SourceParameters"]["FilterCriteria"]["Filters"]
        [rule] = json.loads(pattern["Pattern"])["dynamodb"]["Keys"]["release_id"]["S"]
        assert fnmatchcase(partition, rule["anything-but"]["prefix"] + "*") is not goes


def _of_a_key(call: AwsCall) -> bool:
    return call.parameters["Key"]["release_id"]["S"].startswith("key#")
