"""Metrics: counted while the work is done, written once at its end, in CloudWatch's embedded format.

A line of metrics is a line of the log as well: what is to be told of the request that was counted stands in it.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

#: Where nothing else is said; template.yaml gives each environment a namespace of its own.
NAMESPACE: Final = "Canary"
#: Powertools makes an encoder for each line.
_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class Meter:
    """Counts for one function. Each metric goes out for the service and for the service and app."""

    def __init__(self, service: str, namespace: str | None = None) -> None:
        self._service = service
        # One for all times: it is empty again once it was written, and dear to make.
        self._metrics = EphemeralMetrics(namespace=namespace or NAMESPACE, service=service)
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._told: dict[str, Mapping[str, object]] = {}

    def count(self, name: str, app: str, number: int = 1) -> None:
        """Count something of an app (``""``: of none)."""
        self._counts[app][name] += number

    def tell(self, app: str, facts: Mapping[str, object]) -> None:
        """Say something of what is counted of an app: it goes out in the same line."""
        self._told[app] = facts

    def flush(self) -> None:
        """Write what was counted, with what was told of it, and begin anew."""
        counts, self._counts = self._counts, defaultdict(Counter)
        told, self._told = self._told, {}
        for app, numbers in counts.items():
            metrics = self._metrics
            metrics.metadata_set.update(told.pop(app, _NOTHING))
            if app:
                metrics.add_dimensions(service=self._service, app=app)
            for name, number in numbers.items():
                metrics.add_metric(name=name, unit=MetricUnit.Count, value=number)
            try:
                _write(metrics.serialize_metric_set())
            finally:
                metrics.clear_metrics()
        for facts in told.values():  # nothing was counted
            _write({"service": self._service, **facts})


def _write(document: Mapping[str, object]) -> None:
    sys.stdout.write(f"{_encode(document)}\n")  # at once: `print` writes the line and its end, each by itself
    sys.stdout.flush()
