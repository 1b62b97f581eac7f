"""The idiomatic router with Powertools around it: logs, traces, metrics and the REST resolver."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from bench.baselines import idiomatic

logger = Logger(service="idiomatic")
tracer = Tracer(service="idiomatic")
metrics = Metrics(namespace="Canary", service="idiomatic")
api = APIGatewayRestResolver()


@tracer.capture_method(capture_response=False)
def route(app: str, body: str) -> dict[str, Any]:
    """Send a request to one stack, as a subsegment of the trace."""
    return idiomatic.route(app, body)


@api.post("/<app>")
def take(app: str) -> dict[str, Any]:
    """Answer a request."""
    answer = route(app, api.current_event.body or "")
    logger.info("routed", extra={"request_id": answer["request_id"], "routed_to": answer["routed_to"]})
    metrics.add_metric(name="Routed", unit=MetricUnit.Count, value=1)
    return answer


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of API Gateway's."""
    return api.resolve(event, context)
