"""Signatures: AWS's published examples, and botocore's for thousands of requests."""

from __future__ import annotations

import calendar
import hashlib
from datetime import UTC, datetime
from random import Random
from unittest.mock import patch

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from canary.wire.sign import Credentials, Signer

# https://docs.aws.amazon.com/general/latest/gr/signature-v4-test-suite.html
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
MOMENT = calendar.timegm((2015, 8, 30, 12, 36, 0))
HOST = {"host": "example.amazonaws.com"}
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/"
    "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64"
    "lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
PUBLISHED: dict[str, tuple[str, str, dict[str, str], bytes, str]] = {
    "get-vanilla": ("GET", "/", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "post-vanilla": ("POST", "/", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "get-unreserved": (
        "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", {}, b"",
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-header-value-trim": (
        "GET", "/", {"my-header1": " value1", "my-header2": ' "a   b   c"'}, b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-x-www-form-urlencoded": (
        "POST", "/", {"content-type": "application/x-www-form-urlencoded"}, b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "post-header-key-sort": (
        "POST", "/", {"my-header1": "value1"}, b"", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
}  # fmt: skip


def signed_headers(*request, region="us-east-1", service="service", signer=None) -> dict[str, str]:
    """What goes out, read back."""
    lines = (signer or Signer(region, service)).sign(*request)
    assert lines.endswith("\r\n")
    pairs = [line.split(":", 1) for line in lines[:-2].split("\r\n")]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def signature(headers: dict[str, str]) -> str:
    return headers["authorization"].rsplit("Signature=", 1)[1]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_example_is_signed_as_published(name):
    method, path, headers, body, expected = PUBLISHED[name]
    signed = signed_headers(KEYS, MOMENT, method, path, {**HOST, **headers}, body)
    assert signature(signed) == expected
    listed = ";".join(sorted({**HOST, **headers, "x-amz-date": ""}))
    scope = "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    assert signed["authorization"] == f"AWS4-HMAC-SHA256 {scope}, SignedHeaders={listed}, Signature={expected}"
    assert signed["x-amz-date"] == "20150830T123600Z"


def test_the_published_example_with_a_session_token_is_signed_as_published():
    # post-sts-header-before: the token is signed with the rest.
    keys = Credentials(KEYS.access_key, KEYS.secret_key, TOKEN)
    signed = signed_headers(keys, MOMENT, "POST", "/", HOST, b"")
    assert signature(signed) == "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
    assert signed["x-amz-security-token"] == TOKEN


def by_botocore(region, service, keys, at, method, path, headers, body) -> dict[str, str]:
    request = AWSRequest(method=method, url=f"https://{headers['host']}{path}", headers=dict(headers), data=body)
    moment = datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
    with patch.object(botocore.auth, "get_current_datetime", lambda *_: moment):
        SigV4Auth(BotocoreCredentials(keys.access_key, keys.secret_key, keys.token), service, region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


PRINTABLE = "".join(map(chr, range(32, 127)))
RESERVED = {"x-amz-date", "x-amz-security-token", "x-amzn-trace-id", "x-amz-content-sha256"}


def a_request(rng: Random) -> tuple[Credentials, int, str, str, dict[str, str], bytes]:
    def text(alphabet: str, least: int, most: int) -> str:
        return "".join(rng.choices(alphabet, k=rng.randint(least, most)))

    words = PRINTABLE[1:]
    own = Credentials(text(words, 1, 30), text(words, 1, 40), text(words, 1, 300) if rng.random() < 0.6 else None)
    segments = [text("abcXYZ019-_~%:$,=@+", 1, 20) for _ in range(rng.randint(0, 4))]
    names = {"x-" + text("abcdefghijklmnopqrstuvwxyz019-", 1, 20) for _ in range(rng.randint(0, 5))} - RESERVED
    headers = {"host": rng.choice(["localhost:4566", "ssm.eu-west-1.amazonaws.com"])} | {
        n: text(PRINTABLE, 0, 60) for n in sorted(names)
    }
    return (
        own,
        rng.randint(0, 4_000_000_000),
        rng.choice(["POST", "GET"]),
        "/" + "/".join(segments),
        headers,
        rng.randbytes(rng.randint(0, 200)),
    )


@pytest.mark.parametrize("region", ["eu-west-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1"])
def test_thousands_of_requests_are_signed_as_botocore_signs_them(region):
    rng = Random(region)
    for _ in range(1_500):
        service, request = rng.choice(["ssm", "dynamodb", "states", "lambda"]), a_request(rng)
        by_theirs = {name: " ".join(value.split()) for name, value in by_botocore(region, service, *request).items()}
        assert signed_headers(*request, region=region, service=service) == by_theirs, request


def test_one_signer_signs_under_changing_credentials_and_days_as_a_new_one_would():
    signer = Signer("eu-west-1", "ssm")
    for number in range(40):
        own = Credentials(f"key{number % 3}", f"secret{number // 7}", None if number % 5 else f"token{number}")
        at = MOMENT + number * 40_000
        args = (own, at, "POST", "/", {"host": "h", "x-n": str(number)}, hashlib.sha256(bytes([number])).digest())
        assert signer.sign(*args) == Signer("eu-west-1", "ssm").sign(*args)
