"""The installation's own parts, looked at for `canary doctor`."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from canary.aws.answers import milliseconds
from canary.aws.faults import translated
from canary.aws.tables import APP_ITEM
from canary.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sts import STSClient

_ON: Final = frozenset({"ENABLED", "ENABLING"})


class InstalledParts:
    """Tables, functions and the clock of an installation."""

    def __init__(self, dynamodb: DynamoDBClient, lambda_: LambdaClient, sts: STSClient, releases_table: str) -> None:
        self._dynamodb = dynamodb
        self._lambda = lambda_
        self._sts = sts
        self._releases_table = releases_table

    def expires(self, table: str) -> bool:
        """Whether a table's finished rows expire."""
        with translated("DynamoDB"):
            found = self._dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        return found.get("TimeToLiveStatus") in _ON and found.get("AttributeName") == "expires_at"

    def is_backed_up(self, table: str) -> bool:
        """Whether a table can be restored to a point in time."""
        with translated("DynamoDB"):
            found = self._dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        recovery = found.get("PointInTimeRecoveryDescription", {})
        return recovery.get("PointInTimeRecoveryStatus") in _ON

    def has_function(self, name: str) -> bool:
        """Whether a function is there."""
        try:
            with translated("Lambda"):
                self._lambda.get_function_configuration(FunctionName=name)
        except Unavailable as error:
            if error.code == "ResourceNotFoundException":
                return False
            raise
        return True

    def lease_until(self, app: str) -> int | None:
        """Until when an app's lease is held; None when nobody has it."""
        with translated("DynamoDB"):
            answer = self._dynamodb.get_item(
                TableName=self._releases_table, Key={"app": {"S": app}, "release": {"S": APP_ITEM}}, ConsistentRead=True
            )
        until = answer.get("Item", {}).get("lease_until")
        return int(until["N"]) if until else None

    def time(self) -> int | None:
        """What AWS says that the time is, to the second; None when its answer does not tell."""
        with translated("STS"):
            headers = self._sts.get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]
        date = headers.get("date")
        return milliseconds(parsedate_to_datetime(date)) if date else None
