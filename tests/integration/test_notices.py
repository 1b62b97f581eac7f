"""What goes out."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qs

import pytest

from canary.aws.notices import NoticeBoard
from canary.domain.release import Notice, NoticeKind, Release
from canary.domain.states import ReleaseState
from canary.errors import Unavailable
from tests.integration.conftest import ACCOUNT, REGION, Wire

NOW = 1_795_253_400_123
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:canary"
RELEASE = Release(
    app="transformer", release="00000001-0123abcd", rev=1, state=ReleaseState.RUNNING, since=NOW, opened_at=NOW, written_at=NOW,
    value="v", target="the-target", tag="v2",
)  # fmt: skip
NOTICE = Notice(NoticeKind.OPENED, "v2 is on trial: 2 requests", NOW)
SENT = Wire({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]})
PUBLISHED = Wire(b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>")


@pytest.fixture
def board(scripted):
    events, sns = scripted("events", SENT), scripted("sns", PUBLISHED)
    return NoticeBoard(events.client, sns.client, "default", TOPIC), events, sns


def test_an_event_says_what_happened_to_which_release(board):
    notices, events, _ = board
    notices.send(RELEASE, NOTICE)
    (entry,) = events.asked()["Entries"]
    assert (entry["Source"], entry["DetailType"], entry["EventBusName"]) == ("canary.router", "Release Opened", "default")
    assert json.loads(entry["Detail"]) == {
        "id": f"transformer#00000001-0123abcd#Release Opened#{NOW}",
        "app": "transformer",
        "release": "00000001-0123abcd",
        "state": "RUNNING",
        "tag": "v2",
        "target": "the-target",
        "text": "v2 is on trial: 2 requests",
        "at": "2026-11-21T09:30:00.123Z",
    }


def test_the_topic_says_the_same_in_words(board):
    notices, _, sns = board
    notices.send(RELEASE, NOTICE)
    said = parse_qs(sns.requests[0].body if isinstance(sns.requests[0].body, str) else sns.requests[0].body.decode())
    assert (said["TopicArn"], said["Subject"]) == ([TOPIC], ["transformer: Release Opened (v2)"])
    assert said["Message"][0].startswith("v2 is on trial: 2 requests\n")


@pytest.mark.parametrize("tag", ["v2 → v3", "line\nbreak", "tab\there", "\x00", "x" * 2048, "ü" * 200])
def test_a_subject_is_printable_ascii_of_a_hundred_characters_at_most_whatever_the_tag(board, tag):
    notices, _, sns = board
    notices.send(replace(RELEASE, tag=tag), NOTICE)
    (subject,) = parse_qs(sns.requests[0].body if isinstance(sns.requests[0].body, str) else sns.requests[0].body.decode())[
        "Subject"
    ]
    assert 0 < len(subject) <= 100
    assert subject.isascii()
    assert subject.isprintable()


def test_a_notice_that_is_sent_again_has_the_same_id(board):
    notices, events, _ = board
    notices.send(RELEASE, NOTICE)
    notices.send(replace(RELEASE, state=ReleaseState.PAUSED), NOTICE)
    ids = {json.loads(events.asked(n)["Entries"][0]["Detail"])["id"] for n in range(2)}
    assert len(ids) == 1


def test_an_event_that_eventbridge_took_and_dropped_is_not_sent_and_nothing_is_said(scripted):
    """HTTP 200 with a failed entry: it is the count that tells."""
    dropped = Wire({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}]})
    events, sns = scripted("events", dropped), scripted("sns", PUBLISHED)
    with pytest.raises(Unavailable, match="InternalFailure"):
        NoticeBoard(events.client, sns.client, "default", TOPIC).send(RELEASE, NOTICE)
    assert sns.requests == []
