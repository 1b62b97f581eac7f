"""What goes out: EventBridge events, and the same in words to the SNS topic."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from canary.aws.faults import translated
from canary.domain.release import Notice, Release, timestamp
from canary.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient

_SOURCE: Final = "canary.router"
#: SNS refuses a subject that is longer, or holds anything but printable ASCII.
_MOST_SUBJECT: Final = 100
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


class NoticeBoard:
    """EventBridge and SNS. A notice is sent at least once; ``id`` is the same each time."""

    def __init__(self, events: EventBridgeClient, sns: SNSClient, event_bus: str, topic_arn: str) -> None:
        self._events = events
        self._sns = sns
        self._event_bus = event_bus
        self._topic_arn = topic_arn

    def send(self, release: Release, notice: Notice) -> None:
        """Tell the world."""
        detail = {
            "id": f"{release.app}#{release.release}#{notice.kind}#{notice.at}",
            "app": release.app,
            "release": release.release,
            "state": release.state.value,
            "tag": release.tag,
            "target": release.target,
            "text": notice.text,
            "at": timestamp(notice.at),
        }
        with translated("EventBridge"):
            answer = self._events.put_events(
                Entries=[
                    {
                        "Source": _SOURCE,
                        "DetailType": notice.kind.value,
                        "Detail": json.dumps(detail),
                        "EventBusName": self._event_bus,
                    }
                ]
            )
        if answer.get("FailedEntryCount"):
            entry = answer["Entries"][0]
            raise Unavailable("EventBridge", entry.get("ErrorCode", "Unknown"), entry.get("ErrorMessage", ""))
        subject = _UNPRINTABLE.sub("?", f"{release.app}: {notice.kind} ({release.tag})")[:_MOST_SUBJECT]
        with translated("SNS"):
            self._sns.publish(
                TopicArn=self._topic_arn, Subject=subject, Message=f"{notice.text}\n\n{json.dumps(detail, indent=2)}"
            )
