"""Where services are: as botocore finds them, in every region of every partition, and as the environment says."""

from __future__ import annotations

import botocore.session
import pytest
from botocore.config import Config

from canary.errors import Misconfigured
from canary.wire.endpoints import DYNAMODB, LAMBDA, SSM, STATES, Endpoint, endpoint_of

SERVICES = {"ssm": SSM, "dynamodb": DYNAMODB, "stepfunctions": STATES, "lambda": LAMBDA}
_session = botocore.session.get_session()
REGIONS = sorted(
    {
        region
        for partition in _session.get_available_partitions()
        for service in SERVICES
        for region in _session.get_available_regions(service, partition)
    }
)


@pytest.mark.parametrize("name", SERVICES)
def test_every_region_has_the_endpoint_that_botocore_finds(name):
    model = _session.get_service_model(name)
    data = _session.get_component("data_loader").load_service_model(name, "endpoint-rule-set-1")
    from botocore.regions import EndpointRulesetResolver  # noqa: PLC0415 - not part of botocore's public face

    assert len(REGIONS) > 35
    for region in [*REGIONS, "eu-central-7", "us-gov-north-1", "cn-east-9", "eusc-de-west-2", "us-isob-west-1", "eu-isoe-west-1"]:
        resolver = EndpointRulesetResolver(
            endpoint_ruleset_data=data,
            partition_data=_session.get_component("data_loader").load_data("partitions"),
            service_model=model,
            builtins={"AWS::Region": region, "AWS::UseFIPS": False, "AWS::UseDualStack": False},
            client_context=None,
            event_emitter=_session.get_component("event_emitter"),
        )
        operation = model.operation_model(model.operation_names[0])
        found = resolver.construct_endpoint(operation, {}, {"client_region": region, "client_config": Config()})
        ours = endpoint_of(SERVICES[name], region, {})
        assert f"https://{ours.authority}" == found.url, region
        assert (ours.port, ours.tls) == (443, True)


@pytest.mark.parametrize(
    "region", ["", "local", "aws-global", "eu-west-1.evil.example/", "EU-WEST-1", "eu west 1", "eu-west-1\n"]
)
def test_what_is_no_region_becomes_no_host(region):
    with pytest.raises(Misconfigured, match="region"):
        endpoint_of(SSM, region, {})


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_the_environment_may_name_an_endpoint_for_all_and_one_for_each(service):
    everywhere = {"AWS_ENDPOINT_URL": "http://localhost:4566"}
    assert endpoint_of(service, "eu-west-1", everywhere) == Endpoint("localhost", 4566, tls=False)
    own = {**everywhere, service.variable: "https://own.example"}
    assert endpoint_of(service, "eu-west-1", own) == Endpoint("own.example", 443, tls=True)
    others = {**everywhere, **{each.variable: "https://own.example" for each in SERVICES.values() if each is not service}}
    assert endpoint_of(service, "eu-west-1", others).host == "localhost"


def test_endpoints_of_the_environment_are_left_aside_where_it_says_so():
    environ = {"AWS_ENDPOINT_URL": "http://localhost:1", "AWS_ENDPOINT_URL_SSM": "http://localhost:2"}
    found = endpoint_of(SSM, "eu-west-1", {**environ, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "TRUE"})
    assert found.host == "ssm.eu-west-1.amazonaws.com"


def test_the_variables_are_those_of_botocore():
    for name, service in SERVICES.items():
        service_id = _session.get_service_model(name).service_id
        assert service.variable == f"AWS_ENDPOINT_URL_{str(service_id).replace(' ', '_').upper()}"


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://localhost", "localhost"), ("http://localhost:80/", "localhost"), ("https://a.example:443", "a.example"),
        ("https://a.example:8443", "a.example:8443"), ("http://[::1]:4566", "[::1]:4566"),
    ],
)  # fmt: skip
def test_the_host_header_names_a_port_that_does_not_go_without_saying(url, authority):
    assert endpoint_of(SSM, "eu-west-1", {"AWS_ENDPOINT_URL": url}).authority == authority


@pytest.mark.parametrize(
    "url",
    ["localhost:4566", "ftp://a.example", "https://", "http://a.example:port", "https://a.example/path", "https://a.example?x=1",
     "https://user:word@a.example", "http://[::1", "https://a.example#x"],
)  # fmt: skip
def test_an_endpoint_that_this_transport_cannot_reach_is_refused(url):
    with pytest.raises(Misconfigured, match="AWS_ENDPOINT_URL_SSM"):
        endpoint_of(SSM, "eu-west-1", {"AWS_ENDPOINT_URL_SSM": url})


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_USE_DUALSTACK_ENDPOINT": "True"},
        {"AWS_ACCOUNT_ID_ENDPOINT_MODE": "required"},
        {"HTTPS_PROXY": "http://proxy.example:3128"},
        {"https_proxy": "http://proxy.example:3128", "no_proxy": "elsewhere.example"},
        {"ALL_PROXY": "http://proxy.example:3128"},
        {"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "notamazonaws.com,xssm.eu-west-1.amazonaws.com,naws.com"},
    ],
)
def test_what_this_transport_does_not_do_is_refused_with_the_way_out(environ):
    with pytest.raises(Misconfigured, match="CANARY_TRANSPORT=botocore"):
        endpoint_of(SSM, "eu-west-1", environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_USE_FIPS_ENDPOINT": "false", "AWS_USE_DUALSTACK_ENDPOINT": ""},
        {"AWS_ACCOUNT_ID_ENDPOINT_MODE": "preferred"},
        {"HTTP_PROXY": "http://proxy.example:3128"},
        {"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": "localhost, .amazonaws.com"},
        {"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": "ssm.eu-west-1.amazonaws.com:443"},
        {"HTTPS_PROXY": "http://proxy.example:3128", "no_proxy": "*"},
        {"HTTPS_PROXY": ""},
    ],
)
def test_what_concerns_other_endpoints_is_none_of_its_business(environ):
    assert endpoint_of(SSM, "eu-west-1", environ).host == "ssm.eu-west-1.amazonaws.com"
