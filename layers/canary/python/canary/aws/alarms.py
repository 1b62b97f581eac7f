"""CloudWatch alarms, read by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from canary.aws.faults import translated
from canary.domain.alarm import AlarmState

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

#: DescribeAlarms takes no more names, and gives no more alarms on a page.
_BATCH: Final = 100


class AlarmBook:
    """The alarms of this account and region."""

    def __init__(self, client: CloudWatchClient) -> None:
        self._client = client

    def states(self, names: Iterable[str]) -> Mapping[str, AlarmState]:
        """Read the states of alarms, composite ones too; those that do not exist are absent.

        Without names nothing is asked: DescribeAlarms would then tell of all alarms that there are.
        """
        wanted = list(dict.fromkeys(names))
        found: dict[str, AlarmState] = {}
        for start in range(0, len(wanted), _BATCH):
            found |= self._batch(wanted[start : start + _BATCH])
        return found

    def _batch(self, names: list[str]) -> dict[str, AlarmState]:
        with translated("CloudWatch"):
            pages = self._client.get_paginator("describe_alarms").paginate(
                AlarmNames=names, AlarmTypes=["CompositeAlarm", "MetricAlarm"], PaginationConfig={"PageSize": _BATCH}
            )
            return {
                alarm["AlarmName"]: AlarmState(alarm["StateValue"])
                for page in pages
                for alarm in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ()))
            }
