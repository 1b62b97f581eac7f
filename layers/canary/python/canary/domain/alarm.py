"""CloudWatch alarms as the judge sees them."""

from __future__ import annotations

from enum import StrEnum


class AlarmState(StrEnum):
    """What CloudWatch says of an alarm; INSUFFICIENT_DATA is not OK."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"
