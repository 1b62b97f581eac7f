"""An AWS in memory (moto) for the tests that need one, with the tables of template.yaml itself."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants, _constants_from_source
from hypothesis.internal.floats import float_to_int
from sortedcontainers import SortedSet

from canary.wire.call import Wire
from tests.fakes.endpoint import Answer, Asked, Served, moto_answers, scripted_answers, serving, wired

ROOT = Path(__file__).parents[1]
REGION = "eu-west-1"
ACCOUNT = "123456789012"

# The same examples in every run: what is red here is red everywhere, and stays so until it is mended. And how long it takes
# to make them says how fast the machine was just then, and nothing about the code.
settings.register_profile(
    "canary",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("canary")


@cache
def constants_of_the_code() -> Constants:
    """Numbers and words that stand in our code, for Hypothesis to try among others.

    It would take those of the modules that happen to be imported, and so try other examples after other tests.
    """
    found = Constants()
    for path in sorted((ROOT / "layers" / "canary" / "python").rglob("*.py")):
        found |= _constants_from_source(path.read_bytes(), limit=True)
    kinds = {"integers": found.integers, "bytes": found.bytes, "strings": found.strings}
    return Constants(floats=SortedSet(found.floats, key=float_to_int), **{kind: SortedSet(each) for kind, each in kinds.items()})


assert callable(providers._get_local_constants)  # else Hypothesis has them from elsewhere by now
providers._get_local_constants = constants_of_the_code


#: What a test that tries many cases in a loop puts its number under, with `record_property`.
CASES = "cases"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many cases were tried by tests that try many in a loop: crash points, histories."""
    tried: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        tried[report.nodeid.split("::")[0]] += sum(value for name, value in report.user_properties if name == CASES)
    if any(tried.values()):
        terminalreporter.section("cases tried")
        for name, count in sorted(tried.items()):
            if count:
                terminalreporter.write_line(f"{count:>8,} {name}")


@dataclass(frozen=True, slots=True)
class Tables:
    """The names of the two tables."""

    releases: str = "releases"
    audit: str = "audit"


@cache
def template() -> dict[str, Any]:
    """The template, read by SAM's own loader, which knows CloudFormation's tags."""
    from samtranslator.yaml_helper import yaml_parse  # noqa: PLC0415 - slow to import, and most tests need no template

    document: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    return document


@pytest.fixture
def load_event() -> Callable[[str], Any]:
    """One of the example events by its name, to be changed at will."""
    return lambda name: json.loads((ROOT / "events" / f"{name}.json").read_text())


@cache
def client_of(service: str) -> Any:
    """A client that asks once: moto answers at once or never. Making one is slow, so they are shared."""
    config = Config(retries={"total_max_attempts": 1}, ignore_configured_endpoint_urls=True)
    return boto3.client(service, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test", config=config)


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """An empty AWS. Gives the function that makes clients of it."""
    from moto import mock_aws  # noqa: PLC0415 - slow to import

    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_REGION", REGION)
    with mock_aws():
        yield client_of


@pytest.fixture
def tables(moto: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Tables:
    """The two tables as template.yaml defines them, in an empty AWS."""
    from moto.dynamodb.models import DynamoDBBackend  # noqa: PLC0415 - slow to import

    names = Tables()
    for logical, name in (("ReleasesTable", names.releases), ("AuditTable", names.audit)):
        declared = template()["Resources"][logical]["Properties"]
        wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
        moto("dynamodb").create_table(TableName=name, **{key: declared[key] for key in wanted})
    # DynamoDB writes an item as one; moto looks at the condition first, and lets another thread in before it writes.
    lock, update, put = threading.Lock(), DynamoDBBackend.update_item, DynamoDBBackend.put_item

    def update_item(self: Any, *args: Any, **kwargs: Any) -> Any:
        with lock:
            return update(self, *args, **kwargs)

    def put_item(self: Any, *args: Any, **kwargs: Any) -> Any:
        with lock:
            return put(self, *args, **kwargs)

    monkeypatch.setattr(DynamoDBBackend, "update_item", update_item)
    monkeypatch.setattr(DynamoDBBackend, "put_item", put_item)
    return names


@pytest.fixture
def moto_over_http(moto: Callable[[str], Any]) -> Iterator[Served]:
    """The same empty AWS, over HTTP."""
    with serving(moto_answers) as served:
        yield served


@pytest.fixture
def answering() -> Iterator[Callable[..., tuple[Wire, Served]]]:
    """Make a lean transport whose AWS answers what it is told to, the last answer for ever, and show what it was asked."""
    with ExitStack() as stack:

        def make(*answers: Answer | Callable[[Asked], Answer], **options: Any) -> tuple[Wire, Served]:
            answer = answers[0] if callable(answers[0]) else scripted_answers(*answers)
            served = stack.enter_context(serving(answer))
            return stack.enter_context(wired(served, **options)), served

        yield make
