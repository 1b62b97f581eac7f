"""Parameter Store, below the installation's prefix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from canary.aws.answers import milliseconds
from canary.aws.faults import translated
from canary.domain.app import Parameter, Version
from canary.domain.target import APP_NAME, MOST_CHARACTERS

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

_SERVICE: Final = "SSM"


class ParameterStore:
    """The parameters of all apps.

    ``writer``, where there is one, writes them, and must not retry: a blank that is sent again, its first answer lost, could
    land on a tagger's write and pass for a withdrawal. The flipper's next look does what was not done.
    """

    def __init__(self, client: SSMClient, prefix: str, writer: SSMClient | None = None) -> None:
        self._client = client
        self._writer = writer or client
        self._prefix = prefix

    def read(self, app: str, *names: str) -> Mapping[str, Parameter]:
        """Read some of an app's parameters at once; missing ones are absent."""
        with translated(_SERVICE):
            answer = self._client.get_parameters(Names=[self.name(app, name) for name in names])
        return {
            found["Name"].rsplit("/", 1)[1]: Parameter(
                found["Value"], int(found["Version"]), milliseconds(found["LastModifiedDate"])
            )
            for found in answer["Parameters"]
        }

    def write(self, app: str, name: str, value: str, description: str = "") -> int:
        """Write a parameter and return its new version."""
        if not 0 < len(value) <= MOST_CHARACTERS:
            raise ValueError(f"{self.name(app, name)}: a value has 1 to {MOST_CHARACTERS} characters, not {len(value)}")
        with translated(_SERVICE):
            answer = self._writer.put_parameter(
                Name=self.name(app, name), Value=value, Type="String", Overwrite=True, Description=description
            )
        return int(answer["Version"])

    def history(self, app: str) -> tuple[Version, ...]:
        """Return the versions of ``latest``, oldest first."""
        with translated(_SERVICE):
            pages = self._client.get_paginator("get_parameter_history").paginate(Name=self.name(app, "latest"))
            found: list[Any] = [version for page in pages for version in page["Parameters"]]
        versions = (
            Version(v["Value"], int(v["Version"]), milliseconds(v["LastModifiedDate"]), v.get("Description", "")) for v in found
        )
        return tuple(sorted(versions, key=lambda version: version.version))

    def apps(self) -> tuple[str, ...]:
        """Name all apps that have a parameter."""
        with translated(_SERVICE):
            pages = self._client.get_paginator("get_parameters_by_path").paginate(Path=self._prefix, Recursive=True)
            names = [found["Name"] for page in pages for found in page["Parameters"]]
        apps = (name.removeprefix(self._prefix).strip("/").split("/")[0] for name in names)
        return tuple(sorted({app for app in apps if APP_NAME.fullmatch(app)}))

    def name(self, app: str, name: str) -> str:
        """The full name of a parameter."""
        return f"{self._prefix}/{app}/{name}"
