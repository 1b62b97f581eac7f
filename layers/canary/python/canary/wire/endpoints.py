"""Where AWS's services are, in every partition, and what the environment says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from canary.errors import Misconfigured

#: The domain of the regions whose names begin so; all other regions are at the first.
_DOMAIN: Final = "amazonaws.com"
_DOMAINS: Final = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "us-isof-": "csp.hci.ic.gov",
}
#: A region's name becomes a part of a host's name: it must be one.
_REGION: Final = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}")
#: Settings of AWS's SDKs that this transport does not follow: it must not talk past them.
_NOT_FOLLOWED: Final = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")
_INSTEAD: Final = "the lean transport does not know it: set CANARY_TRANSPORT=botocore"


class Service(NamedTuple):
    """One service. ``name`` stands in host names and signatures, ``variable`` names its endpoint in the environment.

    ``title`` is for people. ``target`` and ``version`` are those of the JSON protocol, empty for a service that speaks REST.
    """

    title: str
    name: str
    variable: str
    target: str = ""
    version: str = ""


SSM: Final = Service("SSM", "ssm", "AWS_ENDPOINT_URL_SSM", "AmazonSSM", "1.1")
DYNAMODB: Final = Service("DynamoDB", "dynamodb", "AWS_ENDPOINT_URL_DYNAMODB", "DynamoDB_20120810", "1.0")
STATES: Final = Service("Step Functions", "states", "AWS_ENDPOINT_URL_SFN", "AWSStepFunctions", "1.0")
LAMBDA: Final = Service("Lambda", "lambda", "AWS_ENDPOINT_URL_LAMBDA")


class Endpoint(NamedTuple):
    """A host to connect to."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """The host as the header of that name has it: a port that goes without saying is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def endpoint_of(service: Service, region: str, environ: Mapping[str, str]) -> Endpoint:
    """Find a service's endpoint. Raises `Misconfigured`, also where the environment asks for what this transport cannot do."""
    for name in _NOT_FOLLOWED:
        if environ.get(name, "").lower() == "true":
            raise Misconfigured(f"{name} is set, and {_INSTEAD}")
    if environ.get("AWS_ACCOUNT_ID_ENDPOINT_MODE", "").lower() == "required":
        raise Misconfigured(f"AWS_ACCOUNT_ID_ENDPOINT_MODE=required, and {_INSTEAD}")
    found = _configured(service, environ) or Endpoint(_host(service, region), 443, tls=True)
    if proxy := _proxy(found, environ):
        raise Misconfigured(f"{proxy} names a proxy for {found.host}, and {_INSTEAD}, or add the host to NO_PROXY")
    return found


def endpoint_from(url: str, why: str) -> Endpoint:
    """Read an endpoint's URL; ``why`` names where it stands. Raises `Misconfigured`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Misconfigured(f"{why}={url!r} is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Misconfigured(f"{why}={url!r} is not the URL of an endpoint: write http(s)://host[:port]")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise Misconfigured(f"{why}={url!r} has more than a host and a port, and {_INSTEAD}")
    tls = parts.scheme == "https"
    return Endpoint(parts.hostname, port if port is not None else 443 if tls else 80, tls)


def _configured(service: Service, environ: Mapping[str, str]) -> Endpoint | None:
    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    for name in (service.variable, "AWS_ENDPOINT_URL"):
        if url := environ.get(name):
            return endpoint_from(url, name)
    return None


def _host(service: Service, region: str) -> str:
    if not _REGION.fullmatch(region):
        raise Misconfigured(f"{region!r} is not the name of a region: see AWS_REGION")
    domain = next((domain for prefix, domain in _DOMAINS.items() if region.startswith(prefix)), _DOMAIN)
    return f"{service.name}.{region}.{domain}"


def _proxy(endpoint: Endpoint, environ: Mapping[str, str]) -> str | None:
    """Name the variable that wants a proxy for this endpoint; None when none does."""
    scheme = "https_proxy" if endpoint.tls else "http_proxy"
    names = (scheme, scheme.upper(), "all_proxy", "ALL_PROXY")
    name = next((name for name in names if environ.get(name)), None)
    if name is None:
        return None
    spared = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    for each in (part.strip().lower() for part in spared.split(",")):
        host = each.rpartition(":")[0] if each.endswith(f":{endpoint.port}") else each
        bare = host.removeprefix("*").removeprefix(".")
        if each == "*" or (bare and (endpoint.host == bare or endpoint.host.endswith(f".{bare}"))):
            return None
    return name
