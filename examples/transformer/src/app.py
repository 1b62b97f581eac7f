"""One version of the transformer: a Lambda that starts its workflow, and the workflow's tasks."""

from __future__ import annotations

import functools
import json
import os
import uuid
from typing import Any

import boto3


def start(event: dict[str, Any], context: Any) -> dict[str, str]:
    """Start the workflow under the request's id and answer with its execution."""
    if os.environ["BEHAVIOUR"] == "raise":
        raise RuntimeError(f"transformer {os.environ['VERSION']} raises, as it was asked to")
    execution_arn = start_once(os.environ["STATE_MACHINE_ARN"], request_id(context), json.dumps(event))
    return {"executionArn": execution_arn, "version": os.environ["VERSION"]}


def request_id(context: Any) -> str:
    """Return the id that the router gave the request, or a new one for a caller that gave none.

    As the execution's name it makes a repeated request the same run, and lets the router find
    a run whose answer was lost.
    """
    client_context = getattr(context, "client_context", None)
    custom = getattr(client_context, "custom", None) or {}
    return str(custom.get("canary_request_id") or uuid.uuid4())


def start_once(state_machine_arn: str, name: str, data: str) -> str:
    """Start an execution of that name, or find the one that an earlier try has started."""
    states = step_functions()
    try:
        answer = states.start_execution(stateMachineArn=state_machine_arn, name=name, input=data)
    except states.exceptions.ExecutionAlreadyExists:
        return f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
    return str(answer["executionArn"])


@functools.cache
def step_functions() -> Any:
    """Return the client, made at the first call and kept for the next ones."""
    return boto3.client("stepfunctions")


def work(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Do one task of the workflow."""
    return {"extract": extract, "load": load}[event["task"]](event["orders"])


def extract(count: int) -> dict[str, Any]:
    """Make as many orders as were asked for, always the same ones."""
    return {
        "orders": [
            {"order": number, "quantity": 1 + number % 3, "unit_cents": 995 + 250 * (number % 4)}
            for number in range(1, count + 1)
        ]
    }


def load(orders: list[dict[str, int]]) -> dict[str, int]:
    """Add the orders up: what a real pipeline would write to its warehouse."""
    return {"orders": len(orders), "total_cents": sum(order["total_cents"] for order in orders)}
