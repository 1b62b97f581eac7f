"""Parameter Store, below the installation's prefix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from canary.aws.answers import milliseconds, moment
from canary.domain.parameter import Parameter
from canary.errors import Unavailable
from canary.lean.asking import QUICK, asked, unavailable
from canary.wire.call import Pending, Wire
from canary.wire.endpoints import SSM
from canary.wire.faults import WireFault


class LeanParameters:
    """The parameters of all apps, for reading."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._prefix = prefix

    def read(self, app: str, *names: str) -> Mapping[str, Parameter]:
        """Read some of an app's parameters at once; missing ones are absent."""
        return _parameters(asked(self._wire, SSM, "GetParameters", self._document(app, names)))

    def begin(self, app: str, *names: str) -> Reading:
        """Begin such a reading, to do something else meanwhile. Never raises."""
        return Reading(self._wire.begin(SSM, "GetParameters", self._document(app, names), QUICK))

    def _document(self, app: str, names: tuple[str, ...]) -> dict[str, Any]:
        return {"Names": [f"{self._prefix}/{app}/{name}" for name in names]}


class Reading:
    """A reading that is under way."""

    def __init__(self, pending: Pending) -> None:
        self._pending = pending

    def done(self) -> Mapping[str, Parameter]:
        """Wait for its end, once. Raises `Unavailable`."""
        try:
            return _parameters(self._pending.answer())
        except WireFault as fault:
            raise unavailable(SSM, fault) from fault


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
