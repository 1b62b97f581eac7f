"""What a router imports before its first request: it starts often, and each module takes its time."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

STARTED = """
import json, sys
from router import app
app.desk()
print(json.dumps(sorted(sys.modules)))
"""
#: The SDK and what is made of it; what parses HTTP at leisure; what only a release, a key or a plan needs.
FORBIDDEN = {
    "boto3", "botocore.session", "botocore.auth", "pynamodb", "urllib3", "aws_xray_sdk", "http.client", "email", "ssl",
    "aws_lambda_powertools.event_handler", "canary.bootstrap", "canary.ports", "canary.aws.faults", "canary.domain.release",
    "canary.domain.plan", "canary.domain.evidence", "canary.domain.audit", "canary.domain.keyed",
}  # fmt: skip


COLLECTED = """
import gc, json
looks = lambda: sum(stats["collections"] for stats in gc.get_stats())
before = looks()
from router import app
print(json.dumps([gc.isenabled(), gc.get_freeze_count(), looks() - before]))
"""


def imported(transport: str) -> set[str]:
    given = {
        "CANARY_PREFIX": "/canary", "CANARY_RELEASES_TABLE": "r", "CANARY_AUDIT_TABLE": "a", "CANARY_TARGET_PATTERN": "*",
        "CANARY_ACCOUNT": "123456789012", "CANARY_ENVIRONMENT": "local", "AWS_REGION": "eu-west-1", "CANARY_TRANSPORT": transport,
        "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "PATH": os.defpath,
    }  # fmt: skip
    return set(told(STARTED, given))


def told(script: str, environ: dict[str, str]) -> list[Any]:
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    found: list[Any] = json.loads(done.stdout)
    return found


def test_garbage_is_not_looked_for_among_what_is_imported_and_is_from_then_on():
    on, frozen, looks = told(COLLECTED, {"AWS_REGION": "eu-west-1", "PATH": os.defpath})
    assert on
    assert frozen > 10_000
    assert looks < 5, "a start made some dozens"


def test_on_the_lean_transport_a_router_imports_no_sdk_and_nothing_that_only_some_requests_need():
    there = imported("lean")
    assert not there & FORBIDDEN
    # Powertools looks whether there is a botocore, and leaves it at that.
    assert not [name for name in there if name.startswith(("botocore.", "boto3", "pynamodb"))]


def test_without_a_word_the_transport_is_the_lean_one():
    assert "boto3" not in imported("")


def test_on_botocore_it_is_botocore_that_asks():
    there = imported("botocore")
    assert {"boto3", "canary.bootstrap"} <= there


def test_another_transport_is_refused_by_its_name():
    with pytest.raises(subprocess.CalledProcessError) as caught:
        imported("carrier-pigeon")
    assert "carrier-pigeon" in caught.value.stderr
