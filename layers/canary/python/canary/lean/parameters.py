"""Parameter Store, below the installation's prefix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from canary.aws.answers import milliseconds, moment
from canary.domain.parameter import Parameter
from canary.errors import Unavailable
from canary.lean.asking import asked
from canary.lean.items import listing, mapping, quoted
from canary.wire.call import Wire
from canary.wire.endpoints import SSM


class LeanParameters:
    """The parameters of all apps, for reading."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._prefix = prefix

    def read(self, app: str, *names: str) -> Mapping[str, Parameter]:
        """Read some of an app's parameters at once; missing ones are absent."""
        document = mapping({"Names": listing(quoted(f"{self._prefix}/{app}/{name}") for name in names)})
        return _parameters(asked(self._wire, SSM, "GetParameters", document))


def _parameters(answer: dict[str, Any]) -> dict[str, Parameter]:
    try:
        return {
            found["Name"].rsplit("/", 1)[1]: Parameter(
                found["Value"], int(found["Version"]), milliseconds(moment(found["LastModifiedDate"]))
            )
            for found in answer["Parameters"]
        }
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(SSM.title, "Unreadable", f"the answer cannot be understood: {type(error).__name__}") from error
