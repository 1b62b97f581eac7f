"""The article's router in the full dress of Powertools: logs, traces, metrics, validation, idempotency."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from bench.baselines import naive

logger = Logger(service="naive")
# Only what is deployed with it; by itself it imports whatever it finds that it could trace.
tracer = Tracer(service="naive", patch_modules=["botocore"])
metrics = Metrics(namespace="Canary", service="naive")
api = APIGatewayRestResolver(enable_validation=True)
seen = DynamoDBPersistenceLayer(table_name="idempotency")


class Order(BaseModel):
    """What upstream apps send."""

    order: int
    lines: int


class Routed(BaseModel):
    """What they get."""

    request_id: str
    app: str
    routed_to: str
    transform_id: str
    response: dict[str, Any]


@tracer.capture_method(capture_response=False)
def route(app: str, body: Order) -> Routed:
    """Send a request to one stack, as a subsegment of the trace."""
    return Routed(**naive.route(app, body.model_dump()))


@api.post("/<app>")
def take(app: str, body: Order) -> Routed:
    """Answer a request."""
    answer = route(app, body)
    logger.info("routed", extra={"request_id": answer.request_id, "routed_to": answer.routed_to})
    metrics.add_metric(name="Routed", unit=MetricUnit.Count, value=1)
    return answer


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(capture_cold_start_metric=True)
@idempotent(persistence_store=seen, config=IdempotencyConfig(event_key_jmespath="[path, body]"))
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of API Gateway's."""
    return api.resolve(event, context)
